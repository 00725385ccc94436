"""Manager: one process's life, from the first listing to the released lease.

Order of a start   health endpoints ► first listing (waits for CRDs and roles) ► watches, resync, services ►
                   lease ► every key queued once ► workers
Order of an end    no new keys ► keys in hand, at most DRAIN_SECONDS ► lease released ► everything else
Lost leadership, a dead watch, a dead worker or a dead service end the process with 1: a fresh one is in a known state.
"""

import asyncio
import logging
import random
import secrets
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from vsm_operator.kube.apply import Cluster
from vsm_operator.kube.auth import Credentials
from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.events import EventRecorder
from vsm_operator.kube.kinds import LEASE, Key, Kind
from vsm_operator.kube.limits import TokenBucket
from vsm_operator.runtime.background import Background
from vsm_operator.runtime.clock import Clock, SystemClock
from vsm_operator.runtime.controller import Controller, Reconciler, Report
from vsm_operator.runtime.health import Check, HealthServer, Heartbeat
from vsm_operator.runtime.leader import Leader, LeaseTimes
from vsm_operator.runtime.metrics import Metrics, QueueReport
from vsm_operator.runtime.queue import WorkQueue
from vsm_operator.runtime.reactor import Reactor
from vsm_operator.runtime.resync import Resync
from vsm_operator.runtime.router import Router, Watch
from vsm_operator.runtime.store import Store

_log = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
_END_SECONDS = 5.0


class LeadershipLost(Exception):  # noqa: N818 - not a defect
    """Another replica may lead now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerOptions:
    """What differs between installations."""

    namespace: str
    """Where the Lease lives."""
    pod_name: str
    """Readable part of this replica's identity."""
    lease_name: str = "vsm-operator"
    lease_times: LeaseTimes = field(default_factory=LeaseTimes)
    http_port: int = 8090
    requests_per_second: float = 100.0
    request_burst: int = 200
    background_limit: int = 8


Service = Callable[[], Coroutine[Any, Any, None]]


class Manager:
    """Make one, take what reconcilers need from its attributes, add controllers, `run`."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        watches: Sequence[Watch],
        options: ManagerOptions,
        clock: Clock | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.identity = f"{options.pod_name}_{secrets.token_hex(4)}"
        self.clock = clock or SystemClock()
        self.metrics = Metrics(registry or CollectorRegistry())
        self._jitter = random.Random()  # noqa: S311 - spreads load, guards nothing
        limiter = TokenBucket(
            rate_per_second=options.requests_per_second,
            burst=options.request_burst,
            monotonic=self.clock.monotonic,
            sleep=self.clock.sleep,
        )
        self.api = KubeApi(credentials, holder=self.identity, limiter=limiter, observe=self.metrics.observe_call)
        self.store = Store()
        self.router = Router(self.store, watches)
        self.leader = Leader(
            self.api,
            key=LEASE.key(options.namespace, options.lease_name),
            identity=self.identity,
            clock=self.clock,
            jitter=self._jitter,
            times=options.lease_times,
        )
        kinds = [watch.kind for watch in watches]
        self.cluster = Cluster(self.api, cache=self.router, fence=self.leader, kinds=kinds)
        self.events = EventRecorder(
            self.api,
            fence=self.leader,
            instance=self.identity,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
        )
        self.background = Background(limit=options.background_limit)
        self._resync = Resync(self.api, router=self.router, watches=watches, clock=self.clock, jitter=self._jitter)
        self._controllers: list[Controller] = []
        self._services: list[tuple[str, Service]] = []
        self._stop = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._heartbeat = Heartbeat(self.clock)
        self.health = HealthServer(
            port=options.http_port,
            registry=self.metrics.registry,
            live=[Check("event loop", self._heartbeat.trouble), Check("workers", self._stuck_workers)],
            ready=[Check("store", lambda: self._resync.trouble), Check("process", self._ending)],
        )
        self._reactors = [
            Reactor(
                watches=[watch for watch in watches if watch.namespaces == scope],
                namespaces=scope,
                credentials=credentials,
                observe=self._observe,
                spawned=self._take_signals,
            )
            for scope in dict.fromkeys(watch.namespaces for watch in watches)
        ]
        self.metrics.watch_process(
            leading=self.leader.valid,
            objects=self.store.__len__,
            lag_seconds=self._heartbeat.lag_seconds,
            background=self.background.__len__,
            dropped_events=lambda: self.events.dropped,
            lease=options.lease_name,
        )

    def add_controller(
        self, name: str, *, kind: Kind, reconciler: Reconciler, report: Report | None = None, workers: int = 4
    ) -> None:
        """Keys of `kind` go to `reconciler`; a kind may have several. `report` shows a Terminal error to the user."""
        queue = WorkQueue(clock=self.clock, jitter=self._jitter, metrics=QueueReport(self.metrics, name))
        self.router.attach(kind, queue)
        self._controllers.append(
            Controller(
                name,
                reconciler=reconciler,
                queue=queue,
                store=self.store,
                clock=self.clock,
                metrics=self.metrics,
                report=report,
                workers=workers,
            )
        )

    def add_service(self, name: str, run: Service) -> None:
        """Runs in every replica, from the first listing to the end. Returning is a failure, as raising is."""
        self._services.append((name, run))

    def enqueue(self, key: Key) -> None:
        """For answers that come from elsewhere than a watch."""
        self.router.enqueue(key)

    def stop(self) -> None:
        """What SIGTERM does."""
        self._stop.set()

    async def run(self) -> int:
        """The process's exit code. May raise OSError when the port of the health endpoints is taken."""
        self._take_signals()
        self.health.start()
        heartbeat = asyncio.create_task(self._heartbeat.run(), name="heartbeat")
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self._stop.wait(), name="stop")]
        try:
            prime = asyncio.create_task(self._resync.prime(), name="first listing")
            tasks.append(prime)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if prime.done() and not prime.cancelled() and prime.exception() is None:
                _log.info("first listing done", extra={"objects": len(self.store)})
                tasks.remove(prime)
                tasks += [asyncio.create_task(run(), name=name) for name, run in self._parts()]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return self._exit_code(tasks)
        finally:
            await self._end([heartbeat, *tasks])

    def _parts(self) -> list[tuple[str, Service]]:
        return [
            *((f"watches {number}", reactor.run) for number, reactor in enumerate(self._reactors)),
            ("resync", self._resync.run),
            ("events", self.events.run),
            ("background", self.background.run),
            ("leadership", self._lead),
            *self._services,
        ]

    async def _lead(self) -> None:
        await self.leader.acquire()
        if self._stop.is_set():
            return
        self._drained.clear()
        self.router.open()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew(), name="renewal")
                async with asyncio.TaskGroup() as workers:
                    for controller in self._controllers:
                        workers.create_task(controller.run(), name=controller.name)
                self._drained.set()
        except* LeadershipLost:
            pass  # logged by the leader; ending is what matters
        finally:
            self._drained.set()

    async def _renew(self) -> None:
        await self.leader.hold()
        if not self._stop.is_set():
            raise LeadershipLost

    def _exit_code(self, tasks: Sequence[asyncio.Task[Any]]) -> int:
        if self._stop.is_set():
            _log.info("stopping")
            return 0
        for task in tasks:
            if task.done() and not task.cancelled():
                _log.error("%s ended, and so does the process", task.get_name(), exc_info=task.exception())
        return 1

    async def _end(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        self._stop.set()
        self.router.close()
        for controller in self._controllers:
            controller.queue.close()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._drained.wait()
        except TimeoutError:
            _log.warning("reconciles did not finish within %g s and are cut off", DRAIN_SECONDS)
        await self.leader.release()
        for reactor in self._reactors:
            reactor.stop()
        watches = [task for task in tasks if task.get_name().startswith("watches")]
        if watches:
            await asyncio.wait(watches, timeout=_END_SECONDS)  # kopf closes its own sessions
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.api.close()
        await self.health.stop()

    def _observe(self, kind: Kind, event_type: str | None, body: Mapping[str, Any]) -> None:
        if event_type == "DELETED":
            self.router.deleted(kind, body)
            return
        if event_type is None:
            self._resync.hint(kind)
        self.router.observed(kind, body)

    def _take_signals(self) -> None:
        """kopf takes them too whenever a reactor starts, and its way to stop is not ours."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self._stop.set)
            except (RuntimeError, ValueError):  # not in the main thread: tests
                return

    def _stuck_workers(self) -> str:
        stuck = [controller.name for controller in self._controllers if not controller.healthy]
        return f"a worker of {', '.join(stuck)} does not come back" if stuck else ""

    def _ending(self) -> str:
        return "the process is ending" if self._stop.is_set() else ""
