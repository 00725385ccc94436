"""Everything one pass knows about one McpServer, gathered before anything is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsm_operator.api.v1alpha1 import McpServerSpec, McpServerStatus
from vsm_operator.controllers.intakestate import Intake
from vsm_operator.controllers.podfacts import PodFacts
from vsm_operator.ports.bridge import BridgeStatus
from vsm_operator.ports.mcp import Handshake


@dataclass(frozen=True, slots=True)
class Rollout:
    """A Deployment's own view of its pods."""

    available: int = 0
    complete: bool = False
    """Every pod is of the current template and available."""

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
        return cls(available=status.get("availableReplicas", 0), complete=complete)


@dataclass(frozen=True, slots=True)
class Verified:
    """A handshake through the Service succeeded for this revision."""

    revision: str
    handshake: Handshake


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
    invalid: tuple[str, str] | None = None
    """Reason and message of a spec that cannot be rendered."""
    rollout: Rollout = Rollout()
    pods: Sequence[PodFacts] = ()
    bridge: BridgeStatus | None = None
    verification: Verified | Unverified = Unverified()

    @property
    def was_ready(self) -> bool:
        """Whether this very revision has served before."""
        return bool(self.revision) and self.before.verified_revision == self.revision
