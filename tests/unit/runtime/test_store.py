"""The Store never goes backwards, whatever order the news comes in."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.chance import chance
from vsm_operator.kube.kinds import DEPLOYMENT, POD, Kind
from vsm_operator.runtime.store import MAX_TOMBSTONES, Store, keep_spec

WIDGET = Kind("example.test", "v1", "widgets", "Widget")
OWNER = WIDGET.key("ns", "w")


def body(
    name: str = "p", *, uid: str = "u1", version: int | str = 1, owner: str = "w", spec: Any = None, **metadata: Any
) -> dict[str, Any]:
    references = [{"kind": "Widget", "name": owner, "uid": f"uid-{owner}", "controller": True}] if owner else []
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": uid,
            "resourceVersion": str(version),
            "ownerReferences": references,
            **metadata,
        },
        "spec": spec or {},
        "status": {"phase": "Running"},
    }


def new_store() -> Store:
    store = Store()
    store.register(POD, keep_spec)
    return store


KEY = POD.key("ns", "p")


@pytest.mark.parametrize("version", [5, 4], ids=["same version", "older version"])
def test_old_news_of_the_same_object_changes_nothing(version: int) -> None:
    store = new_store()
    store.upsert(POD, body(version=5, spec={"a": 1}))
    assert store.upsert(POD, body(version=version, spec={"a": 2})) is None
    assert store.get(KEY).spec == {"a": 1}  # type: ignore[union-attr]


def test_a_change_tells_before_and_after() -> None:
    store = new_store()
    first = store.upsert(POD, body(version=5))
    second = store.upsert(POD, body(version=6))
    assert first is not None
    assert second is not None
    assert first.old is None
    assert (second.old, second.new) == (first.new, store.get(KEY))


def test_versions_that_are_no_numbers_are_never_taken_for_stale() -> None:
    store = new_store()
    store.upsert(POD, body(version="a", spec={"a": 1}))
    store.upsert(POD, body(version="b", spec={"a": 2}))
    assert store.get(KEY).spec == {"a": 2}  # type: ignore[union-attr]


def test_a_successor_replaces_and_its_predecessor_does_not_come_back() -> None:
    store = new_store()
    store.upsert(POD, body(uid="old", version=5))
    change = store.upsert(POD, body(uid="new", version=7))
    assert change is not None
    assert change.old is not None
    assert store.upsert(POD, body(uid="old", version=6)) is None
    assert store.upsert(POD, body(uid="old", version=9)) is None
    assert store.get(KEY).uid == "new"  # type: ignore[union-attr]


def test_deleting_the_predecessor_leaves_the_successor() -> None:
    store = new_store()
    store.upsert(POD, body(uid="new", version=7))
    assert store.remove(KEY, "old", version=8) is None
    assert store.get(KEY) is not None


def test_a_late_event_does_not_revive_what_was_deleted() -> None:
    store = new_store()
    store.upsert(POD, body(version=5))
    store.remove(KEY, "u1", version=7)
    assert store.upsert(POD, body(version=6)) is None
    assert store.get(KEY) is None


def test_an_object_that_matches_its_selector_again_comes_back() -> None:
    store = new_store()
    store.upsert(POD, body(version=5))
    store.remove(KEY, "u1", version=7)
    assert store.upsert(POD, body(version=8)) is not None


def test_what_we_deleted_ourselves_stays_gone_although_no_version_is_known() -> None:
    store = new_store()
    store.upsert(POD, body(version=5))
    store.remove(KEY, "u1")
    assert store.upsert(POD, body(version=8)) is None


def test_a_listing_purges_ghosts_but_nothing_newer_than_itself() -> None:
    store = new_store()
    for name, version in (("ghost", 3), ("listed", 4), ("newer", 12)):
        store.upsert(POD, body(name, uid=name, version=version))
    gone = store.purge(POD, listed={"listed"}, listed_version=10)
    assert [change.snapshot.key.name for change in gone] == ["ghost"]
    assert {snapshot.key.name for snapshot in store.list(POD)} == {"listed", "newer"}


def test_a_listing_of_one_namespace_says_nothing_of_another() -> None:
    store = new_store()
    store.upsert(POD, body(version=3))
    assert list(store.purge(POD, listed=set(), listed_version=10, namespace="other")) == []
    assert len(store.purge(POD, listed=set(), listed_version=10, namespace="ns")) == 1


def test_children_follow_their_owner() -> None:
    store = new_store()
    store.upsert(POD, body(version=1, owner="w"))
    assert [child.key for child in store.children(OWNER)] == [KEY]
    store.upsert(POD, body(version=2, owner="v"))
    assert store.children(OWNER) == []
    assert [child.key for child in store.children(WIDGET.key("ns", "v"))] == [KEY]


def test_an_index_finds_objects_stored_before_and_after_it_was_added() -> None:
    store = new_store()
    store.upsert(POD, body("a", uid="a", spec={"node": "n1"}))
    store.add_index(POD, "node", lambda snapshot: [snapshot.spec["node"]])
    store.upsert(POD, body("b", uid="b", spec={"node": "n1"}))
    assert [found.key.name for found in store.find(POD, "node", "n1")] == ["a", "b"]
    store.upsert(POD, body("a", uid="a", version=2, spec={"node": "n2"}))
    assert [found.key.name for found in store.find(POD, "node", "n1")] == ["b"]
    assert store.find(POD, "node", "n3") == []


def test_only_the_projection_and_our_annotations_are_kept() -> None:
    store = new_store()
    store.upsert(
        POD,
        body(
            spec={"a": 1},
            annotations={"vsm-mcp.io/retry": "1", "other": "x"},
            managedFields=[
                {"manager": "vsm-operator", "operation": "Apply", "fieldsV1": {"f:spec": {"f:b": {}}}},
                {"manager": "m", "operation": "Update", "fieldsV1": {"f:spec": {"f:a": {}}}},
            ],
        ),
    )
    found = store.get(KEY)
    assert found is not None
    assert found.body == {"spec": {"a": 1}}
    assert found.annotations == {"vsm-mcp.io/retry": "1"}
    assert found.foreign == (("f:spec", "f:a"),)


def test_what_is_stored_does_not_share_what_was_handed_in() -> None:
    store = new_store()
    given = body(spec={"a": [1]})
    store.upsert(POD, given)
    given["spec"]["a"].append(2)
    assert store.get(KEY).spec == {"a": [1]}  # type: ignore[union-attr]


def test_tombstones_are_bounded() -> None:
    store = new_store()
    for number in range(MAX_TOMBSTONES + 10):
        store.remove(KEY, f"u{number}")
    assert len(store._tombstones) == MAX_TOMBSTONES


def test_a_kind_is_registered_once() -> None:
    store = new_store()
    with pytest.raises(ValueError, match="registered already"):
        store.register(POD, keep_spec)


def test_kinds_that_nobody_watches_can_be_looked_at_but_not_found() -> None:
    store = new_store()
    assert store.snapshot(DEPLOYMENT, body()).status == {"phase": "Running"}
    assert store.get(DEPLOYMENT.key("ns", "p")) is None


class AnyOrderOfNews(RuleBasedStateMachine):
    """A cluster and a Store that hears of it late, twice, out of order, or only by listings."""

    def __init__(self) -> None:
        super().__init__()
        self.store = new_store()
        self.store.add_index(POD, "colour", lambda snapshot: [snapshot.spec.get("colour")])
        self.version = 0
        self.truth: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[str, dict[str, Any]]] = []
        self.seen: dict[str, int] = {}

    def _record(self, event: str, found: dict[str, Any]) -> None:
        self.history.append((event, found))

    @rule(name=st.sampled_from("abc"), colour=st.sampled_from("rgb"), owner=st.sampled_from(["w", "v", ""]))
    def somebody_writes(self, name: str, colour: str, owner: str) -> None:
        self.version += 1
        uid = self.truth[name]["metadata"]["uid"] if name in self.truth else f"{name}-{self.version}"
        self.truth[name] = body(name, uid=uid, version=self.version, owner=owner, spec={"colour": colour})
        self._record("MODIFIED", self.truth[name])

    @precondition(lambda self: self.truth)
    @rule(data=st.data())
    def somebody_deletes(self, data: st.DataObject) -> None:
        self.version += 1
        found = self.truth.pop(data.draw(st.sampled_from(sorted(self.truth))))
        last = {**found, "metadata": {**found["metadata"], "resourceVersion": str(self.version)}}
        self._record("DELETED", last)

    @precondition(lambda self: self.history)
    @rule(data=st.data())
    def any_event_arrives(self, data: st.DataObject) -> None:
        event, found = data.draw(st.sampled_from(self.history))
        name = found["metadata"]["name"]
        if event == "DELETED":
            self.store.remove(
                POD.key("ns", name), found["metadata"]["uid"], version=int(found["metadata"]["resourceVersion"])
            )
        else:
            self.store.upsert(POD, found)

    @rule()
    def everything_is_listed(self) -> None:
        for found in self.truth.values():
            self.store.upsert(POD, found)
        uids = {found["metadata"]["uid"] for found in self.truth.values()}
        self.store.purge(POD, listed=uids, listed_version=self.version)
        assert {found.key.name: found.resource_version for found in self.store.list(POD)} == {
            name: int(found["metadata"]["resourceVersion"]) for name, found in self.truth.items()
        }

    @rule()
    def the_watch_catches_up_in_order(self) -> None:
        for event, found in self.history:
            if event == "DELETED":
                key = POD.key("ns", found["metadata"]["name"])
                version = int(found["metadata"]["resourceVersion"])
                self.store.remove(key, found["metadata"]["uid"], version=version)
            else:
                self.store.upsert(POD, found)
        assert {found.uid for found in self.store.list(POD)} == {
            found["metadata"]["uid"] for found in self.truth.values()
        }

    @invariant()
    def versions_of_one_object_only_grow(self) -> None:
        for found in self.store.list(POD):
            assert found.resource_version >= self.seen.get(found.uid, 0)
            self.seen[found.uid] = found.resource_version

    @invariant()
    def indexes_are_what_their_functions_say(self) -> None:
        objects = self.store.list(POD)
        for colour in "rgb":
            found = self.store.find(POD, "colour", colour)
            assert {item.key for item in found} == {item.key for item in objects if item.spec.get("colour") == colour}
        for owner in "wv":
            children = self.store.children(WIDGET.key("ns", owner))
            wanted = WIDGET.key("ns", owner)
            assert {item.key for item in children} == {item.key for item in objects if item.owner == wanted}
        assert len(self.store) == len(objects)


AnyOrderOfNews.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyOrderOfNews = AnyOrderOfNews.TestCase


@given(st.integers(0, 2**32))
def test_any_shuffle_of_complete_news_ends_at_the_truth(seed: int) -> None:
    versions = [body("p", uid="u1", version=number, spec={"n": number}) for number in range(1, 8)]
    chance(seed).shuffle(versions)
    store = new_store()
    for found in versions:
        store.upsert(POD, found)
    assert store.get(KEY).spec == {"n": 7}  # type: ignore[union-attr]
