"""A process's life: what runs when, how it ends, and with which exit code."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support.fake_api import FakeApiServer, failure
from support.fake_clock import FakeClock
from vsm_operator.kube.auth import Credentials
from vsm_operator.kube.kinds import LEASE, Key, Kind
from vsm_operator.runtime import manager as manager_module
from vsm_operator.runtime.controller import DONE, Result
from vsm_operator.runtime.manager import Manager, ManagerOptions
from vsm_operator.runtime.router import Watch, intent_changed, itself

WIDGET = Kind("example.test", "v1", "widgets", "Widget")
LEASE_KEY = LEASE.key("vsm-system", "vsm-operator")
Behaviour = Callable[[Key], Awaitable[None]]


class StubReactor:
    """Stands in for kopf: runs until stopped, or until a test makes it fail."""

    def __init__(self, **options: Any) -> None:
        self.observe = options["observe"]
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        await self._end

    def stop(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    def fail(self) -> None:
        self._end.set_exception(RuntimeError("the watch is dead"))


async def do_nothing(_: Key) -> None:
    return


class Process:
    def __init__(self, server: FakeApiServer, clock: FakeClock, behaviour: Behaviour = do_nothing) -> None:
        self.passes: list[Key] = []
        self.behaviour = behaviour
        options = ManagerOptions(namespace="vsm-system", pod_name="pod", http_port=0)
        watches = [Watch(kind=WIDGET, keys=itself, changed=intent_changed, selector=None)]
        self.manager = Manager(
            Credentials(server="https://cluster.test"), watches=watches, options=options, clock=clock
        )
        self.manager.add_controller("widget", kind=WIDGET, reconciler=self)
        self.task = asyncio.create_task(self.manager.run())

    async def reconcile(self, key: Key) -> Result:
        self.passes.append(key)
        await self.behaviour(key)
        return DONE

    @property
    def reactor(self) -> StubReactor:
        found: Any = self.manager._reactors[0]
        return found  # type: ignore[no-any-return]

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self.task


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeApiServer:
    found = FakeApiServer(WIDGET, LEASE)
    monkeypatch.setattr(manager_module, "Reactor", StubReactor)
    monkeypatch.setattr(manager_module, "KubeApi", lambda _, **options: found.api(**options))
    for name in ("a", "b"):
        found.put(WIDGET, {"metadata": {"name": name, "namespace": "ns"}, "spec": {}})
    return found


A, B = WIDGET.key("ns", "a"), WIDGET.key("ns", "b")


async def test_everything_is_reconciled_once_and_a_clean_end_releases_the_lease(
    server: FakeApiServer, clock: FakeClock
) -> None:
    process = Process(server, clock)
    await clock.advance(5)
    assert sorted(process.passes) == [A, B]
    process.manager.stop()
    assert await process.ended() == 0
    assert server.objects[LEASE_KEY]["spec"]["holderIdentity"] == ""
    assert [write for write in server.writes if "leases" not in write] == []


async def test_a_sigterm_is_a_clean_end(server: FakeApiServer, clock: FakeClock) -> None:
    process = Process(server, clock)
    await clock.advance(5)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await process.ended() == 0


async def test_a_watched_change_is_reconciled(server: FakeApiServer, clock: FakeClock) -> None:
    process = Process(server, clock)
    await clock.advance(5)
    process.passes.clear()
    body = server.edit(WIDGET, A, lambda found: found["spec"].update(x=1))
    process.reactor.observe(WIDGET, "MODIFIED", body)
    await clock.advance(1)
    assert process.passes == [A]
    process.reactor.observe(WIDGET, "DELETED", body)
    await clock.advance(1)
    assert process.passes == [A, A]
    assert process.manager.store.get(A) is None
    process.manager.stop()
    await process.ended()


async def test_a_standby_is_ready_and_idle_and_takes_over_after_a_clean_end(
    server: FakeApiServer, clock: FakeClock
) -> None:
    first = Process(server, clock)
    await clock.advance(5)
    second = Process(server, clock)
    await clock.advance(30)
    assert second.passes == []
    assert len(second.manager.store) == 2
    assert [check.trouble() for check in second.manager.health._ready] == ["", ""]
    first.manager.stop()
    await first.ended()
    await clock.advance(5)
    assert sorted(second.passes) == [A, B]
    second.manager.stop()
    assert await second.ended() == 0


async def test_the_key_in_hand_is_finished_before_the_lease_is_released(
    server: FakeApiServer, clock: FakeClock
) -> None:
    gate = asyncio.Event()
    seen: list[str] = []

    async def wait(_: Key) -> None:
        await gate.wait()
        seen.append(server.objects[LEASE_KEY]["spec"]["holderIdentity"])

    process = Process(server, clock, wait)
    await clock.advance(5)
    process.manager.stop()
    await clock.settle()
    assert not process.task.done()
    gate.set()
    assert await process.ended() == 0
    assert seen == [process.manager.identity] * 2


async def test_a_reconcile_that_does_not_finish_is_cut_off(
    server: FakeApiServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(manager_module, "DRAIN_SECONDS", 0.01)

    async def hang(_: Key) -> None:
        await asyncio.Event().wait()

    process = Process(server, clock, hang)
    await clock.advance(5)
    process.manager.stop()
    assert await process.ended() == 0
    assert "are cut off" in caplog.text


async def test_losing_the_lease_ends_the_process_with_one_and_cuts_work_off_at_once(
    server: FakeApiServer, clock: FakeClock
) -> None:
    cut_off = asyncio.Event()

    async def hang(_: Key) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut_off.set()
            raise

    process = Process(server, clock, hang)
    await clock.advance(5)
    server.edit(LEASE, LEASE_KEY, lambda body: body["spec"].update(holderIdentity="thief"))
    await clock.advance(10)
    assert await process.ended() == 1
    assert cut_off.is_set()
    assert server.objects[LEASE_KEY]["spec"]["holderIdentity"] == "thief"


async def test_a_dead_watch_ends_the_process_with_one_and_says_why(
    server: FakeApiServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(server, clock)
    await clock.advance(5)
    process.reactor.fail()
    assert await process.ended() == 1
    assert "the watch is dead" in caplog.text
    assert server.objects[LEASE_KEY]["spec"]["holderIdentity"] == ""  # the next replica need not wait


async def test_a_service_that_ends_takes_the_process_along(server: FakeApiServer, clock: FakeClock) -> None:
    async def short() -> None:
        await clock.sleep(7)

    process = Process(server, clock)
    process.manager.add_service("short", short)
    await clock.advance(5)
    assert not process.task.done()
    await clock.advance(5)
    assert await process.ended() == 1


async def test_nothing_runs_and_nothing_is_ready_before_the_first_listing(
    server: FakeApiServer, clock: FakeClock
) -> None:
    server.fault = lambda request: failure(404, "NotFound", "no") if "widgets" in request.url.path else None
    process = Process(server, clock)
    await clock.advance(30)
    assert process.passes == []
    assert LEASE_KEY not in server.objects
    assert [bool(check.trouble()) for check in process.manager.health._ready] == [True, False]
    process.manager.stop()
    assert await process.ended() == 0
