"""What the watches told us, compact, with the look-ups that reconcilers need. May lag; never goes backwards.

Invariants
- an object is only ever replaced by a newer version of itself, or by its successor (another uid, a later version);
- a deleted object does not come back through a late event: its uid and version are remembered for a while;
- every index is exactly what its function says of the stored snapshots;
- nothing here is ever changed in place: snapshots are shared.

One writer at a time (the event loop); no method awaits.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsm_operator.kube.client import version_of
from vsm_operator.kube.kinds import Key, Kind
from vsm_operator.kube.manifest import MANAGER, controller_of
from vsm_operator.kube.ownership import foreign_fields
from vsm_operator.kube.snapshot import Snapshot

Project = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What to keep of a body. Whatever it returns is copied."""
IndexBy = Callable[[Snapshot], Iterable[Hashable]]
Snapshots = list[Snapshot]

MAX_TOMBSTONES = 8192
_NEVER_AGAIN = sys.maxsize
OWN_ANNOTATIONS = ("vsm-mcp.io/",)


@dataclass(frozen=True, slots=True)
class Change:
    """Before and after; never both None."""

    old: Snapshot | None
    new: Snapshot | None

    @property
    def snapshot(self) -> Snapshot:
        """The newest there is to see."""
        found = self.new or self.old
        if found is None:
            raise ValueError("a change is of something")
        return found


def keep_spec_and_status(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The projection for kinds of our own."""
    return {field: body[field] for field in ("spec", "status") if field in body}


def keep_spec(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The projection for children whose status nobody reads."""
    return {"spec": body["spec"]} if "spec" in body else {}


@dataclass(frozen=True, slots=True)
class _View:
    """What is kept of a kind."""

    project: Project
    annotations: tuple[str, ...]


_WHOLE = _View(keep_spec_and_status, OWN_ANNOTATIONS)


class Store:
    """Register kinds, then indexes, then put objects in."""

    def __init__(self) -> None:
        self._views: dict[str, _View] = {}
        self._objects: dict[str, dict[Key, Snapshot]] = {}
        self._children: dict[Key, dict[Key, None]] = {}
        self._index_by: dict[str, dict[str, IndexBy]] = {}
        self._indexes: dict[tuple[str, str], dict[Hashable, dict[Key, None]]] = {}
        self._tombstones: OrderedDict[str, int] = OrderedDict()

    def register(self, kind: Kind, project: Project, *, annotations: tuple[str, ...] = OWN_ANNOTATIONS) -> None:
        """Once per kind; only registered kinds can be stored. `annotations` are prefixes of those to keep."""
        if kind.kind in self._views:
            raise ValueError(f"{kind.kind} is registered already")
        self._views[kind.kind] = _View(project, annotations)
        self._objects[kind.kind] = {}
        self._index_by[kind.kind] = {}

    def holds(self, kind: Kind) -> bool:
        return kind.kind in self._views

    def add_index(self, kind: Kind, name: str, values_of: IndexBy) -> None:
        """`find(kind, name, value)` returns the objects for which `values_of` yields `value`."""
        self._index_by[kind.kind][name] = values_of
        index = self._indexes[kind.kind, name] = {}
        for snapshot in self._objects[kind.kind].values():
            for value in values_of(snapshot):
                index.setdefault(value, {})[snapshot.key] = None

    def get(self, key: Key) -> Snapshot | None:
        return self._objects.get(key.kind, {}).get(key)

    def list(self, kind: Kind) -> Snapshots:
        return list(self._objects[kind.kind].values())

    def find(self, kind: Kind, index: str, value: Hashable) -> Snapshots:
        """In the order in which they were first seen."""
        objects = self._objects[kind.kind]
        return [objects[key] for key in self._indexes[kind.kind, index].get(value, ())]

    def children(self, owner: Key) -> Snapshots:
        """What `owner` controls, of every kind. By name: compare owner_uid where a namesake matters."""
        return [self._objects[key.kind][key] for key in self._children.get(owner, ())]

    def __len__(self) -> int:
        return sum(len(objects) for objects in self._objects.values())

    def snapshot(self, kind: Kind, body: Mapping[str, Any]) -> Snapshot:
        """The projection of `body`, without storing it. Kinds that are not registered keep spec and status."""
        return _snapshot(kind, body, self._views.get(kind.kind, _WHOLE))

    def upsert(self, kind: Kind, body: Mapping[str, Any]) -> Change | None:
        """None when this is old news: a version that is known, was overtaken, or belongs to a deleted object."""
        metadata = body["metadata"]
        key, uid, version = kind.key_of(body), metadata["uid"], version_of(metadata)
        old = self.get(key)
        if old is not None and version and version <= old.resource_version:
            return None
        if version and version <= self._tombstones.get(uid, -1):
            return None
        new = _snapshot(kind, body, self._views[kind.kind])
        if old is not None:
            self._unlink(old)
            if old.uid != uid:
                self._bury(old.uid, _NEVER_AGAIN)
        self._objects[kind.kind][key] = new
        self._link(new)
        return Change(old, new)

    def remove(self, key: Key, uid: str, *, version: int = 0) -> Change | None:
        """Only the object of that uid; a successor of the same name stays.

        `version` is that of the deletion. The object may come back with a later one, since a watch also says DELETED
        when a label selector stops matching; without a version it never does.
        """
        self._bury(uid, version or _NEVER_AGAIN)
        old = self.get(key)
        if old is None or old.uid != uid:
            return None
        del self._objects[key.kind][key]
        self._unlink(old)
        return Change(old, None)

    def purge(
        self, kind: Kind, *, listed: Collection[str], listed_version: int, namespace: str | None = None
    ) -> Sequence[Change]:
        """Drops the ghosts: objects that a whole listing (`listed` are its uids) did not have.

        Safe against a listing that is older than what we know: an object seen at a later version than the listing's
        says nothing by being absent.
        """
        ghosts = [
            snapshot
            for snapshot in self._objects[kind.kind].values()
            if snapshot.uid not in listed
            and snapshot.resource_version <= listed_version
            and namespace in {None, snapshot.key.namespace}
        ]
        removed = (self.remove(ghost.key, ghost.uid, version=listed_version) for ghost in ghosts)
        return [change for change in removed if change is not None]

    def _link(self, snapshot: Snapshot) -> None:
        if snapshot.owner is not None:
            self._children.setdefault(snapshot.owner, {})[snapshot.key] = None
        for name, values_of in self._index_by[snapshot.key.kind].items():
            index = self._indexes[snapshot.key.kind, name]
            for value in values_of(snapshot):
                index.setdefault(value, {})[snapshot.key] = None

    def _unlink(self, snapshot: Snapshot) -> None:
        if snapshot.owner is not None:
            _drop(self._children, snapshot.owner, snapshot.key)
        for name, values_of in self._index_by[snapshot.key.kind].items():
            for value in values_of(snapshot):
                _drop(self._indexes[snapshot.key.kind, name], value, snapshot.key)

    def _bury(self, uid: str, version: int) -> None:
        self._tombstones[uid] = max(version, self._tombstones.get(uid, -1))
        self._tombstones.move_to_end(uid)
        while len(self._tombstones) > MAX_TOMBSTONES:
            self._tombstones.popitem(last=False)


def _snapshot(kind: Kind, body: Mapping[str, Any], view: _View) -> Snapshot:
    metadata = body["metadata"]
    controller = controller_of(body)
    namespace = metadata.get("namespace", "")
    return Snapshot(
        key=kind.key_of(body),
        uid=metadata["uid"],
        resource_version=version_of(metadata),
        generation=metadata.get("generation", 0),
        deleting="deletionTimestamp" in metadata,
        created=metadata.get("creationTimestamp", ""),
        labels=_compact(metadata.get("labels") or {}),
        annotations=_compact(
            {
                name: value
                for name, value in (metadata.get("annotations") or {}).items()
                if name.startswith(view.annotations)
            }
        ),
        owner=Key(controller["kind"], namespace, controller["name"]) if controller else None,
        owner_uid=controller["uid"] if controller else "",
        foreign=foreign_fields(metadata.get("managedFields") or (), ours=MANAGER),
        body=_compact(view.project(body)),
    )


def _compact(value: Any) -> Any:
    """A copy whose keys are shared between objects: a thousand Deployments use the same words.

    Values are not interned: some Pythons (3.12) never free an interned string, and names come and go.
    """
    if isinstance(value, Mapping):
        return {sys.intern(key): _compact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_compact(item) for item in value]
    return value


def _drop(index: dict[Any, dict[Key, None]], value: Hashable, key: Key) -> None:
    keys = index.get(value)
    if keys is not None:
        keys.pop(key, None)
        if not keys:
            del index[value]
