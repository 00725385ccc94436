"""From a change in the Store to the keys that want a look. Watch events, listings and our own answers all pass here.

What we wrote ourselves does not bring our own key back: the pass that wrote has the answer in its hands. Other keys
that the same object concerns are queued as usual.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsm_operator.kube.client import version_of
from vsm_operator.kube.kinds import Key, Kind
from vsm_operator.kube.manifest import MANAGED_BY_SELECTOR
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.runtime.logs import reconciling
from vsm_operator.runtime.queue import Lane, WorkQueue
from vsm_operator.runtime.store import OWN_ANNOTATIONS, Change, Project, Store, keep_spec_and_status

Mapper = Callable[[Store, Snapshot], Iterable[Key]]
"""The keys that an object concerns; looks other objects up in the Store."""
Predicate = Callable[[Snapshot, Snapshot], bool]


def itself(_store: Store, snapshot: Snapshot) -> Iterable[Key]:
    """For kinds that are reconciled themselves."""
    return (snapshot.key,)


def controller(_store: Store, snapshot: Snapshot) -> Iterable[Key]:
    """For children: whoever controls them."""
    return (snapshot.owner,) if snapshot.owner else ()


def intent_changed(old: Snapshot, new: Snapshot) -> bool:
    """For kinds that are reconciled themselves: what a user can mean. A status is our own word and no news."""
    return (
        old.generation != new.generation
        or old.deleting != new.deleting
        or old.labels != new.labels
        or old.annotations != new.annotations
    )


def anything_changed(old: Snapshot, new: Snapshot) -> bool:
    """For children: their projection holds nothing that does not matter."""
    return not old.same_but_version(new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One kind: which objects, what is kept of them, and whom they concern."""

    kind: Kind
    keys: Mapper = controller
    """Keys to look at when an object appears, changes or goes."""
    project: Project = keep_spec_and_status
    changed: Predicate = anything_changed
    """Of two versions of one object: whether the difference is worth a look."""
    selector: str | None = MANAGED_BY_SELECTOR
    """Label selector, applied by the API server. None for kinds of our own."""
    namespaces: tuple[str, ...] = ()
    """Empty: the whole cluster."""
    annotations: tuple[str, ...] = OWN_ANNOTATIONS
    """Prefixes of the annotations to keep."""


class Router:
    """Closed at first: a standby keeps its Store warm and queues nothing. Also the Cluster's cache."""

    def __init__(self, store: Store, watches: Sequence[Watch]) -> None:
        self.store = store
        self._watches = {watch.kind.kind: watch for watch in watches}
        self._queues: dict[str, list[WorkQueue]] = {}
        self._open = False
        for watch in watches:
            store.register(watch.kind, watch.project, annotations=watch.annotations)

    def attach(self, kind: Kind, queue: WorkQueue) -> None:
        """Keys of `kind` go into `queue`, and into others that were attached before."""
        self._queues.setdefault(kind.kind, []).append(queue)

    def open(self) -> None:
        """This replica leads from now on."""
        self._open = True
        self.enqueue_all()

    def close(self) -> None:
        self._open = False

    def enqueue(self, key: Key, lane: Lane = Lane.CHANGE) -> None:
        if self._open:
            for queue in self._queues.get(key.kind, ()):
                queue.add(key, lane)

    def enqueue_all(self, kind: Kind | None = None) -> None:
        """Every stored object that is reconciled, or those of one kind, behind all changes."""
        for watch in self._watches.values():
            if watch.kind.kind in self._queues and kind in {None, watch.kind}:
                for snapshot in self.store.list(watch.kind):
                    self.enqueue(snapshot.key, Lane.SWEEP)

    def observed(self, kind: Kind, body: Mapping[str, Any], lane: Lane = Lane.CHANGE) -> None:
        """A watch or a listing showed this object."""
        self._route(self.store.upsert(kind, body), lane)

    def deleted(self, kind: Kind, body: Mapping[str, Any]) -> None:
        """A watch said that this object is gone, or that its selector does not match any more."""
        metadata = body["metadata"]
        self._route(self.store.remove(kind.key_of(body), metadata["uid"], version=version_of(metadata)), Lane.CHANGE)

    def absent(self, kind: Kind, *, listed: set[str], listed_version: int, namespace: str | None) -> int:
        """A whole listing was seen; returns how many ghosts it revealed."""
        ghosts = self.store.purge(kind, listed=listed, listed_version=listed_version, namespace=namespace)
        for change in ghosts:
            self._route(change, Lane.CHANGE)
        return len(ghosts)

    # What follows is kube.apply.Cache.

    def get(self, key: Key) -> Snapshot | None:
        return self.store.get(key)

    def stored(self, kind: Kind, body: Mapping[str, Any]) -> Snapshot:
        if not self.store.holds(kind):
            return self.store.snapshot(kind, body)
        self._route(self.store.upsert(kind, body), Lane.CHANGE, ours=True)
        return self.store.get(kind.key_of(body)) or self.store.snapshot(kind, body)

    def gone(self, key: Key, uid: str) -> None:
        self._route(self.store.remove(key, uid), Lane.CHANGE, ours=True)

    def _route(self, change: Change | None, lane: Lane, *, ours: bool = False) -> None:
        if change is None:
            return
        old, new = change.old, change.new
        watch = self._watches[change.snapshot.key.kind]
        if old is not None and new is not None and old.uid == new.uid and not watch.changed(old, new):
            return
        keys = {key for snapshot in (old, new) if snapshot for key in watch.keys(self.store, snapshot)}
        context = reconciling.get()
        if ours and context is not None:
            keys.discard(context.key)
        for key in keys:
            self.enqueue(key, lane)
