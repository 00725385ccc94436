"""What a server reaches, and who reaches it: tried from inside, with a positive control for every refusal.

Targets are pods and Services of this test and the cluster's own addresses, never anything outside.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.cluster import SYSTEM_NAMESPACE, Cluster
from support.mcpservers import INITIALIZE, Server, probe_server
from support.pods import connects, echo_pod, idle_pod, post

METADATA_ADDRESS = "169.254.169.254"


@dataclass(frozen=True, slots=True)
class World:
    """Servers `probe` (callers are allowed) and `closed` (nobody is), an echo host, and pods that call."""

    cluster: Cluster
    namespace: str
    probe: Server
    closed: Server
    targets: dict[str, str]
    """host:port by what it is."""

    def from_pod(self, pod: str, *names: str) -> dict[str, str]:
        said = connects(self.cluster, pod, self.namespace, [self.targets[name] for name in names])
        return {name: said[self.targets[name]] for name in names}

    def from_server(self, *names: str) -> dict[str, str]:
        said = self.probe.call("connect", targets=[self.targets[name] for name in names])
        return {name: said[self.targets[name]] for name in names}


@pytest.fixture(scope="module")
def world(cluster: Cluster, namespace: str) -> World:
    probe, closed = Server(cluster, "probe", namespace), Server(cluster, "closed", namespace)
    callers = {"podSelector": {"matchLabels": {"role": "caller"}}}
    cluster.apply(
        probe_server("probe", namespace, network={"allowFrom": [callers]}),
        probe_server("closed", namespace),
        *echo_pod(cluster, "echo", namespace, ports=[8000]),
        idle_pod(cluster, "caller", namespace, labels={"role": "caller"}),
        idle_pod(cluster, "stranger", namespace, labels={"role": "stranger"}),
    )
    for name in ("echo", "caller", "stranger"):
        cluster.wait_ready("pod", name, namespace)
    for server in (probe, closed):
        server.wait_ready()

    def service(name: str, space: str) -> str:
        return str(cluster.read("service", name, space)["spec"]["clusterIP"])

    echo_address = cluster.read("pod", "echo", namespace)["status"]["podIP"]
    registry = service("vsm-registry", SYSTEM_NAMESPACE)
    (endpoints,) = cluster.read("endpoints", "kubernetes", "default")["subsets"]
    api_server = endpoints["addresses"][0]["ip"]
    targets = {
        "echo pod": f"{echo_address}:8000",
        "echo service": f"{service('echo', namespace)}:8000",
        "api service": f"{service('kubernetes', 'default')}:443",
        "api server": f"{api_server}:{endpoints['ports'][0]['port']}",
        "dns": f"{service('kube-dns', 'kube-system')}:53",
        "kubelet": f"{api_server}:10250",
        "registry, read-only": f"{registry}:5001",
        "registry, for pushes": f"{registry}:5000",
        "probe service": f"{service('mcp-probe', namespace)}:8080",
        "closed service": f"{service('mcp-closed', namespace)}:8080",
        "probe pod": f"{probe.pod()['status']['podIP']}:8080",
        "closed pod": f"{closed.pod()['status']['podIP']}:8080",
        "probe admin": f"{probe.pod()['status']['podIP']}:8081",
        "metadata": f"{METADATA_ADDRESS}:80",
    }
    return World(cluster, namespace, probe, closed, targets)


@pytest.mark.parametrize(
    "name", ["echo pod", "echo service", "api service", "api server", "dns"], ids=lambda name: name.replace(" ", "-")
)
def test_egress_of_a_server_fails_where_an_ordinary_pod_gets_through(world: World, name: str) -> None:
    assert world.from_pod("stranger", name) == {name: "connected"}
    assert world.from_server(name)[name] != "connected"


def test_egress_fails_from_every_container_of_a_server_pod(world: World) -> None:
    pod = world.probe.pod()["metadata"]["name"]
    targets = [world.targets["echo pod"], world.targets["echo service"], world.targets["api service"]]
    for container in ("server", "bridge"):
        said = connects(world.cluster, pod, world.namespace, targets, container=container)
        assert "connected" not in said.values(), container


def test_servers_cannot_reach_each_other(world: World) -> None:
    assert "connected" not in world.from_server("closed service", "closed pod").values()


def test_names_do_not_resolve_in_a_server(world: World) -> None:
    names = ["kubernetes.default.svc.cluster.local", "vsm-registry.vsm-system.svc.cluster.local"]
    assert world.probe.call("resolve", names=names) == dict.fromkeys(names)
    resolver = world.targets["dns"].partition(":")[0]
    assert world.probe.call("ask_dns", resolver=resolver)["answer"] is False


def test_a_server_cannot_push_to_the_bundle_registry(world: World) -> None:
    """Only reading is open, for `load`; a policy cannot tell the containers of one pod apart."""
    assert world.from_server("registry, for pushes")["registry, for pushes"] != "connected"
    assert world.from_server("registry, read-only") == {"registry, read-only": "connected"}


def test_ordinary_pods_cannot_reach_the_bundle_registry(world: World) -> None:
    assert "connected" not in world.from_pod("stranger", "registry, read-only", "registry, for pushes").values()


@pytest.fixture
def metadata_stand_in(cluster: Cluster) -> Iterator[None]:
    """Our own host at the cloud's metadata address, inside the cluster's network: nothing sent there can leave it."""
    if cluster.local is None:
        pytest.skip("only the local cluster has a network of its own, where the metadata address can be ours")
    subprocess.run(
        cluster.inside(["ip", "address", "replace", f"{METADATA_ADDRESS}/32", "dev", "lo"]), check=True, timeout=10
    )
    with cluster.background_program("echo_host", {"address": METADATA_ADDRESS, "port": 80}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield
    subprocess.run(cluster.inside(["ip", "address", "delete", f"{METADATA_ADDRESS}/32", "dev", "lo"]), check=True)


@pytest.mark.usefixtures("metadata_stand_in")
def test_the_metadata_address_is_out_of_reach_for_a_server(world: World) -> None:
    assert world.from_pod("stranger", "metadata") == {"metadata": "connected"}
    assert world.from_server("metadata")["metadata"] != "connected"


@pytest.mark.usefixtures("metadata_stand_in")
def test_an_intake_pod_reaches_no_address_inside_the_cluster(world: World) -> None:
    """Its policy opens port 443 of public addresses; the echo host listens on 443 of a private one."""
    cluster = world.cluster
    labels = {
        "app.kubernetes.io/name": "vsm-intake",
        "app.kubernetes.io/component": "intake",
        "app.kubernetes.io/managed-by": "vsm-operator",
    }
    name = f"{world.namespace}-intake"
    cluster.apply(
        *echo_pod(cluster, "echo-tls", world.namespace, ports=[443]),
        idle_pod(cluster, name, SYSTEM_NAMESPACE, labels=labels),
    )
    try:
        echo = cluster.wait_ready("pod", "echo-tls", world.namespace)["status"]["podIP"]
        cluster.wait_ready("pod", name, SYSTEM_NAMESPACE)
        targets = [f"{echo}:443", world.targets["api service"], world.targets["metadata"]]
        assert set(connects(cluster, "stranger", world.namespace, targets).values()) == {"connected"}
        assert "connected" not in connects(cluster, name, SYSTEM_NAMESPACE, targets).values()
        push = world.targets["registry, for pushes"]
        assert connects(cluster, name, SYSTEM_NAMESPACE, [push]) == {push: "connected"}
    finally:
        cluster.delete("pod", name, SYSTEM_NAMESPACE, now=True)


def test_nobody_but_the_allowed_reaches_a_server(world: World) -> None:
    assert "connected" not in world.from_pod("stranger", "probe service", "probe pod", "closed service").values()
    assert "connected" not in world.from_pod("caller", "closed service", "closed pod").values()


def test_an_allowed_caller_gets_answers_through_the_service(world: World) -> None:
    code, body = post(
        world.cluster, "caller", world.namespace, f"http://{world.targets['probe service']}/mcp", INITIALIZE
    )
    assert code == 200, body
    assert '"probe"' in body


def test_the_admin_port_is_closed_even_to_allowed_callers(world: World) -> None:
    assert world.from_pod("caller", "probe pod") == {"probe pod": "connected"}
    assert world.from_pod("caller", "probe admin")["probe admin"] != "connected"
