"""Situations that an McpServer can be in, by name, and what its user is told in each.

The three words are the phase, the status of the Ready condition and its reason; the text is part of its message.
"""

from dataclasses import replace
from typing import Any

from support import specs
from unit.controllers.kit import (
    COMPLETE,
    NEW,
    NOTHING_SERVES,
    NPM,
    OLD,
    OLD_SERVES,
    OTHER_TOOLS,
    SERVED_BEFORE,
    TOOLS,
    WAS_READY,
    blocked,
    bridge,
    facts,
    pinned,
    pod,
    status,
    verified,
)
from vsm_operator.api.conditions import Reason
from vsm_operator.api.v1alpha1 import Phase
from vsm_operator.controllers.intakestate import NotBundled, Waiting
from vsm_operator.controllers.mcpserver.facts import Facts, Rollout, Unverified
from vsm_operator.controllers.mcpserver.summary import FAILED_STARTS
from vsm_operator.controllers.podfacts import Problem
from vsm_operator.domain.intake import IntakeReason
from vsm_operator.errors import InvalidSpec, NotConfigured

RETRY_ADVICE = "change the spec, or ask for another try with `vsmctl retry memory`"
CRASH = Problem(Reason.CRASH_AT_START, "exit code 1: KeyError: 'TOKEN'")
OOM = Problem(Reason.OOM_KILLED, "the server was killed at its memory limit")
NO_ROOM = Problem(Reason.UNSCHEDULABLE, "no node takes the pod: 3 Insufficient memory")
SUSPENDED = NPM | {"suspend": True}
LIMITED = NPM | {"resources": {"limits": {"memory": "64Mi"}}}
TWO = NPM | {"replicas": 2}


def waiting(reason: Reason, message: str = "because") -> dict[str, Any]:
    return {"intake": Waiting(reason, message), "revision": ""}


def failed(reason: IntakeReason, message: str = "because") -> dict[str, Any]:
    return {"intake": NotBundled(reason, message), "revision": ""}


def lasting(problem: Problem) -> Problem:
    return replace(problem, lasting=True)


SITUATIONS: dict[str, tuple[Facts, str, str]] = {
    # fetching
    "queued": (
        facts(**waiting(Reason.QUEUED, "5 intakes are running")),
        "Pending False Queued",
        "5 intakes are running",
    ),
    "fetching": (facts(**waiting(Reason.FETCHING, "being resolved")), "Fetching False Fetching", "being resolved"),
    "bundle registry not found": (
        facts(**waiting(Reason.REGISTRY_NOT_FOUND, "is its Service there?")),
        "Fetching False RegistryNotFound",
        "is its Service there?",
    ),
    **{
        f"verdict on the package: {reason}": (
            facts(**failed(reason)),
            f"Rejected False {reason}",
            f"because; {RETRY_ADVICE}",
        )
        for reason in (
            IntakeReason.INTEGRITY_MISMATCH,
            IntakeReason.MISSING_INTEGRITY,
            IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE,
            IntakeReason.UNSAFE_ARCHIVE,
            IntakeReason.BUNDLE_TOO_LARGE,
            IntakeReason.NO_WHEEL,
        )
    },
    **{
        f"mistake in the request: {reason}": (
            facts(**failed(reason)),
            f"Failed False {reason}",
            f"because; {RETRY_ADVICE}",
        )
        for reason in (
            IntakeReason.UNKNOWN_PACKAGE,
            IntakeReason.NO_SUCH_VERSION,
            IntakeReason.RESOLUTION_FAILED,
            IntakeReason.INVALID_REQUEST,
        )
    },
    **{
        f"trouble on the way: {reason}": (
            facts(**failed(reason)),
            f"Pending False {reason}",
            "because; it is tried again by itself",
        )
        for reason in (IntakeReason.REGISTRY_UNREACHABLE, IntakeReason.STORAGE_UNAVAILABLE, IntakeReason.INTERNAL_ERROR)
    },
    # the spec
    "spec cannot be rendered": (
        facts(invalid=InvalidSpec("NoEntrypoint", "put it in spec.command"), revision=""),
        "Failed False NoEntrypoint",
        "put it in spec.command",
    ),
    "operator lacks a setting": (
        facts(invalid=NotConfigured("ApiServerUnknown", "set VSM_API_SERVER_CIDRS"), revision=""),
        "Pending False ApiServerUnknown",
        "set VSM_API_SERVER_CIDRS",
    ),
    "suspended": (facts(SUSPENDED), "Suspended False Suspended", "set it to false to run again"),
    "suspended while its pod still runs": (
        facts(SUSPENDED, before=WAS_READY, rollout=COMPLETE),
        "Suspended False Suspended",
        "set it to false",
    ),
    # starting
    "pod is being created": (facts(), "Starting False Starting", "the pod is being started"),
    "pod is there": (facts(pods=[pod()]), "Starting False Starting", "the pod is being started"),
    "bridge ends": (
        facts(pods=[pod(Problem(Reason.BRIDGE_FAILED, "the bridge ended with exit code 1"))]),
        "Starting False BridgeFailed",
        "the bridge ended with exit code 1",
    ),
    "cluster refuses the pod": (
        facts(rollout=Rollout(refusal='serviceaccount "reviewer" not found')),
        "Starting False PodsRefused",
        'does not let the pod be made: serviceaccount "reviewer" not found',
    ),
    "Secret with tokens is missing": (
        facts(NPM | {"auth": {"tokens": {"secretRef": {"name": "clients"}}}}, pods=[pod()], unprepared=True),
        "Starting False PodConfiguration",
        "is there in this namespace: Secret clients (spec.auth.tokens)?",
    ),
    "node cannot set the pod up, nobody knows why": (
        facts(pods=[pod()], unprepared=True),
        "Starting False PodConfiguration",
        "the events of the pod",
    ),
    "no node has room": (facts(pods=[pod(NO_ROOM)]), "Starting False Unschedulable", "Insufficient memory"),
    "crashed once": (facts(pods=[pod(CRASH)]), "Starting False CrashAtStart", "KeyError: 'TOKEN'"),
    "crashed too often": (
        facts(pods=[pod(lasting(CRASH))]),
        "Failed False CrashAtStart",
        f"KeyError: 'TOKEN'; {RETRY_ADVICE}",
    ),
    "killed once": (
        facts(pods=[pod(OOM)]),
        "Starting False OOMKilled",
        "memory limit: raise spec.resources.limits.memory",
    ),
    "killed too often": (
        facts(LIMITED, pods=[pod(lasting(OOM))]),
        "Failed False OOMKilled",
        "memory limit of 64Mi: raise spec.resources.limits.memory",
    ),
    "newest pod has its say": (
        facts(pods=[pod(CRASH, created="1"), pod(NO_ROOM, name="b", created="2")]),
        "Starting False Unschedulable",
        "Insufficient",
    ),
    "old crash of a pod that is ready": (
        facts(pods=[pod(CRASH, ready=True)]),
        "Starting False Starting",
        "being started",
    ),
    # the bridge
    "bridge has seen no failure": (facts(bridge=bridge()), "Starting False Starting", "being started"),
    "child ended": (
        facts(bridge=bridge("Exited", "exit code 3", tail=["a", "b"])),
        "Starting False CrashAtStart",
        "exit code 3; its last lines: a\nb",
    ),
    "child ended too often": (
        facts(bridge=bridge("Exited", "exit code 3", failures=FAILED_STARTS)),
        "Failed False CrashAtStart",
        f"exit code 3; {RETRY_ADVICE}",
    ),
    "no handshake in time": (
        facts(bridge=bridge("HandshakeTimeout", "tools/list was not completed within 30 s")),
        "Starting False HandshakeFailed",
        "within 30 s",
    ),
    "never a handshake": (
        facts(bridge=bridge("HandshakeError", "no JSON", failures=9)),
        "Failed False HandshakeFailed",
        RETRY_ADVICE,
    ),
    "child was killed": (
        facts(LIMITED, bridge=bridge("OOMKilled", "signal 9")),
        "Starting False OOMKilled",
        "of 64Mi: raise",
    ),
    "child was killed too often": (
        facts(bridge=bridge("OOMKilled", failures=FAILED_STARTS)),
        "Failed False OOMKilled",
        RETRY_ADVICE,
    ),
    "kubelet knows of the memory, bridge does not": (
        facts(bridge=bridge("Exited", "signal 9"), pods=[pod(OOM)]),
        "Starting False OOMKilled",
        "raise spec",
    ),
    "bridge knows best": (
        facts(bridge=bridge("Exited", "by the bridge"), pods=[pod(CRASH)]),
        "Starting False CrashAtStart",
        "by the bridge",
    ),
    "server container is still starting": (
        facts(bridge=bridge("ConnectFailed", "no socket"), pods=[pod()]),
        "Starting False Starting",
        "being started",
    ),
    "nothing listens for long": (
        facts(bridge=bridge("ConnectFailed", "no socket", failures=9), pods=[pod()]),
        "Starting False Starting",
        "nothing answers inside the pod yet: no socket",
    ),
    "nothing listens since the container crashed": (
        facts(bridge=bridge("ConnectFailed", "no socket", failures=9), pods=[pod(CRASH)]),
        "Starting False CrashAtStart",
        "KeyError",
    ),
    # verifying and serving
    "not asked yet": (facts(rollout=COMPLETE), "Starting False Starting", "asked through the Service"),
    "handshake through the Service fails": (
        facts(rollout=COMPLETE, verification=Unverified("HTTP 503")),
        "Starting False HandshakeFailed",
        "through the Service: HTTP 503",
    ),
    "serving": (
        facts(rollout=COMPLETE, verification=verified()),
        "Ready True Serving",
        "handshake and tools/list are answered",
    ),
    "handshake with an earlier revision": (
        facts(rollout=COMPLETE, verification=verified(OLD)),
        "Starting False Starting",
        "asked",
    ),
    "image serves": (facts(specs.image(), rollout=COMPLETE, verification=verified()), "Ready True Serving", "answered"),
    "still serving, nobody asks again": (facts(before=WAS_READY, rollout=COMPLETE), "Ready True Serving", "answered"),
    # after it had been ready
    "pod is gone": (facts(before=WAS_READY), "Degraded False Starting", "is being restarted"),
    "crashes after it was ready, never given up": (
        facts(before=WAS_READY, pods=[pod(lasting(CRASH))]),
        "Degraded False Crashed",
        "KeyError",
    ),
    "killed after it was ready, never given up": (
        facts(before=WAS_READY, pods=[pod(lasting(OOM))]),
        "Degraded False OOMKilled",
        "raise",
    ),
    "child ends after it was ready": (
        facts(before=WAS_READY, bridge=bridge("Exited", "signal 11", failures=9)),
        "Degraded False Crashed",
        "signal 11",
    ),
    "one of two serves": (
        facts(TWO, before=WAS_READY, rollout=Rollout(available=1), pods=[pod(NO_ROOM)]),
        "Degraded True Unschedulable",
        "1 of 2 pods serve; no node",
    ),
    "back, and not yet asked": (
        facts(before=status(Phase.DEGRADED, verified=NEW), rollout=COMPLETE),
        "Degraded False Starting",
        "asked",
    ),
    "back and asked": (
        facts(before=status(Phase.DEGRADED, verified=NEW), rollout=COMPLETE, verification=verified()),
        "Ready True Serving",
        "answered",
    ),
    "second pod is back while the first served all along": (
        facts(before=status(Phase.DEGRADED, "True", verified=NEW), rollout=COMPLETE),
        "Ready True Serving",
        "answered",
    ),
    # suspended and back
    "wakes up": (facts(before=status(Phase.SUSPENDED, verified=NEW)), "Starting False Starting", "being started"),
    "awake, not yet asked": (
        facts(before=status(Phase.SUSPENDED, verified=NEW), rollout=COMPLETE),
        "Starting False Starting",
        "asked",
    ),
    "crashes on waking up": (
        facts(before=status(Phase.SUSPENDED, verified=NEW), pods=[pod(CRASH)]),
        "Degraded False Crashed",
        "KeyError",
    ),
    # updates
    "update is being fetched": (
        facts(before=SERVED_BEFORE, rollout=OLD_SERVES, **waiting(Reason.FETCHING, "being resolved")),
        "Ready True Updating",
        "previous revision serves; the new one: being resolved",
    ),
    "update is starting": (
        facts(before=SERVED_BEFORE, rollout=OLD_SERVES),
        "Ready True Updating",
        "previous revision serves",
    ),
    "update crashed once": (
        facts(before=SERVED_BEFORE, rollout=OLD_SERVES, pods=[pod(CRASH)]),
        "Ready True Updating",
        "KeyError",
    ),
    "update crashed too often": (
        facts(before=SERVED_BEFORE, rollout=OLD_SERVES, pods=[pod(lasting(CRASH))]),
        "Failed True UpdateFailing",
        f"the previous revision serves; the new one: exit code 1: KeyError: 'TOKEN'; {RETRY_ADVICE}",
    ),
    "update does not exist": (
        facts(before=SERVED_BEFORE, rollout=OLD_SERVES, **failed(IntakeReason.NO_SUCH_VERSION)),
        "Failed True UpdateFailing",
        "previous revision serves",
    ),
    "update is rejected": (
        facts(before=SERVED_BEFORE, rollout=OLD_SERVES, **failed(IntakeReason.INTEGRITY_MISMATCH)),
        "Rejected True UpdateFailing",
        "previous revision serves",
    ),
    "update cannot be fetched now": (
        facts(before=SERVED_BEFORE, rollout=OLD_SERVES, **failed(IntakeReason.REGISTRY_UNREACHABLE)),
        "Ready True Updating",
        "tried again by itself",
    ),
    "update cannot be rendered": (
        facts(
            before=SERVED_BEFORE,
            rollout=OLD_SERVES,
            invalid=InvalidSpec("NoEntrypoint", "put it in spec.command"),
            revision="",
        ),
        "Failed True UpdateFailing",
        "spec.command",
    ),
    "update crashes and nothing else serves": (
        facts(before=SERVED_BEFORE, rollout=NOTHING_SERVES, pods=[pod(CRASH)]),
        "Starting False CrashAtStart",
        "KeyError",
    ),
    "update has replaced the old pods and is not yet asked": (
        facts(before=SERVED_BEFORE, rollout=COMPLETE),
        "Starting False Starting",
        "asked",
    ),
    "update serves": (
        facts(before=SERVED_BEFORE, rollout=COMPLETE, verification=verified()),
        "Ready True Serving",
        "answered",
    ),
    "failed update is taken back": (
        facts(before=status(Phase.FAILED, "True", verified=NEW), rollout=COMPLETE),
        "Ready True Serving",
        "answered",
    ),
    # nothing was ever verified
    "first of two pods is available and nobody was asked": (
        facts(TWO, rollout=OLD_SERVES),
        "Starting False Starting",
        "being started",
    ),
    "update of what never answered": (
        facts(before=status(Phase.STARTING), rollout=OLD_SERVES, **waiting(Reason.FETCHING)),
        "Fetching False Fetching",
        "because",
    ),
    "failing update of what never answered": (
        facts(before=status(Phase.STARTING), rollout=OLD_SERVES, pods=[pod(lasting(CRASH))]),
        "Failed False CrashAtStart",
        RETRY_ADVICE,
    ),
    # other tools than the admitted ones
    "tools changed": (
        facts(before=WAS_READY, bridge=blocked()),
        "Degraded False ToolsChanged",
        f"are not the admitted ones ({TOOLS}), so it does not serve: look with `vsmctl tools show memory`",
    ),
    "tools changed in one of two pods": (
        facts(TWO, before=WAS_READY, rollout=Rollout(available=1), bridge=blocked()),
        "Degraded True ToolsChanged",
        "1 of 2 pods serve; its tools",
    ),
    "new revision has other tools": (
        facts(before=SERVED_BEFORE, rollout=OLD_SERVES, bridge=blocked()),
        "Degraded True ToolsChanged",
        "the previous revision serves; the new one: its tools",
    ),
    "first revision has other tools than were admitted beforehand": (
        facts(bridge=blocked()),
        "Degraded False ToolsChanged",
        "admit them with `vsmctl tools admit memory`",
    ),
    "nobody has admitted the tools": (
        facts(bridge=blocked(expected=""), pin=pinned("", "Strict")),
        "AwaitingApproval False ToolsNotAdmitted",
        f"does not serve before its tools ({OTHER_TOOLS}) are admitted: look with",
    ),
    "admitted, and the pod does not know yet": (
        facts(before=WAS_READY, bridge=blocked(), pin=pinned(OTHER_TOOLS)),
        "Degraded False ToolsChanged",
        "are admitted; the pod takes that over within two minutes",
    ),
}
