"""Cluster: the only way to write. Desired and observed in, the fewest requests that make them equal out.

What a child costs
    new                      GET (is the name free?) + apply
    as asked for             nothing
    changed spec, or drift   apply
    foreign additions        patch that replaces the content: an apply would leave them in place; see `ownership`
    not desired any more     delete, by uid

Answers go straight into the cache (read your writes), so that the pass that follows sees what this one did and the
watch event of our own write is old news. An object that the API server or an admission webhook keeps rewriting would
cost a write in every pass: what remains different right after a write is remembered as settled, and logged once.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from vsm_operator.errors import AlreadyExists, Conflict, InvalidSpec, NameTaken, OperatorError, Terminal
from vsm_operator.kube.client import Fence, KubeApi
from vsm_operator.kube.kinds import CORE_KINDS, Key, Kind
from vsm_operator.kube.manifest import (
    LABEL_MANAGED_BY,
    MANAGER,
    Manifest,
    canonical_hash,
    controller_of,
    drift,
    stamped,
)
from vsm_operator.kube.ownership import CONTENT, FieldPath, additions
from vsm_operator.kube.settled import Settled
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.kube.status import same_status, timeless, with_kept_transitions

_log = logging.getLogger(__name__)


class Cache(Protocol):
    """Where answers go. Every method is immediate."""

    def get(self, key: Key) -> Snapshot | None: ...

    def stored(self, kind: Kind, body: Mapping[str, Any]) -> Snapshot:
        """What is known now, which may be newer than `body`. A kind that nobody watches is converted and not kept."""

    def gone(self, key: Key, uid: str) -> None: ...


class Cluster:
    """One for all controllers."""

    def __init__(self, api: KubeApi, *, cache: Cache, fence: Fence, kinds: Iterable[Kind] = ()) -> None:
        """`kinds` are those that can be written, beside the built-in ones."""
        self._api = api.fenced(fence)
        self._cache = cache
        self._kinds = {kind.kind: kind for kind in (*CORE_KINDS, *kinds)}
        self._settled = Settled()

    async def apply(
        self,
        desired: Sequence[Manifest],
        *,
        observed: Sequence[Snapshot],
        owner: Snapshot | None,
        prune: bool = True,
        keep: Collection[Kind] = (),
    ) -> list[Snapshot]:
        """Makes the cluster carry `desired`, all children at once, and returns them live, in the same order.

        Prune: what `owner` controls in `observed` and is not desired is deleted; kinds in `keep` are spared.
        Errors: NameTaken before anything foreign is touched; else the worst of what the children met.
        """
        wanted = {self._kind(manifest).key_of(manifest) for manifest in desired}
        spared = {kind.kind for kind in keep}
        doomed = [
            child
            for child in observed
            if prune
            and owner is not None
            and child.owner_uid == owner.uid
            and child.key not in wanted
            and child.key.kind not in spared
            and not child.deleting
        ]
        outcomes = await asyncio.gather(
            *(self._converge(manifest, owner) for manifest in desired),
            *(self.delete(child) for child in doomed),
            return_exceptions=True,
        )
        if worst := _worst(outcomes):
            raise worst
        return [outcome for outcome in outcomes if isinstance(outcome, Snapshot)]

    async def create(self, manifest: Manifest) -> Snapshot:
        """For kinds that cannot be changed later, such as Jobs. Returns the live one if it exists already.

        Errors: NameTaken when what exists is not ours.
        """
        kind = self._kind(manifest)
        try:
            body = await self._api.create(kind, stamped(manifest, canonical_hash(manifest)))
        except AlreadyExists as error:
            key = kind.key_of(manifest)
            live = await self._api.get(kind, key)
            if live is None:
                raise Conflict(f"{key} went away while it was being created") from error
            if not _is_managed(live):
                raise _taken(key) from error
            body = live
        return self._cache.stored(kind, body)

    async def delete(self, snapshot: Snapshot) -> None:
        """This very object, not a namesake. Its dependents go in the background."""
        kind = self._kinds[snapshot.key.kind]
        remaining = await self._api.delete(kind, snapshot.key, uid=snapshot.uid)
        if remaining is None:
            self._cache.gone(snapshot.key, snapshot.uid)
        else:
            self._cache.stored(kind, remaining)

    async def write_status(self, snapshot: Snapshot, status: Mapping[str, Any]) -> Snapshot:
        """Only if it says something new; transition times alone are nothing new.

        A condition keeps its lastTransitionTime while its status stays the same, so callers may put "now" everywhere.
        """
        current = self._cache.get(snapshot.key)
        known = current if current is not None and current.uid == snapshot.uid else snapshot
        status = with_kept_transitions(status, before=known.status)
        if same_status(status, known.status) or self._settled.knows(known, *_status_marks(status, known)):
            return known
        kind = self._kinds[snapshot.key.kind]
        metadata = {"name": known.key.name, "namespace": known.key.namespace}
        if known.resource_version:
            metadata["resourceVersion"] = str(known.resource_version)  # else a namesake made since would get it
        manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "status": status}
        live = self._cache.stored(kind, await self._api.apply_status(kind, manifest))
        if not same_status(status, live.status):
            _log.warning("the status is not kept as written: is the CustomResourceDefinition of another version?")
            self._settled.remember(live, *_status_marks(status, live))
        return live

    async def _converge(self, desired: Manifest, owner: Snapshot | None) -> Snapshot:
        kind = self._kind(desired)
        marked = stamped(desired, canonical_hash(desired))
        live = await self._claimed(kind, kind.key_of(desired), owner)
        if live is not None:
            found = _differences(marked, live)
            if not found or self._settled.knows(live, *found):
                return live
        # With additions in place an apply could be invalid (say, privileged beside what we ask for), so they go first.
        if live is not None and additions(live.foreign, marked):
            live = await self._take_back(kind, marked, live)
        # An atomic map, such as a selector, stays marked as patched until an apply claims it again.
        if live is None or _differences(marked, live):
            live = self._cache.stored(kind, await self._api.apply(kind, marked))
        self._settle(marked, live)
        return live

    async def _take_back(self, kind: Kind, desired: Manifest, live: Snapshot) -> Snapshot:
        """Replaces the content as a whole: what others added goes, what the server defaults comes again.

        A patch and not an update: no version is needed, so that the Deployment's own controller cannot get in between.
        """
        _log.warning("undoing foreign changes", extra={"child": str(live.key), "fields": _flat(live.foreign)})
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": live.uid},
            *(
                {"op": "replace", "path": f"/{part}", "value": desired.get(part, {})}
                for part in CONTENT
                if part in live.body
            ),
        ]
        try:
            body = await self._api.json_patch(kind, live.key, operations)
        except InvalidSpec:
            found = await self._api.get(kind, live.key)
            if found is None or found["metadata"]["uid"] != live.uid:
                raise Conflict(f"{live.key} was replaced while it was being repaired") from None
            raise
        return self._cache.stored(kind, body)

    def _settle(self, desired: Manifest, live: Snapshot) -> None:
        found = _differences(desired, live)
        if not found:
            self._settled.forget(live.key)
            return
        if not self._settled.knows(live, *found):
            _log.warning(
                "the API server, or a webhook, rewrites what we ask for; this is left as it is",
                extra={"child": str(live.key), "differs_at": found},
            )
        self._settled.remember(live, *found)

    async def _claimed(self, kind: Kind, key: Key, owner: Snapshot | None) -> Snapshot | None:
        """The live child, or None when the name is free.

        The watches see labelled objects only, so an unknown name is looked up first: an apply would quietly turn
        somebody else's object into ours, and the garbage collector would take it along with its new owner.
        """
        known = self._cache.get(key)
        if known is None:
            body = await self._api.get(kind, key)
            if body is None:
                return None
            known = self._cache.stored(kind, body)
        if not _is_ours(known, owner):
            raise _taken(key)
        if known.deleting or (owner is not None and known.owner_uid not in {"", owner.uid}):
            raise Conflict(f"{key} is on its way out; it is made again when it is gone")
        return known

    def _kind(self, manifest: Manifest) -> Kind:
        kind = self._kinds.get(manifest["kind"])
        if kind is None or kind.api_version != manifest["apiVersion"]:
            raise ValueError(f"{manifest['apiVersion']} {manifest['kind']} was not declared as a kind that is written")
        return kind


def _differences(desired: Manifest, live: Snapshot) -> tuple[str, ...]:
    """What is missing or changed, then what others added. The hash annotation counts as content."""
    return (*drift(desired, _comparable(live, desired)), *_flat(additions(live.foreign, desired)))


def _comparable(live: Snapshot, desired: Manifest) -> Manifest:
    """A snapshot in the shape of a manifest. Of the owners only the controller counts: others may add themselves."""
    references = desired["metadata"].get("ownerReferences", [])
    controlled = (controller_of(desired) or {}).get("uid", "") == live.owner_uid
    return {
        **live.body,
        "apiVersion": desired["apiVersion"],
        "kind": desired["kind"],
        "metadata": {
            "name": live.key.name,
            "namespace": live.key.namespace,
            "labels": live.labels,
            "annotations": live.annotations,
            "ownerReferences": references if controlled else [],
        },
    }


def _is_ours(known: Snapshot, owner: Snapshot | None) -> bool:
    """Controlled by the owner, or by a namesake that was deleted; else uncontrolled and labelled as ours (orphaned)."""
    if known.owner is None:
        return known.labels.get(LABEL_MANAGED_BY) == MANAGER
    return owner is not None and known.owner == owner.key


def _is_managed(body: Mapping[str, Any]) -> bool:
    return (body["metadata"].get("labels") or {}).get(LABEL_MANAGED_BY) == MANAGER


def _status_marks(wanted: Mapping[str, Any], live: Snapshot) -> tuple[str, ...]:
    return "status", canonical_hash(timeless(wanted)), canonical_hash(timeless(live.status))


def _taken(key: Key) -> NameTaken:
    return NameTaken("NameTaken", f"{key} exists and was not made for this object: rename or delete one of the two")


def _flat(paths: Iterable[FieldPath]) -> tuple[str, ...]:
    return tuple("/".join(path) for path in paths)


def _worst(outcomes: Sequence[object]) -> BaseException | None:
    """A bug first, then what only a person can repair, then what passes by itself."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    return min(
        errors, key=lambda error: (isinstance(error, OperatorError), not isinstance(error, Terminal)), default=None
    )
