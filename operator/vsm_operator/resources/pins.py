"""The ConfigMap with the admitted hashes of a server's tools: what its bridges compare with before they serve.

Under TrustOnFirstUse a hash is kept for each artefact, so that another version starts afresh and a way back finds what
it had; under Strict there is the one hash that a person has admitted. The pod template names a file in this ConfigMap
and never its content: a pin that is written starts no rollout.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vsm_operator.api.v1alpha1 import BundleStatus, McpServerSpec
from vsm_operator.kube.manifest import Manifest
from vsm_operator.resources.common import Owner

MAX_KEPT = 16
"""Pins of other artefacts that are kept beside the current one."""
_ADMITTED = "admitted"


@dataclass(frozen=True, slots=True)
class PinMode:
    """How one value of spec.toolPin reaches the bridge."""

    bridge: str
    """Value of VSM_BRIDGE_TOOL_PIN."""
    by_artifact: bool

    def key(self, artifact: str) -> str:
        """Key in the ConfigMap, and so the name of the file in the pod. `artifact` is a digest."""
        return artifact.replace(":", "-") if self.by_artifact else _ADMITTED


PIN_MODES: Mapping[str, PinMode] = {
    "TrustOnFirstUse": PinMode("first-use", by_artifact=True),
    "Strict": PinMode("strict", by_artifact=False),
}
"""Off is not among them."""


def artifact_of(spec: McpServerSpec, bundle: BundleStatus | None) -> str:
    """The digest that names what runs; empty while it is not known."""
    if spec.source.image is not None:
        return spec.source.image.ref.rpartition("@")[2]
    return bundle.digest if bundle is not None else ""


def pins_name(owner: Owner) -> str:
    """Of the ConfigMap."""
    return f"{owner.child_name}-pins"


def pins(hashes: Mapping[str, str], *, owner: Owner) -> Manifest:
    """Without hashes it is still worth having: nobody else can then bring one along under this name."""
    metadata = {**owner.metadata(), "name": pins_name(owner)}
    manifest: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return manifest | ({"data": dict(hashes)} if hashes else {})
