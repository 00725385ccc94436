"""Names that dashboards know, and values computed when they are asked for."""

from prometheus_client import CollectorRegistry, generate_latest

from support.chance import chance
from support.fake_clock import FakeClock
from vsm_operator.kube.client import Call
from vsm_operator.kube.kinds import Key
from vsm_operator.runtime.metrics import Metrics, QueueReport
from vsm_operator.runtime.queue import WorkQueue

KEY = Key("Widget", "ns", "w")


async def test_running_work_is_measured_at_scrape_time() -> None:
    clock, registry = FakeClock(), CollectorRegistry()
    metrics = Metrics(registry)
    queue = WorkQueue(clock=clock, jitter=chance(), metrics=QueueReport(metrics, "widget"))
    metrics.watch_queue("widget", queue)
    queue.add(KEY)
    await queue.get()
    clock.jump(4)
    assert registry.get_sample_value("workqueue_longest_running_processor_seconds", {"name": "widget"}) == 4
    assert registry.get_sample_value("controller_runtime_active_workers", {"controller": "widget"}) == 1
    queue.done(KEY)
    assert registry.get_sample_value("workqueue_unfinished_work_seconds", {"name": "widget"}) == 0
    assert registry.get_sample_value("workqueue_work_duration_seconds_sum", {"name": "widget"}) == 4


def test_requests_are_counted_by_verb_resource_and_code_and_writes_apart() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for code in (200, 200, 0):
        metrics.observe_call(Call(verb="apply", resource="deployments", code=code, seconds=0.1, writes=True))
    metrics.observe_call(Call(verb="get", resource="deployments", code=200, seconds=0.1, writes=False))
    labels = {"verb": "apply", "resource": "deployments", "code": "200"}
    assert registry.get_sample_value("vsm_kube_requests_total", labels) == 2
    assert registry.get_sample_value("vsm_kube_writes_total", {"resource": "deployments"}) == 3


def test_names_are_those_of_client_go_and_controller_runtime() -> None:
    text = generate_latest(Metrics(CollectorRegistry()).registry).decode()
    wanted = (
        "workqueue_depth",
        "workqueue_adds_total",
        "workqueue_retries_total",
        "workqueue_queue_duration_seconds",
        "workqueue_work_duration_seconds",
        "workqueue_unfinished_work_seconds",
        "workqueue_longest_running_processor_seconds",
        "controller_runtime_reconcile_total",
        "controller_runtime_reconcile_errors_total",
        "controller_runtime_terminal_reconcile_errors_total",
        "controller_runtime_reconcile_time_seconds",
        "controller_runtime_active_workers",
        "controller_runtime_max_concurrent_reconciles",
        "leader_election_master_status",
        "process_resident_memory_bytes",
    )
    assert [name for name in wanted if f"# TYPE {name} " not in text] == []
