"""The queue hands a key to one worker at a time, and never forgets one."""

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.chance import chance
from support.fake_clock import FakeClock
from vsm_operator.kube.kinds import Key
from vsm_operator.runtime.queue import (
    BACKOFF_BASE_SECONDS,
    BACKOFF_MAX_SECONDS,
    Lane,
    QueueClosed,
    WorkQueue,
)


def key(name: str) -> Key:
    return Key("Widget", "ns", name)


A, B, C = key("a"), key("b"), key("c")


def new_queue(clock: FakeClock | None = None, **options: Any) -> WorkQueue:
    return WorkQueue(clock=clock or FakeClock(), jitter=chance(), **options)


async def taken(queue: WorkQueue) -> list[Key]:
    """Everything that can be had right now; stays in hand."""
    found = []
    while len(queue):
        found.append(await queue.get())
    return found


async def test_a_key_added_many_times_is_handed_out_once() -> None:
    queue = new_queue()
    for _ in range(3):
        queue.add(A)
    assert await taken(queue) == [A]


async def test_a_key_in_hand_is_not_handed_out_again_until_done() -> None:
    queue = new_queue()
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(A)
    assert await taken(queue) == []
    queue.done(A)
    assert await taken(queue) == [A]
    queue.done(A)
    assert await taken(queue) == []


async def test_changes_go_before_sweeps_and_first_come_first_served_within_a_lane() -> None:
    queue = new_queue()
    queue.add(A, Lane.SWEEP)
    queue.add(B)
    queue.add(C)
    queue.add(A, Lane.SWEEP)
    assert await taken(queue) == [B, C, A]


async def test_a_change_promotes_a_key_that_waits_for_a_sweep_and_never_the_other_way_round() -> None:
    queue = new_queue()
    queue.add(A, Lane.SWEEP)
    queue.add(B, Lane.SWEEP)
    queue.add(B)
    queue.add(C)
    queue.add(C, Lane.SWEEP)
    assert await taken(queue) == [B, C, A]


async def test_a_delayed_key_comes_at_its_time() -> None:
    clock = FakeClock()
    queue = new_queue(clock)
    queue.add_after(A, 10)
    await clock.advance(9.99)
    assert len(queue) == 0
    await clock.advance(0.02)
    assert await taken(queue) == [A]


@pytest.mark.parametrize("delays", [(10, 3), (3, 10)], ids=["later then earlier", "earlier then later"])
async def test_the_earliest_deadline_wins_and_the_other_one_is_void(delays: tuple[float, float]) -> None:
    clock = FakeClock()
    queue = new_queue(clock)
    for delay in delays:
        queue.add_after(A, delay)
    await clock.advance(3)
    assert await taken(queue) == [A]
    queue.done(A)
    await clock.advance(100)
    assert await taken(queue) == []


async def test_an_event_ends_a_backoff() -> None:
    clock = FakeClock()
    queue = new_queue(clock)
    queue.add_after(A, 300)
    queue.add(A)
    assert await taken(queue) == [A]
    queue.done(A)
    await clock.advance(400)
    assert await taken(queue) == []


async def test_a_deadline_that_passes_while_the_key_is_in_hand_runs_it_once_more() -> None:
    clock = FakeClock()
    queue = new_queue(clock)
    queue.add(A)
    await queue.get()
    queue.add_after(A, 5)
    await clock.advance(60)
    assert await taken(queue) == []
    queue.done(A)
    assert await taken(queue) == [A]


async def test_a_waiting_worker_is_woken_by_an_add_and_by_a_deadline() -> None:
    clock = FakeClock()
    queue = new_queue(clock)
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await clock.settle()
    queue.add(A)
    await clock.settle()
    assert first.result() == A
    queue.add_after(B, 1)
    await clock.advance(1)
    assert second.result() == B


async def test_a_worker_cancelled_at_the_moment_of_its_wake_up_passes_it_on() -> None:
    clock = FakeClock()
    queue = new_queue(clock)
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await clock.settle()
    queue.add(A)
    first.cancel()
    await clock.settle()
    assert first.cancelled()
    assert second.result() == A


def test_backoff_doubles_within_its_bounds_and_starts_anew_after_success() -> None:
    queue = new_queue()
    delays = []
    for attempt in range(20):
        delays.append(queue.retry(A))
        ceiling = min(BACKOFF_MAX_SECONDS, BACKOFF_BASE_SECONDS * 2**attempt)
        assert ceiling / 2 <= delays[-1] <= ceiling
    assert queue.attempts(A) == 20
    assert delays[-1] >= BACKOFF_MAX_SECONDS / 2
    queue.forget(A)
    assert queue.retry(A) <= BACKOFF_BASE_SECONDS


def test_backoff_is_at_least_what_the_server_asked_for() -> None:
    assert new_queue().retry(A, at_least_seconds=42) >= 42


def test_keys_that_failed_together_come_back_apart() -> None:
    queue = new_queue()
    for name in "abcdefgh":
        for _ in range(8):
            queue.retry(key(name))
    assert len({round(queue.retry(key(name)), 3) for name in "abcdefgh"}) == 8


async def test_a_closed_queue_hands_out_nothing_and_wakes_everybody() -> None:
    clock = FakeClock()
    queue = new_queue(clock)
    queue.add(A)
    in_hand = await queue.get()
    waiting = asyncio.create_task(queue.get())
    queue.add_after(B, 1)
    await clock.settle()
    queue.close()
    queue.add(C)
    queue.done(in_hand)
    await clock.advance(5)
    with pytest.raises(QueueClosed):
        await waiting
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_deadlines_that_became_void_do_not_pile_up() -> None:
    queue = new_queue()
    for number in range(10_000):
        queue.add_after(A, 10_000 - number)
    assert len(queue._heap) < 200


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []

    def depth(self, count: int) -> None:
        self.seen.append(("depth", count))

    def added(self) -> None:
        self.seen.append(("added", 1))

    def taken(self, waited_seconds: float) -> None:
        self.seen.append(("taken", waited_seconds))

    def done(self, worked_seconds: float) -> None:
        self.seen.append(("done", worked_seconds))

    def retried(self) -> None:
        self.seen.append(("retried", 1))


async def test_waiting_and_working_times_are_reported() -> None:
    clock, recorder = FakeClock(), Recorder()
    queue = new_queue(clock, metrics=recorder)
    queue.add(A, Lane.SWEEP)
    clock.jump(2)
    queue.add(A)  # promoted: it has waited since its first arrival
    await queue.get()
    assert queue.running_seconds() == [0]
    clock.jump(3)
    assert queue.running_seconds() == [3]
    queue.done(A)
    assert ("taken", 2) in recorder.seen
    assert ("done", 3) in recorder.seen
    assert recorder.seen[-2] == ("depth", 0)


class AnyOrderOfCalls(RuleBasedStateMachine):
    """Against a model that knows, for every key, whether it is owed a run."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.queue = new_queue(self.clock)
        self.owed: set[Key] = set()
        self.in_hand: set[Key] = set()
        self.due: dict[Key, float] = {}

    keys = st.sampled_from([key(name) for name in "abcd"])

    def teardown(self) -> None:
        self.loop.close()

    @rule(key=keys, lane=st.sampled_from(Lane))
    def add(self, key: Key, lane: Lane) -> None:
        self.queue.add(key, lane)
        self.owed.add(key)
        self.due.pop(key, None)

    @rule(key=keys, seconds=st.integers(1, 20))
    def add_after(self, key: Key, seconds: int) -> None:
        self.queue.add_after(key, seconds)
        if key not in self.owed:
            at = self.clock.monotonic() + seconds
            self.due[key] = min(at, self.due.get(key, at))

    @rule(seconds=st.integers(1, 15))
    def time_passes(self, seconds: int) -> None:
        self.loop.run_until_complete(self.clock.advance(seconds))
        for key, at in list(self.due.items()):
            if at <= self.clock.monotonic():
                del self.due[key]
                self.owed.add(key)

    @precondition(lambda self: len(self.queue) > 0)
    @rule()
    def take(self) -> None:
        found = self.loop.run_until_complete(self.queue.get())
        assert found not in self.in_hand
        assert found in self.owed
        self.owed.discard(found)
        self.in_hand.add(found)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        found = data.draw(st.sampled_from(sorted(self.in_hand)))
        self.queue.done(found)
        self.in_hand.discard(found)

    @invariant()
    def what_is_owed_and_not_in_hand_is_ready(self) -> None:
        assert len(self.queue) == len(self.owed - self.in_hand)


AnyOrderOfCalls.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestAnyOrderOfCalls = AnyOrderOfCalls.TestCase
