"""What we remember of an object: identity, the few metadata that decisions need, and a projection of the body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsm_operator.kube.kinds import Key
from vsm_operator.kube.ownership import FieldPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One object at one resource version. Shared between tasks: never change what hangs off it."""

    key: Key
    uid: str
    resource_version: int
    """0 when the server's version is not a number; such objects are never taken for stale."""
    generation: int
    deleting: bool
    created: str
    """RFC 3339, as the API server gave it."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    """Only those that the kind's registration asked for."""
    owner: Key | None
    """The controller among the ownerReferences."""
    owner_uid: str
    """Empty without an owner."""
    foreign: tuple[FieldPath, ...]
    """Fields of the spec that somebody else wrote; see `ownership`."""
    body: Mapping[str, Any]
    """The kind's projection: "spec", "status" and whatever else was kept."""

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.body.get("spec") or {}

    @property
    def status(self) -> Mapping[str, Any]:
        return self.body.get("status") or {}

    def same_but_version(self, other: "Snapshot") -> bool:
        """Nothing that we look at differs."""
        return (
            self.uid == other.uid
            and self.generation == other.generation
            and self.deleting == other.deleting
            and self.labels == other.labels
            and self.annotations == other.annotations
            and self.owner_uid == other.owner_uid
            and self.foreign == other.foreign
            and self.body == other.body
        )
