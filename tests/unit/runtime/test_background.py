"""Slow calls: one per key, bounded, with a deadline, and harmless to everybody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from vsm_operator.kube.kinds import Key
from vsm_operator.runtime import background as background_module
from vsm_operator.runtime.background import Background


def key(number: int) -> Key:
    return Key("Widget", "ns", f"w{number}")


@contextlib.asynccontextmanager
async def running(limit: int = 2) -> AsyncIterator[Background]:
    pool = Background(limit=limit)
    task = asyncio.create_task(pool.run())
    yield pool
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_key_has_one_call_at_a_time_and_may_ask_again_afterwards() -> None:
    calls: list[int] = []
    gate = asyncio.Event()

    async def work() -> None:
        calls.append(1)
        await gate.wait()

    async with running() as pool:
        assert pool.submit(key(1), work, deadline_seconds=60)
        assert not pool.submit(key(1), work, deadline_seconds=60)
        await settle()
        assert not pool.submit(key(1), work, deadline_seconds=60)
        gate.set()
        await settle()
        assert pool.submit(key(1), work, deadline_seconds=60)
        await settle()
    assert len(calls) == 2


async def test_no_more_calls_than_allowed_run_at_once_and_all_run_in_order() -> None:
    order: list[int] = []
    most = 0

    async with running(limit=3) as pool:
        for number in range(10):

            async def work(number: int = number) -> None:
                nonlocal most
                most = max(most, len(pool))
                order.append(number)
                await asyncio.sleep(0)

            pool.submit(key(number), work, deadline_seconds=60)
        await settle()
        assert len(pool) == 0
    assert most == 3
    assert order == list(range(10))


async def test_a_deadline_ends_the_call_and_is_told() -> None:
    told: list[bool] = []
    over = asyncio.Event()

    async def hang() -> None:
        await asyncio.Event().wait()

    async with running() as pool:

        def again() -> None:
            told.append(key(1) in pool)
            over.set()

        pool.submit(key(1), hang, deadline_seconds=0.001, on_timeout=again)
        async with asyncio.timeout(10):
            await over.wait()
    assert told == [False]  # a new call may be submitted right there


@pytest.mark.parametrize("where", ["work", "on_timeout"])
async def test_a_bug_in_one_call_is_logged_and_the_next_call_runs(where: str, caplog: pytest.LogCaptureFixture) -> None:
    done = asyncio.Event()

    async def work() -> None:
        if where == "work":
            raise ZeroDivisionError
        raise TimeoutError

    def on_timeout() -> None:
        raise ZeroDivisionError

    async def fine() -> None:
        done.set()

    async with running(limit=1) as pool:
        pool.submit(key(1), work, deadline_seconds=60, on_timeout=on_timeout)
        pool.submit(key(2), fine, deadline_seconds=60)
        async with asyncio.timeout(10):
            await done.wait()
    assert "ZeroDivisionError" in caplog.text


async def test_too_many_waiting_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_module, "MAX_WAITING", 2)
    pool = Background(limit=1)  # not running

    async def work() -> None: ...

    assert [pool.submit(key(number), work, deadline_seconds=1) for number in range(3)] == [True, True, False]
