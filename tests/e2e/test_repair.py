"""Children are what the spec says, whoever touches them, and leave with their owner."""

from copy import deepcopy

import pytest

from support.cluster import SYSTEM_NAMESPACE, Cluster
from support.kubectl import Manifest
from support.mcpservers import Server, mcp_server, npm, probe_server, wait_for

REPAIR_SECONDS = 30.0


@pytest.fixture(scope="module")
def victim(cluster: Cluster, namespace: str) -> Server:
    server = Server(cluster, "victim", namespace)
    callers = {"podSelector": {"matchLabels": {"role": "caller"}}}
    cluster.apply(probe_server("victim", namespace, network={"allowFrom": [callers]}))
    server.wait_ready()
    return server


def add(path: str, value: object) -> Manifest:
    return {"op": "add", "path": path, "value": value}


def replace(path: str, value: object) -> Manifest:
    return {"op": "replace", "path": path, "value": value}


_SERVER = "/spec/template/spec/containers/0"
_SIDECAR = {"name": "sidecar", "image": "localhost/foreign:1", "command": ["sleep", "1"]}
_ANYBODY = {"namespaceSelector": {}}

HARMS: dict[str, tuple[str, Manifest | None]] = {
    # what happens: kind of the child, and a JSON patch (None deletes it)
    "deployment deleted": ("deployment", None),
    "service deleted": ("service", None),
    "policy deleted": ("networkpolicy", None),
    "replicas edited": ("deployment", replace("/spec/replicas", 3)),
    "image edited": ("deployment", replace(f"{_SERVER}/image", "localhost/foreign:1")),
    "memory limit raised": ("deployment", replace(f"{_SERVER}/resources/limits/memory", "8Gi")),
    "variable added": ("deployment", add(f"{_SERVER}/env/-", {"name": "EVIL", "value": "1"})),
    "container added": ("deployment", add("/spec/template/spec/containers/-", _SIDECAR)),
    "ingress rule added": ("networkpolicy", add("/spec/ingress/-", {"from": [_ANYBODY]})),
    "peer added to our own rule": ("networkpolicy", add("/spec/ingress/1/from/-", _ANYBODY)),
    "egress opened": ("networkpolicy", add("/spec/egress/-", {})),
    "service redirected": ("service", replace("/spec/ports/0/targetPort", 8081)),
    "selector edited": ("service", add("/spec/selector/evil", "yes")),
}


@pytest.mark.parametrize("name", HARMS)
def test_a_child_is_restored_after(cluster: Cluster, victim: Server, name: str) -> None:
    kind, change = HARMS[name]
    before = cluster.read(kind, victim.child, victim.namespace)
    with cluster.kubectl.watch(kind, namespace=victim.namespace, name=victim.child) as watch:
        watch.until(lambda event: not event.deleted, wanted="the child", timeout_seconds=20)
        if change is None:
            cluster.delete(kind, victim.child, victim.namespace)
        else:
            cluster.patch(kind, victim.child, victim.namespace, [change])
        watch.until(
            lambda event: event.deleted or meant(event.object) != meant(before), wanted="harm", timeout_seconds=20
        )
        watch.until(
            lambda event: not event.deleted and meant(event.object) == meant(before),
            wanted="restoration",
            timeout_seconds=REPAIR_SECONDS,
        )


def meant(manifest: Manifest) -> Manifest:
    """What somebody asked for: without the addresses that a new Service gets."""
    spec = deepcopy(manifest["spec"])
    for field in ("clusterIP", "clusterIPs"):
        spec.pop(field, None)
    labels = manifest["metadata"].get("labels", {})
    return {"spec": spec, "labels": labels, "owners": manifest["metadata"].get("ownerReferences")}


def test_a_server_serves_after_all_the_harm(victim: Server) -> None:
    victim.wait_ready()
    assert victim.call("echo", say="well") == {"said": "well"}


def test_suspending_scales_to_zero_and_resuming_serves_again(cluster: Cluster, namespace: str) -> None:
    server = Server(cluster, "sleeper", namespace)
    with server.watch() as watch:
        cluster.apply(probe_server("sleeper", namespace))
        wait_for(watch, "Ready", reason="Serving")
        cluster.patch("mcpserver", "sleeper", namespace, {"spec": {"suspend": True}})
        wait_for(watch, "Suspended", reason="Suspended", timeout_seconds=30)
        cluster.wait_until(lambda: not server.pods(), wanted="scaling to zero", timeout_seconds=60)
        for kind in ("service", "networkpolicy", "deployment"):
            assert cluster.get(kind, server.child, namespace), f"{kind} is kept"
        cluster.patch("mcpserver", "sleeper", namespace, {"spec": {"suspend": False}})
        wait_for(watch, "Ready", reason="Serving")
    assert server.call("echo", say="awake") == {"said": "awake"}


def test_deleting_a_server_leaves_nothing_behind(cluster: Cluster, victim: Server) -> None:
    cluster.delete("mcpserver", victim.name, victim.namespace)
    kinds = "deployments,replicasets,pods,services,endpointslices,networkpolicies"

    def left() -> list[Manifest]:
        return cluster.objects(kinds, victim.namespace, selector={"app.kubernetes.io/instance": victim.name})

    cluster.wait_until(lambda: not left(), wanted="end of every child", timeout_seconds=90)
    assert cluster.get("mcpserver", victim.name, victim.namespace) is None


def test_deleting_a_server_ends_the_intake_that_only_it_wanted(cluster: Cluster, namespace: str) -> None:
    """express is not an MCP server, and its tree is large enough that the intake is still under way."""
    jobs = {"app.kubernetes.io/component": "intake"}
    with cluster.kubectl.watch("jobs", namespace=SYSTEM_NAMESPACE, selector=jobs) as watch:
        cluster.apply(mcp_server("unwanted", namespace, npm("express", "5.1.0")))
        job = watch.until(
            lambda event: "express" in event.object["metadata"].get("annotations", {}).get("vsm-mcp.io/package", ""),
            wanted="an intake Job for express",
            timeout_seconds=60,
        ).object["metadata"]
        cluster.delete("mcpserver", "unwanted", namespace)
        watch.until(
            lambda event: event.deleted and event.object["metadata"]["uid"] == job["uid"],
            wanted="end of the Job that nobody wants",
            timeout_seconds=60,
        )
    pods = {"job-name": job["name"]}
    cluster.wait_until(
        lambda: not cluster.objects("pods", SYSTEM_NAMESPACE, selector=pods),
        wanted="end of its pod",
        timeout_seconds=60,
    )
