"""Metrics, with the names of client-go and controller-runtime where those exist, so that their dashboards work.

The registry is injected. Gauges about running work are computed at scrape time; counters count where things happen.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from vsm_operator.kube.client import Call
from vsm_operator.runtime.queue import WorkQueue

_WAITS_SECONDS = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0)
_CALLS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


class QueueReport:
    """One queue's numbers; see `queue.QueueMetrics`."""

    def __init__(self, metrics: "Metrics", name: str) -> None:
        self._depth = metrics.queue_depth.labels(name)
        self._adds = metrics.queue_adds.labels(name)
        self._waits = metrics.queue_wait.labels(name)
        self._works = metrics.queue_work.labels(name)
        self._retries = metrics.queue_retries.labels(name)

    def depth(self, count: int) -> None:
        self._depth.set(count)

    def added(self) -> None:
        self._adds.inc()

    def taken(self, waited_seconds: float) -> None:
        self._waits.observe(waited_seconds)

    def done(self, worked_seconds: float) -> None:
        self._works.observe(worked_seconds)

    def retried(self) -> None:
        self._retries.inc()


class Metrics:
    """All families of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

        by_queue = ("name",)
        self.queue_depth = Gauge("workqueue_depth", "Keys that are ready", by_queue, registry=registry)
        self.queue_adds = Counter("workqueue_adds", "Keys added", by_queue, registry=registry)
        self.queue_retries = Counter("workqueue_retries", "Keys put back after a failure", by_queue, registry=registry)
        self.queue_wait = Histogram(
            "workqueue_queue_duration_seconds",
            "From ready to taken",
            by_queue,
            buckets=_WAITS_SECONDS,
            registry=registry,
        )
        self.queue_work = Histogram(
            "workqueue_work_duration_seconds",
            "From taken to done",
            by_queue,
            buckets=_WAITS_SECONDS,
            registry=registry,
        )
        self._unfinished = Gauge(
            "workqueue_unfinished_work_seconds", "Work in progress, summed", by_queue, registry=registry
        )
        self._longest = Gauge(
            "workqueue_longest_running_processor_seconds", "Longest work in progress", by_queue, registry=registry
        )

        by_controller = ("controller",)
        self.reconciles = Counter(
            "controller_runtime_reconcile", "Reconciles", ("controller", "result"), registry=registry
        )
        self.reconcile_errors = Counter(
            "controller_runtime_reconcile_errors", "Reconciles that failed", by_controller, registry=registry
        )
        self.terminal_errors = Counter(
            "controller_runtime_terminal_reconcile_errors",
            "Reconciles that no retry can help",
            by_controller,
            registry=registry,
        )
        self.reconcile_panics = Counter(
            "controller_runtime_reconcile_panics", "Reconciles that met a bug", by_controller, registry=registry
        )
        self.reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Length of a reconcile",
            by_controller,
            buckets=_CALLS_SECONDS,
            registry=registry,
        )
        self.max_workers = Gauge(
            "controller_runtime_max_concurrent_reconciles", "Workers", by_controller, registry=registry
        )
        self._active_workers = Gauge(
            "controller_runtime_active_workers", "Workers with a key in hand", by_controller, registry=registry
        )

        self._calls = Counter(
            "vsm_kube_requests", "Requests to the API server", ("verb", "resource", "code"), registry=registry
        )
        self._writes = Counter(
            "vsm_kube_writes", "Mutating requests to the API server, by resource", ("resource",), registry=registry
        )
        self._call_seconds = Histogram(
            "vsm_kube_request_duration_seconds",
            "Length of a request to the API server",
            ("verb",),
            buckets=_CALLS_SECONDS,
            registry=registry,
        )
        self._leader = Gauge("leader_election_master_status", "1 in the leader", ("name",), registry=registry)
        self._objects = Gauge("vsm_store_objects", "Objects in memory", registry=registry)
        self._lag = Gauge("vsm_event_loop_lag_seconds", "Age of the event loop's last sign of life", registry=registry)
        self._background = Gauge("vsm_background_running", "Slow calls in progress", registry=registry)
        self._dropped_events = Gauge("vsm_events_dropped", "Kubernetes Events not posted", registry=registry)

    def watch_queue(self, name: str, queue: WorkQueue) -> None:
        """Numbers that only exist at scrape time. The scrape runs in another thread and only reads."""
        self._unfinished.labels(name).set_function(lambda: sum(queue.running_seconds()))
        self._longest.labels(name).set_function(lambda: max(queue.running_seconds(), default=0.0))
        self._active_workers.labels(name).set_function(lambda: queue.in_hand)

    def watch_process(
        self,
        *,
        leading: Callable[[], bool],
        objects: Callable[[], int],
        lag_seconds: Callable[[], float],
        background: Callable[[], int],
        dropped_events: Callable[[], int],
        lease: str,
    ) -> None:
        """The same, for what there is one of."""
        self._leader.labels(lease).set_function(lambda: float(leading()))
        self._objects.set_function(objects)
        self._lag.set_function(lag_seconds)
        self._background.set_function(background)
        self._dropped_events.set_function(dropped_events)

    def observe_call(self, call: Call) -> None:
        """One request to the API server. Code 0: no answer."""
        self._calls.labels(call.verb, call.resource, str(call.code)).inc()
        self._call_seconds.labels(call.verb).observe(call.seconds)
        if call.writes:
            self._writes.labels(call.resource).inc()
