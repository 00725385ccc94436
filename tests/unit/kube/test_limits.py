"""The token bucket and the pause that everybody shares."""

import asyncio

import pytest

from support.fake_clock import FakeClock
from vsm_operator.kube.limits import MAX_PAUSE_SECONDS, TokenBucket


def bucket(clock: FakeClock, *, rate: float = 10.0, burst: int = 2) -> TokenBucket:
    return TokenBucket(rate_per_second=rate, burst=burst, monotonic=clock.monotonic, sleep=clock.sleep)


async def finished_after(clock: FakeClock, limiter: TokenBucket, count: int) -> list[float]:
    """Seconds at which each of `count` simultaneous callers got through."""
    started = clock.monotonic()
    times: list[float] = []

    async def caller() -> None:
        await limiter.acquire()
        times.append(round(clock.monotonic() - started, 3))

    tasks = [asyncio.create_task(caller()) for _ in range(count)]
    await clock.advance(1000)
    await asyncio.gather(*tasks)
    return times


async def test_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    clock = FakeClock()
    assert await finished_after(clock, bucket(clock), 5) == [0, 0, 0.1, 0.2, 0.3]


async def test_an_idle_bucket_refills_up_to_its_burst_only() -> None:
    clock = FakeClock()
    limiter = bucket(clock)
    await finished_after(clock, limiter, 2)
    clock.jump(3600)
    assert await finished_after(clock, limiter, 3) == [0, 0, 0.1]


async def test_a_pause_holds_everybody_and_then_the_bucket_is_full() -> None:
    clock = FakeClock()
    limiter = bucket(clock)
    limiter.pause(7)
    assert await finished_after(clock, limiter, 3) == [7, 7, 7.1]


async def test_a_pause_reaches_those_who_wait_already() -> None:
    clock = FakeClock()
    limiter = bucket(clock, rate=1.0, burst=1)
    await limiter.acquire()
    waiter = asyncio.create_task(limiter.acquire())
    await clock.advance(0.5)
    limiter.pause(10)
    await clock.advance(9.9)
    assert not waiter.done()
    await clock.advance(0.2)
    assert waiter.done()


async def test_a_short_pause_never_shortens_a_long_one() -> None:
    clock = FakeClock()
    limiter = bucket(clock)
    limiter.pause(20)
    limiter.pause(1)
    assert await finished_after(clock, limiter, 1) == [20]


async def test_a_server_cannot_stop_us_for_longer_than_the_maximum() -> None:
    clock = FakeClock()
    limiter = bucket(clock)
    limiter.pause(86400)
    assert await finished_after(clock, limiter, 1) == [MAX_PAUSE_SECONDS]


async def test_a_caller_that_gives_up_costs_the_others_nothing() -> None:
    clock = FakeClock()
    limiter = bucket(clock, rate=1.0, burst=1)
    await limiter.acquire()
    quitter = asyncio.create_task(limiter.acquire())
    await clock.settle()
    quitter.cancel()
    await asyncio.gather(quitter, return_exceptions=True)
    assert await finished_after(clock, limiter, 1) == [1]


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (1.0, 0)])
def test_a_bucket_that_never_lets_anybody_pass_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        bucket(FakeClock(), rate=rate, burst=burst)
