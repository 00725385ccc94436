"""How much one client may ask for: calls in flight, and calls per second by a token bucket. Pure; the clock is given.

Invariants: a call that is refused costs its client nothing; a client with calls in flight is never forgotten; what is
kept is bounded whatever the keys are.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

IN_FLIGHT_RETRY_SECONDS = 1.0
"""Nobody knows when a call ends."""
_ROUNDING = 1e-6
"""Of a token: who waits as long as told is let in."""


class Limited(Exception):  # noqa: N818
    """The text is for the client."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """Greater than 0; the header wants it rounded up."""


@dataclass(slots=True)
class _Client:
    tokens: float
    filled_at: float
    in_flight: int = 0


class Limits:
    """Each `enter` that does not raise is followed by one `leave`."""

    def __init__(
        self,
        max_calls: int,
        rate_per_second: float,
        *,
        min_burst: int = 1,
        max_clients: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A rate of 0 sets none; else up to two seconds' worth of calls, at least `min_burst`, may come at once."""
        self._max_calls = max_calls
        self._rate = rate_per_second
        self._burst = float(max(min_burst, math.ceil(2 * rate_per_second)))
        self._max_clients = max_clients
        self._clock = clock
        self._busy: dict[str, _Client] = {}
        self._idle: OrderedDict[str, _Client] = OrderedDict()
        """Longest idle first; only where there is a rate, since only that outlives a call."""

    def enter(self, client_key: str) -> None:
        """Raises Limited."""
        client = self._busy.get(client_key) or self._idle_or_new(client_key)
        if client.in_flight >= self._max_calls:
            why = f"this client has {client.in_flight} calls in flight, which is the limit; wait for one to end"
            raise Limited(why, IN_FLIGHT_RETRY_SECONDS)
        if self._rate:
            self._spend(client)
            self._idle.pop(client_key, None)
        client.in_flight += 1
        self._busy[client_key] = client
        while len(self._busy) + len(self._idle) > self._max_clients:
            # Idle for longest, so its bucket is the one that has filled up most.
            self._idle.popitem(last=False)

    def leave(self, client_key: str) -> None:
        """ValueError for a client without a call in flight: a count that is off would sooner or later limit nothing."""
        client = self._busy.get(client_key)
        if client is None:
            raise ValueError("a call ended that had not begun")
        client.in_flight -= 1
        if client.in_flight == 0:
            del self._busy[client_key]
            if self._rate:
                self._idle[client_key] = client

    def _idle_or_new(self, client_key: str) -> _Client:
        if len(self._busy) >= self._max_clients:
            raise Limited("too many clients have calls in flight; try again", IN_FLIGHT_RETRY_SECONDS)
        client = self._idle.get(client_key)
        if client is None:
            return _Client(self._burst, self._clock())
        # Also when it is about to be refused: who keeps trying is not forgotten, and not forgiven.
        self._idle.move_to_end(client_key)
        return client

    def _spend(self, client: _Client) -> None:
        now = max(self._clock(), client.filled_at)
        client.tokens = min(self._burst, client.tokens + (now - client.filled_at) * self._rate)
        client.filled_at = now
        if client.tokens < 1.0 - _ROUNDING:
            why = f"this client makes more than {self._rate:g} calls per second; slow down"
            raise Limited(why, (1.0 - client.tokens) / self._rate)
        client.tokens = max(0.0, client.tokens - 1.0)
