"""Background: slow calls to the outside, so that no worker of a controller ever waits for one.

Invariants: at most one call per key; at most `limit` at a time, the others wait in order; every call has a deadline
that counts from its start; nothing a call does, not even a bug, reaches whoever submitted it. A call tells its
result by closing over what it wants to change, and re-queues the key itself.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vsm_operator.kube.kinds import Key

_log = logging.getLogger(__name__)

MAX_WAITING = 10_000

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work
    deadline_seconds: float
    on_timeout: Callable[[], None]


class Background:
    """A bounded pool; `run` must be running for anything to happen."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._waiting: OrderedDict[Key, _Job] = OrderedDict()
        self._running: set[Key] = set()
        self._work_left = asyncio.Event()

    def __len__(self) -> int:
        """Calls in progress."""
        return len(self._running)

    def __contains__(self, key: Key) -> bool:
        return key in self._running or key in self._waiting

    def submit(
        self,
        key: Key,
        work: Work,
        *,
        deadline_seconds: float,
        on_timeout: Callable[[], None] = lambda: None,
    ) -> bool:
        """False when the key has a call already, or when far too many wait: ask again later."""
        if key in self or len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting[key] = _Job(work, deadline_seconds, on_timeout)
        self._work_left.set()
        return True

    async def run(self) -> None:
        """Until cancelled; calls in progress are cancelled with it."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._limit):
                group.create_task(self._serve(), name=f"background {number}")

    async def _serve(self) -> None:
        while True:
            while not self._waiting:
                self._work_left.clear()
                await self._work_left.wait()
            key, job = self._waiting.popitem(last=False)
            self._running.add(key)
            try:
                await self._call(key, job)
            except Exception:  # noqa: BLE001 - a bug in one call must not stop the others
                _log.exception("a background call failed unexpectedly", extra={"about": str(key)})
            finally:
                self._running.discard(key)

    async def _call(self, key: Key, job: _Job) -> None:
        try:
            async with asyncio.timeout(job.deadline_seconds):
                await job.work()
        except TimeoutError:
            self._running.discard(key)  # so that on_timeout may submit again
            job.on_timeout()
