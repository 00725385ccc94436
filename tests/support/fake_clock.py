"""A clock that moves when a test says so."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

_SETTLE_STEPS = 50
"""Turns of the event loop in which everything that can run without time passing has run."""


class FakeTimer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Starts at a round moment; monotonic time starts at 1000 s."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._timers: list[tuple[float, int, Callable[[], None], FakeTimer]] = []
        self._order = count()
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        done = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if done.done() else done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer()
        heapq.heappush(self._timers, (self._elapsed + seconds, next(self._order), callback, timer))
        return timer

    def jump(self, seconds: float) -> None:
        """Time passes and nobody notices: a frozen process."""
        self._elapsed += seconds

    async def advance(self, seconds: float) -> None:
        """Time passes; whatever falls due on the way happens at its own moment."""
        end = self._elapsed + seconds
        await self.settle()
        while self._timers and self._timers[0][0] <= end:
            at, _, callback, timer = heapq.heappop(self._timers)
            if timer.cancelled:
                continue
            self._elapsed = max(self._elapsed, at)
            callback()
            await self.settle()
        self._elapsed = max(self._elapsed, end)  # a callback may have jumped
        await self.settle()

    async def settle(self) -> None:
        """No time passes."""
        for _ in range(_SETTLE_STEPS):
            await asyncio.sleep(0)
