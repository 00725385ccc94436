"""The pool with supervisors and a clock of the test's own: who gives way, what is over when, what races cannot do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from vsm_runtime.bridge.eras import Client, Era
from vsm_runtime.bridge.feeds import Board
from vsm_runtime.bridge.pool import NoRoom, Pool
from vsm_runtime.bridge.questions import Owner


class FakeHub:
    def __init__(self, owner: Owner | None) -> None:
        self.owner = owner
        self.board = Board()
        self.in_flight = 0
        self.told = ""

    def detach(self, why: str) -> None:
        self.told = why


class FakeSupervisor:
    """Serves when it is told to; leaves when it is allowed to."""

    def __init__(self, owner: Owner | None) -> None:
        self.hub = FakeHub(owner)
        self.tried = asyncio.Event()
        self.ready = False
        self.mistake = asyncio.Event()
        self.asked_to_leave = asyncio.Event()
        self.may_leave = asyncio.Event()

    async def run(self) -> None:
        try:
            await self.mistake.wait()
            raise ZeroDivisionError
        finally:
            self.asked_to_leave.set()
            await self.may_leave.wait()

    def serve(self) -> None:
        self.ready = True
        self.tried.set()


class World:
    """A pool of fakes, and the clock."""

    def __init__(self, *, serve: bool = True, max_sessions: int = 2) -> None:
        self.made: list[FakeSupervisor] = []
        self._serve = serve
        self._skipped_seconds = 0.0
        loop = asyncio.get_running_loop()
        real = loop.time
        loop.time = lambda: real() + self._skipped_seconds  # type: ignore[method-assign]
        self.pool = Pool(
            self._make,  # type: ignore[arg-type]
            isolated=True,
            max_sessions=max_sessions,
            idle_seconds=600,
            max_seconds=3600,
        )
        self.running = asyncio.create_task(self.pool.run())

    def _make(self, owner: Owner | None) -> FakeSupervisor:
        supervisor = FakeSupervisor(owner)
        self.made.append(supervisor)
        if self._serve:
            supervisor.serve()
            supervisor.may_leave.set()
        return supervisor

    async def begin(self, key: str) -> FakeSupervisor:
        client = Client(Era.LEGACY, "v", key, lasting=True)
        return await self.pool.begin(key, client=client)  # type: ignore[return-value]

    async def beginning(self, key: str) -> "asyncio.Task[FakeSupervisor]":
        task = asyncio.create_task(self.begin(key))
        await settle()
        return task

    async def pass_seconds(self, seconds: float) -> None:
        self._skipped_seconds += seconds
        await settle()

    def keys(self) -> set[str]:
        return {key for key in "abcd" if key in self.pool._own}

    async def stop(self) -> None:
        for supervisor in self.made:
            supervisor.may_leave.set()
        self.running.cancel()
        with suppress(asyncio.CancelledError, ZeroDivisionError):
            await self.running


async def settle() -> None:
    """Everything that is due has run."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(**options: Any) -> World:
        worlds.append(World(**options))
        return worlds[-1]

    yield make
    for one in worlds:
        await one.stop()


Worlds = Callable[..., World]


class TestPool:
    async def test_longest_idle_gives_way_once_it_was_idle_for_long_enough(self, world: Worlds) -> None:
        w = world()
        for key in "ab":
            await w.begin(key)
            await w.pass_seconds(1)
        assert w.pool.find("a") is not None  # used now: b is the one that is idle for longer
        await w.pass_seconds(28)
        with pytest.raises(NoRoom, match="2 sessions"):
            await w.begin("c")
        await w.pass_seconds(2)
        await w.begin("c")
        assert w.keys() == {"a", "c"}

    async def test_session_in_use_never_gives_way(self, world: Worlds) -> None:
        w = world()
        await w.begin("a")
        await w.begin("b")
        used = w.pool.enter("a")
        await w.pass_seconds(100)
        await w.begin("c")
        assert w.keys() == {"a", "c"}
        kept = w.pool.enter("c")
        await w.pass_seconds(100)
        with pytest.raises(NoRoom):
            await w.begin("d")
        w.pool.leave(used)
        with pytest.raises(NoRoom):
            await w.begin("d")  # it has only just fallen idle
        await w.pass_seconds(31)
        await w.begin("d")
        assert w.keys() == {"c", "d"}
        w.pool.leave(kept)

    async def test_new_one_waits_until_the_process_of_the_old_one_is_gone(self, world: Worlds) -> None:
        w = world(max_sessions=1)
        old = await w.begin("a")
        old.may_leave.clear()
        await w.pass_seconds(31)
        new = await w.beginning("b")
        assert old.asked_to_leave.is_set()
        assert w.keys() == set()
        assert len(w.made) == 2  # the one that is always there, and the old one
        old.may_leave.set()
        await new
        assert w.keys() == {"b"}

    async def test_of_two_that_wait_for_one_place_one_gets_it(self, world: Worlds) -> None:
        w = world(max_sessions=1)
        old = await w.begin("a")
        old.may_leave.clear()
        await w.pass_seconds(31)
        waiting = [await w.beginning("b"), await w.beginning("c")]
        old.may_leave.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [FakeSupervisor, NoRoom]
        assert w.keys() == {"b"}

    async def test_two_that_begin_the_same_get_the_same(self, world: Worlds) -> None:
        w = world(serve=False)
        first, second = await w.beginning("a"), await w.beginning("a")
        w.made[1].serve()
        assert await first is await second
        assert len(w.made) == 2

    async def test_end_while_it_starts_lets_nobody_wait(self, world: Worlds) -> None:
        w = world(serve=False)
        waiting = await w.beginning("a")
        w.pool.end("a")
        w.made[1].may_leave.set()
        assert not (await waiting).ready
        assert w.keys() == set()

    async def test_first_start_that_fails_ends_it(self, world: Worlds) -> None:
        w = world(serve=False)
        waiting = await w.beginning("a")
        w.made[1].tried.set()
        assert not (await waiting).ready
        assert w.keys() == set()
        assert w.made[1].asked_to_leave.is_set()

    async def test_start_that_is_given_up_ends_only_when_nobody_waits(self, world: Worlds) -> None:
        w = world(serve=False)
        first, second = await w.beginning("a"), await w.beginning("a")
        first.cancel()
        await settle()
        assert w.keys() == {"a"}
        second.cancel()
        await settle()
        assert w.keys() == set()
        third = await w.beginning("a")
        assert w.keys() == {"a"}
        w.made[2].serve()
        assert await third is w.made[2]  # type: ignore[comparison-overlap]

    async def test_server_that_served_once_keeps_its_session_when_it_fails(self, world: Worlds) -> None:
        w = world()
        supervisor = await w.begin("a")
        supervisor.ready = False
        assert await w.begin("a") is supervisor
        assert w.keys() == {"a"}

    async def test_mistake_in_one_supervisor_ends_its_session_and_no_other(self, world: Worlds) -> None:
        w = world()
        failing, other = await w.begin("a"), await w.begin("b")
        failing.mistake.set()
        await settle()
        assert w.keys() == {"b"}
        assert not w.running.done()
        assert await w.begin("a") is not failing
        assert await w.begin("b") is other

    async def test_mistake_while_it_starts_lets_nobody_wait(self, world: Worlds) -> None:
        w = world(serve=False)
        waiting = await w.beginning("a")
        w.made[1].mistake.set()
        w.made[1].may_leave.set()
        assert not (await waiting).ready
        assert w.keys() == set()

    async def test_mistake_in_the_one_that_is_always_there_ends_everything(self, world: Worlds) -> None:
        w = world()
        own = await w.begin("a")
        w.made[0].mistake.set()
        with pytest.raises(ZeroDivisionError):
            await w.running
        assert own.asked_to_leave.is_set()
        assert w.keys() == set()

    async def test_idle_ends_at_its_time_and_use_puts_it_off(self, world: Worlds) -> None:
        w = world()
        await settle()  # it watches the time already when the first session begins
        await w.begin("a")
        await w.begin("b")
        await w.pass_seconds(599)
        w.pool.leave(w.pool.enter("a"))
        await w.pass_seconds(1.5)
        assert w.keys() == {"a"}
        await w.pass_seconds(598)
        assert w.keys() == {"a"}
        await w.pass_seconds(1)
        assert w.keys() == set()

    async def test_call_in_flight_puts_off_the_idle_end_and_not_the_absolute_one(self, world: Worlds) -> None:
        w = world()
        supervisor = await w.begin("a")
        used = w.pool.enter("a")
        await w.pass_seconds(3599)
        assert w.keys() == {"a"}
        await w.pass_seconds(1.5)
        assert w.keys() == set()
        assert supervisor.hub.told == "the session is over: it has lasted as long as it may"
        w.pool.leave(used)

    async def test_use_does_not_put_off_the_absolute_end(self, world: Worlds) -> None:
        w = world()
        await w.begin("a")
        for _ in range(7):
            await w.pass_seconds(510)
            assert w.pool.find("a") is not None
        await w.pass_seconds(31)
        assert w.pool.find("a") is None

    async def test_all_are_told_to_leave_at_the_same_time(self, world: Worlds) -> None:
        w = world(serve=False)
        waiting = await w.beginning("a")
        w.made[1].serve()
        await waiting
        w.running.cancel()
        await settle()
        assert [supervisor.asked_to_leave.is_set() for supervisor in w.made] == [True, True]
        assert not w.running.done()
        for supervisor in w.made:
            supervisor.may_leave.set()
        with pytest.raises(asyncio.CancelledError):
            await w.running

    async def test_nothing_begins_after_the_end(self, world: Worlds) -> None:
        w = world(max_sessions=1)
        old = await w.begin("a")
        old.may_leave.clear()
        await w.pass_seconds(31)
        waiting = await w.beginning("b")
        await w.stop()
        with pytest.raises(NoRoom, match="shutting down"):
            await waiting
        with pytest.raises(NoRoom, match="shutting down"):
            await w.begin("c")
        assert len(w.made) == 2

    async def test_question_reaches_the_feed_that_is_read_even_of_a_session_that_was_forgotten(
        self, world: Worlds
    ) -> None:
        w = world()
        supervisor = await w.begin("a")
        owner = supervisor.hub.owner
        assert owner is not None
        former = w.pool.sessions.of("a").feed
        used = w.pool.enter("a")
        await w.pass_seconds(1300)  # in one long call, as far as anybody can see from here
        feed = w.pool.sessions.of("a").feed
        assert feed is not former
        assert owner.tell({"id": 1})
        assert feed.take() == [{"id": 1}]
        w.pool.leave(used)

    async def test_ended_session_is_asked_nothing_and_forgotten(self, world: Worlds) -> None:
        w = world()
        owner = (await w.begin("a")).hub.owner
        assert owner is not None
        feed = w.pool.sessions.of("a").feed
        w.pool.end("a")
        assert feed.ended
        assert not owner.tell({"id": 1})
        assert len(w.pool.sessions) == 0
