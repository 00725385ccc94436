"""Facts about one McpServer, a good example of each; a test changes what its situation is about."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from support import specs
from vsm_operator.api.conditions import Condition, ConditionStatus
from vsm_operator.api.v1alpha1 import BundleStatus, McpServerSpec, McpServerStatus, Phase
from vsm_operator.controllers.intakestate import Bundled, Intake, NotNeeded
from vsm_operator.controllers.mcpserver.facts import Facts, Rollout, Verified
from vsm_operator.controllers.mcpserver.pinning import Pin
from vsm_operator.controllers.podfacts import PodFacts, Problem
from vsm_operator.ports.bridge import Blocked, BridgeStatus
from vsm_operator.ports.mcp import Handshake

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = "old-revision", "new-revision"
BUNDLE = BundleStatus(key="0" * 32, digest="sha256:" + "a" * 64, packages=9, entrypoints=["mcp-server"])
HANDSHAKE = Handshake("2025-11-25", "memory", "1.2.3", ("read", "write"))
TOOLS, OTHER_TOOLS = "sha256:" + "b" * 64, "sha256:" + "f" * 64
NPM = specs.npm("@scope/server", "1.2.3")
COMPLETE = Rollout(available=1, complete=True)
OLD_SERVES = Rollout(available=1, complete=False)
NOTHING_SERVES = Rollout()


def read(raw: specs.Spec) -> McpServerSpec:
    return McpServerSpec.read(raw)


def status(
    phase: Phase, ready: ConditionStatus = "False", *, verified: str | None = None, **fields: Any
) -> McpServerStatus:
    """As a pass before this one has left it."""
    condition = Condition(type="Ready", status=ready, reason="Before", message="before", last_transition_time=EARLIER)
    return McpServerStatus(
        phase=phase, observed_generation=1, verified_revision=verified, conditions=[condition], **fields
    )


NEVER_SEEN = McpServerStatus()
WAS_READY = status(Phase.READY, "True", verified=NEW)
SERVED_BEFORE = status(Phase.READY, "True", verified=OLD)
"""Ready, by a revision that is not the one of the spec any more."""


def verified(revision: str = NEW) -> Verified:
    return Verified(revision, HANDSHAKE, TOOLS)


def pod(problem: Problem | None = None, *, name: str = "pod-1", ready: bool = False, created: str = "1") -> PodFacts:
    return PodFacts(
        name=name,
        ready=ready,
        finished=False,
        ip="10.0.0.5",
        created=created,
        running=frozenset({"bridge"}),
        problem=problem,
        termination_message="",
    )


def bridge(reason: str = "", message: str = "", *, failures: int = 1, tail: Sequence[str] = ()) -> BridgeStatus:
    return BridgeStatus("backoff", failures, failures, reason, message, tuple(tail))


def blocked(observed: str = OTHER_TOOLS, *, expected: str = TOOLS, names: Sequence[str] = ("read",)) -> BridgeStatus:
    """A bridge whose server lists other tools than the admitted ones."""
    return BridgeStatus(
        "blocked",
        0,
        0,
        tools_hash=observed,
        tools_count=len(names),
        tool_names=tuple(names),
        blocked=Blocked("ToolsChanged" if expected else "ToolsNotAdmitted", expected, observed),
    )


def pinned(digest: str = TOOLS, mode: str = "TrustOnFirstUse") -> Pin:
    return Pin(mode, BUNDLE.digest, digest)


def facts(raw: specs.Spec = NPM, **changes: Any) -> Facts:
    """A package whose bundle is there and whose pod is being started, unless `changes` says otherwise."""
    spec = read(raw)
    intake: Intake = Bundled(BUNDLE) if spec.source.image is None else NotNeeded()
    given: dict[str, Any] = {
        "name": "memory",
        "namespace": "team",
        "generation": 2,
        "retry": "",
        "spec": spec,
        "before": NEVER_SEEN,
        "intake": intake,
        "revision": NEW,
        "pin": pinned(),
    }
    return Facts(**(given | changes))
