"""Situations and what the user is told in each: phase, Ready condition, reason, and a message that says what to do."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from support import specs
from unit.controllers.kit import (
    BUNDLE,
    COMPLETE,
    EARLIER,
    HANDSHAKE,
    NEVER_SEEN,
    NEW,
    NOTHING_SERVES,
    NOW,
    NPM,
    OLD,
    OLD_SERVES,
    SERVED_BEFORE,
    WAS_READY,
    bridge,
    facts,
    pod,
    status,
    verified,
)
from vsm_operator.api.conditions import Condition, Reason, find_condition
from vsm_operator.api.v1alpha1 import McpServerStatus, Phase
from vsm_operator.controllers.mcpserver.facts import Facts, NotBundled, Rollout, Unverified, Waiting
from vsm_operator.controllers.mcpserver.summary import FAILED_STARTS, is_settled, refused, summarise
from vsm_operator.controllers.podfacts import Problem
from vsm_operator.domain.intake import IntakeReason
from vsm_operator.errors import Forbidden, InvalidSpec, NameTaken, Terminal

RETRY_ADVICE = "change the spec, or ask for another try with `vsmctl retry memory`"
CRASH = Problem(Reason.CRASH_AT_START, "exit code 1: KeyError: 'TOKEN'")
OOM = Problem(Reason.OOM_KILLED, "the server was killed at its memory limit")
NO_ROOM = Problem(Reason.UNSCHEDULABLE, "no node takes the pod: 3 Insufficient memory")
SUSPENDED = NPM | {"suspend": True}
LIMITED = NPM | {"resources": {"limits": {"memory": "64Mi"}}}
TWO = NPM | {"replicas": 2}


def condition(of: McpServerStatus, kind: str = "Ready") -> Condition:
    found = find_condition(of.conditions, kind)
    assert found is not None, f"no condition {kind}"
    return found


def waiting(reason: Reason, message: str = "because") -> dict[str, Any]:
    return {"intake": Waiting(reason, message), "revision": ""}


def failed(reason: IntakeReason, message: str = "because") -> dict[str, Any]:
    return {"intake": NotBundled(reason, message), "revision": ""}


def lasting(problem: Problem) -> Problem:
    return replace(problem, lasting=True)


SITUATIONS = [
    # --- fetching
    pytest.param(facts(**waiting(Reason.QUEUED, "5 intakes are running")), "Pending", "False", "Queued", "5 intakes are running", id="queued"),
    pytest.param(facts(**waiting(Reason.FETCHING, "being resolved")), "Fetching", "False", "Fetching", "being resolved", id="fetching"),
    pytest.param(facts(**waiting(Reason.REGISTRY_NOT_FOUND, "is its Service there?")), "Fetching", "False", "RegistryNotFound", "is its Service there?", id="bundle registry not found"),
    *(
        pytest.param(facts(**failed(reason)), "Rejected", "False", reason, f"because; {RETRY_ADVICE}", id=f"verdict on the package: {reason}")
        for reason in (
            IntakeReason.INTEGRITY_MISMATCH, IntakeReason.MISSING_INTEGRITY, IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE,
            IntakeReason.UNSAFE_ARCHIVE, IntakeReason.BUNDLE_TOO_LARGE, IntakeReason.NO_WHEEL,
        )
    ),
    *(
        pytest.param(facts(**failed(reason)), "Failed", "False", reason, f"because; {RETRY_ADVICE}", id=f"mistake in the request: {reason}")
        for reason in (
            IntakeReason.UNKNOWN_PACKAGE, IntakeReason.NO_SUCH_VERSION, IntakeReason.RESOLUTION_FAILED, IntakeReason.INVALID_REQUEST,
        )
    ),
    *(
        pytest.param(facts(**failed(reason)), "Pending", "False", reason, "because; it is tried again by itself", id=f"trouble on the way: {reason}")
        for reason in (IntakeReason.REGISTRY_UNREACHABLE, IntakeReason.STORAGE_UNAVAILABLE, IntakeReason.INTERNAL_ERROR)
    ),
    # --- the spec
    pytest.param(facts(invalid=("NoEntrypoint", "put it in spec.command"), revision=""), "Failed", "False", "NoEntrypoint", "put it in spec.command", id="spec cannot be rendered"),
    pytest.param(facts(SUSPENDED), "Suspended", "False", "Suspended", "set it to false to run again", id="suspended"),
    pytest.param(facts(SUSPENDED, before=WAS_READY, rollout=COMPLETE), "Suspended", "False", "Suspended", "set it to false", id="suspended while its pod still runs"),
    # --- starting
    pytest.param(facts(), "Starting", "False", "Starting", "the pod is being started", id="pod is being created"),
    pytest.param(facts(pods=[pod()]), "Starting", "False", "Starting", "the pod is being started", id="pod is there"),
    pytest.param(facts(pods=[pod(NO_ROOM)]), "Starting", "False", "Unschedulable", "Insufficient memory", id="no node has room"),
    pytest.param(facts(pods=[pod(CRASH)]), "Starting", "False", "CrashAtStart", "KeyError: 'TOKEN'", id="crashed once"),
    pytest.param(facts(pods=[pod(lasting(CRASH))]), "Failed", "False", "CrashAtStart", f"KeyError: 'TOKEN'; {RETRY_ADVICE}", id="crashed too often"),
    pytest.param(facts(pods=[pod(OOM)]), "Starting", "False", "OOMKilled", "memory limit: raise spec.resources.limits.memory", id="killed once"),
    pytest.param(facts(LIMITED, pods=[pod(lasting(OOM))]), "Failed", "False", "OOMKilled", "memory limit of 64Mi: raise spec.resources.limits.memory", id="killed too often"),
    pytest.param(facts(pods=[pod(CRASH, created="1"), pod(NO_ROOM, name="b", created="2")]), "Starting", "False", "Unschedulable", "Insufficient", id="newest pod has its say"),
    pytest.param(facts(pods=[pod(CRASH, ready=True)]), "Starting", "False", "Starting", "being started", id="old crash of a pod that is ready"),
    # --- the bridge
    pytest.param(facts(bridge=bridge()), "Starting", "False", "Starting", "being started", id="bridge has seen no failure"),
    pytest.param(facts(bridge=bridge("Exited", "exit code 3", tail=["a", "b"])), "Starting", "False", "CrashAtStart", "exit code 3; its last lines: a\nb", id="child ended"),
    pytest.param(facts(bridge=bridge("Exited", "exit code 3", failures=FAILED_STARTS)), "Failed", "False", "CrashAtStart", f"exit code 3; {RETRY_ADVICE}", id="child ended too often"),
    pytest.param(facts(bridge=bridge("HandshakeTimeout", "tools/list was not completed within 30 s")), "Starting", "False", "HandshakeFailed", "within 30 s", id="no handshake in time"),
    pytest.param(facts(bridge=bridge("HandshakeError", "no JSON", failures=9)), "Failed", "False", "HandshakeFailed", RETRY_ADVICE, id="never a handshake"),
    pytest.param(facts(LIMITED, bridge=bridge("OOMKilled", "signal 9")), "Starting", "False", "OOMKilled", "of 64Mi: raise", id="child was killed"),
    pytest.param(facts(bridge=bridge("OOMKilled", failures=FAILED_STARTS)), "Failed", "False", "OOMKilled", RETRY_ADVICE, id="child was killed too often"),
    pytest.param(facts(bridge=bridge("Exited", "signal 9"), pods=[pod(OOM)]), "Starting", "False", "OOMKilled", "raise spec", id="kubelet knows of the memory, bridge does not"),
    pytest.param(facts(bridge=bridge("Exited", "by the bridge"), pods=[pod(CRASH)]), "Starting", "False", "CrashAtStart", "by the bridge", id="bridge knows best"),
    pytest.param(facts(bridge=bridge("ConnectFailed", "no socket"), pods=[pod()]), "Starting", "False", "Starting", "being started", id="server container is still starting"),
    pytest.param(facts(bridge=bridge("ConnectFailed", "no socket", failures=9), pods=[pod()]), "Starting", "False", "Starting", "nothing answers inside the pod yet: no socket", id="nothing listens for long"),
    pytest.param(facts(bridge=bridge("ConnectFailed", "no socket", failures=9), pods=[pod(CRASH)]), "Starting", "False", "CrashAtStart", "KeyError", id="nothing listens since the container crashed"),
    # --- verifying and serving
    pytest.param(facts(rollout=COMPLETE), "Starting", "False", "Starting", "asked through the Service", id="not asked yet"),
    pytest.param(facts(rollout=COMPLETE, verification=Unverified("HTTP 503")), "Starting", "False", "HandshakeFailed", "through the Service: HTTP 503", id="handshake through the Service fails"),
    pytest.param(facts(rollout=COMPLETE, verification=verified()), "Ready", "True", "Serving", "handshake and tools/list are answered", id="serving"),
    pytest.param(facts(rollout=COMPLETE, verification=verified(OLD)), "Starting", "False", "Starting", "asked", id="handshake with an earlier revision"),
    pytest.param(facts(specs.image(), rollout=COMPLETE, verification=verified()), "Ready", "True", "Serving", "answered", id="image serves"),
    pytest.param(facts(before=WAS_READY, rollout=COMPLETE), "Ready", "True", "Serving", "answered", id="still serving, nobody asks again"),
    # --- after it had been ready
    pytest.param(facts(before=WAS_READY), "Degraded", "False", "Starting", "is being restarted", id="pod is gone"),
    pytest.param(facts(before=WAS_READY, pods=[pod(lasting(CRASH))]), "Degraded", "False", "Crashed", "KeyError", id="crashes after it was ready, never given up"),
    pytest.param(facts(before=WAS_READY, pods=[pod(lasting(OOM))]), "Degraded", "False", "OOMKilled", "raise", id="killed after it was ready, never given up"),
    pytest.param(facts(before=WAS_READY, bridge=bridge("Exited", "signal 11", failures=9)), "Degraded", "False", "Crashed", "signal 11", id="child ends after it was ready"),
    pytest.param(facts(TWO, before=WAS_READY, rollout=Rollout(available=1), pods=[pod(NO_ROOM)]), "Degraded", "True", "Unschedulable", "1 of 2 pods serve; no node", id="one of two serves"),
    pytest.param(facts(before=status(Phase.DEGRADED, verified=NEW), rollout=COMPLETE), "Degraded", "False", "Starting", "asked", id="back, and not yet asked"),
    pytest.param(facts(before=status(Phase.DEGRADED, verified=NEW), rollout=COMPLETE, verification=verified()), "Ready", "True", "Serving", "answered", id="back and asked"),
    pytest.param(facts(before=status(Phase.DEGRADED, "True", verified=NEW), rollout=COMPLETE), "Ready", "True", "Serving", "answered", id="second pod is back while the first served all along"),
    # --- suspended and back
    pytest.param(facts(before=status(Phase.SUSPENDED, verified=NEW)), "Starting", "False", "Starting", "being started", id="wakes up"),
    pytest.param(facts(before=status(Phase.SUSPENDED, verified=NEW), rollout=COMPLETE), "Starting", "False", "Starting", "asked", id="awake, not yet asked"),
    pytest.param(facts(before=status(Phase.SUSPENDED, verified=NEW), pods=[pod(CRASH)]), "Degraded", "False", "Crashed", "KeyError", id="crashes on waking up"),
    # --- updates
    pytest.param(facts(before=SERVED_BEFORE, rollout=OLD_SERVES, **waiting(Reason.FETCHING, "being resolved")), "Ready", "True", "Updating", "previous revision serves; the new one: being resolved", id="update is being fetched"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=OLD_SERVES), "Ready", "True", "Updating", "previous revision serves", id="update is starting"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=OLD_SERVES, pods=[pod(CRASH)]), "Ready", "True", "Updating", "KeyError", id="update crashed once"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=OLD_SERVES, pods=[pod(lasting(CRASH))]), "Failed", "True", "UpdateFailing", f"the previous revision serves; the new one: exit code 1: KeyError: 'TOKEN'; {RETRY_ADVICE}", id="update crashed too often"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=OLD_SERVES, **failed(IntakeReason.NO_SUCH_VERSION)), "Failed", "True", "UpdateFailing", "previous revision serves", id="update does not exist"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=OLD_SERVES, **failed(IntakeReason.INTEGRITY_MISMATCH)), "Rejected", "True", "UpdateFailing", "previous revision serves", id="update is rejected"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=OLD_SERVES, **failed(IntakeReason.REGISTRY_UNREACHABLE)), "Ready", "True", "Updating", "tried again by itself", id="update cannot be fetched now"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=OLD_SERVES, invalid=("NoEntrypoint", "put it in spec.command"), revision=""), "Failed", "True", "UpdateFailing", "spec.command", id="update cannot be rendered"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=NOTHING_SERVES, pods=[pod(CRASH)]), "Starting", "False", "CrashAtStart", "KeyError", id="update crashes and nothing else serves"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=COMPLETE), "Starting", "False", "Starting", "asked", id="update has replaced the old pods and is not yet asked"),
    pytest.param(facts(before=SERVED_BEFORE, rollout=COMPLETE, verification=verified()), "Ready", "True", "Serving", "answered", id="update serves"),
    pytest.param(facts(before=status(Phase.FAILED, "True", verified=NEW), rollout=COMPLETE), "Ready", "True", "Serving", "answered", id="failed update is taken back"),
    # --- nothing was ever verified
    pytest.param(facts(TWO, rollout=OLD_SERVES), "Starting", "False", "Starting", "being started", id="first of two pods is available and nobody was asked"),
    pytest.param(facts(before=status(Phase.STARTING), rollout=OLD_SERVES, **waiting(Reason.FETCHING)), "Fetching", "False", "Fetching", "because", id="update of what never answered"),
    pytest.param(facts(before=status(Phase.STARTING), rollout=OLD_SERVES, pods=[pod(lasting(CRASH))]), "Failed", "False", "CrashAtStart", RETRY_ADVICE, id="failing update of what never answered"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "phase", "ready", "reason", "message"), SITUATIONS)
def test_user_is_told_what_is_so(given: Facts, phase: str, ready: str, reason: str, message: str) -> None:
    after = summarise(given, now=NOW)
    told = condition(after)
    assert (after.phase, told.status, told.reason) == (phase, ready, reason)
    assert message in told.message


@pytest.mark.parametrize(("given", "phase", "ready", "reason", "message"), SITUATIONS)
def test_second_look_at_the_same_facts_says_the_same(
    given: Facts, phase: str, ready: str, reason: str, message: str
) -> None:
    once = summarise(given, now=NOW)
    later = datetime.fromisoformat("2026-05-05T00:00:00+00:00")
    assert summarise(replace(given, before=once), now=later) == once


@pytest.mark.parametrize(("given", "phase", "ready", "reason", "message"), SITUATIONS)
def test_only_a_terminal_phase_is_settled(given: Facts, phase: str, ready: str, reason: str, message: str) -> None:
    after = summarise(given, now=NOW)
    assert is_settled(after, generation=given.generation, retry="") == (phase in ("Failed", "Rejected"))


def test_table_has_every_reason() -> None:
    told = {entry.values[3] for entry in SITUATIONS}
    elsewhere = {
        Reason.ACCEPTED, Reason.BUNDLED, Reason.NOT_NEEDED, Reason.INVALID_SPEC, Reason.FORBIDDEN,
        Reason.IMAGE_UNAVAILABLE, Reason.POD_CONFIGURATION, Reason.BUNDLE_UNAVAILABLE,
    }  # fmt: skip
    assert {*Reason, *IntakeReason} - told == elsewhere


@pytest.mark.parametrize(
    ("given", "status_", "reason", "message"),
    [
        pytest.param(facts(), "True", "Bundled", "9 packages verified and bundled", id="bundled"),
        pytest.param(facts(specs.image()), "True", "NotNeeded", "an image brings its own content", id="image"),
        pytest.param(facts(**waiting(Reason.QUEUED, "later")), "False", "Queued", "later", id="queued"),
        pytest.param(facts(**failed(IntakeReason.NO_WHEEL, "no wheel")), "False", "NoWheel", "no wheel", id="no wheel"),
        pytest.param(facts(SUSPENDED), "True", "Bundled", "9 packages", id="suspended"),
    ],
)
def test_second_condition_says_whether_the_content_is_there(
    given: Facts, status_: str, reason: str, message: str
) -> None:
    told = condition(summarise(given, now=NOW), "Fetched")
    assert (told.status, told.reason, told.message) == (status_, reason, message)


def test_install_scripts_are_counted_and_not_run() -> None:
    from vsm_operator.controllers.mcpserver.facts import Bundled  # noqa: PLC0415

    scripts = BUNDLE.model_copy(update={"lifecycle_scripts": 2})
    told = condition(summarise(facts(intake=Bundled(scripts)), now=NOW), "Fetched")
    assert told.message == "9 packages verified and bundled; 2 carry install scripts, none was run"


@pytest.mark.parametrize(
    ("raw", "package", "version"),
    [
        (specs.npm("@scope/server", "1.2.3"), "npm/@scope/server", "1.2.3"),
        (specs.pypi("mcp-server-time", "2025.9.25"), "pypi/mcp-server-time", "2025.9.25"),
        (specs.image(), "image/registry.example.com/team/server", specs.DIGEST),
    ],
)
def test_columns_show_package_and_version(raw: specs.Spec, package: str, version: str) -> None:
    after = summarise(facts(raw), now=NOW)
    assert (after.package, after.version) == (package, version)


def test_handshake_shows_in_the_status() -> None:
    after = summarise(facts(rollout=COMPLETE, verification=verified()), now=NOW)
    assert after.endpoint == "http://mcp-memory.team.svc:8080/mcp"
    assert after.protocol_version == "2025-11-25"
    assert after.server_info is not None
    assert (after.server_info.name, after.server_info.version) == ("memory", "1.2.3")
    assert after.tools is not None
    assert (after.tools.count, after.tools.hash, after.tools.names) == (2, HANDSHAKE.tools_hash, ["read", "write"])
    assert after.verified_revision == NEW
    assert after.bundle == BUNDLE


def test_many_tools_are_counted_and_the_first_200_named() -> None:
    found = replace(HANDSHAKE, tool_names=tuple(f"t{number}" for number in range(1000)))
    after = summarise(facts(rollout=COMPLETE, verification=replace(verified(), handshake=found)), now=NOW)
    assert after.tools is not None
    assert after.tools.count == 1000
    assert after.tools.names == [f"t{number}" for number in range(200)]


def test_bundle_that_serves_stays_in_the_status_while_the_next_is_fetched() -> None:
    before = status(Phase.READY, "True", verified=OLD, bundle=BUNDLE)
    assert summarise(facts(before=before, rollout=OLD_SERVES, **waiting(Reason.FETCHING)), now=NOW).bundle == BUNDLE


def test_revision_counts_as_verified_until_its_last_pod_is_replaced() -> None:
    updating = summarise(facts(before=SERVED_BEFORE, rollout=OLD_SERVES), now=NOW)
    assert updating.verified_revision == OLD
    replaced = summarise(facts(before=updating, rollout=COMPLETE), now=NOW)
    assert replaced.verified_revision is None
    third = facts(before=replaced, rollout=OLD_SERVES, revision="third-revision")
    assert condition(summarise(third, now=NOW)).status == "False", "what serves now has never answered a handshake"


def test_revision_that_was_changed_while_suspended_has_to_answer_first() -> None:
    asleep = summarise(facts(SUSPENDED, before=SERVED_BEFORE), now=NOW)
    awake = facts(TWO, before=asleep, rollout=Rollout(available=1))
    assert condition(summarise(awake, now=NOW)).status == "False"


def test_revision_that_was_suspended_is_remembered() -> None:
    asleep = summarise(facts(SUSPENDED, before=WAS_READY), now=NOW)
    assert asleep.verified_revision == NEW


def test_transition_time_is_kept_while_ready_is_what_it_was() -> None:
    assert condition(summarise(facts(before=WAS_READY, rollout=COMPLETE), now=NOW)).last_transition_time == EARLIER
    assert condition(summarise(facts(before=WAS_READY), now=NOW)).last_transition_time == NOW


@pytest.mark.parametrize(
    ("before", "generation", "retry", "settled"),
    [
        pytest.param(status(Phase.FAILED), 1, "", True, id="failed"),
        pytest.param(status(Phase.REJECTED), 1, "", True, id="rejected"),
        pytest.param(status(Phase.FAILED, "True"), 1, "", True, id="failed update"),
        pytest.param(status(Phase.FAILED), 2, "", False, id="the spec has changed"),
        pytest.param(status(Phase.FAILED), 1, "12:00", False, id="somebody asks for another try"),
        pytest.param(status(Phase.FAILED, last_handled_retry="12:00"), 1, "12:00", True, id="another try has failed as well"),
        pytest.param(status(Phase.FAILED, last_handled_retry="12:00"), 1, "12:30", False, id="one more try"),
        pytest.param(status(Phase.FAILED, last_handled_retry="12:00"), 1, "", False, id="the annotation was removed"),
        pytest.param(status(Phase.PENDING), 1, "", False, id="pending"),
        pytest.param(status(Phase.DEGRADED), 1, "", False, id="degraded"),
        pytest.param(NEVER_SEEN, 0, "", False, id="new"),
    ],
)  # fmt: skip
def test_terminal_phase_holds_until_the_spec_changes_or_somebody_asks(
    before: McpServerStatus, generation: int, retry: str, settled: bool
) -> None:
    assert is_settled(before, generation=generation, retry=retry) is settled


def test_another_try_is_noted_so_that_it_happens_once() -> None:
    before = summarise(facts(pods=[pod(lasting(CRASH))]), now=NOW)
    again = summarise(facts(before=before, retry="12:00"), now=NOW)
    assert again.phase is Phase.STARTING
    assert again.last_handled_retry == "12:00"


@pytest.mark.parametrize(
    ("error", "phase", "reason"),
    [
        (InvalidSpec("InvalidSpec", "the spec cannot be read"), Phase.FAILED, "InvalidSpec"),
        (Forbidden("Forbidden", "exceeded quota"), Phase.PENDING, "Forbidden"),
        (NameTaken("NameTaken", "rename one of the two"), Phase.PENDING, "NameTaken"),
    ],
)
def test_refusal_is_told_and_only_a_bad_spec_is_the_end(error: Terminal, phase: Phase, reason: str) -> None:
    after = refused(WAS_READY, generation=5, retry="12:00", error=error, now=NOW)
    told = condition(after)
    assert (after.phase, after.observed_generation, after.last_handled_retry) == (phase, 5, "12:00")
    assert (told.status, told.reason, told.message) == ("False", reason, error.message)
    assert told.observed_generation == 5
    assert is_settled(after, generation=5, retry="12:00") == (phase is Phase.FAILED)


def test_refusal_repeated_says_the_same() -> None:
    error = Forbidden("Forbidden", "exceeded quota")
    once = refused(WAS_READY, generation=5, retry="", error=error, now=EARLIER)
    assert refused(once, generation=5, retry="", error=error, now=NOW) == once
