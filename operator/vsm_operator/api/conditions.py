"""Conditions of the McpServer: which exist, which reasons they carry, and how one is set.

Shape and meaning follow the Kubernetes API conventions (metav1.Condition). A reason is for programs and stays stable;
a message is for people and says what to do next.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

from vsm_operator.api.model import Model, Text

ConditionStatus = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """All are positive: True is good."""

    FETCHED = "Fetched"
    """The package's whole tree is in the registry as one verified bundle."""
    READY = "Ready"
    """A handshake and tools/list were answered through the Service, and the pod is ready."""
    TOOLS_UNCHANGED = "ToolsUnchanged"
    """The server lists the tools that were admitted. Unknown before there is anything to compare."""


class Reason(StrEnum):
    """Reasons beside those of a failed intake (domain.intake.IntakeReason)."""

    QUEUED = "Queued"
    """As many intakes as allowed are running; this one waits for its turn."""
    FETCHING = "Fetching"
    """An intake Job is resolving and verifying the package."""
    BUNDLED = "Bundled"
    """The bundle is in the registry."""
    NOT_NEEDED = "NotNeeded"
    """A container image brings its own content: nothing is fetched."""
    REGISTRY_NOT_FOUND = "RegistryNotFound"
    """The bundle registry's address does not resolve, so no pod could load its bundle."""
    STARTING = "Starting"
    """Nothing has failed; the pod is not ready yet, or has not yet been asked through the Service."""
    SERVING = "Serving"
    """All good."""
    UPDATING = "Updating"
    """An earlier revision serves while the new one starts."""
    UPDATE_FAILING = "UpdateFailing"
    """An earlier revision serves; the new one does not start."""
    SUSPENDED = "Suspended"
    """spec.suspend is true."""
    INVALID_SPEC = "InvalidSpec"
    """The spec cannot be turned into objects."""
    NO_ENTRYPOINT = "NoEntrypoint"
    """The package has no executable, and spec.command does not name one."""
    CRASH_AT_START = "CrashAtStart"
    """The server ended before it had answered the handshake."""
    HANDSHAKE_FAILED = "HandshakeFailed"
    """The server runs and does not complete the handshake."""
    CRASHED = "Crashed"
    """A server that had been ready ended; it is being restarted."""
    OOM_KILLED = "OOMKilled"
    """The memory limit ended the server."""
    UNSCHEDULABLE = "Unschedulable"
    """No node takes the pod."""
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    """The kubelet cannot get an image of the pod."""
    POD_CONFIGURATION = "PodConfiguration"
    """The kubelet cannot set the pod up: a Secret, ConfigMap or volume that the spec names is missing."""
    BUNDLE_UNAVAILABLE = "BundleUnavailable"
    """The pod could not load its bundle from the registry."""
    BRIDGE_FAILED = "BridgeFailed"
    """Our own container beside the server does not run: a defect of this operator or of its runtime image."""
    PODS_REFUSED = "PodsRefused"
    """The cluster does not let the pod be made: a ServiceAccount that is missing, a quota, an admission policy."""
    TOOLS_CHANGED = "ToolsChanged"
    """The server lists other tools than the admitted ones, and so it does not serve."""
    TOOLS_NOT_ADMITTED = "ToolsNotAdmitted"
    """Nobody has admitted the server's tools yet, which spec.toolPin Strict asks for."""
    PINNED = "Pinned"
    """The tools are the admitted ones."""
    NOT_PINNED = "NotPinned"
    """spec.toolPin is Off: nothing is compared."""
    NOT_LISTED = "NotListed"
    """The server has not listed its tools yet."""
    ADMIN_KEY_MISSING = "AdminKeyMissing"
    """The operator can neither read nor make the Secret with the key for the admin ports of servers."""
    API_SERVER_UNKNOWN = "ApiServerUnknown"
    """spec.auth.tokenReview asks the API server, whose addresses the operator has not been told."""
    FORBIDDEN = "Forbidden"
    """The API server refuses a write, for example by quota, admission policy or missing rights."""


class Condition(Model):
    """metav1.Condition."""

    type: Text
    status: ConditionStatus
    reason: Text
    message: Text = ""
    observed_generation: int = 0
    last_transition_time: datetime


def set_condition(existing: Sequence[Condition], new: Condition) -> list[Condition]:
    """`existing` with `new` in place of the one of its type; the transition time moves only when the status does."""
    merged: list[Condition] = []
    placed = False
    for condition in existing:
        if condition.type != new.type:
            merged.append(condition)
            continue
        if condition.status == new.status:
            new = new.model_copy(update={"last_transition_time": condition.last_transition_time})
        merged.append(new)
        placed = True
    return merged if placed else [*merged, new]


def find_condition(conditions: Sequence[Condition], condition_type: str) -> Condition | None:
    """The condition of that type, if it was ever set."""
    return next((condition for condition in conditions if condition.type == condition_type), None)
