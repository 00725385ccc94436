"""Which changes bring which keys back."""

from collections.abc import Iterable
from typing import Any

import pytest

from support.chance import chance
from support.fake_clock import FakeClock
from vsm_operator.kube.kinds import JOB, POD, Key, Kind
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.runtime.logs import Reconciling, reconciling
from vsm_operator.runtime.queue import Lane, WorkQueue
from vsm_operator.runtime.router import Router, Watch, intent_changed, itself
from vsm_operator.runtime.store import Store, keep_spec

WIDGET = Kind("example.test", "v1", "widgets", "Widget")
W, V = WIDGET.key("ns", "w"), WIDGET.key("ns", "v")


def users_of_job(store: Store, job: Snapshot) -> Iterable[Key]:
    return [widget.key for widget in store.find(WIDGET, "job", job.key.name)]


class Desk:
    def __init__(self, *, leading: bool = True) -> None:
        self.store = Store()
        self.router = Router(
            self.store,
            [
                Watch(kind=WIDGET, keys=itself, changed=intent_changed, selector=None),
                Watch(kind=POD, project=keep_spec),
                Watch(kind=JOB, keys=users_of_job),
            ],
        )
        self.store.add_index(WIDGET, "job", lambda widget: [widget.spec.get("job")])
        self.queue = WorkQueue(clock=FakeClock(), jitter=chance())
        self.router.attach(WIDGET, self.queue)
        self.version = 0
        if leading:
            self.router.open()

    async def queued(self) -> list[Key]:
        """In order; the queue is empty afterwards."""
        found = []
        while len(self.queue):
            found.append(await self.queue.get())
            self.queue.done(found[-1])
        return sorted(found)

    def body(self, name: str = "w", *, owner: str = "", **more: Any) -> dict[str, Any]:
        self.version += 1
        references = [{"kind": "Widget", "name": owner, "uid": f"uid-{owner}", "controller": True}] if owner else []
        metadata = {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "resourceVersion": str(self.version),
            "generation": 1,
            "ownerReferences": references,
        }
        return {"metadata": metadata | more.pop("metadata", {}), **more}


async def test_a_new_object_is_looked_at_and_its_echo_is_not() -> None:
    desk = Desk()
    body = desk.body()
    desk.router.observed(WIDGET, body)
    desk.router.observed(WIDGET, body)
    assert await desk.queued() == [W]
    desk.router.observed(WIDGET, body)
    assert await desk.queued() == []


@pytest.mark.parametrize(
    ("change", "want"),
    [
        pytest.param({"status": {"phase": "Ready"}}, [], id="status"),
        pytest.param({"metadata": {"generation": 2}}, [W], id="generation"),
        pytest.param({"metadata": {"deletionTimestamp": "now"}}, [W], id="deletion"),
        pytest.param({"metadata": {"annotations": {"vsm-mcp.io/retry": "1"}}}, [W], id="an annotation of ours"),
        pytest.param({"metadata": {"annotations": {"other": "1"}}}, [], id="an annotation of others"),
        pytest.param({"metadata": {"uid": "new"}}, [W], id="a successor"),
    ],
)
async def test_only_what_a_user_can_mean_brings_an_object_back(change: dict[str, Any], want: list[Key]) -> None:
    desk = Desk()
    desk.router.observed(WIDGET, desk.body())
    await desk.queued()
    desk.router.observed(WIDGET, desk.body(**change))
    assert await desk.queued() == want


@pytest.mark.parametrize(
    ("change", "want"),
    [
        pytest.param({"spec": {"a": 1}}, [], id="nothing but the version"),
        pytest.param({"spec": {"a": 1}, "status": {"noise": 2}}, [], id="outside the projection"),
        pytest.param({"spec": {"a": 2}}, [W], id="inside the projection"),
        pytest.param({"spec": {"a": 1}, "owner": "v"}, [V, W], id="from one owner to another"),
    ],
)
async def test_a_child_brings_its_owner_back_when_its_projection_changes(
    change: dict[str, Any], want: list[Key]
) -> None:
    desk = Desk()
    desk.router.observed(POD, desk.body("p", owner="w", spec={"a": 1}))
    assert await desk.queued() == [W]
    desk.router.observed(POD, desk.body("p", **{"owner": "w", **change}))
    assert await desk.queued() == want


async def test_a_deleted_child_brings_its_owner_back() -> None:
    desk = Desk()
    desk.router.observed(POD, desk.body("p", owner="w"))
    await desk.queued()
    desk.router.deleted(POD, desk.body("p"))
    assert await desk.queued() == [W]


async def test_a_ghost_found_by_a_listing_brings_its_owner_back() -> None:
    desk = Desk()
    desk.router.observed(POD, desk.body("p", owner="w"))
    await desk.queued()
    assert desk.router.absent(POD, listed=set(), listed_version=99, namespace=None) == 1
    assert await desk.queued() == [W]


async def test_an_object_that_many_share_brings_all_of_them_back() -> None:
    desk = Desk()
    for name in ("w", "v", "u"):
        desk.router.observed(WIDGET, desk.body(name, spec={"job": "j" if name != "u" else "other"}))
    await desk.queued()
    desk.router.observed(JOB, desk.body("j"))
    assert await desk.queued() == [V, W]


async def test_our_own_write_brings_others_back_but_not_the_key_that_wrote() -> None:
    desk = Desk()
    for name in ("w", "v"):
        desk.router.observed(WIDGET, desk.body(name, spec={"job": "j"}))
    await desk.queued()
    token = reconciling.set(Reconciling(W, 1, "id"))
    try:
        desk.router.stored(JOB, desk.body("j"))
        assert await desk.queued() == [V]
        desk.router.gone(JOB.key("ns", "j"), "uid-j")
        assert await desk.queued() == [V]
    finally:
        reconciling.reset(token)


async def test_what_is_stored_is_returned_even_when_something_newer_is_known() -> None:
    desk = Desk()
    old = desk.body("p", spec={"a": 1})
    desk.router.observed(POD, desk.body("p", spec={"a": 2}))
    assert desk.router.stored(POD, old).spec == {"a": 2}


async def test_a_standby_queues_nothing_and_a_new_leader_looks_at_everything_behind_all_changes() -> None:
    desk = Desk(leading=False)
    for name in ("w", "v"):
        desk.router.observed(WIDGET, desk.body(name))
    desk.router.enqueue(W)
    assert await desk.queued() == []
    desk.router.open()
    desk.router.enqueue(V, Lane.CHANGE)
    assert await desk.queue.get() == V
    assert await desk.queue.get() == W


async def test_a_kind_may_have_several_controllers() -> None:
    desk = Desk()
    second = WorkQueue(clock=FakeClock(), jitter=chance())
    desk.router.attach(WIDGET, second)
    desk.router.observed(WIDGET, desk.body())
    assert (len(desk.queue), len(second)) == (1, 1)
