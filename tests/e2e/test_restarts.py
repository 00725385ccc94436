"""The operator goes away and comes back: somebody takes over, and nothing is forgotten."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.cluster import OPERATOR, SYSTEM_NAMESPACE, Cluster
from support.mcpservers import Server, probe_server, wait_for

TAKEOVER_SECONDS = 45.0
"""A lease of 15 s that nobody released, and a slow machine."""


def holder(cluster: Cluster) -> str:
    lease = cluster.get("lease", OPERATOR, SYSTEM_NAMESPACE) or {"spec": {}}
    return str(lease["spec"].get("holderIdentity") or "")


@pytest.fixture
def two_replicas(cluster: Cluster) -> Iterator[None]:
    before = cluster.read("deployment", OPERATOR, SYSTEM_NAMESPACE)["spec"]["replicas"]
    scale(cluster, 2)
    yield
    scale(cluster, before)


def scale(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl.run("scale", "deployment", OPERATOR, "--namespace", SYSTEM_NAMESPACE, f"--replicas={replicas}")

    def settled() -> bool:
        deployment: dict[str, Any] = cluster.read("deployment", OPERATOR, SYSTEM_NAMESPACE)
        return len(cluster.operator_pods()) == deployment["status"].get("readyReplicas", 0) == replicas

    cluster.wait_until(settled, wanted=f"{replicas} ready operators", timeout_seconds=90)


@pytest.mark.usefixtures("two_replicas")
def test_the_other_replica_takes_over_when_the_leader_dies(cluster: Cluster, namespace: str) -> None:
    leader = holder(cluster)
    pod = leader.rpartition("_")[0]
    assert pod in {pod["metadata"]["name"] for pod in cluster.operator_pods()}
    cluster.delete("pod", pod, SYSTEM_NAMESPACE, now=True)
    server = Server(cluster, "after-takeover", namespace)
    with server.watch() as watch:
        cluster.apply(probe_server("after-takeover", namespace, suspend=True))
        wait_for(watch, "Suspended", timeout_seconds=TAKEOVER_SECONDS + 60)
    assert holder(cluster) not in ("", leader)


def test_what_happened_while_no_operator_ran_is_made_up_for(cluster: Cluster, namespace: str) -> None:
    """A server deleted, a child deleted and a spec changed: no event of these will ever be seen again."""
    doomed, harmed, changed = (Server(cluster, name, namespace) for name in ("doomed", "harmed", "changed"))
    cluster.apply(*(probe_server(server.name, namespace) for server in (doomed, harmed, changed)))
    for server in (doomed, harmed, changed):
        server.wait_ready()
    before = cluster.read("deployment", OPERATOR, SYSTEM_NAMESPACE)["spec"]["replicas"]
    scale(cluster, 0)
    try:
        cluster.delete("mcpserver", doomed.name, namespace)
        cluster.delete("networkpolicy", harmed.child, namespace)
        cluster.patch("mcpserver", changed.name, namespace, {"spec": {"suspend": True}})
    finally:
        scale(cluster, before)
    cluster.wait_until(
        lambda: cluster.get("networkpolicy", harmed.child, namespace), wanted="restored policy", timeout_seconds=60
    )
    changed.wait("Suspended", timeout_seconds=60)
    cluster.wait_until(lambda: not doomed.pods(), wanted="end of the deleted server", timeout_seconds=60)
    assert harmed.read()["status"]["phase"] == "Ready"
    assert harmed.call("echo", say="served all the time") == {"said": "served all the time"}
