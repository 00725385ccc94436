"""The policies of an installed release, asked by real pods: who gets through to its registry, and who does not.

Needs a cluster with the release in it (`make up`); nothing is installed here. Pods of each sort try their requests
again until the answer is the wanted one or time is up, since a network plugin takes a moment to notice a new pod.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from chart.conftest import CHECKOUT

NAMESPACE = os.environ.get("VSM_TEST_NAMESPACE", "vsm-system")
BLOB = "checking who may push and who may pull"
DIGEST = f"sha256:{sha256(BLOB.encode()).hexdigest()}"
BLOCKED = "blocked"
CONNECTED = "connected"
_DEADLINE_SECONDS = 40
_MANAGED = {"app.kubernetes.io/managed-by": "vsm-operator"}
_INTAKE = {**_MANAGED, "app.kubernetes.io/component": "intake"}
_SERVER = {**_MANAGED, "app.kubernetes.io/component": "server"}
_CREDENTIALS = "/credentials"

_PROGRAM = """
import base64, hashlib, json, pathlib, socket, sys, time, urllib.error, urllib.parse, urllib.request

def asked(attempt, method, url, body=None):
    request = urllib.request.Request(url, method=method, data=body)
    request.add_header("Content-Type", "application/octet-stream")
    if attempt["credentials"]:
        pair = ":".join((pathlib.Path(attempt["credentials"]) / key).read_text() for key in ("username", "password"))
        request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    return urllib.request.urlopen(request, timeout=3)

def once(attempt):
    method, url = attempt["method"], attempt["url"]
    try:
        if method == "CONNECT":
            host, _, port = url.removeprefix("tcp://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=3).close()
            return "connected"
        if method == "UPLOAD":
            with asked(attempt, "POST", url) as answer:
                place = urllib.parse.urljoin(url, answer.headers["Location"])
            body = attempt["body"].encode()
            digest = hashlib.sha256(body).hexdigest()
            method, url = "PUT", place + ("&" if "?" in place else "?") + "digest=sha256:" + digest
        else:
            body = None
        with asked(attempt, method, url, body) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError:
        return "blocked"

until = time.monotonic() + float(sys.argv[2])
answers = []
for attempt in json.loads(sys.argv[1]):
    while (answer := once(attempt)) != attempt["want"] and time.monotonic() < until:
        time.sleep(0.5)
    answers.append(answer)
print(json.dumps(answers))
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    url: str
    want: str
    """A status, or whether the connection is let through at all."""
    method: str = "GET"
    """One of HTTP's, or UPLOAD for both requests of a push, or CONNECT for TCP alone."""
    body: str = ""
    credentials: str = ""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A pod that tries something."""

    name: str
    namespace: str
    labels: dict[str, str] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    kubectl: Path
    environment: dict[str, str]

    def run(self, *arguments: str, manifest: Any = None) -> str:
        done = subprocess.run(
            [self.kubectl, *arguments],
            input=None if manifest is None else json.dumps(manifest),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self.run("get", *arguments, "--output", "json"))


@pytest.fixture(scope="module")
def cluster(kubectl: Path) -> Cluster:
    local = CHECKOUT / ".local" / "kubeconfig"
    named = os.environ.get("KUBECONFIG") or (str(local) if local.is_file() else "")
    if not named:
        pytest.skip("no cluster: run `make up`, or name a kubeconfig in KUBECONFIG")
    found = Cluster(kubectl, {**os.environ, "KUBECONFIG": named})
    try:
        available = found.get("deployment/vsm-registry", "-n", NAMESPACE)["status"].get("availableReplicas", 0)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no release in namespace {NAMESPACE} of that cluster: {error}")
    if not available:
        pytest.skip(f"the registry in namespace {NAMESPACE} is not available")
    return found


@pytest.fixture(scope="module")
def elsewhere(cluster: Cluster) -> Iterator[str]:
    """A namespace without policies, as users' are."""
    name = f"vsm-visitors-{secrets.token_hex(4)}"
    cluster.run("create", "namespace", name)
    cluster.run("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    cluster.run("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def visitors(cluster: Cluster, elsewhere: str) -> list[Visitor]:
    address = cluster.get("service/vsm-registry", "-n", NAMESPACE)["spec"]["clusterIP"]
    push, pull = f"http://{address}:5000", f"http://{address}:5001"
    api = f"tcp://{cluster.get('service/kubernetes', '-n', 'default')['spec']['clusterIP']}:443"
    upload = f"{push}/v2/vsm/check/blobs/uploads/"
    closed = (Attempt(f"{push}/v2/", BLOCKED), Attempt(f"{pull}/v2/", BLOCKED))
    return [
        Visitor(
            "intake",
            NAMESPACE,
            _INTAKE,
            (
                Attempt(f"http://vsm-registry.{NAMESPACE}.svc:5000/v2/", "401"),
                Attempt(upload, "401", method="POST"),
                Attempt(upload, "201", method="UPLOAD", body=BLOB, credentials=_CREDENTIALS),
                Attempt(f"{pull}/v2/vsm/check/blobs/{DIGEST}", "200"),
                Attempt(f"{pull}/v2/vsm/check/blobs/uploads/", "405", method="POST"),
                Attempt(f"{push}/v2/vsm/check/blobs/{DIGEST}", "405", method="DELETE", credentials=_CREDENTIALS),
                Attempt(api, BLOCKED, method="CONNECT"),
            ),
        ),
        Visitor(
            "server",
            elsewhere,
            _SERVER,
            (Attempt(f"{pull}/v2/vsm/check/blobs/{DIGEST}", "200"), Attempt(f"{push}/v2/", BLOCKED)),
        ),
        Visitor("stranger", elsewhere, {}, (*closed, Attempt(api, CONNECTED, method="CONNECT"))),
        Visitor("forged-intake", elsewhere, _INTAKE, (*closed, Attempt(api, CONNECTED, method="CONNECT"))),
        Visitor("bystander", NAMESPACE, {}, (*closed, Attempt(api, BLOCKED, method="CONNECT"))),
    ]


@pytest.fixture(scope="module")
def answers(cluster: Cluster, visitors: list[Visitor]) -> Iterator[dict[str, list[str]]]:
    """Every visitor's answers, in the order of its attempts."""
    (operator,) = cluster.get("deployment/vsm-operator", "-n", NAMESPACE)["spec"]["template"]["spec"]["containers"]
    image = next(entry["value"] for entry in operator["env"] if entry["name"] == "VSM_RUNTIME_IMAGE")
    suffix = secrets.token_hex(4)
    pods = {visitor.name: _pod(visitor, image=image, suffix=suffix) for visitor in visitors}
    try:
        cluster.run("create", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": list(pods.values())})
        yield {name: _answers(cluster, pod["metadata"]) for name, pod in pods.items()}
    finally:
        for pod in pods.values():
            names = (pod["metadata"]["name"], "-n", pod["metadata"]["namespace"])
            cluster.run("delete", "pod", *names, "--ignore-not-found", "--wait=false")


@pytest.mark.parametrize("name", ["intake", "server", "stranger", "forged-intake", "bystander"])
def test_each_sort_of_pod_gets_through_where_it_should_only(
    visitors: list[Visitor], answers: dict[str, list[str]], name: str
) -> None:
    (visitor,) = (visitor for visitor in visitors if visitor.name == name)
    tried = [f"{attempt.method} {attempt.url}" for attempt in visitor.attempts]
    want = [attempt.want for attempt in visitor.attempts]
    assert dict(zip(tried, answers[name], strict=True)) == dict(zip(tried, want, strict=True))


def _answers(cluster: Cluster, metadata: dict[str, Any]) -> list[str]:
    where = (metadata["name"], "-n", metadata["namespace"])
    cluster.run("wait", "pod", *where, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s")
    result: list[str] = json.loads(cluster.run("logs", *where))
    return result


def _pod(visitor: Visitor, *, image: str, suffix: str) -> dict[str, Any]:
    credentials = any(attempt.credentials for attempt in visitor.attempts)
    attempts = [
        {"url": a.url, "want": a.want, "method": a.method, "body": a.body, "credentials": a.credentials}
        for a in visitor.attempts
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"check-{visitor.name}-{suffix}",
            "namespace": visitor.namespace,
            "labels": visitor.labels,
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "check",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-c", _PROGRAM, json.dumps(attempts), str(_DEADLINE_SECONDS)],
                    "resources": {"limits": {"cpu": "200m", "memory": "64Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "credentials", "mountPath": _CREDENTIALS}] if credentials else [],
                }
            ],
            "volumes": [{"name": "credentials", "secret": {"secretName": "vsm-registry-credentials"}}]
            if credentials
            else [],
        },
    }
