"""Servers from container images: the same policy, limits and bridge as those from packages.

The image is the runtime image itself under a digest, as a foreign image that happens to have Python: the local cluster
pulls from nowhere, so its containerd is told that name. VSM_E2E_IMAGE names another image by digest for other clusters.
"""

import json
import os
import subprocess

import pytest

from support.cluster import Cluster
from support.mcpservers import Server, mcp_server, probe_server, ready, wait_for
from support.pods import connects, echo_pod, idle_pod

HTTP_PORT = 9000


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    """A reference by digest that the node has."""
    if named := os.environ.get("VSM_E2E_IMAGE"):
        return named
    if cluster.local is None:
        pytest.skip("no image by digest is known on this cluster: name one with python3 in VSM_E2E_IMAGE")
    ctr = ["ctr", "--address", str(cluster.local.layout.containerd_socket), "--namespace", "k8s.io", "images"]
    listed = subprocess.run([*ctr, "ls"], capture_output=True, text=True, timeout=30, check=True).stdout
    (line,) = (line for line in listed.splitlines() if line.startswith(f"{cluster.runtime_image} "))
    digest = next(word for word in line.split() if word.startswith("sha256:"))
    reference = f"{cluster.runtime_image.rpartition(':')[0]}@{digest}"
    subprocess.run(
        [*ctr, "tag", "--force", cluster.runtime_image, reference], capture_output=True, timeout=30, check=True
    )
    return reference


@pytest.fixture(scope="module")
def servers(cluster: Cluster, namespace: str, image: str) -> dict[str, Server]:
    source = {"image": {"ref": image}}
    cluster.apply(
        probe_server("by-stdio", namespace, source=source, resources={"limits": {"memory": "128Mi"}}),
        probe_server(
            "by-http",
            namespace,
            arguments=["--http", str(HTTP_PORT)],
            source=source,
            transport="streamable-http",
            port=HTTP_PORT,
            path="/anything",
            resources={"limits": {"memory": "128Mi"}},
        ),
        *echo_pod(cluster, "echo", namespace, ports=[8000]),
        idle_pod(cluster, "stranger", namespace),
    )
    return {name: Server(cluster, name, namespace) for name in ("by-stdio", "by-http")}


@pytest.mark.parametrize("name", ["by-stdio", "by-http"])
def test_an_image_server_serves_through_the_bridge(servers: dict[str, Server], image: str, name: str) -> None:
    server = servers[name]
    status = server.wait_ready()["status"]
    assert server.call("echo", say=name) == {"said": name}
    repository, _, digest = image.partition("@")
    assert (status["package"], status["version"]) == (f"image/{repository}", digest)
    assert status["serverInfo"] == {"name": "probe", "version": "1.0.0"}
    assert status["tools"]["count"] == len(server.ask()["tools"])


@pytest.mark.parametrize("name", ["by-stdio", "by-http"])
def test_an_image_server_is_confined_like_any_other(
    cluster: Cluster, servers: dict[str, Server], namespace: str, name: str
) -> None:
    server = servers[name]
    server.wait_ready()
    facts = server.call("facts")
    assert int(facts["memoryLimitBytes"]) == 128 << 20
    assert min(facts["uids"]) >= 1_000_000
    assert set(facts["capabilities"].values()) == {0}
    assert (facts["noNewPrivileges"], facts["seccomp"]) == (1, 2)
    assert facts["tokens"] == []
    written = server.call("write", directories=["/", "/usr/bin", "/etc", "/tmp"])
    assert [path for path, outcome in written.items() if outcome == "written"] == ["/tmp"]

    address = cluster.wait_ready("pod", "echo", namespace)["status"]["podIP"]
    cluster.wait_ready("pod", "stranger", namespace)
    echo = f"{address}:8000"
    assert connects(cluster, "stranger", namespace, [echo]) == {echo: "connected"}
    assert server.call("connect", targets=[echo])[echo] != "connected"
    pod = f"{server.pod()['status']['podIP']}:8080"
    assert connects(cluster, "stranger", namespace, [pod])[pod] != "connected"


@pytest.mark.parametrize("name", ["by-stdio", "by-http"])
def test_an_image_server_that_is_killed_for_memory_comes_back(servers: dict[str, Server], name: str) -> None:
    server = servers[name]
    server.wait_ready()
    with server.watch() as watch:
        wait_for(watch, "Ready")
        with server.cluster.route(server.child, server.namespace, port=8080) as address:
            calls = [["allocate", {"mebibytes": 512, "nextStartSeconds": 6}]]
            server.cluster.run_program(
                "mcp_client", {"servers": [{"url": f"http://{address}/mcp", "calls": calls}]}, timeout_seconds=90
            )
        wait_for(watch, "Degraded", timeout_seconds=60)
        wait_for(watch, "Ready", reason="Serving", timeout_seconds=120)
    assert json.dumps(server.call("echo", say="back")) == '{"said": "back"}'


def test_an_image_that_nobody_has_is_named_in_the_status(cluster: Cluster, namespace: str) -> None:
    """The host part is a name that cannot exist, so no request leaves the node."""
    reference = f"registry.invalid/nobody/nothing@sha256:{'0' * 64}"
    server = Server(cluster, "missing-image", namespace)
    with server.watch() as watch:
        cluster.apply(mcp_server("missing-image", namespace, {"image": {"ref": reference}}, command=["/server"]))
        condition = ready(wait_for(watch, "Starting", reason="ImageUnavailable", timeout_seconds=90))
    assert reference.partition("@")[0] in condition["message"]


def test_a_stdio_image_without_a_command_is_refused_with_advice(cluster: Cluster, namespace: str, image: str) -> None:
    server = Server(cluster, "no-command", namespace)
    cluster.apply(mcp_server("no-command", namespace, {"image": {"ref": image}}))
    condition = ready(server.wait("Failed", reason="NoEntrypoint", timeout_seconds=30))
    assert "spec.command" in condition["message"]
    assert cluster.get("deployment", server.child, namespace) is None


def test_an_image_server_that_crashes_at_start_is_given_up_and_scaled_to_zero(
    cluster: Cluster, namespace: str, image: str
) -> None:
    server = Server(cluster, "crashing", namespace)
    command = ["python3", "-c", "import sys; sys.exit('no licence found')"]
    cluster.apply(mcp_server("crashing", namespace, {"image": {"ref": image}}, command=command))
    condition = ready(server.wait("Failed", reason="CrashAtStart"))
    assert "no licence found" in condition["message"]
    cluster.wait_until(lambda: not server.pods(), wanted="scaling to zero", timeout_seconds=60)
