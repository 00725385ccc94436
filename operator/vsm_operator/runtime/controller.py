"""Controller: N workers, each taking a key, calling `reconcile(key)`, and turning what comes out into what comes next.

The only place that knows what an error means for the schedule. One key is never in two hands (the queue sees to it),
a bug in one key's reconcile is logged and backed off like any failure, and a worker that ends takes the process along
(the task group's rule) instead of leaving it half alive.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from vsm_operator.errors import Fenced, Forbidden, Terminal, Throttled, Transient
from vsm_operator.kube.kinds import Key
from vsm_operator.runtime.clock import Clock
from vsm_operator.runtime.logs import Reconciling, reconciling
from vsm_operator.runtime.metrics import Metrics
from vsm_operator.runtime.queue import QueueClosed, WorkQueue
from vsm_operator.runtime.store import Store

_log = logging.getLogger(__name__)

RECONCILE_TIMEOUT_SECONDS = 120.0
FORBIDDEN_AGAIN_SECONDS = 300.0
PERSISTENT_ATTEMPTS = 5
"""From this failure in a row on, a transient error is a warning: it does not pass by itself."""


@dataclass(frozen=True, slots=True)
class Result:
    """When to look again if nothing happens before."""

    requeue_after: timedelta | None = None
    """None unless time alone can change the answer. A changed object always brings its key back by itself."""


DONE = Result()


class Reconciler(Protocol):
    """Makes the world match what the key's object asks for. Called again and again; harmless when nothing differs."""

    async def reconcile(self, key: Key) -> Result: ...


Report = Callable[[Key, Terminal], Awaitable[None]]
"""Writes a Terminal error where the user will see it: into the object's conditions."""


class Outcome(StrEnum):
    """Values of the metric's `result` label; controller-runtime's."""

    SUCCESS = "success"
    ERROR = "error"
    REQUEUE_AFTER = "requeue_after"


class Controller:
    """Workers for one reconciler."""

    def __init__(
        self,
        name: str,
        *,
        reconciler: Reconciler,
        queue: WorkQueue,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        report: Report | None = None,
        workers: int = 4,
    ) -> None:
        self.name = name
        self.queue = queue
        self._reconciler = reconciler
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._report = report
        self._workers = workers
        metrics.max_workers.labels(name).set(workers)
        metrics.watch_queue(name, queue)

    async def run(self) -> None:
        """Until the queue is closed and every key in hand is finished, or a worker dies."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"{self.name} worker {number}")

    @property
    def healthy(self) -> bool:
        """No worker is stuck: each reconcile has a deadline, so twice that is a worker that will not come back."""
        return max(self.queue.running_seconds(), default=0.0) < 2 * RECONCILE_TIMEOUT_SECONDS

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except QueueClosed:
                return
            try:
                await self._process(key)
            finally:
                self.queue.done(key)

    async def _process(self, key: Key) -> None:
        snapshot = self._store.get(key)
        generation = snapshot.generation if snapshot else 0
        token = reconciling.set(Reconciling(key, generation, secrets.token_hex(4)))
        started = self._clock.monotonic()
        try:
            outcome = await self._attempt(key)
        finally:
            reconciling.reset(token)
        self._metrics.reconciles.labels(self.name, outcome).inc()
        self._metrics.reconcile_seconds.labels(self.name).observe(self._clock.monotonic() - started)

    async def _attempt(self, key: Key) -> Outcome:
        try:
            try:
                async with asyncio.timeout(RECONCILE_TIMEOUT_SECONDS):
                    result = await self._reconciler.reconcile(key)
            except Terminal as refusal:
                await self._refuse(key, refusal)
                return Outcome.ERROR
        except Fenced as withheld:
            _log.info("left to the next leader: %s", withheld)
            return Outcome.ERROR
        except Transient as failure:
            self._retry(key, failure)
            return Outcome.ERROR
        except Exception:  # noqa: BLE001 - a bug, or the deadline: neither may stop the other keys
            self._metrics.reconcile_panics.labels(self.name).inc()
            self._metrics.reconcile_errors.labels(self.name).inc()
            delay = self.queue.retry(key)
            _log.exception("reconcile failed unexpectedly; again in %.1f s", delay)
            return Outcome.ERROR
        self.queue.forget(key)
        if result.requeue_after is None:
            return Outcome.SUCCESS
        self.queue.add_after(key, result.requeue_after.total_seconds())
        return Outcome.REQUEUE_AFTER

    def _retry(self, key: Key, failure: Transient) -> None:
        self._metrics.reconcile_errors.labels(self.name).inc()
        pause = failure.retry_after_seconds if isinstance(failure, Throttled) else 0.0
        delay = self.queue.retry(key, at_least_seconds=pause)
        attempts = self.queue.attempts(key)
        level = logging.WARNING if attempts >= PERSISTENT_ATTEMPTS else logging.INFO
        _log.log(level, "%s; attempt %d, again in %.1f s", failure, attempts, delay, extra={"error": _name(failure)})

    async def _refuse(self, key: Key, refusal: Terminal) -> None:
        """Reporting may itself fail, and is then retried like any reconcile."""
        self._metrics.terminal_errors.labels(self.name).inc()
        self._metrics.reconcile_errors.labels(self.name).inc()
        _log.warning("%s: %s", refusal.reason, refusal.message, extra={"error": _name(refusal)})
        self.queue.forget(key)
        if self._report is not None:
            await self._report(key, refusal)
        if isinstance(refusal, Forbidden):
            self.queue.add_after(key, FORBIDDEN_AGAIN_SECONDS)


def _name(error: Exception) -> str:
    return type(error).__name__
