"""What a user is told: facts -> status. Pure; time comes in as an argument.

Every branch ends in one phase and one Ready condition whose message says what to do next. Two rules keep it honest:
Ready=True needs a verified handshake for the revision that serves, and a terminal phase is kept (see `is_settled`)
until the spec changes or somebody asks for another try.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from vsm_operator.api.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    find_condition,
    set_condition,
)
from vsm_operator.api.v1alpha1 import McpServerSpec, McpServerStatus, Phase, ServerInfo
from vsm_operator.controllers.intakestate import Bundled, NotBundled, NotNeeded, Waiting
from vsm_operator.controllers.mcpserver.facts import Facts, Verified
from vsm_operator.controllers.mcpserver.toolstate import blocked_problem, tools_condition, tools_status
from vsm_operator.controllers.podfacts import Problem, newest_first
from vsm_operator.domain.intake import IntakeReason
from vsm_operator.errors import InvalidSpec, Terminal
from vsm_operator.resources.common import Owner
from vsm_operator.resources.service import endpoint

FAILED_STARTS = 3
"""After so many starts in a row without a handshake a server that was never ready is given up."""

_REJECTED = frozenset(
    {
        IntakeReason.INTEGRITY_MISMATCH,
        IntakeReason.MISSING_INTEGRITY,
        IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE,
        IntakeReason.UNSAFE_ARCHIVE,
        IntakeReason.BUNDLE_TOO_LARGE,
        IntakeReason.NO_WHEEL,
    }
)
"""A verdict on the package, where the others are mistakes in the request or trouble on the way."""
# One text from the creation of the pod to the handshake: each finer step would cost a write that tells nobody anything.
_STARTING = "the pod is being started, and then asked through the Service"
_AGAIN = "change the spec, or ask for another try with `vsmctl retry {name}`"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The heart of a status: where the server is, and the Ready condition."""

    phase: Phase
    ready: ConditionStatus
    reason: str
    message: str


_SERVES = Outcome(Phase.READY, "True", Reason.SERVING, "handshake and tools/list are answered through the Service")
_BLOCKED = {Reason.TOOLS_CHANGED: Phase.DEGRADED, Reason.TOOLS_NOT_ADMITTED: Phase.AWAITING_APPROVAL}
"""What a server that runs and may not serve is called."""
_ON_THE_WAY = frozenset({Phase.SUSPENDED, Phase.STARTING})
"""Without a pod on purpose, or not long enough to call it a loss."""


def is_settled(status: McpServerStatus, *, generation: int, retry: str) -> bool:
    """Whether this spec has ended in a terminal phase, and nobody has asked for another try since."""
    return (
        status.phase in (Phase.FAILED, Phase.REJECTED)
        and status.observed_generation == generation
        and (status.last_handled_retry or "") == retry
    )


def summarise(facts: Facts, *, now: datetime) -> McpServerStatus:
    """The status to write."""
    outcome = _outcome(facts)
    package, version = _identity(facts.spec)
    bundle = facts.intake.bundle if isinstance(facts.intake, Bundled) else facts.before.bundle
    status = facts.before.model_copy(
        update={
            "phase": outcome.phase,
            "observed_generation": facts.generation,
            "package": package,
            "version": version,
            "bundle": bundle,
            "last_handled_retry": facts.retry or None,
            "last_handled_admission": facts.pin.handled or None,
            "tools": tools_status(facts, serves=outcome.ready == "True"),
        }
    )
    if isinstance(facts.verification, Verified) and outcome.ready == "True":
        found = facts.verification.handshake
        status = status.model_copy(
            update={
                "endpoint": endpoint(Owner(facts.namespace, facts.name, "")),
                "protocol_version": found.protocol_version,
                "server_info": ServerInfo(name=found.server_name, version=found.server_version),
                "verified_revision": facts.verification.revision,
            }
        )
    elif _verified_pods_are_gone(facts):
        status = status.model_copy(update={"verified_revision": None})
    conditions = list(facts.before.conditions)
    for kind, state, reason, message in (
        (ConditionType.FETCHED, *_fetched(facts)),
        (ConditionType.READY, outcome.ready, outcome.reason, outcome.message),
        (ConditionType.TOOLS_UNCHANGED, *tools_condition(facts)),
    ):
        condition = Condition(
            type=kind,
            status=state,
            reason=reason,
            message=message,
            observed_generation=facts.generation,
            last_transition_time=now,
        )
        conditions = set_condition(conditions, condition)
    return status.model_copy(update={"conditions": conditions})


def refused(before: McpServerStatus, *, generation: int, retry: str, error: Terminal, now: datetime) -> McpServerStatus:
    """The status after a pass that ended in a refusal: by the spec itself, or by the API server."""
    phase = Phase.FAILED if isinstance(error, InvalidSpec) else Phase.PENDING
    condition = Condition(
        type=ConditionType.READY,
        status="False",
        reason=error.reason,
        message=error.message,
        observed_generation=generation,
        last_transition_time=now,
    )
    return before.model_copy(
        update={
            "phase": phase,
            "observed_generation": generation,
            "last_handled_retry": retry or None,
            "conditions": set_condition(before.conditions, condition),
        }
    )


def _verified_pods_are_gone(facts: Facts) -> bool:
    """Whether the verified revision can no longer be what makes this server ready."""
    if facts.was_ready:
        return False
    suspended = facts.spec.suspend or facts.before.phase is Phase.SUSPENDED
    replaced = bool(facts.revision) and facts.rollout.complete
    return replaced or (suspended and not facts.rollout.available)


def still_failing(before: McpServerStatus, ready: Condition, *, available: bool, now: datetime) -> McpServerStatus:
    """After an update that failed: Ready says whether the previous revision still has a pod that serves."""
    status: ConditionStatus = "True" if available else "False"
    condition = ready.model_copy(update={"status": status, "last_transition_time": now})
    return before.model_copy(update={"conditions": set_condition(before.conditions, condition)})


def _identity(spec: McpServerSpec) -> tuple[str, str]:
    source = spec.source
    if source.npm is not None:
        return f"npm/{source.npm.package}", source.npm.version
    if source.pypi is not None:
        return f"pypi/{source.pypi.package}", source.pypi.version
    reference, _, digest = (source.image.ref if source.image else "").partition("@")
    return f"image/{reference}", digest


def _fetched(facts: Facts) -> tuple[ConditionStatus, str, str]:
    match facts.intake:
        case NotNeeded():
            return "True", Reason.NOT_NEEDED, "an image brings its own content"
        case Bundled(bundle):
            scripts = bundle.lifecycle_scripts
            note = f"; {scripts} carry install scripts, none was run" if scripts else ""
            return "True", Reason.BUNDLED, f"{bundle.packages} packages verified and bundled{note}"
        case Waiting(reason, message):
            return "False", reason, message
        case NotBundled(reason, message):
            return "False", reason, message
        case _:
            assert_never(facts.intake)


def _outcome(facts: Facts) -> Outcome:
    if isinstance(facts.intake, Waiting | NotBundled):
        return _without_bundle(facts, facts.intake)
    if facts.invalid is not None:
        # A missing setting is no end: the operator that has it will look again.
        phase = Phase.FAILED if isinstance(facts.invalid, InvalidSpec) else Phase.PENDING
        return _with_old_revision(facts, Outcome(phase, "False", facts.invalid.reason, facts.invalid.message))
    if facts.spec.suspend:
        return Outcome(Phase.SUSPENDED, "False", Reason.SUSPENDED, "spec.suspend is true: set it to false to run again")
    if facts.rollout.complete:
        return _complete(facts)
    return _incomplete(facts)


def _without_bundle(facts: Facts, intake: Waiting | NotBundled) -> Outcome:
    if isinstance(intake, Waiting):
        phase = Phase.PENDING if intake.reason == Reason.QUEUED else Phase.FETCHING
        return _with_old_revision(facts, Outcome(phase, "False", intake.reason, intake.message))
    again = _AGAIN.format(name=facts.name)
    if intake.reason.retryable:
        message = f"{intake.message}; it is tried again by itself every few minutes"
        return _with_old_revision(facts, Outcome(Phase.PENDING, "False", intake.reason, message))
    phase = Phase.REJECTED if intake.reason in _REJECTED else Phase.FAILED
    return _with_old_revision(facts, Outcome(phase, "False", intake.reason, f"{intake.message}; {again}"))


def _with_old_revision(facts: Facts, outcome: Outcome) -> Outcome:
    """An update that does not get anywhere leaves what serves today alone, and says both."""
    if not facts.rollout.available or facts.before.verified_revision is None:
        return outcome
    failing = outcome.phase in (Phase.FAILED, Phase.REJECTED)
    return Outcome(
        phase=outcome.phase if failing else Phase.READY,
        ready="True",
        reason=Reason.UPDATE_FAILING if failing else Reason.UPDATING,
        message=f"the previous revision serves; the new one: {outcome.message}",
    )


def _complete(facts: Facts) -> Outcome:
    if facts.was_ready and _is_ready(facts.before):
        return _SERVES
    if isinstance(facts.verification, Verified) and facts.verification.revision == facts.revision:
        return _SERVES
    phase = Phase.DEGRADED if facts.was_ready and facts.before.phase not in _ON_THE_WAY else Phase.STARTING
    trouble = "" if isinstance(facts.verification, Verified) else facts.verification.message
    if trouble:
        return Outcome(phase, "False", Reason.HANDSHAKE_FAILED, f"the pod is ready, but through the Service: {trouble}")
    return Outcome(phase, "False", Reason.STARTING, _STARTING)


def _is_ready(status: McpServerStatus) -> bool:
    condition = find_condition(status.conditions, ConditionType.READY)
    return condition is not None and condition.status == "True"


def _incomplete(facts: Facts) -> Outcome:
    problem = _problem(facts)
    if facts.was_ready:
        return _degraded(facts, problem)
    if problem is not None and problem.reason in _BLOCKED:
        return _blocked(facts, problem)
    if problem is None:
        return _with_old_revision(facts, Outcome(Phase.STARTING, "False", Reason.STARTING, _STARTING))
    if problem.lasting:
        message = f"{problem.message}; {_AGAIN.format(name=facts.name)}"
        return _with_old_revision(facts, Outcome(Phase.FAILED, "False", problem.reason, message))
    return _with_old_revision(facts, Outcome(Phase.STARTING, "False", problem.reason, problem.message))


def _blocked(facts: Facts, problem: Problem) -> Outcome:
    """Waiting for a person is no failure of the server: its pod stays, so that there is something to look at."""
    if facts.rollout.available and facts.before.verified_revision is not None:
        return Outcome(
            Phase.DEGRADED, "True", problem.reason, f"the previous revision serves; the new one: {problem.message}"
        )
    return Outcome(_BLOCKED[problem.reason], "False", problem.reason, problem.message)


def _degraded(facts: Facts, problem: Problem | None) -> Outcome:
    reason = problem.reason if problem else Reason.STARTING
    if reason == Reason.CRASH_AT_START:
        reason = Reason.CRASHED
    text = problem.message if problem else "a pod is not ready; it is being restarted"
    if problem is None and not facts.rollout.available and facts.before.phase in _ON_THE_WAY:
        return Outcome(Phase.STARTING, "False", Reason.STARTING, _STARTING)
    if facts.rollout.available:
        return Outcome(
            Phase.DEGRADED, "True", reason, f"{facts.rollout.available} of {facts.spec.replicas} pods serve; {text}"
        )
    return Outcome(Phase.DEGRADED, "False", reason, text)


def _problem(facts: Facts) -> Problem | None:
    """The bridge knows best why its server does not answer; without it, the newest pod that has something to say."""
    if blocked := blocked_problem(facts):
        return blocked
    from_pods = next((pod.problem for pod in newest_first(facts.pods) if pod.problem and not pod.ready), None)
    bridge = facts.bridge
    if from_pods is None and bridge is None:
        return _before_any_container(facts)
    if bridge is None or not bridge.reason or (bridge.reason == "ConnectFailed" and from_pods):
        return _advised(facts, from_pods)
    lasting = bridge.consecutive_failures >= FAILED_STARTS and bridge.reason != "ConnectFailed"
    if bridge.reason == "OOMKilled" or (from_pods and from_pods.reason is Reason.OOM_KILLED):
        return _advised(facts, Problem(Reason.OOM_KILLED, "the server was killed at its memory limit", lasting))
    tail = "\n".join(bridge.stderr_tail[-8:])
    text = f"{bridge.message}; its last lines: {tail}" if tail else bridge.message
    reason = Reason.CRASH_AT_START if bridge.reason == "Exited" else Reason.HANDSHAKE_FAILED
    if bridge.reason == "ConnectFailed":
        # The server container is still starting; said only when that takes long.
        slow = bridge.consecutive_failures >= FAILED_STARTS
        return Problem(Reason.STARTING, f"nothing answers inside the pod yet: {text}") if slow else None
    return Problem(reason, text, lasting)


def _before_any_container(facts: Facts) -> Problem | None:
    if facts.rollout.refusal and not facts.pods:
        return Problem(Reason.PODS_REFUSED, f"the cluster does not let the pod be made: {facts.rollout.refusal}")
    if not facts.unprepared:
        return None
    auth = facts.spec.auth
    mounted = [f"Secret {auth.tokens.secret_ref.name} (spec.auth.tokens)"] if auth and auth.tokens else []
    mounted += [
        f"PersistentVolumeClaim {volume.persistent_volume_claim.claim_name} (spec.storage)"
        for volume in facts.spec.storage
        if volume.persistent_volume_claim is not None
    ]
    asked = f"is there in this namespace: {', '.join(mounted)}? It goes on by itself once it is" if mounted else ""
    advice = asked or "the events of the pod (`kubectl describe pod`) say why"
    return Problem(Reason.POD_CONFIGURATION, f"the node cannot set the pod up: {advice}")


def _advised(facts: Facts, problem: Problem | None) -> Problem | None:
    if problem is None or problem.reason is not Reason.OOM_KILLED:
        return problem
    limit = facts.spec.resources.limits.get("memory")
    advice = f"{problem.message}{f' of {limit}' if limit else ''}: raise spec.resources.limits.memory"
    return Problem(problem.reason, advice, problem.lasting)
