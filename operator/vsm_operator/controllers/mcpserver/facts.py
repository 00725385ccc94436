"""Everything one pass knows about one McpServer, gathered before anything is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsm_operator.api.v1alpha1 import McpServerSpec, McpServerStatus
from vsm_operator.controllers.intakestate import Intake
from vsm_operator.controllers.mcpserver.pinning import NO_PIN, Pin
from vsm_operator.controllers.podfacts import PodFacts
from vsm_operator.errors import Terminal
from vsm_operator.ports.bridge import BridgeStatus
from vsm_operator.ports.mcp import Handshake


@dataclass(frozen=True, slots=True)
class Rollout:
    """A Deployment's own view of its pods."""

    available: int = 0
    complete: bool = False
    """Every pod is of the current template and available."""
    refusal: str = ""
    """Why the cluster does not let a pod be made; empty when it does."""

    @classmethod
    def of(cls, deployment: Mapping[str, Any] | None, *, generation: int) -> "Rollout":
        """From the stored projection; `generation` is the Deployment's own."""
        if deployment is None:
            return cls()
        status = deployment.get("status") or {}
        wanted = (deployment.get("spec") or {}).get("replicas", 1)
        complete = (
            status.get("observedGeneration", 0) >= generation
            and wanted > 0
            and status.get("updatedReplicas", 0) == wanted
            and status.get("replicas", 0) == wanted
            and status.get("availableReplicas", 0) == wanted
        )
        refusals = (
            str(condition.get("message", ""))[:1000]
            for condition in status.get("conditions") or ()
            if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
        )
        return cls(available=status.get("availableReplicas", 0), complete=complete, refusal=next(refusals, ""))


@dataclass(frozen=True, slots=True)
class Verified:
    """A handshake through the Service succeeded for this revision, and its tools are none but the admitted ones."""

    revision: str
    handshake: Handshake
    tools_hash: str
    """The bridge's word, over all tools: a handshake sees only what the filter lets through."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """It did not, or has not been tried: `message` is empty then."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Input of `summarise`, whole."""

    name: str
    namespace: str
    generation: int
    retry: str
    """Value of the retry annotation."""
    spec: McpServerSpec
    before: McpServerStatus
    """The status as last written."""
    intake: Intake
    revision: str
    """Hash of the pod template; empty while there is none."""
    invalid: Terminal | None = None
    """Why the spec cannot be rendered."""
    pin: Pin = NO_PIN
    """Which tools are admitted."""
    unprepared: bool = False
    """A node has had the newest pod for a while and cannot set it up: something that it mounts is missing."""
    rollout: Rollout = Rollout()
    pods: Sequence[PodFacts] = ()
    bridge: BridgeStatus | None = None
    verification: Verified | Unverified = Unverified()

    @property
    def was_ready(self) -> bool:
        """Whether this very revision has served before."""
        return bool(self.revision) and self.before.verified_revision == self.revision
