"""A package name becomes a running server: real packages, and real tool calls by the official client."""

import json
from typing import Any

import pytest

from support.cluster import Cluster
from support.fleet import DATA, SERVING, SOURCES, Fleet
from support.mcpservers import READY_SECONDS, ask_all, ready, wait_for

CALLS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "memory": [
        ("create_entities", {"entities": [{"name": "ada", "entityType": "person", "observations": ["counts"]}]}),
        ("read_graph", {}),
    ],
    "filesystem": [
        ("write_file", {"path": f"{DATA}/hello.txt", "content": "hello from the client"}),
        ("read_text_file", {"path": f"{DATA}/hello.txt"}),
    ],
    "everything": [("echo", {"message": "hello"})],
    "time": [("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"})],
}
WANT = {"memory": "ada", "filesystem": "hello from the client", "everything": "hello", "time": "21:00"}


@pytest.fixture(scope="module")
def seen_by_the_client(cluster: Cluster, fleet: Fleet) -> dict[str, dict[str, Any]]:
    """One client process asks all servers side by side."""
    servers = [fleet.server(name) for name in SERVING]
    for server in servers:
        server.wait_ready()
    answers = ask_all(cluster, [(server, CALLS[server.name]) for server in servers])
    return dict(zip(SERVING, answers, strict=True))


@pytest.mark.parametrize("name", SERVING)
def test_a_real_package_answers_tool_calls_through_its_service(
    fleet: Fleet, seen_by_the_client: dict[str, dict[str, Any]], name: str
) -> None:
    results = seen_by_the_client[name]["results"]
    assert [result["isError"] for result in results] == [False] * len(CALLS[name]), results
    assert WANT[name] in results[-1]["text"]


@pytest.mark.parametrize("name", SERVING)
def test_the_status_of_a_ready_server_is_what_its_client_sees(
    fleet: Fleet, seen_by_the_client: dict[str, dict[str, Any]], name: str
) -> None:
    server, seen = fleet.server(name).read(), seen_by_the_client[name]
    status = server["status"]
    assert status["phase"] == "Ready"
    assert status["observedGeneration"] == server["metadata"]["generation"]
    assert status["endpoint"] == f"http://mcp-{name}.{fleet.namespace}.svc:8080/mcp"
    assert status["serverInfo"] == seen["serverInfo"]
    assert status["tools"]["count"] == len(seen["tools"]) > 0
    assert sorted(status["tools"]["names"]) == sorted(seen["tools"])
    assert status["tools"]["hash"].startswith("sha256:")
    assert status["protocolVersion"] >= "2025-06-18"
    ((ecosystem, source),) = SOURCES[name].items()
    assert (status["package"], status["version"]) == (f"{ecosystem}/{source['package']}", source["version"])


@pytest.mark.parametrize("name", SERVING)
def test_the_bundle_of_a_ready_server_is_the_one_its_pod_loaded(
    fleet: Fleet, seen_by_the_client: dict[str, dict[str, Any]], name: str
) -> None:
    server = fleet.server(name)
    bundle = server.read()["status"]["bundle"]
    assert bundle["digest"].startswith("sha256:")
    assert bundle["integrity"]
    assert bundle["packages"] >= 1
    (load,) = server.pod()["spec"]["initContainers"]
    environment = {entry["name"]: entry.get("value") for entry in load["env"]}
    assert environment["VSM_BUNDLE_DIGEST"] == bundle["digest"]


def test_kubectl_get_shows_what_a_person_needs_at_a_glance(
    cluster: Cluster, fleet: Fleet, seen_by_the_client: dict[str, dict[str, Any]]
) -> None:
    lines = cluster.kubectl.run("get", "mcps", "memory", "--namespace", fleet.namespace).splitlines()
    shown = dict(zip(lines[0].split(), lines[1].split(), strict=True))
    assert shown["PHASE"] == "Ready"
    assert shown["PACKAGE"] == "npm/@modelcontextprotocol/server-memory"
    assert int(shown["TOOLS"]) == len(seen_by_the_client["memory"]["tools"])
    assert shown["REASON"] == "Serving"


def test_state_of_a_server_survives_from_one_client_to_the_next(
    fleet: Fleet, seen_by_the_client: dict[str, dict[str, Any]]
) -> None:
    (graph,) = fleet.server("memory").ask([("read_graph", {})])["results"]
    assert "ada" in json.dumps(graph)


@pytest.mark.usefixtures("settled_at")
def test_a_server_that_crashes_at_start_fails_for_good_and_quotes_why(cluster: Cluster, fleet: Fleet) -> None:
    server = fleet.server("sqlite")
    with server.watch() as watch:
        condition = ready(wait_for(watch, "Failed", reason="CrashAtStart", timeout_seconds=READY_SECONDS))
    assert condition["status"] == "False"
    assert "Error" in condition["message"], "the last line of a Python traceback names an error"
    assert "retry" in condition["message"], "the message says what to do next"
    deployment = cluster.read("deployment", server.child, fleet.namespace)
    assert deployment["spec"]["replicas"] == 0
