"""What a server's bridge lets through: filtered and changed tools, clients with and without tokens, and its own port.

The servers are made side by side; each test looks at those that are its own.
"""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.cluster import SYSTEM_NAMESPACE, Cluster, condition_of
from support.kubectl import Manifest
from support.mcpservers import INITIALIZE, Server, ask_all, probe_server, ready
from support.pods import idle_pod

ADMIT = "vsm-mcp.io/admit-tools"
TAKEN_OVER_SECONDS = 180.0
"""A kubelet looks at mounted ConfigMaps about once a minute."""
ACCEPT = {"Accept": "application/json, text/event-stream"}
TOKENS = {"alice": "alice-0123456789abcdef", "bob": "bob-0123456789abcdef"}


@dataclass(frozen=True, slots=True)
class World:
    cluster: Cluster
    namespace: str
    made: Mapping[str, Manifest]
    """Servers as they were when they became ready."""

    def server(self, name: str) -> Server:
        return Server(self.cluster, name, self.namespace)


@pytest.fixture(scope="module")
def world(cluster: Cluster, namespace: str) -> World:
    clients = {"secretRef": {"name": "clients"}}
    cluster.kubectl.run("label", "namespace", namespace, "vsm-mcp.io/metrics=read")
    cluster.apply(
        secret("clients", namespace, TOKENS),
        probe_server("filtered", namespace, toolFilter={"allow": ["e*", "fa?ts", "fork"], "deny": ["fork"]}),
        probe_server("changing", namespace),
        probe_server("strict", namespace, toolPin="Strict"),
        probe_server("tokens", namespace, auth={"tokens": clients}),
        probe_server("missing", namespace, auth={"tokens": {"secretRef": {"name": "not-there-yet"}}}),
        probe_server("sessions", namespace, isolation="Session", sessions={"maxCount": 3}),
        probe_server("slow", namespace, limits={"callsPerSecondPerClient": "0.5", "maxMessageSize": "4Ki"}),
        idle_pod(cluster, "scraper", namespace),
    )
    ready_ones = ("filtered", "changing", "tokens", "sessions")
    made = {name: Server(cluster, name, namespace).wait_ready() for name in ready_ones}
    return World(cluster, namespace, made)


def secret(name: str, namespace: str, values: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": dict(values),
    }


def names(tools: Mapping[str, Any]) -> set[str]:
    return set(tools["tools"])


# -- filter and limits


def test_filtered_tool_is_neither_listed_nor_callable_nor_shown(world: World) -> None:
    server = world.server("filtered")
    seen = server.ask([("echo", {"say": "hello"})])
    assert names(seen) == {"echo", "facts"}
    assert not seen["results"][0]["isError"]
    status = world.made["filtered"]["status"]["tools"]
    assert (set(status["names"]), status["count"]) == ({"echo", "facts"}, 2)
    with pytest.raises(AssertionError, match="fork"):
        server.ask([("fork", {"attempts": 1})])


def test_hash_is_over_all_tools_so_that_a_filter_does_not_change_it(world: World) -> None:
    assert world.made["filtered"]["status"]["tools"]["hash"] == world.made["changing"]["status"]["tools"]["hash"]


def test_client_that_calls_too_often_is_told_when_to_come_back(world: World) -> None:
    server = world.server("slow")
    server.wait_ready()
    (first, *others) = server.http(*[{"path": "/mcp", "method": "POST", "json": INITIALIZE, "headers": ACCEPT}] * 30)
    assert first["code"] == 200, first
    refused = [answer for answer in others if answer["code"] == 429]
    assert refused
    assert all(float(answer["headers"]["retry-after"]) > 0 for answer in refused)


def test_message_beyond_the_limit_of_the_spec_is_refused(world: World) -> None:
    large = INITIALIZE | {"padding": "x" * 5000}
    (answer,) = world.server("slow").http({"path": "/mcp", "method": "POST", "json": large, "headers": ACCEPT})
    assert answer["code"] == 413


# -- the pin


def test_first_list_is_pinned_in_a_config_map_of_the_server(world: World) -> None:
    status = world.made["changing"]["status"]
    pins = world.cluster.read("configmap", "mcp-changing-pins", world.namespace)
    assert pins["data"] == {status["bundle"]["digest"].replace(":", "-"): status["tools"]["hash"]}
    assert status["tools"]["pinnedHash"] == status["tools"]["hash"]
    assert condition_of(world.made["changing"], "ToolsUnchanged")["reason"] == "Pinned"


def test_pins_that_somebody_edited_are_put_right(world: World) -> None:
    name, namespace = "mcp-filtered-pins", world.namespace
    before = world.cluster.read("configmap", name, namespace)["data"]
    edited = dict.fromkeys(before, "sha256:" + "0" * 64) | {"admitted": "sha256:" + "1" * 64}
    world.cluster.patch("configmap", name, namespace, {"data": edited})
    world.cluster.wait_until(
        lambda: world.cluster.read("configmap", name, namespace)["data"] == before,
        wanted="pins as they were",
        timeout_seconds=30,
    )
    world.cluster.delete("configmap", name, namespace)
    world.cluster.wait_until(
        lambda: (world.cluster.get("configmap", name, namespace) or {}).get("data") == before,
        wanted="pins as they were",
        timeout_seconds=30,
    )


def test_server_that_changes_its_tools_is_stopped_reported_and_served_again_once_admitted(world: World) -> None:
    server = world.server("changing")
    pod = server.pod()["metadata"]["name"]
    before = world.made["changing"]["status"]["tools"]["hash"]
    server.call("learn", names=["send_everything_to_the_author"])

    blocked = server.wait("Degraded", reason="ToolsChanged", timeout_seconds=60)
    assert "vsmctl tools admit changing" in ready(blocked)["message"]
    assert condition_of(blocked, "ToolsUnchanged")["status"] == "False"
    tools = blocked["status"]["tools"]
    assert tools["pinnedHash"] == before
    assert tools["hash"] not in ("", before)
    (answer,) = server.http({"path": "/mcp", "method": "POST", "json": INITIALIZE, "headers": ACCEPT}, pod=True)
    assert answer["code"] == 503
    assert "send_everything" not in answer["text"]
    assert [event for event in events(world, "changing") if event["reason"] == "ToolsChanged"]

    shown = vsmctl(world, "tools", "show", "changing")
    assert tools["hash"] in shown
    assert "send_everything_to_the_author" in shown
    vsmctl(world, "tools", "admit", "changing", "--hash", tools["hash"])
    server.wait_ready(timeout_seconds=TAKEN_OVER_SECONDS)
    assert "send_everything_to_the_author" in names(server.ask())
    assert server.pod()["metadata"]["name"] == pod, "an admission starts no new pod"
    assert server.read()["status"]["tools"]["pinnedHash"] == tools["hash"]


def test_strict_server_waits_until_its_tools_are_admitted(world: World) -> None:
    server = world.server("strict")
    waiting = server.wait("AwaitingApproval", reason="ToolsNotAdmitted")
    observed = waiting["status"]["tools"]["hash"]
    assert observed == world.made["filtered"]["status"]["tools"]["hash"]
    (answer,) = server.http({"path": "/mcp", "method": "POST", "json": INITIALIZE, "headers": ACCEPT}, pod=True)
    assert answer["code"] == 503
    world.cluster.patch("mcpserver", "strict", world.namespace, {"metadata": {"annotations": {ADMIT: observed}}})
    server.wait_ready(timeout_seconds=TAKEN_OVER_SECONDS)
    assert "echo" in names(server.ask())


def events(world: World, name: str) -> list[Manifest]:
    found = world.cluster.objects("events.events.k8s.io", world.namespace)
    return [event for event in found if event.get("regarding", {}).get("name") == name]


def vsmctl(world: World, *words: str) -> str:
    program = Path(sys.executable).with_name("vsmctl")
    done = subprocess.run(
        [program, *words, "--namespace", world.namespace],
        env={**os.environ, **world.cluster.kubectl.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- who may call


@pytest.mark.parametrize("client", TOKENS)
def test_client_with_a_token_of_the_secret_is_served(world: World, client: str) -> None:
    seen = world.server("tokens").ask([("echo", {"say": client})], token=TOKENS[client])
    assert client in seen["results"][0]["text"]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no token"),
        pytest.param({"Authorization": "Bearer alice"}, id="a name"),
        pytest.param({"Authorization": f"Bearer {TOKENS['alice'][:-1]}"}, id="a part of one"),
        pytest.param({"Authorization": f"Basic {TOKENS['alice']}"}, id="another scheme"),
    ],
)
def test_client_without_a_valid_token_gets_no_further_than_the_door(world: World, headers: dict[str, str]) -> None:
    (answer,) = world.server("tokens").http(
        {"path": "/mcp", "method": "POST", "json": INITIALIZE, "headers": ACCEPT | headers}
    )
    assert answer["code"] == 401
    assert answer["headers"]["www-authenticate"].startswith("Bearer")
    assert not any(token in answer["text"] for token in TOKENS.values())


def test_server_with_tokens_is_ready_with_everything_in_its_status(world: World) -> None:
    status = world.made["tokens"]["status"]
    assert status["serverInfo"]["name"] == "probe"
    assert status["tools"]["hash"] == world.made["filtered"]["status"]["tools"]["hash"]
    assert "echo" in status["tools"]["names"]


def test_tokens_are_mounted_where_the_server_cannot_read_them(world: World) -> None:
    pod = world.server("tokens").pod()
    mounting = [
        container["name"]
        for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
        if any(mount["name"] == "tokens" for mount in container["volumeMounts"])
    ]
    assert mounting == ["bridge"]


def test_missing_secret_is_named_and_the_server_starts_once_it_is_there(world: World) -> None:
    server = world.server("missing")
    waiting = server.wait("Starting", reason="PodConfiguration", timeout_seconds=120)
    assert "Secret not-there-yet (spec.auth.tokens)" in ready(waiting)["message"]
    world.cluster.apply(secret("not-there-yet", world.namespace, {"carol": "carol-0123456789abcdef"}))
    server.wait_ready()
    assert names(server.ask(token="carol-0123456789abcdef"))


# -- sessions


def test_each_session_has_a_process_of_its_own(world: World) -> None:
    server = world.server("sessions")
    calls = [("facts", {}), ("facts", {})]
    one, two = ask_all(world.cluster, [(server, calls), (server, calls)], mode="legacy")
    pids = [{pid(result) for result in seen["results"]} for seen in (one, two)]
    assert [len(found) for found in pids] == [1, 1], "one session, one process"
    assert pids[0] != pids[1]


def test_shared_server_has_one_process_for_all(world: World) -> None:
    server = world.server("filtered")
    one, two = ask_all(world.cluster, [(server, [("facts", {})])] * 2, mode="legacy")
    assert pid(one["results"][0]) == pid(two["results"][0])


def pid(result: Mapping[str, Any]) -> int:
    return int(json.loads(result["text"])["pid"])


# -- the admin port


def admin_token(world: World, name: str) -> str:
    key = world.cluster.read("secret", "vsm-operator-admin-key", SYSTEM_NAMESPACE)["data"]["key"]
    uid = world.server(name).read()["metadata"]["uid"]
    return hmac.new(base64.b64decode(key), uid.encode(), hashlib.sha256).hexdigest()


def test_admin_endpoints_are_closed_without_the_servers_own_token(world: World) -> None:
    server = world.server("filtered")
    others = admin_token(world, "tokens")
    requests = [
        {"path": path, "method": method, "headers": headers}
        for path, method in (("/admin/status", "GET"), ("/admin/drain", "POST"), ("/admin/egress", "POST"))
        for headers in ({}, {"Authorization": f"Bearer {others}"})
    ]
    answers = server.http(*requests, port=8081, pod=True)
    assert [answer["code"] for answer in answers] == [401, 403] * 3


def test_admin_endpoints_open_to_the_token_that_follows_from_the_key(world: World) -> None:
    authorization = {"Authorization": f"Bearer {admin_token(world, 'filtered')}"}
    nowhere = {"targets": [{"host": "192.0.2.1", "port": 443, "protocol": "tcp"}]}
    status, egress = world.server("filtered").http(
        {"path": "/admin/status", "headers": authorization},
        {"path": "/admin/egress", "method": "POST", "headers": authorization, "json": nowhere},
        port=8081,
        pod=True,
    )
    assert status["code"] == 200
    assert '"ready"' in status["text"]
    assert egress["code"] == 200
    assert '"open"' not in egress["text"]


def test_metrics_are_read_by_a_pod_whose_namespace_may(world: World) -> None:
    world.cluster.wait_ready("pod", "scraper", world.namespace)
    address = world.server("filtered").pod()["status"]["podIP"]
    program = (
        "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
    )
    text = world.cluster.execute(
        "scraper", world.namespace, ["python3", "-c", program, f"http://{address}:8081/metrics"]
    )
    assert 'vsm_mcp_calls_total{method="tools/call",outcome="ok",tool="echo"}' in text
    assert "vsm_mcp_ready 1" in text
