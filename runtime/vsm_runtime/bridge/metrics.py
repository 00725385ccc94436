"""What the bridge counts, for /metrics.

Invariants: no label takes its values from the network as they come: methods are those of the protocol, tools those that
the server listed, and there is a bound on how many there ever are; the rest is "other". A call costs a look-up and a
few additions.

The library's global registry and its collectors stay unused: their series describe a process, not an MCP server.
"""

from collections.abc import Iterable
from typing import Final, Literal

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from vsm_runtime.bridge.logs import shown

Outcome = Literal["ok", "error", "tool_error", "refused", "cancelled", "timeout", "server_gone"]
Direction = Literal["in", "out"]
Rendered = tuple[str, bytes]
"""Content type and body."""

MAX_TOOLS = 100
"""Tools that ever get series of their own in the life of this process: rendering those of one takes 0.1 ms."""
MAX_TOOL_CHARS = 128
MAX_REASONS = 64
OTHER: Final = "other"
METHODS: Final = frozenset(
    {
        "completion/complete",
        "initialize",
        "logging/setLevel",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "server/discover",
        "subscriptions/listen",
        "tools/call",
        "tools/list",
    }
)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """One for the life of the bridge. The gauges are there to be set by whoever knows."""

    def __init__(self) -> None:
        # A second gauge for each counter and histogram, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry(auto_describe=False)
        self._calls = Counter(
            "vsm_mcp_calls", "Requests of clients, by how they ended", ("method", "tool", "outcome"), registry=registry
        )
        self._seconds = Histogram(
            "vsm_mcp_call_seconds",
            "From a request's arrival to its answer",
            ("method", "tool"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._bytes = Counter(
            "vsm_mcp_bytes", "Bytes of messages: in from clients, out to clients", ("direction",), registry=registry
        )
        self._refused = Counter(
            "vsm_mcp_refused", "Requests that never reached the server, by reason", ("reason",), registry=registry
        )
        self.in_flight = Gauge("vsm_mcp_in_flight", "Requests of clients without an answer yet", registry=registry)
        self.restarts = Counter("vsm_mcp_child_restarts", "Starts of the server after the first", registry=registry)
        self.ready = Gauge("vsm_mcp_ready", "1 while the server is served to clients", registry=registry)
        self.tools = Gauge("vsm_mcp_tools", "Tools that the server lists, before the filter", registry=registry)
        self.sessions = Gauge("vsm_mcp_sessions", "Servers of sessions that run now", registry=registry)
        self._bytes_in, self._bytes_out = self._bytes.labels("in"), self._bytes.labels("out")
        self._known_tools: frozenset[str] = frozenset()
        self._tool_labels: dict[str, str] = {}
        self._call_children: dict[tuple[str, str, str], Counter] = {}
        self._seconds_children: dict[tuple[str, str], Histogram] = {}
        self._refused_children: dict[str, Counter] = {}

    def known_tools(self, names: Iterable[str]) -> None:
        """What the server lists now; the first ones of these that are called get series of their own."""
        self._known_tools = frozenset(names)

    def observe_call(self, method: str, tool: str | None, outcome: Outcome, seconds: float) -> None:
        """`tool` is None, and its label empty, for anything but tools/call."""
        method = method if method in METHODS else OTHER
        label = "" if tool is None else self._tool_labels.get(tool) or self._tool_label(tool)
        calls = self._call_children.get((method, label, outcome))
        if calls is None:
            calls = self._call_children[method, label, outcome] = self._calls.labels(method, label, outcome)
        calls.inc()
        histogram = self._seconds_children.get((method, label))
        if histogram is None:
            histogram = self._seconds_children[method, label] = self._seconds.labels(method, label)
        histogram.observe(seconds)

    def bytes(self, direction: Direction, count: int) -> None:
        (self._bytes_in if direction == "in" else self._bytes_out).inc(count)

    def refused(self, reason: str) -> None:
        """`reason` is one of the code's own words, such as "rate" or "origin"; never something that was sent."""
        counter = self._refused_children.get(reason)
        if counter is None:
            if len(self._refused_children) >= MAX_REASONS:
                reason = OTHER
            counter = self._refused_children[reason] = self._refused.labels(reason)
        counter.inc()

    def render(self) -> Rendered:
        """In the text format that every scraper knows."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    def _tool_label(self, tool: str) -> str:
        if tool not in self._known_tools or len(self._tool_labels) >= MAX_TOOLS:
            return OTHER
        label = self._tool_labels[tool] = shown(tool, MAX_TOOL_CHARS) or OTHER
        return label
