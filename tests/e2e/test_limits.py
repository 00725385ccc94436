"""Limits that hold: read back from inside the running server, then run against."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.cluster import Cluster
from support.kubectl import Manifest
from support.mcpservers import Server, ask_all, probe_server, ready, wait_for

MEMORY_LIMIT_MEBIBYTES = 96
RESTART_SECONDS = 8
"""The killed server takes so long to start again that nobody can miss the time in between."""
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "watch", "version": "1"}},
}


@pytest.fixture(scope="module")
def servers(cluster: Cluster, namespace: str) -> dict[str, Server]:
    """`limited` has limits of its own, `hog` will be killed, `standard` has the defaults."""
    limits = {"cpu": "250m", "memory": "128Mi", "ephemeral-storage": "64Mi"}
    cluster.apply(
        probe_server("limited", namespace, resources={"limits": limits}),
        probe_server("hog", namespace, resources={"limits": {"memory": f"{MEMORY_LIMIT_MEBIBYTES}Mi"}}),
        probe_server("standard", namespace),
    )
    found = {name: Server(cluster, name, namespace) for name in ("limited", "hog", "standard")}
    for server in found.values():
        server.wait_ready()
    return found


def test_the_limits_of_the_spec_are_the_kernels_limits(servers: dict[str, Server]) -> None:
    facts = servers["limited"].call("facts")
    assert int(facts["memoryLimitBytes"]) == 128 << 20
    quota, period = map(int, facts["cpuQuota"])
    assert quota / period == pytest.approx(0.25)


def test_the_default_limits_are_the_kernels_limits(cluster: Cluster, servers: dict[str, Server]) -> None:
    facts = servers["standard"].call("facts")
    assert int(facts["memoryLimitBytes"]) == 512 << 20
    quota, period = map(int, facts["cpuQuota"])
    assert quota / period == pytest.approx(0.5)
    assert facts["processes"] == [int(cluster.operator_environment["VSM_SERVER_MAX_PIDS"])] * 2


def test_the_untrusted_process_has_no_privilege_at_all(servers: dict[str, Server]) -> None:
    facts = servers["limited"].call("facts")
    assert min(facts["uids"]) >= 1_000_000
    assert len(set(facts["uids"])) == 1
    assert 0 not in facts["gids"]
    assert set(facts["capabilities"].values()) == {0}
    assert facts["noNewPrivileges"] == 1
    assert facts["seccomp"] == 2
    assert facts["core"] == [0, 0]


def test_every_server_has_a_uid_of_its_own(servers: dict[str, Server]) -> None:
    limited, neighbour = (answer["results"][0]["text"] for answer in ask_all(
        servers["limited"].cluster, [(servers[name], [("facts", {})]) for name in ("limited", "standard")]
    ))  # fmt: skip
    assert json.loads(limited)["uids"] != json.loads(neighbour)["uids"]


def test_only_scratch_is_writable(servers: dict[str, Server]) -> None:
    closed = ["/", "/etc", "/usr/bin", "/opt/vsm", "/bundle", "/bundle/bin", "/var/tmp"]
    scratch = ["/tmp", "/home/mcp"]
    said = servers["limited"].call("write", directories=closed + scratch)
    assert {path for path, outcome in said.items() if outcome == "written"} == set(scratch), said


def test_no_token_and_no_service_addresses_are_in_the_pod(servers: dict[str, Server], namespace: str) -> None:
    server = servers["limited"]
    facts = server.call("facts")
    assert facts["tokens"] == []
    assert not [name for name in facts["variables"] if name.startswith("MCP_") and name.endswith("_SERVICE_HOST")]
    pod = server.pod()
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert not [volume for volume in pod["spec"]["volumes"] if "projected" in volume]


def test_writes_beyond_a_scratch_volumes_size_do_not_go_unnoticed(servers: dict[str, Server]) -> None:
    """What is on disk is bounded by volume and container: both bounds are in the pod."""
    spec = servers["limited"].pod()["spec"]
    (server,) = (container for container in spec["containers"] if container["name"] == "server")
    mounted = {mount["name"] for mount in server["volumeMounts"]}
    volumes = {volume["name"]: volume.get("emptyDir", {}) for volume in spec["volumes"] if volume["name"] in mounted}
    assert all(volume.get("sizeLimit") for volume in volumes.values()), volumes
    assert server["resources"]["limits"]["ephemeral-storage"] == "64Mi"


def test_a_memory_hog_is_killed_and_comes_back_while_the_bridge_says_503(
    cluster: Cluster, servers: dict[str, Server], namespace: str
) -> None:
    hog = servers["hog"]
    # At the pod: its Service has no address to offer while the pod is not ready.
    with hog.watch() as watch, cluster.route_to_pod(hog.pod(), port=8080) as address:
        wait_for(watch, "Ready")
        request = {
            "url": f"http://{address}/mcp",
            "message": INITIALIZE,
            "every_seconds": 0.2,
            "timeout_seconds": 120,
            "after": 503,
            "last": 200,
        }
        with cluster.background_program("http_watch", request) as seen:
            assert seen.stdout is not None
            assert json.loads(seen.stdout.readline())["code"] == 200
            allocation = {"mebibytes": 4 * MEMORY_LIMIT_MEBIBYTES, "nextStartSeconds": RESTART_SECONDS}
            asked = {"servers": [{"url": f"http://{address}/mcp", "calls": [["allocate", allocation]]}]}
            (answer,) = cluster.run_program("mcp_client", asked, timeout_seconds=90)
            condition = ready(wait_for(watch, "Degraded", reason="OOMKilled", timeout_seconds=60))
            assert "memory" in condition["message"]
            wait_for(watch, "Ready", reason="Serving", timeout_seconds=90)
            output, _ = seen.communicate(timeout=60)
    assert "error" in answer or answer["results"][0]["isError"], "the call that was killed must not look answered"
    changes = [json.loads(line) for line in output.splitlines()]
    assert [change["code"] for change in changes] == [503, 200], changes
    assert json.loads(changes[0]["body"])["error"]["message"], "503 carries a JSON-RPC error"
    assert restarts(hog.pod(), "bridge") == 0, "the bridge survives its server"


def test_a_fork_bomb_is_bounded_and_its_neighbour_does_not_notice(cluster: Cluster, servers: dict[str, Server]) -> None:
    limit = int(cluster.operator_environment["VSM_SERVER_MAX_PIDS"])
    with ThreadPoolExecutor(1) as pool:
        bomb = pool.submit(servers["standard"].call, "fork", attempts=2 * limit, holdSeconds=4)
        assert servers["limited"].call("fork", attempts=8) == {"forked": 8, "refusal": ""}
        assert servers["limited"].call("echo", say="still here") == {"said": "still here"}
        said = bomb.result()
    assert 0 < said["forked"] < limit, said
    assert said["refusal"], "the kernel refused one more process"
    assert servers["standard"].call("echo", say="me too") == {"said": "me too"}


def restarts(pod: Manifest, container: str) -> int:
    statuses = {status["name"]: status for status in pod["status"]["containerStatuses"]}
    return int(statuses[container]["restartCount"])
