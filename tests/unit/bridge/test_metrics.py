"""What /metrics says after some calls, and that nobody can make it say ever more."""

import logging
import subprocess
import sys
from typing import get_args

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from unit.bridge.rig import ROOT
from vsm_runtime.bridge import metrics as module
from vsm_runtime.bridge.metrics import Metrics, Outcome

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def read(metrics: Metrics) -> Samples:
    content_type, body = metrics.render()
    assert content_type.startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(body.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return read(metrics).get((name, frozenset(labels.items())))


def label_values(metrics: Metrics, label: str) -> set[str]:
    return {labels[label] for _, pairs in read(metrics) if label in (labels := dict(pairs))}


def test_names_are_those_that_dashboards_rely_on(metrics: Metrics) -> None:
    metrics.known_tools(["t"])
    metrics.observe_call("tools/call", "t", "ok", 0.2)
    metrics.refused("rate")
    assert {name for name, _ in read(metrics)} == {
        "vsm_mcp_calls_total",
        "vsm_mcp_call_seconds_bucket",
        "vsm_mcp_call_seconds_count",
        "vsm_mcp_call_seconds_sum",
        "vsm_mcp_in_flight",
        "vsm_mcp_bytes_total",
        "vsm_mcp_child_restarts_total",
        "vsm_mcp_ready",
        "vsm_mcp_refused_total",
        "vsm_mcp_sessions",
        "vsm_mcp_tools",
    }


def test_counters_are_there_before_anything_happened(metrics: Metrics) -> None:
    assert value(metrics, "vsm_mcp_child_restarts_total") == 0
    assert value(metrics, "vsm_mcp_bytes_total", direction="in") == 0
    assert value(metrics, "vsm_mcp_bytes_total", direction="out") == 0
    assert value(metrics, "vsm_mcp_ready") == 0


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_call_is_counted_by_how_it_ended(metrics: Metrics, outcome: Outcome) -> None:
    metrics.known_tools(["t"])
    for _ in range(3):
        metrics.observe_call("tools/call", "t", outcome, 0.2)
    assert value(metrics, "vsm_mcp_calls_total", method="tools/call", tool="t", outcome=outcome) == 3
    assert value(metrics, "vsm_mcp_call_seconds_count", method="tools/call", tool="t") == 3
    assert value(metrics, "vsm_mcp_call_seconds_bucket", method="tools/call", tool="t", le="0.1") == 0
    assert value(metrics, "vsm_mcp_call_seconds_bucket", method="tools/call", tool="t", le="0.25") == 3


def test_method_without_a_tool_has_an_empty_label(metrics: Metrics) -> None:
    metrics.observe_call("tools/list", None, "ok", 0.1)
    assert value(metrics, "vsm_mcp_calls_total", method="tools/list", tool="", outcome="ok") == 1


def test_bytes_gauges_and_restarts(metrics: Metrics) -> None:
    metrics.bytes("in", 10)
    metrics.bytes("out", 5)
    metrics.bytes("out", 2)
    metrics.in_flight.inc()
    metrics.in_flight.inc()
    metrics.in_flight.dec()
    metrics.restarts.inc()
    metrics.ready.set(1)
    metrics.tools.set(7)
    metrics.sessions.set(3)
    assert value(metrics, "vsm_mcp_bytes_total", direction="in") == 10
    assert value(metrics, "vsm_mcp_bytes_total", direction="out") == 7
    names = ("in_flight", "child_restarts_total", "ready", "tools", "sessions")
    assert [value(metrics, f"vsm_mcp_{name}") for name in names] == [1, 1, 1, 7, 3]


class TestBounds:
    def test_tools_and_methods_that_clients_invent_are_other(self, metrics: Metrics) -> None:
        metrics.known_tools(["known"])
        for number in range(1000):
            metrics.observe_call("tools/call", f"made up {number}", "error", 0.1)
            metrics.observe_call(f"made/up/{number}", None, "error", 0.1)
        assert label_values(metrics, "tool") == {"other", ""}
        assert label_values(metrics, "method") == {"tools/call", "other"}
        labels = {"tool": "other", "outcome": "error"}
        assert value(metrics, "vsm_mcp_calls_total", method="tools/call", **labels) == 1000

    def test_server_that_lists_ever_new_tools_gets_no_more_than_its_share(self, metrics: Metrics) -> None:
        for number in range(3 * module.MAX_TOOLS):
            metrics.known_tools([f"t{number}"])
            metrics.observe_call("tools/call", f"t{number}", "ok", 0.1)
        assert len(label_values(metrics, "tool")) == module.MAX_TOOLS + 1
        metrics.observe_call("tools/call", "t0", "ok", 0.1)
        assert value(metrics, "vsm_mcp_calls_total", method="tools/call", tool="t0", outcome="ok") == 2

    def test_names_of_tools_are_cut_and_cleaned(self, metrics: Metrics) -> None:
        names = ['quo"te\\', "line\nend", "\x1b[31mred\x1b[0m", "long" * 1000, "", "\ud800"]
        metrics.known_tools(names)
        for name in names:
            metrics.observe_call("tools/call", name, "ok", 0.1)
        labels = label_values(metrics, "tool")
        assert {'quo"te\\', "red", "other"} <= labels
        assert max(map(len, labels)) == module.MAX_TOOL_CHARS
        assert all(label.isprintable() or "\n" in label for label in labels)

    def test_reasons_are_bounded(self, metrics: Metrics) -> None:
        for number in range(2 * module.MAX_REASONS):
            metrics.refused(f"reason {number}")
        metrics.refused("reason 0")
        assert len(label_values(metrics, "reason")) == module.MAX_REASONS + 1
        assert value(metrics, "vsm_mcp_refused_total", reason="other") == module.MAX_REASONS
        assert value(metrics, "vsm_mcp_refused_total", reason="reason 0") == 2


def test_two_bridges_in_one_process_do_not_meet(metrics: Metrics) -> None:
    metrics.ready.set(1)
    assert value(Metrics(), "vsm_mcp_ready") == 0
    assert not [family for family in REGISTRY.collect() if family.name.startswith("vsm_")]


def test_counting_costs_less_than_five_megabytes() -> None:
    program = """
import os, sys
def rss_bytes(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
import vsm_runtime.bridge.settings, vsm_runtime.bridge.serving
before = rss_bytes()
from vsm_runtime.bridge.metrics import Metrics
metrics = Metrics()
metrics.known_tools(f"tool {n}" for n in range(30))
for number in range(30):
    metrics.observe_call("tools/call", f"tool {number}", "ok", 0.1)
metrics.render()
print(rss_bytes() - before)
"""
    environment = {"PYTHONPATH": f"{ROOT}/operator:{ROOT}/runtime"}
    output = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    logging.getLogger(__name__).info("metrics cost %s bytes", output)
    assert int(output) < 5 << 20
