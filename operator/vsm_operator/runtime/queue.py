"""WorkQueue: which keys need a look, when, and that nobody else looks at the same one.

Invariants
- a key that is being processed is not handed out again; if it is added meanwhile, it runs once more after `done`;
- a waiting key has one place: ready (one of two lanes, first in first out) or delayed until a deadline;
- the earliest deadline wins, and ready is earlier than any: an event ends a backoff.

Names and meaning of the metrics are those of client-go's workqueue, so that its dashboards work.
"""

import asyncio
import heapq
import random
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from vsm_operator.kube.kinds import Key
from vsm_operator.runtime.clock import Clock, Timer

BACKOFF_BASE_SECONDS = 0.25
BACKOFF_MAX_SECONDS = 300.0


class Lane(IntEnum):
    """A ready key in an earlier lane goes first."""

    CHANGE = 0
    """Somebody changed something, or a time came that a reconciler asked for."""
    SWEEP = 1
    """Start-up and resync: everything at once, nobody waits for it."""


class QueueClosed(Exception):  # noqa: N818 - not an error
    """No more keys will be handed out."""


class QueueMetrics(Protocol):
    """What a queue reports."""

    def depth(self, count: int) -> None: ...

    def added(self) -> None: ...

    def taken(self, waited_seconds: float) -> None: ...

    def done(self, worked_seconds: float) -> None: ...

    def retried(self) -> None: ...


@dataclass(slots=True)
class _Running:
    since: float
    again: Lane | None = None
    """Set when the key was added while it was being processed."""


class WorkQueue:
    """For one controller. Not thread-safe: everything happens in the event loop."""

    def __init__(self, *, clock: Clock, jitter: random.Random, metrics: QueueMetrics | None = None) -> None:
        self._clock = clock
        self._jitter = jitter
        self._metrics = metrics
        self._ready: tuple[dict[Key, float], dict[Key, float]] = ({}, {})  # key -> monotonic time of its arrival
        self._deadlines: dict[Key, tuple[float, Lane]] = {}
        self._heap: list[tuple[float, Key]] = []  # may hold entries that _deadlines no longer knows
        self._running: dict[Key, _Running] = {}
        self._attempts: dict[Key, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: Timer | None = None
        self._timer_at = float("inf")
        self._closed = False

    def __len__(self) -> int:
        """Ready keys."""
        return sum(len(lane) for lane in self._ready)

    def add(self, key: Key, lane: Lane = Lane.CHANGE) -> None:
        """As soon as a worker is free. Any later appointment of the key is void."""
        if self._closed:
            return
        if self._metrics:
            self._metrics.added()
        self._deadlines.pop(key, None)
        running = self._running.get(key)
        if running is not None:
            running.again = lane if running.again is None else min(running.again, lane)
            return
        arrived = self._clock.monotonic()
        for other in Lane:
            if key in self._ready[other]:
                if other <= lane:
                    return
                arrived = self._ready[other].pop(key)  # promoted: it has waited since then
        self._ready[lane][key] = arrived
        self._report_depth()
        self._wake()

    def add_after(self, key: Key, seconds: float, lane: Lane = Lane.CHANGE) -> None:
        """Not before `seconds` from now, unless something earlier is planned already."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key, lane)
            return
        if any(key in ready for ready in self._ready):
            return
        running = self._running.get(key)
        if running is not None and running.again is not None:
            return
        deadline = self._clock.monotonic() + seconds
        planned = self._deadlines.get(key)
        if planned is not None and planned[0] <= deadline:
            return
        self._deadlines[key] = deadline, lane
        heapq.heappush(self._heap, (deadline, key))
        self._compact_heap()
        self._set_timer()

    def retry(self, key: Key, *, at_least_seconds: float = 0.0) -> float:
        """After a failure: exponential backoff. Returns the delay in seconds.

        The upper half of the delay is random, which spreads keys that failed together; the lower half is certain, so
        that ten attempts cannot fall into one moment.
        """
        attempt = self._attempts.get(key, 0)
        self._attempts[key] = attempt + 1
        ceiling = min(BACKOFF_MAX_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(attempt, 32))
        delay = max(at_least_seconds, ceiling / 2 + self._jitter.uniform(0.0, ceiling / 2))
        if self._metrics:
            self._metrics.retried()
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """Success: the next failure starts counting anew."""
        self._attempts.pop(key, None)

    def attempts(self, key: Key) -> int:
        """Failures in a row."""
        return self._attempts.get(key, 0)

    async def get(self) -> Key:
        """The next key; it belongs to the caller until `done`. Raises QueueClosed."""
        while True:
            if self._closed:
                raise QueueClosed
            key = self._take()
            if key is not None:
                return key
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # The wake-up may have been meant for a key that now nobody would take.
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                raise
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def done(self, key: Key) -> None:
        """The caller has finished with the key, whatever came of it."""
        running = self._running.pop(key)
        if self._metrics:
            self._metrics.done(self._clock.monotonic() - running.since)
        if running.again is not None and not self._closed:
            self._deadlines.pop(key, None)
            self._ready[running.again][key] = self._clock.monotonic()
            self._report_depth()
            self._wake()

    def close(self) -> None:
        """Hands out nothing more; keys in hand are finished by their holders."""
        self._closed = True
        for lane in self._ready:
            lane.clear()
        self._deadlines.clear()
        self._heap.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._report_depth()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def in_hand(self) -> int:
        """Keys being processed."""
        return len(self._running)

    def running_seconds(self) -> list[float]:
        """How long each key in hand has been worked on."""
        now = self._clock.monotonic()
        return [now - running.since for running in list(self._running.values())]

    def _take(self) -> Key | None:
        for lane in Lane:
            ready = self._ready[lane]
            if ready:
                key = next(iter(ready))
                arrived = ready.pop(key)
                now = self._clock.monotonic()
                self._running[key] = _Running(now)
                if self._metrics:
                    self._metrics.taken(now - arrived)
                self._report_depth()
                return key
        return None

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _promote(self) -> None:
        """Delayed keys whose time has come."""
        self._timer = None
        self._timer_at = float("inf")
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            deadline, key = heapq.heappop(self._heap)
            planned = self._deadlines.get(key)
            if planned is not None and planned[0] == deadline:
                self.add(key, planned[1])
        self._set_timer()

    def _set_timer(self) -> None:
        while self._heap and self._deadlines.get(self._heap[0][1], (None,))[0] != self._heap[0][0]:
            heapq.heappop(self._heap)
        if not self._heap or self._heap[0][0] >= self._timer_at:
            return
        if self._timer:
            self._timer.cancel()
        self._timer_at = self._heap[0][0]
        self._timer = self._clock.call_later(max(0.0, self._timer_at - self._clock.monotonic()), self._promote)

    def _compact_heap(self) -> None:
        """Void entries are dropped when they outnumber the real ones, so that the heap cannot grow for ever."""
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._deadlines):
            self._heap = [(deadline, key) for key, (deadline, _) in self._deadlines.items()]
            heapq.heapify(self._heap)

    def _report_depth(self) -> None:
        if self._metrics:
            self._metrics.depth(len(self))
