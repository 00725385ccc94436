"""The operator on a real cluster: from apply to Ready, what it writes, and what it and a bridge hold in memory."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.report import Figure, median, show
from support.auditlog import Write
from support.cluster import OPERATOR_USER, SYSTEM_NAMESPACE, Cluster, find
from support.mcpservers import Server, mcp_server, npm

PACKAGE = "@modelcontextprotocol/server-memory"
VERSION = "2026.8.31"
COLD_VERSIONS = ("2025.9.25", "2025.8.4", "2025.4.25", "0.6.2")
"""Tried in order: the first that the bundle registry does not have yet gives the cold figure."""
RUNS = 5
FLEET = 100
_IDLE_SECONDS = 60.0
_RSS = "import re; print(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/1/status').read())[1])"


def main() -> int:
    cluster = find()
    with cluster.namespace("bench") as namespace:
        figures = [
            *_to_ready(cluster, namespace),
            *_writes(cluster, namespace),
            *_bridge_memory(cluster, namespace),
            *_operator_memory(cluster, namespace),
        ]
    show("cluster: the operator at work", figures)
    return 0


def _ready_seconds(cluster: Cluster, namespace: str, name: str, version: str) -> float:
    server = Server(cluster, name, namespace)
    with server.watch() as watch:
        started = time.monotonic()
        cluster.apply(mcp_server(name, namespace, npm(PACKAGE, version)))
        watch.until(
            lambda event: not event.deleted and (event.object.get("status") or {}).get("phase") == "Ready",
            wanted="phase Ready",
            timeout_seconds=300,
        )
        return time.monotonic() - started


def _to_ready(cluster: Cluster, namespace: str) -> list[Figure]:
    figures = []
    for version in COLD_VERSIONS:
        name = f"cold-{version.replace('.', '-')}"
        seconds = _ready_seconds(cluster, namespace, name, version)
        if not _was_cached(cluster, version):
            figures.append(Figure("apply to Ready, cold", round(seconds, 1), "s", note=f"server-memory {version}"))
            break
    _ready_seconds(cluster, namespace, "warm-up", VERSION)
    times = [_ready_seconds(cluster, namespace, f"cached-{run}", VERSION) for run in range(RUNS)]
    note = f"{RUNS} runs, {min(times):.1f} to {max(times):.1f} s"
    return [*figures, Figure("apply to Ready, bundle cached", median(times), "s", note=note)]


def _was_cached(cluster: Cluster, version: str) -> bool:
    """Whether the intake found the bundle in the registry; without its Job nobody knows, and nothing is claimed."""
    jobs = cluster.objects("jobs", SYSTEM_NAMESPACE)
    purl_end = f"server-memory@{version}"
    for job in jobs:
        if not job["metadata"].get("annotations", {}).get("vsm-mcp.io/package", "").endswith(purl_end):
            continue
        pods = cluster.objects("pods", SYSTEM_NAMESPACE, selector={"job-name": job["metadata"]["name"]})
        return not any('"cached": false' in str(pod["status"].get("containerStatuses")) for pod in pods)
    return True


def _writes(cluster: Cluster, namespace: str) -> list[Figure]:
    log = cluster.audit_log
    if log is None:
        return []

    def since(moment: datetime) -> Sequence[Write]:
        return [write for write in log.writes(OPERATOR_USER, since=moment) if write.resource != "jobs"]

    started = datetime.now(UTC)
    for run in range(RUNS):
        _ready_seconds(cluster, namespace, f"counted-{run}", VERSION)
    created = [write for write in since(started) if write.namespace == namespace]
    quiet = datetime.now(UTC)
    time.sleep(_IDLE_SECONDS)
    idle = since(quiet)
    restarted = datetime.now(UTC)
    for pod in cluster.operator_pods():
        cluster.delete("pod", pod["metadata"]["name"], SYSTEM_NAMESPACE)
    cluster.kubectl.run(
        "rollout", "status", "deployment/vsm-operator", "-n", SYSTEM_NAMESPACE, "--timeout=120s", timeout_seconds=130
    )
    time.sleep(_IDLE_SECONDS / 2)
    after_restart = since(restarted)
    return [
        Figure("API writes per created server, besides Jobs", len(created) / RUNS, "writes", 7, f"{RUNS} servers"),
        Figure("API writes in the next 60 s", len(idle), "writes", 0),
        Figure("API writes after a restart", len(after_restart), "writes", 0, "without the Lease"),
    ]


def _rss_mib(cluster: Cluster, pod: str, namespace: str, container: str) -> float:
    text = cluster.execute(pod, namespace, ["/opt/vsm/venv/bin/python", "-c", _RSS], container=container)
    return round(int(text) / 1024, 1)


def _bridge_memory(cluster: Cluster, namespace: str) -> list[Figure]:
    server = Server(cluster, "warm-up", namespace)
    for _ in range(20):
        server.ask([("read_graph", {})] * 50)
    rss = _rss_mib(cluster, server.pod()["metadata"]["name"], namespace, "bridge")
    return [Figure("RSS of a bridge", rss, "MiB", 45, "after 1000 calls through the Service")]


def _operator_memory(cluster: Cluster, namespace: str) -> list[Figure]:
    suspended = [mcp_server(f"fleet-{n}", namespace, npm(PACKAGE, VERSION), suspend=True) for n in range(FLEET)]
    cluster.apply(*suspended)
    cluster.wait_until(
        lambda: (
            sum(
                (server.get("status") or {}).get("phase") == "Suspended"
                for server in cluster.objects("mcpservers", namespace)
            )
            == FLEET
        ),
        wanted=f"{FLEET} suspended servers",
        timeout_seconds=300,
    )
    (pod,) = cluster.operator_pods()[:1]
    rss = _rss_mib(cluster, pod["metadata"]["name"], SYSTEM_NAMESPACE, "operator")
    return [
        Figure(f"RSS of the operator with {FLEET} servers", rss, "MiB", 120, "suspended: all children, no pods"),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
