"""How fast we may talk to the API server: one token bucket, and one pause, shared by all workers.

Waiters are served in the order in which they came. A pause (Retry-After) holds everybody, also those who had already
been given a slot: the server said "not now" to the process, not to one object.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

Sleep = Callable[[float], Awaitable[None]]
MAX_PAUSE_SECONDS = 60.0


class Limiter(Protocol):
    """What a client asks before each request."""

    async def acquire(self) -> None: ...

    def pause(self, seconds: float) -> None: ...


class TokenBucket:
    """`rate_per_second` on average, `burst` at once. `monotonic` and `sleep` are injected for tests."""

    def __init__(self, *, rate_per_second: float, burst: int, monotonic: Callable[[], float], sleep: Sleep) -> None:
        if rate_per_second <= 0 or burst < 1:
            raise ValueError("rate_per_second must be positive and burst at least 1")
        self._rate = rate_per_second
        self._burst = float(burst)
        self._monotonic = monotonic
        self._sleep = sleep
        self._tokens = float(burst)
        self._refilled_at = monotonic()
        self._paused_until = float("-inf")
        self._turnstile = asyncio.Lock()  # fair: waiters pass in order of arrival

    async def acquire(self) -> None:
        """Returns when the next request may be sent."""
        async with self._turnstile:
            while (wait := self._wait_seconds()) > 0:
                await self._sleep(wait)
            self._tokens -= 1

    def pause(self, seconds: float) -> None:
        """Nobody sends for that long. A shorter pause never shortens a longer one; a minute is the most."""
        self._paused_until = max(self._paused_until, self._monotonic() + min(seconds, MAX_PAUSE_SECONDS))

    def _wait_seconds(self) -> float:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
        missing = max(0.0, 1.0 - self._tokens) / self._rate
        return max(missing, self._paused_until - now)


class NoLimit:
    """For the lease: a renewal must not queue behind a thousand applies."""

    async def acquire(self) -> None:
        return

    def pause(self, seconds: float) -> None:
        del seconds
