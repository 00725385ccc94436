"""Clients whose tokens the real API server judges: refused until the operator knows where that is, served afterwards.

The operator gets its setting in the middle of this module, and loses it again at the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.cluster import OPERATOR, SYSTEM_NAMESPACE, Cluster
from support.kubectl import Manifest
from support.mcpservers import INITIALIZE, Server, probe_server, ready

AUDIENCE = "mcp"
VARIABLE = "VSM_API_SERVER_CIDRS"


@dataclass(frozen=True, slots=True)
class World:
    cluster: Cluster
    namespace: str
    refused: Manifest
    """The server `review` before the operator was told where the API server is."""

    def server(self, name: str) -> Server:
        return Server(self.cluster, name, self.namespace)

    def token(self, account: str, *audience: str) -> str:
        chosen = [f"--audience={name}" for name in audience]
        return self.cluster.kubectl.run(
            "create", "token", account, "--namespace", self.namespace, "--duration=10m", *chosen
        ).strip()

    def knock(self, name: str, token: str) -> tuple[int, str]:
        headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}"}
        (answer,) = self.server(name).http({"path": "/mcp", "method": "POST", "json": INITIALIZE, "headers": headers})
        return answer["code"], answer["text"]


@pytest.fixture(scope="module")
def world(cluster: Cluster, namespace: str) -> Iterator[World]:
    def review(account: str) -> Manifest:
        allowed = f"system:serviceaccount:{namespace}:agent*"
        return {"tokenReview": {"serviceAccountName": account, "audiences": [AUDIENCE], "allowed": [allowed]}}

    cluster.apply(
        *(account(name, namespace) for name in ("reviewer", "powerless", "agent-smith", "stranger")),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{namespace}-reviewer"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:auth-delegator",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "reviewer", "namespace": namespace}],
        },
        probe_server("review", namespace, auth=review("reviewer")),
        probe_server("powerless", namespace, auth=review("powerless")),
        probe_server("nobody", namespace, auth=review("not-there-yet")),
    )
    try:
        refused = Server(cluster, "review", namespace).wait("Pending", reason="ApiServerUnknown", timeout_seconds=120)
        tell_operator(cluster, ",".join(addresses(cluster)))
        yield World(cluster, namespace, refused)
    finally:
        tell_operator(cluster, cluster.operator_environment.get(VARIABLE, ""))
        cluster.kubectl.run("delete", "clusterrolebinding", f"{namespace}-reviewer", "--ignore-not-found")


def account(name: str, namespace: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def addresses(cluster: Cluster) -> list[str]:
    """Of the Service and of what is behind it: a policy may see either."""
    slices = cluster.objects("endpointslices", "default", selector={"kubernetes.io/service-name": "kubernetes"})
    behind = [address for found in slices for entry in found["endpoints"] for address in entry["addresses"]]
    return [
        f"{address}/32" for address in (cluster.read("service", "kubernetes", "default")["spec"]["clusterIP"], *behind)
    ]


def tell_operator(cluster: Cluster, cidrs: str) -> None:
    cluster.kubectl.run("set", "env", f"deployment/{OPERATOR}", "--namespace", SYSTEM_NAMESPACE, f"{VARIABLE}={cidrs}")
    cluster.kubectl.run(
        "rollout", "status", f"deployment/{OPERATOR}", "--namespace", SYSTEM_NAMESPACE, "--timeout=120s",
        timeout_seconds=130,
    )  # fmt: skip


@pytest.fixture(scope="module")
def serving(world: World) -> Server:
    server = world.server("review")
    server.wait_ready()
    return server


def test_unknown_api_server_is_said_with_the_value_to_set(world: World) -> None:
    assert "networkPolicy.apiServer.cidrs" in ready(world.refused)["message"]


def test_account_that_is_allowed_is_served(world: World, serving: Server) -> None:
    seen = serving.ask([("facts", {})], token=world.token("agent-smith", AUDIENCE))
    assert not seen["results"][0]["isError"]


def test_valid_token_of_somebody_else_is_forbidden(world: World, serving: Server) -> None:
    assert world.knock("review", world.token("stranger", AUDIENCE))[0] == 403


def test_token_that_is_meant_for_somebody_else_is_refused(world: World, serving: Server) -> None:
    assert world.knock("review", world.token("agent-smith", "another-audience"))[0] == 401
    assert world.knock("review", world.token("agent-smith"))[0] == 401


def test_token_that_is_none_is_refused(world: World, serving: Server) -> None:
    forged = world.token("agent-smith", AUDIENCE)[:-4] + "AAAA"
    assert world.knock("review", forged)[0] == 401


def test_untrusted_container_has_neither_the_token_nor_the_account(world: World, serving: Server) -> None:
    pod = serving.pod()
    assert pod["spec"]["serviceAccountName"] == "reviewer"
    mounting = [
        container["name"]
        for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
        if any(mount["name"] in ("api-server", "tokens") for mount in container["volumeMounts"])
    ]
    assert mounting == ["bridge"]


def test_account_without_the_right_to_review_is_never_ready_and_says_so(world: World) -> None:
    server = world.server("powerless")
    failing = server.wait("Starting", reason="HandshakeFailed")
    assert "HTTP 503" in ready(failing)["message"]


def test_missing_account_is_named_and_the_server_starts_once_it_is_there(world: World) -> None:
    server = world.server("nobody")
    waiting = server.wait("Starting", reason="PodsRefused")
    assert "not-there-yet" in ready(waiting)["message"]
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{world.namespace}-reviewer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [
            {"kind": "ServiceAccount", "name": name, "namespace": world.namespace}
            for name in ("reviewer", "not-there-yet")
        ],
    }
    world.cluster.apply(account("not-there-yet", world.namespace), binding)
    server.wait_ready()
