"""What an error means for the schedule, and that one key's trouble is nobody else's."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from support.chance import chance
from support.fake_clock import FakeClock
from vsm_operator.errors import Conflict, Fenced, Forbidden, InvalidSpec, ServerError, Terminal, Throttled
from vsm_operator.kube.kinds import Key
from vsm_operator.runtime import controller as controller_module
from vsm_operator.runtime.controller import DONE, FORBIDDEN_AGAIN_SECONDS, Controller, Result
from vsm_operator.runtime.logs import reconciling
from vsm_operator.runtime.metrics import Metrics, QueueReport
from vsm_operator.runtime.queue import BACKOFF_MAX_SECONDS, WorkQueue
from vsm_operator.runtime.store import Store

A, B = Key("Widget", "ns", "a"), Key("Widget", "ns", "b")
Action = Callable[[Key], Any]


class Scripted:
    """Each pass of a key performs the next action of its script; afterwards it succeeds."""

    def __init__(self) -> None:
        self.scripts: dict[Key, list[Action]] = {}
        self.passes: list[Key] = []
        self.now_running = 0
        self.most_running = 0

    async def reconcile(self, key: Key) -> Result:
        self.passes.append(key)
        self.now_running += 1
        self.most_running = max(self.most_running, self.now_running)
        try:
            script = self.scripts.get(key)
            outcome = script.pop(0)(key) if script else DONE
            if asyncio.iscoroutine(outcome):
                outcome = await outcome
            return outcome or DONE
        finally:
            self.now_running -= 1


def raising(error: Exception) -> Action:
    def act(_: Key) -> None:
        raise error

    return act


class Bench:
    def __init__(self, workers: int = 2) -> None:
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        self.queue = WorkQueue(clock=self.clock, jitter=chance(), metrics=QueueReport(metrics, "widget"))
        self.work = Scripted()
        self.reports: list[tuple[Key, Terminal]] = []
        self.report_errors: list[Exception] = []
        self.controller = Controller(
            "widget",
            reconciler=self.work,
            queue=self.queue,
            store=Store(),
            clock=self.clock,
            metrics=metrics,
            report=self.report,
            workers=workers,
        )

    async def report(self, key: Key, refusal: Terminal) -> None:
        if self.report_errors:
            raise self.report_errors.pop(0)
        self.reports.append((key, refusal))

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"controller": "widget", **labels}) or 0.0


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    task = asyncio.create_task(bench.controller.run())
    await bench.clock.settle()
    yield bench
    bench.queue.close()
    await bench.clock.settle()
    await task


async def test_success_is_done_and_not_repeated(bench: Bench) -> None:
    bench.queue.add(A)
    await bench.clock.advance(3600)
    assert bench.work.passes == [A]
    assert bench.value("controller_runtime_reconcile_total", result="success") == 1


async def test_requeue_after_comes_back_once_at_its_time(bench: Bench) -> None:
    bench.work.scripts[A] = [lambda _: Result(requeue_after=timedelta(seconds=30))]
    bench.queue.add(A)
    await bench.clock.advance(29)
    assert bench.work.passes == [A]
    await bench.clock.advance(3600)
    assert bench.work.passes == [A, A]
    assert bench.value("controller_runtime_reconcile_total", result="requeue_after") == 1


@pytest.mark.parametrize(
    "error",
    [Conflict("moved"), ServerError("etcd"), RuntimeError("bug"), TimeoutError()],
    ids=lambda e: type(e).__name__,
)
async def test_what_may_pass_is_tried_again_with_growing_pauses(bench: Bench, error: Exception) -> None:
    bench.work.scripts[A] = [raising(error) for _ in range(5)]
    bench.queue.add(A)
    await bench.clock.advance(0.1)
    assert len(bench.work.passes) == 1
    await bench.clock.advance(60)
    assert len(bench.work.passes) == 6
    assert bench.queue.attempts(A) == 0  # the sixth succeeded
    assert bench.value("controller_runtime_reconcile_errors_total") == 5


async def test_pauses_stop_growing_at_the_maximum(bench: Bench) -> None:
    bench.work.scripts[A] = [raising(ServerError("etcd")) for _ in range(40)]
    bench.queue.add(A)
    await bench.clock.advance(3600)
    before = len(bench.work.passes)
    await bench.clock.advance(4 * BACKOFF_MAX_SECONDS)
    assert 4 <= len(bench.work.passes) - before <= 8


async def test_a_throttled_key_waits_as_long_as_the_server_asked(bench: Bench) -> None:
    bench.work.scripts[A] = [raising(Throttled("slow down", retry_after_seconds=20))]
    bench.queue.add(A)
    await bench.clock.advance(19.9)
    assert len(bench.work.passes) == 1
    await bench.clock.advance(0.2)
    assert len(bench.work.passes) == 2


async def test_a_terminal_error_is_reported_and_no_timer_brings_it_back(bench: Bench) -> None:
    refusal = InvalidSpec("NoEntrypoint", "put it in spec.command")
    bench.work.scripts[A] = [raising(refusal)]
    bench.queue.add(A)
    await bench.clock.advance(86400)
    assert bench.work.passes == [A]
    assert bench.reports == [(A, refusal)]
    assert bench.value("controller_runtime_terminal_reconcile_errors_total") == 1


async def test_a_report_that_fails_is_tried_again_with_the_reconcile(bench: Bench) -> None:
    refusal = InvalidSpec("X", "y")
    bench.report_errors.append(Conflict("moved"))
    bench.work.scripts[A] = [raising(refusal), raising(refusal)]
    bench.queue.add(A)
    await bench.clock.advance(5)
    assert bench.reports == [(A, refusal)]


async def test_what_is_forbidden_is_tried_again_every_few_minutes(bench: Bench) -> None:
    bench.work.scripts[A] = [raising(Forbidden("Forbidden", "no role")) for _ in range(2)]
    bench.queue.add(A)
    await bench.clock.advance(FORBIDDEN_AGAIN_SECONDS - 1)
    assert len(bench.work.passes) == 1
    await bench.clock.advance(2 * FORBIDDEN_AGAIN_SECONDS)
    assert len(bench.work.passes) == 3


async def test_a_withheld_write_is_left_to_the_next_leader(bench: Bench) -> None:
    bench.work.scripts[A] = [raising(Fenced("not leader"))]
    bench.queue.add(A)
    await bench.clock.advance(3600)
    assert bench.work.passes == [A]
    assert bench.reports == []


async def test_a_bug_in_one_key_stops_no_other(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.work.scripts[A] = [raising(ZeroDivisionError("bug")) for _ in range(100)]
    bench.queue.add(A)
    bench.queue.add(B)
    await bench.clock.advance(3600)
    assert bench.work.passes.count(B) == 1
    assert len(bench.work.passes) > 10
    assert "ZeroDivisionError" in caplog.text


async def test_a_key_is_never_in_two_hands_and_different_keys_run_side_by_side(bench: Bench) -> None:
    gate = asyncio.Event()

    async def wait(_: Key) -> None:
        await gate.wait()

    bench.work.scripts = {A: [wait], B: [wait]}
    bench.queue.add(A)
    bench.queue.add(B)
    await bench.clock.settle()
    bench.queue.add(A)
    await bench.clock.settle()
    assert bench.work.passes == [A, B]
    gate.set()
    await bench.clock.settle()
    assert bench.work.passes == [A, B, A]
    assert bench.work.most_running == 2


async def test_closing_lets_the_keys_in_hand_finish() -> None:
    bench = Bench(workers=1)
    gate = asyncio.Event()

    async def wait(_: Key) -> None:
        await gate.wait()

    bench.work.scripts[A] = [wait]
    bench.queue.add(A)
    bench.queue.add(B)
    task = asyncio.create_task(bench.controller.run())
    await bench.clock.settle()
    bench.queue.close()
    await bench.clock.settle()
    assert not task.done()
    gate.set()
    await task
    assert bench.work.passes == [A]


async def test_a_reconcile_that_hangs_is_cut_off_at_its_deadline(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_module, "RECONCILE_TIMEOUT_SECONDS", 0.01)
    cut_off = asyncio.Event()

    async def hang(_: Key) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut_off.set()
            raise

    bench.work.scripts[A] = [hang]
    bench.queue.add(A)
    async with asyncio.timeout(10):
        await cut_off.wait()
    await bench.clock.advance(5)
    assert bench.work.passes == [A, A]


async def test_a_worker_that_does_not_come_back_is_noticed(bench: Bench) -> None:
    gate = asyncio.Event()

    async def hang(_: Key) -> None:
        await gate.wait()

    bench.work.scripts[A] = [hang]
    bench.queue.add(A)
    await bench.clock.settle()
    before = bench.controller.healthy
    bench.clock.jump(3 * controller_module.RECONCILE_TIMEOUT_SECONDS)
    assert (before, bench.controller.healthy) == (True, False)
    gate.set()


async def test_lines_of_one_pass_carry_its_key_and_id(bench: Bench) -> None:
    seen: list[Any] = []
    bench.work.scripts = {A: [lambda _: seen.append(reconciling.get())] * 2}
    bench.queue.add(A)
    await bench.clock.settle()
    bench.queue.add(A)
    await bench.clock.settle()
    assert [context.key for context in seen] == [A, A]
    assert seen[0].reconcile_id != seen[1].reconcile_id
    assert reconciling.get() is None


async def test_only_a_lasting_failure_is_a_warning(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.work.scripts[A] = [raising(Conflict("moved")) for _ in range(6)]
    bench.queue.add(A)
    await bench.clock.advance(120)
    levels = [record.levelname for record in caplog.records if "moved" in record.getMessage()]
    assert levels == ["INFO"] * 4 + ["WARNING"] * 2
