"""McpServers as tests use them: manifests, waiting for their status, calling their tools as a client would."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from support.cluster import PROGRAMS, Cluster, condition_of
from support.kubectl import Event, Manifest, Watch

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "caller", "version": "1"}},
}
"""What a client says first, for tests that speak plain HTTP."""

READY_SECONDS = 240.0
"""Includes a cold intake on a slow machine; no test passes or fails by it."""
_CALL_SECONDS = 90.0

TINY_PACKAGE = {"pypi": {"package": "iniconfig", "version": "2.3.1"}}
"""A few inert kilobytes: what runs is named in `command`, so a test of the pod does not wait for a package."""


def npm(package: str, version: str) -> Manifest:
    return {"npm": {"package": package, "version": version}}


def pypi(package: str, version: str) -> Manifest:
    return {"pypi": {"package": package, "version": version}}


def mcp_server(name: str, namespace: str, source: Manifest, **spec: Any) -> Manifest:
    return {
        "apiVersion": "vsm-mcp.io/v1alpha1",
        "kind": "McpServer",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": source, **spec},
    }


def probe_server(name: str, namespace: str, *, arguments: Sequence[str] = (), **spec: Any) -> Manifest:
    """`programs/probe_server.py` in place of a package's own program."""
    variables = [{"name": "PROBE_SERVER", "value": (PROGRAMS / "probe_server.py").read_text()}, *spec.pop("env", [])]
    source = spec.pop("source", TINY_PACKAGE)
    command = ["python3", "-c", "import os; exec(os.environ['PROBE_SERVER'])", *arguments]
    return mcp_server(name, namespace, source, command=command, env=variables, **spec)


@dataclass(frozen=True, slots=True)
class Server:
    """One McpServer on the cluster."""

    cluster: Cluster
    name: str
    namespace: str

    @property
    def child(self) -> str:
        """Name of its Deployment, Service and NetworkPolicy."""
        return f"mcp-{self.name}"

    @property
    def labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/instance": self.name, "app.kubernetes.io/managed-by": "vsm-operator"}

    def read(self) -> Manifest:
        return self.cluster.read("mcpserver", self.name, self.namespace)

    def watch(self) -> Watch:
        return self.cluster.kubectl.watch("mcpserver", namespace=self.namespace, name=self.name)

    def wait_ready(self, *, timeout_seconds: float = READY_SECONDS) -> Manifest:
        """Phase Ready for the current generation, with nothing under way."""
        return self.wait("Ready", reason="Serving", timeout_seconds=timeout_seconds)

    def wait(self, phase: str, *, reason: str | None = None, timeout_seconds: float = READY_SECONDS) -> Manifest:
        with self.watch() as watch:
            return wait_for(watch, phase, reason=reason, timeout_seconds=timeout_seconds)

    def pods(self) -> list[Manifest]:
        """Those that are not on their way out."""
        pods = self.cluster.objects("pods", self.namespace, selector=self.labels)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def pod(self) -> Manifest:
        """The only one."""
        (pod,) = self.pods()
        return pod

    def call(self, tool: str, **arguments: Any) -> Any:
        """The decoded JSON that a tool of the probe server answers, by the official client, through the Service."""
        result = self.ask([(tool, arguments)])["results"][0]
        assert not result["isError"], result["text"]
        return json.loads(result["text"])

    def ask(self, calls: Sequence[tuple[str, Mapping[str, Any]]] = (), *, token: str = "") -> dict[str, Any]:
        """What the official client learns of this server, and the results of `calls`."""
        return ask_all(self.cluster, [(self, calls)], token=token)[0]

    def http(self, *requests: Mapping[str, Any], port: int = 8080, pod: bool = False) -> list[dict[str, Any]]:
        """Plain requests ("path" in place of "url") to its Service, or to its pod: code, headers and text of each."""
        way = (
            self.cluster.route_to_pod(self.pod(), port=port)
            if pod
            else self.cluster.route(self.child, self.namespace, port=port)
        )
        with way as address:
            asked = [{**request, "url": f"http://{address}{request['path']}"} for request in requests]
            answers: list[dict[str, Any]] = self.cluster.run_program("http_ask", asked, timeout_seconds=_CALL_SECONDS)
        return answers


def ask_all(
    cluster: Cluster,
    servers: Sequence[tuple[Server, Sequence[tuple[str, Mapping[str, Any]]]]],
    *,
    token: str = "",
    mode: str = "auto",
) -> list[dict[str, Any]]:
    """Several servers side by side, in the same order. Fails when one of them does not answer as a server does."""
    with contextlib.ExitStack() as stack:
        request = [
            {
                "url": f"http://{stack.enter_context(cluster.route(server.child, server.namespace, port=8080))}/mcp",
                "calls": list(calls),
                "token": token,
            }
            for server, calls in servers
        ]
        answers: list[dict[str, Any]] = cluster.run_program(
            "mcp_client", {"servers": request, "mode": mode}, timeout_seconds=_CALL_SECONDS
        )
    for (server, _), answer in zip(servers, answers, strict=True):
        assert "error" not in answer, f"{server.name}: {answer['error']}"
    return answers


def wait_for(
    watch: Watch, phase: str, *, reason: str | None = None, timeout_seconds: float = READY_SECONDS
) -> Manifest:
    """The next state of a watched McpServer with this phase, and this reason of its Ready condition."""
    event = watch.until(
        lambda event: is_at(event, phase, reason),
        wanted=f"phase {phase}{f' ({reason})' if reason else ''}",
        timeout_seconds=timeout_seconds,
    )
    return event.object


def is_at(event: Event, phase: str, reason: str | None = None) -> bool:
    """For the current generation only: an older status speaks of another spec."""
    status = event.object.get("status") or {}
    return (
        not event.deleted
        and status.get("phase") == phase
        and status.get("observedGeneration") == event.object["metadata"]["generation"]
        and reason in (None, ready(event.object).get("reason"))
    )


def ready(server: Manifest) -> dict[str, Any]:
    """Its Ready condition."""
    return condition_of(server, "Ready")
