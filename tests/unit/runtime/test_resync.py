"""Listings fill the Store, find ghosts, and write nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.chance import chance
from support.fake_api import FakeApiServer, failure
from support.fake_clock import FakeClock
from vsm_operator.kube.kinds import POD, Kind
from vsm_operator.runtime.queue import WorkQueue
from vsm_operator.runtime.resync import INTERVAL_SECONDS, SETTLE_SECONDS, Resync
from vsm_operator.runtime.router import Router, Watch, itself
from vsm_operator.runtime.store import Store

WIDGET = Kind("example.test", "v1", "widgets", "Widget")
MANAGED = {"app.kubernetes.io/managed-by": "vsm-operator"}


class Desk:
    def __init__(self, *, namespaces: tuple[str, ...] = ()) -> None:
        self.clock = FakeClock()
        self.server = FakeApiServer(WIDGET, POD)
        watches = [
            Watch(kind=WIDGET, keys=itself, selector=None, namespaces=namespaces),
            Watch(kind=POD, namespaces=namespaces),
        ]
        self.store = Store()
        self.router = Router(self.store, watches)
        self.queue = WorkQueue(clock=self.clock, jitter=chance())
        self.router.attach(WIDGET, self.queue)
        self.router.open()
        self.resync = Resync(self.server.api(), router=self.router, watches=watches, clock=self.clock, jitter=chance())

    def put(self, name: str, kind: Kind = WIDGET, namespace: str = "ns") -> None:
        labels = MANAGED if kind == POD else {}
        self.server.put(kind, {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": {}})

    @property
    def names(self) -> list[str]:
        return sorted(snapshot.key.name for snapshot in self.store.list(WIDGET))

    def listed(self, kind: Kind = WIDGET) -> int:
        return sum(kind.plural in request.url.path for request in self.server.requests)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.resync.run())
        await self.clock.advance(SETTLE_SECONDS)
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_priming_fills_the_store_with_what_the_watches_will_show() -> None:
    desk = Desk()
    desk.put("a")
    desk.put("p", POD)
    desk.server.put(POD, {"metadata": {"name": "foreign", "namespace": "ns"}})
    await desk.resync.prime()
    assert desk.resync.primed
    assert len(desk.store) == 2
    assert desk.server.writes == []


async def test_priming_sees_the_watched_namespaces_only() -> None:
    desk = Desk(namespaces=("ns", "other"))
    for namespace in ("ns", "other", "third"):
        desk.put(namespace, namespace=namespace)
    await desk.resync.prime()
    assert desk.names == ["ns", "other"]


async def test_priming_waits_for_a_missing_crd_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.server.fault = lambda request: failure(404, "NotFound", "no") if "widgets" in request.url.path else None
    task = asyncio.create_task(desk.resync.prime())
    await desk.clock.advance(60)
    assert "does not serve widgets.example.test/v1" in desk.resync.trouble
    assert not desk.resync.primed
    assert caplog.text.count("waiting to start") == 1
    desk.server.fault = lambda _: None
    await desk.clock.advance(15)
    await task
    assert desk.resync.trouble == ""


async def test_ghosts_go_and_their_keys_come_back() -> None:
    desk = Desk()
    desk.put("a")
    desk.put("b")
    await desk.resync.prime()
    del desk.server.objects[WIDGET.key("ns", "b")]  # nobody is told
    desk.put("c", POD)  # the collection's version moves on
    async with desk.running():
        assert desk.names == ["a"]
    assert WIDGET.key("ns", "b") in [await desk.queue.get() for _ in range(len(desk.queue))]


async def test_every_ten_minutes_everything_is_listed_and_every_key_looked_at() -> None:
    desk = Desk()
    desk.put("a")
    await desk.resync.prime()
    async with desk.running():
        while len(desk.queue):
            desk.queue.done(await desk.queue.get())
        before = desk.listed()
        await desk.clock.advance(INTERVAL_SECONDS * 0.85)
        assert desk.listed() == before
        await desk.clock.advance(INTERVAL_SECONDS * 0.3)
        assert desk.listed() == before + 1
        assert len(desk.queue) == 1
    assert desk.server.writes == []


async def test_hints_are_debounced_per_kind_and_ignored_while_the_watches_start() -> None:
    desk = Desk()
    desk.resync.hint(WIDGET)
    async with desk.running():
        before = desk.listed(), desk.listed(POD)
        assert before == (1, 1)
        for _ in range(100):
            desk.resync.hint(WIDGET)
        await desk.clock.advance(5)
        assert (desk.listed(), desk.listed(POD)) == (before[0] + 1, before[1])


async def test_a_listing_that_expired_on_the_way_is_started_again() -> None:
    desk = Desk()
    for number in range(600):
        desk.put(f"w{number}")
    answers = iter([None, failure(410, "Expired", "the continue token expired")])

    def fault(request: Any) -> Any:
        return next(answers, None) if "widgets" in request.url.path else None

    desk.server.fault = fault
    await desk.resync.prime()
    assert len(desk.names) == 600


async def test_a_failed_resync_keeps_everything_and_the_next_one_comes() -> None:
    desk = Desk()
    desk.put("a")
    await desk.resync.prime()
    async with desk.running():
        desk.server.fault = lambda _: failure(500, "InternalError", "etcd")
        await desk.clock.advance(INTERVAL_SECONDS * 1.2)
        assert desk.names == ["a"]
        desk.server.fault = lambda _: None
        before = desk.listed()
        await desk.clock.advance(INTERVAL_SECONDS * 1.2)
        assert desk.listed() > before
