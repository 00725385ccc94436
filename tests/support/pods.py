"""Pods of the tests themselves, all within the restricted Pod Security Standard: echo hosts and callers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from support.cluster import Cluster
from support.kubectl import Manifest

_ECHO = """
import http.server, sys, threading

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"echo")

servers = [http.server.ThreadingHTTPServer(("0.0.0.0", int(port)), Handler) for port in sys.argv[1:]]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""
_IDLE = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); signal.pause()"
_CONNECT = """
import json, socket, sys
outcomes = {}
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        outcomes[target] = "connected"
    except OSError as error:
        outcomes[target] = error.strerror or str(error)
print(json.dumps(outcomes))
"""
_POST = """
import json, sys, urllib.error, urllib.request
headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), headers)
try:
    with urllib.request.urlopen(request, timeout=20) as response:
        print(json.dumps([response.status, response.read(65536).decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.read(65536).decode()]))
except OSError as error:
    print(json.dumps([0, str(error)]))
"""


def pod(
    cluster: Cluster,
    name: str,
    namespace: str,
    command: Sequence[str],
    *,
    labels: Mapping[str, str] | None = None,
    ports: Iterable[int] = (),
    **spec: Any,
) -> Manifest:
    """One container of the runtime image, which has python3."""
    container: Manifest = {
        "name": "main",
        "image": cluster.runtime_image,
        "imagePullPolicy": cluster.pull_policy,
        "command": list(command),
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if ports := list(ports):
        container["ports"] = [{"containerPort": port} for port in ports]
        container["readinessProbe"] = {"tcpSocket": {"port": ports[0]}, "periodSeconds": 1}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels or {})},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10_003,
                "seccompProfile": {"type": "RuntimeDefault"},
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            },
            "containers": [container],
            **spec,
        },
    }


def echo_pod(cluster: Cluster, name: str, namespace: str, *, ports: Sequence[int]) -> list[Manifest]:
    """Answers HTTP on each port, and a Service of the same name."""
    labels = {"app": name}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": labels, "ports": [{"name": f"p{port}", "port": port} for port in ports]},
    }
    command = ["python3", "-c", _ECHO, *map(str, ports)]
    return [pod(cluster, name, namespace, command, labels=labels, ports=ports), service]


def idle_pod(
    cluster: Cluster, name: str, namespace: str, *, labels: Mapping[str, str] | None = None, **spec: Any
) -> Manifest:
    """Does nothing until somebody executes something in it."""
    return pod(cluster, name, namespace, ["python3", "-c", _IDLE], labels=labels, **spec)


def connects(
    cluster: Cluster, pod_name: str, namespace: str, targets: Sequence[str], *, container: str | None = None
) -> dict[str, str]:
    """ "connected", or why not, for each "host:port", tried from inside a pod."""
    said = cluster.execute(pod_name, namespace, ["python3", "-c", _CONNECT, *targets], container=container)
    return json.loads(said)  # type: ignore[no-any-return]


def post(cluster: Cluster, pod_name: str, namespace: str, url: str, message: Manifest) -> tuple[int, str]:
    """HTTP status and body; 0 when there was no answer at all."""
    code, body = json.loads(cluster.execute(pod_name, namespace, ["python3", "-c", _POST, url, json.dumps(message)]))
    return code, body
