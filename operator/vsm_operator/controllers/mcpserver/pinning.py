"""Which tools of a server are admitted: the decision behind the ConfigMap of pins. Pure.

TrustOnFirstUse: what was pinned for the artefact stays, until a new value of the admission annotation takes its place;
where nothing was pinned, the first hash that was verified is. The annotation counts once, for the artefact of that
moment, so that one left in a manifest says nothing about later versions. Strict: the annotation is the admission, and
taking it away takes the admission back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vsm_operator.api.v1alpha1 import ADMISSION, ADMIT_ANNOTATION, TOOLS_HASH, McpServerSpec, McpServerStatus
from vsm_operator.kube.manifest import Manifest
from vsm_operator.resources.common import Owner
from vsm_operator.resources.pins import MAX_KEPT, PIN_MODES, pins


@dataclass(frozen=True, slots=True)
class Pin:
    """What is admitted for the artefact of a spec."""

    mode: str
    """spec.toolPin."""
    artifact: str = ""
    hash: str = ""
    """Empty while nothing is admitted."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Pins of other artefacts, by key."""
    handled: str = ""
    """The value of the annotation that is accounted for."""
    trouble: str = ""
    """Why the annotation is not accounted for, for people."""

    @property
    def awaits_first_use(self) -> bool:
        return self.mode == "TrustOnFirstUse" and bool(self.artifact) and not self.hash

    @property
    def worth_storing(self) -> bool:
        """Under Strict always: an empty ConfigMap of ours keeps the name from being used by others."""
        return self.mode == "Strict" or bool(self.hash)

    def first_use(self, digest: str) -> "Pin":
        """The first list that was verified is the one from now on."""
        return replace(self, hash=digest)

    def manifest(self, owner: Owner) -> Manifest:
        """The ConfigMap. Only for a mode that has one."""
        key = PIN_MODES[self.mode].key(self.artifact)
        return pins({**self.others, **({key: self.hash} if self.hash else {})}, owner=owner)


_ARTIFACT_KEY = re.compile(r"sha256-[0-9a-f]{64}")
NO_PIN = Pin("Off")


def decide(
    spec: McpServerSpec, *, artifact: str, admission: str, before: McpServerStatus, kept: Mapping[str, str]
) -> Pin:
    """`admission` is the value of the annotation, `kept` the data of the ConfigMap as it is."""
    mode = PIN_MODES.get(spec.tool_pin)
    handled = before.last_handled_admission or ""
    if mode is None:
        return Pin(spec.tool_pin, artifact, handled=handled)
    valid = ADMISSION.fullmatch(admission)
    trouble = f"the annotation {ADMIT_ANNOTATION} is not sha256: and 64 hex digits, and is ignored"
    pin = Pin(
        spec.tool_pin,
        artifact,
        handled=admission if valid or not admission else handled,
        trouble=trouble if admission and valid is None else "",
    )
    if not mode.by_artifact:
        return replace(pin, hash=valid[1] if valid else "")
    key = mode.key(artifact)
    usable = {
        name: digest
        for name, digest in sorted(kept.items())
        if _ARTIFACT_KEY.fullmatch(name) and TOOLS_HASH.fullmatch(digest)
    }
    tools = before.tools
    pinned = tools.pinned_hash if tools is not None and tools.pinned_artifact == artifact else None
    admitted = valid[1] if valid and admission != handled else ""
    others = [(name, digest) for name, digest in usable.items() if name != key][-MAX_KEPT:]
    return replace(pin, hash=admitted or pinned or usable.get(key, ""), others=dict(others))
