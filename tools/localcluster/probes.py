"""Whether a component is well: HTTP(S) to where it listens, from inside the cluster's network or from the host."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.layout import API_PORT, API_SERVICE_ADDRESS, CLUSTER_CA, DNS_SERVICE_ADDRESS, NODE_NAME
from localcluster.node import Node

TIMEOUT_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Health:
    """A health address on the node's loopback."""

    port: int
    path: str = "/healthz"
    tls: bool = False

    def problem(self, node: Node) -> str:
        """ "" when it answers 200, else why not."""
        try:
            context = _trusting(node.layout.pki) if self.tls else None
            with node.network():
                connection = _connect("127.0.0.1", self.port, context)
            return _problem(connection, self.path)
        except (OSError, http.client.HTTPException) as error:
            return f"port {self.port}: {error}"


@dataclass(frozen=True, slots=True)
class Api:
    """The API server as the kubeconfig's user sees it: through the host's link, with the admin certificate."""

    address: str
    pki: Path

    def problem(self, path: str = "/readyz") -> str:
        try:
            return _problem(self._connection(), path)
        except (OSError, http.client.HTTPException) as error:
            return f"https://{self.address}:{API_PORT}{path}: {error}"

    def get(self, path: str) -> dict[str, Any] | None:
        """A decoded object; None when there is none or no answer."""
        try:
            connection = self._connection()
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return None
        found = json.loads(body) if answer.status == http.client.OK else None
        return found if isinstance(found, dict) else None

    def node_is_registered(self) -> bool:
        return self.get(f"/api/v1/nodes/{NODE_NAME}") is not None

    def node_problem(self) -> str:
        node = self.get(f"/api/v1/nodes/{NODE_NAME}")
        return "" if is_ready(node) else f"node {NODE_NAME} is {'not ready' if node else 'not registered'}"

    def _connection(self) -> http.client.HTTPConnection:
        context = _trusting(self.pki)
        context.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
        return _connect(self.address, API_PORT, context)


def dns_problem(node: Node) -> str:
    """ "" when the cluster's DNS answers for the API server: Service, policy agent, pod network and a pod at once.

    Asked for real, since after a restart the API server still says what was true before it.
    """
    try:
        with node.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(1)
            asker.connect((DNS_SERVICE_ADDRESS, 53))
            asker.send(dns_query("kubernetes.default.svc.cluster.local"))
            answer = asker.recv(512)
    except OSError as error:
        return f"the cluster's DNS at {DNS_SERVICE_ADDRESS} does not answer: {error}"
    answered = socket.inet_aton(API_SERVICE_ADDRESS) in answer
    return "" if answered else "the cluster's DNS does not know kubernetes.default"


def dns_query(name: str) -> bytes:
    """A question for the A record of `name` (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 0x7673, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def is_ready(node: dict[str, Any] | None) -> bool:
    """Whether a Node object's Ready condition is True."""
    conditions = (node or {}).get("status", {}).get("conditions", [])
    return any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions)


def _trusting(pki: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pki / CLUSTER_CA))


def _connect(address: str, port: int, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """Connected at once: the caller decides in which network namespace."""
    if context is None:
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_SECONDS)
    else:
        connection = http.client.HTTPSConnection(address, port, timeout=TIMEOUT_SECONDS, context=context)
    connection.connect()
    return connection


def _problem(connection: http.client.HTTPConnection, path: str) -> str:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(2000).decode(errors="replace").strip()
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return ""
    return f"{path} answers {answer.status}: {said.splitlines()[-1] if said else ''}"
