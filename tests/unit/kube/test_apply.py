"""Cluster: the state of the world afterwards, and what it cost."""

from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from support.fake_api import Body, FakeApiServer, failure
from vsm_operator.errors import Conflict, Fenced, Forbidden, InvalidSpec, NameTaken, ServerError, Unreachable
from vsm_operator.kube.apply import Cluster
from vsm_operator.kube.kinds import DEPLOYMENT, JOB, SERVICE, Key, Kind
from vsm_operator.kube.manifest import LABEL_MANAGED_BY, MANAGER, Manifest
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.runtime.router import Router, Watch, intent_changed, itself
from vsm_operator.runtime.store import Store

WIDGET = Kind("example.test", "v1", "widgets", "Widget")
OWNER = WIDGET.key("ns", "w")


class Switch:
    def __init__(self) -> None:
        self.on = True

    def valid(self) -> bool:
        return self.on


@dataclass(slots=True)
class World:
    server: FakeApiServer
    store: Store
    cluster: Cluster
    fence: Switch

    @property
    def owner(self) -> Snapshot:
        found = self.store.get(OWNER)
        assert found is not None
        return found

    def desired(self, **changes: Any) -> list[Manifest]:
        return [self.deployment(**changes), self.service()]

    def deployment(self, *, replicas: int = 1, image: str = "a", name: str = "w") -> Manifest:
        containers = [{"name": "server", "image": image, "env": [{"name": "A", "value": "1"}]}]
        return self.child(
            DEPLOYMENT, {"replicas": replicas, "template": {"spec": {"containers": containers}}}, name=name
        )

    def service(self) -> Manifest:
        return self.child(SERVICE, {"selector": {"app": "w"}})

    def child(self, kind: Kind, spec: Body, *, name: str = "w") -> Manifest:
        reference = {
            "apiVersion": WIDGET.api_version,
            "kind": "Widget",
            "name": OWNER.name,
            "uid": self.owner.uid,
            "controller": True,
        }
        metadata = {
            "name": name,
            "namespace": "ns",
            "labels": {LABEL_MANAGED_BY: MANAGER},
            "ownerReferences": [reference],
        }
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}

    async def converge(self, desired: list[Manifest] | None = None, **options: Any) -> list[Snapshot]:
        desired = self.desired() if desired is None else desired
        return await self.cluster.apply(desired, observed=self.store.children(OWNER), owner=self.owner, **options)

    async def writes_of_one_pass(self, desired: list[Manifest] | None = None, **options: Any) -> list[str]:
        before = len(self.server.writes)
        await self.converge(desired, **options)
        return self.server.writes[before:]

    def spec(self, kind: Kind, name: str = "w") -> Body:
        found: Body = self.server.objects[kind.key("ns", name)]["spec"]
        return found


@pytest.fixture
async def world() -> AsyncIterator[World]:
    server = FakeApiServer(WIDGET, DEPLOYMENT, SERVICE, JOB)
    store = Store()
    watches = [
        Watch(kind=WIDGET, keys=itself, changed=intent_changed, selector=None),
        *(Watch(kind=kind) for kind in (DEPLOYMENT, SERVICE, JOB)),
    ]
    router = Router(store, watches)

    def watcher(kind: Kind, event: str, body: Body) -> None:
        managed = kind == WIDGET or body["metadata"].get("labels", {}).get(LABEL_MANAGED_BY) == MANAGER
        if event == "DELETED" or not managed:  # a watch says DELETED as well when its selector stops matching
            router.deleted(kind, body)
        else:
            router.observed(kind, body)

    server.watcher = watcher
    server.put(WIDGET, {"metadata": {"name": OWNER.name, "namespace": OWNER.namespace}, "spec": {}})
    fence = Switch()
    async with server.api() as api:
        yield World(server, store, Cluster(api, cache=router, fence=fence, kinds=[WIDGET]), fence)


async def test_new_children_cost_one_write_each_and_the_second_pass_none(world: World) -> None:
    live = await world.converge()
    assert [child.key.kind for child in live] == ["Deployment", "Service"]
    assert sorted(world.server.writes) == ["PATCH deployments/w", "PATCH services/w"]
    assert await world.writes_of_one_pass() == []


async def test_a_converged_pass_reads_nothing_either(world: World) -> None:
    await world.converge()
    before = len(world.server.requests)
    await world.converge()
    assert len(world.server.requests) == before


async def test_a_restart_costs_no_write(world: World) -> None:
    await world.converge()
    fresh = Router(Store(), [Watch(kind=kind) for kind in (WIDGET, DEPLOYMENT, SERVICE)])
    for kind in (WIDGET, DEPLOYMENT, SERVICE):
        fresh.observed(kind, world.server.objects[kind.key("ns", "w")])
    async with world.server.api() as api:
        cluster = Cluster(api, cache=fresh, fence=world.fence)
        before = len(world.server.writes)
        await cluster.apply(world.desired(), observed=fresh.store.children(OWNER), owner=world.owner)
    assert len(world.server.writes) == before


async def test_answers_are_in_the_store_before_any_watch_event(world: World) -> None:
    world.server.watcher = lambda *_: None
    await world.converge()
    assert {child.key.kind for child in world.store.children(OWNER)} == {"Deployment", "Service"}


async def test_only_the_child_that_changed_is_written(world: World) -> None:
    await world.converge()
    assert await world.writes_of_one_pass(world.desired(image="b")) == ["PATCH deployments/w"]
    assert world.spec(DEPLOYMENT)["template"]["spec"]["containers"][0]["image"] == "b"


async def test_a_field_that_is_no_longer_desired_is_removed(world: World) -> None:
    changed = world.deployment()
    changed["spec"]["paused"] = True
    await world.converge([changed, world.service()])
    await world.converge()
    assert "paused" not in world.spec(DEPLOYMENT)


def edit_replicas(body: Body) -> None:
    body["spec"]["replicas"] = 9


def add_container(body: Body) -> None:
    body["spec"]["template"]["spec"]["containers"].append({"name": "evil", "image": "e"})


def add_environment(body: Body) -> None:
    body["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "LD_PRELOAD", "value": "e"})


def use_host_network(body: Body) -> None:
    body["spec"]["template"]["spec"]["hostNetwork"] = True


def drop_label(body: Body) -> None:
    body["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "me"


def drop_owner(body: Body) -> None:
    del body["metadata"]["ownerReferences"]


def edit_both_ways(body: Body) -> None:
    edit_replicas(body)
    use_host_network(body)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(edit_replicas, id="value edited"),
        pytest.param(use_host_network, id="field added"),
        pytest.param(add_container, id="container added"),
        pytest.param(add_environment, id="environment variable added"),
        pytest.param(edit_both_ways, id="edited and added"),
        pytest.param(drop_owner, id="owner removed"),
        pytest.param(drop_label, id="label changed, so that the watch loses it"),
    ],
)
async def test_foreign_harm_is_undone_with_one_write(world: World, harm: Callable[[Body], None]) -> None:
    await world.converge()
    wanted = deepcopy(world.server.objects[DEPLOYMENT.key("ns", "w")])
    world.server.edit(DEPLOYMENT, DEPLOYMENT.key("ns", "w"), harm)
    assert len(await world.writes_of_one_pass()) == 1
    live = world.server.objects[DEPLOYMENT.key("ns", "w")]
    assert live["spec"] == wanted["spec"]
    assert live["metadata"]["labels"] == wanted["metadata"]["labels"]
    assert live["metadata"]["ownerReferences"] == wanted["metadata"]["ownerReferences"]
    assert await world.writes_of_one_pass() == []


async def test_an_object_replaced_under_our_hands_is_left_alone(world: World) -> None:
    await world.converge()
    key = DEPLOYMENT.key("ns", "w")
    world.server.edit(DEPLOYMENT, key, add_container)
    world.server.watcher = lambda *_: None
    world.server.remove(DEPLOYMENT, key)
    mine = world.server.put(DEPLOYMENT, {"metadata": {"name": "w", "namespace": "ns"}, "spec": {"mine": True}})
    with pytest.raises(Conflict, match="was replaced"):
        await world.converge()
    assert world.server.objects[key] == mine


async def test_a_deleted_child_is_made_again_with_one_write(world: World) -> None:
    await world.converge()
    world.server.remove(SERVICE, SERVICE.key("ns", "w"))
    assert await world.writes_of_one_pass() == ["PATCH services/w"]
    assert await world.writes_of_one_pass() == []


async def test_labels_and_annotations_of_others_stay(world: World) -> None:
    await world.converge()

    def annotate(body: Body) -> None:
        body["metadata"]["labels"]["team"] = "x"
        body["metadata"].setdefault("annotations", {})["note"] = "y"

    world.server.edit(DEPLOYMENT, DEPLOYMENT.key("ns", "w"), annotate)
    assert await world.writes_of_one_pass() == []


async def test_a_child_that_is_not_desired_any_more_is_deleted(world: World) -> None:
    await world.converge([*world.desired(), world.deployment(name="old")])
    assert await world.writes_of_one_pass() == ["DELETE deployments/old"]
    assert await world.writes_of_one_pass() == []
    assert DEPLOYMENT.key("ns", "old") not in world.server.objects


@pytest.mark.parametrize("options", [{"prune": False}, {"keep": (DEPLOYMENT,)}], ids=["prune off", "kind kept"])
async def test_prune_can_be_narrowed(world: World, options: dict[str, Any]) -> None:
    await world.converge([*world.desired(), world.deployment(name="old")])
    assert await world.writes_of_one_pass(**options) == []


async def test_a_namesake_made_since_is_not_pruned(world: World) -> None:
    await world.converge([*world.desired(), world.deployment(name="old")])
    observed = world.store.children(OWNER)
    key = DEPLOYMENT.key("ns", "old")
    world.server.remove(DEPLOYMENT, key)
    world.server.put(DEPLOYMENT, {"metadata": {"name": "old", "namespace": "ns"}, "spec": {"mine": True}})
    await world.cluster.apply(world.desired(), observed=observed, owner=world.owner)
    assert world.server.objects[key]["spec"] == {"mine": True}


@pytest.mark.parametrize("labelled", [False, True], ids=["unlabelled", "with our label"])
async def test_an_object_that_somebody_else_controls_is_never_taken_over(world: World, labelled: bool) -> None:
    other = {"kind": "Widget", "name": "other", "uid": "x", "controller": True}
    labels = {LABEL_MANAGED_BY: MANAGER} if labelled else {}
    metadata = {"name": "w", "namespace": "ns", "labels": labels, "ownerReferences": [other]}
    before = world.server.put(DEPLOYMENT, {"metadata": metadata, "spec": {"mine": True}})
    with pytest.raises(NameTaken, match="Deployment ns/w exists"):
        await world.converge()
    assert world.server.objects[DEPLOYMENT.key("ns", "w")] == before


async def test_a_users_object_of_the_same_name_is_never_taken_over(world: World) -> None:
    before = world.server.put(DEPLOYMENT, {"metadata": {"name": "w", "namespace": "ns"}, "spec": {"mine": True}})
    for _ in range(2):
        with pytest.raises(NameTaken):
            await world.converge()
    assert world.server.objects[DEPLOYMENT.key("ns", "w")] == before


async def test_an_orphan_of_ours_is_adopted(world: World) -> None:
    await world.converge()
    world.server.edit(DEPLOYMENT, DEPLOYMENT.key("ns", "w"), drop_owner)
    await world.converge()
    (child,) = [child for child in world.store.children(OWNER) if child.key.kind == "Deployment"]
    assert child.owner_uid == world.owner.uid


async def test_the_child_of_a_deleted_namesake_of_the_owner_is_waited_for(world: World) -> None:
    await world.converge()
    world.server.remove(WIDGET, OWNER)
    world.server.put(WIDGET, {"metadata": {"name": OWNER.name, "namespace": OWNER.namespace}, "spec": {}})
    with pytest.raises(Conflict, match="on its way out"):
        await world.converge()


async def test_what_the_server_keeps_rewriting_is_written_once_and_then_left(world: World) -> None:
    def use_mirror(kind: Kind, body: Body) -> None:
        if kind == DEPLOYMENT:
            body["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror/a"

    world.server.admission = use_mirror
    await world.converge()
    assert await world.writes_of_one_pass() == []
    world.server.edit(DEPLOYMENT, DEPLOYMENT.key("ns", "w"), edit_replicas)
    assert await world.writes_of_one_pass() == ["PATCH deployments/w"]  # other harm is still repaired
    assert world.spec(DEPLOYMENT)["replicas"] == 1
    assert await world.writes_of_one_pass() == []


async def test_children_are_written_although_a_sibling_fails(world: World) -> None:
    world.server.fault = lambda request: (
        failure(500, "InternalError", "etcd") if "services" in request.url.path else None
    )
    with pytest.raises(ServerError):
        await world.converge()
    assert DEPLOYMENT.key("ns", "w") in world.server.objects


async def test_what_a_person_must_repair_is_reported_before_what_passes(world: World) -> None:
    world.server.fault = lambda request: (
        failure(500, "InternalError", "etcd")
        if "services" in request.url.path
        else failure(403, "Forbidden", "quota")
        if request.method == "PATCH"
        else None
    )
    with pytest.raises(Forbidden, match="quota"):
        await world.converge()


async def test_a_lost_answer_leads_to_no_second_child(world: World) -> None:
    handle = world.server.handle
    lost: list[str] = []

    def lose(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PATCH" and not lost:
            lost.append(request.url.path)
            world.server.requests.pop()
            handle(request)  # committed, but the answer is lost
            raise httpx.ReadTimeout("")
        return None

    world.server.fault = lose
    with pytest.raises(Unreachable):
        await world.converge()
    await world.converge()
    assert sorted(key.kind for key in world.server.objects) == ["Deployment", "Service", "Widget"]


async def test_nothing_is_written_without_the_lease(world: World) -> None:
    world.fence.on = False
    with pytest.raises(Fenced):
        await world.converge()
    with pytest.raises(Fenced):
        await world.cluster.write_status(world.owner, {"phase": "Ready"})
    assert world.server.writes == []


async def test_an_undeclared_kind_is_refused_before_anything_is_sent(world: World) -> None:
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "namespace": ""}}
    with pytest.raises(ValueError, match="was not declared"):
        await world.converge([manifest])
    assert world.server.writes == []


def job(world: World) -> Manifest:
    labels = {LABEL_MANAGED_BY: MANAGER}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "ns", "labels": labels},
        "spec": {"x": 1},
    }


async def test_creating_twice_gives_the_live_one_and_writes_nothing_new(world: World) -> None:
    first = await world.cluster.create(job(world))
    second = await world.cluster.create(job(world))
    assert first.uid == second.uid
    assert first.resource_version == second.resource_version


async def test_a_created_name_that_is_not_ours_is_refused(world: World) -> None:
    world.server.put(JOB, {"metadata": {"name": "j", "namespace": "ns"}, "spec": {}})
    with pytest.raises(NameTaken):
        await world.cluster.create(job(world))


async def test_a_deleted_object_is_gone_from_the_store_at_once(world: World) -> None:
    world.server.watcher = lambda *_: None
    live = await world.cluster.create(job(world))
    await world.cluster.delete(live)
    assert world.store.get(live.key) is None


def ready(message: str, at: str, state: str = "True") -> Body:
    return {"conditions": [{"type": "Ready", "status": state, "message": message, "lastTransitionTime": at}]}


async def test_a_status_is_written_only_when_it_says_something_new(world: World) -> None:
    await world.cluster.write_status(world.owner, ready("m", "t1"))
    await world.cluster.write_status(world.owner, ready("m", "t2"))
    assert world.server.writes == ["PATCH w/status"]
    await world.cluster.write_status(world.owner, ready("other", "t3"))
    assert world.server.objects[OWNER]["status"] == ready("other", "t1")
    await world.cluster.write_status(world.owner, ready("other", "t4", "False"))
    assert world.server.objects[OWNER]["status"] == ready("other", "t4", "False")
    assert len(world.server.writes) == 3


async def test_the_stored_status_counts_and_not_the_snapshot_in_hand(world: World) -> None:
    stale = world.owner
    await world.cluster.write_status(stale, {"phase": "Ready"})
    await world.cluster.write_status(stale, {"phase": "Ready"})
    assert len(world.server.writes) == 1


async def test_the_status_of_a_successor_is_not_touched(world: World) -> None:
    old = world.owner
    world.server.remove(WIDGET, OWNER)
    world.server.put(WIDGET, {"metadata": {"name": "w", "namespace": "ns"}, "spec": {}})
    with pytest.raises(Conflict):
        await world.cluster.write_status(old, {"phase": "Ready"})
    assert "status" not in world.server.objects[OWNER]


async def test_a_status_that_is_not_kept_whole_is_written_once(world: World) -> None:
    """A CRD of another version prunes what it does not know."""
    world.server.admission = lambda _, body: body.get("status", {}).pop("novelty", None)
    for _ in range(3):
        await world.cluster.write_status(world.owner, {"phase": "Ready", "novelty": 1})
    assert len(world.server.writes) == 1


async def test_an_immutable_field_is_a_terminal_error(world: World) -> None:
    world.server.fault = lambda request: (
        failure(422, "Invalid", "spec.selector: field is immutable") if request.method == "PATCH" else None
    )
    with pytest.raises(InvalidSpec, match="immutable"):
        await world.converge()


def test_the_key_of_the_owner_is_readable() -> None:
    assert str(OWNER) == "Widget ns/w"
    assert str(Key("Node", "", "n")) == "Node n"
