"""The cluster that end-to-end tests and benches share: finding it, namespaces of one's own, and ways into its network.

On the local cluster, programs of this machine run inside the cluster's network namespace, so that Service and pod
addresses are reached as they are. On any other cluster a port-forward stands in for the Service, and what only the
local cluster has (audit log, containerd, a network namespace) is None.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcluster.cluster import LocalCluster
from localcluster.errors import LocalClusterError
from support.auditlog import AuditLog
from support.kubectl import Kubectl, KubectlFailed, Manifest, NotInTime, labels_text

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"
SYSTEM_NAMESPACE = "vsm-system"
OPERATOR = "vsm-operator"
OPERATOR_USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{OPERATOR}"
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:([0-9]+) ->")


class ClusterAbsent(Exception):  # noqa: N818
    """There is no cluster with the operator on it; the text says what is missing and what to run."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Made by `find`."""

    kubectl: Kubectl
    local: LocalCluster | None
    """None for a cluster that is not the local one."""
    operator_environment: Mapping[str, str] = field(default_factory=dict)
    """The operator's settings, as its Deployment states them."""

    # -- objects

    def get(self, kind: str, name: str, namespace: str) -> Manifest | None:
        return self.kubectl.json("get", kind, name, "--namespace", namespace, "--ignore-not-found")  # type: ignore[no-any-return]

    def read(self, kind: str, name: str, namespace: str) -> Manifest:
        """Raises KubectlFailed when it is not there."""
        return self.kubectl.json("get", kind, name, "--namespace", namespace)  # type: ignore[no-any-return]

    def objects(self, kind: str, namespace: str, *, selector: Mapping[str, str] | None = None) -> list[Manifest]:
        chosen = ["--selector", labels_text(selector)] if selector else []
        return self.kubectl.json("get", kind, "--namespace", namespace, *chosen)["items"]  # type: ignore[no-any-return]

    def apply(self, *manifests: Manifest) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl.run("apply", "--filename", "-", given=json.dumps(document))

    def delete(self, kind: str, name: str, namespace: str, *, now: bool = False) -> None:
        """Asks for it and does not wait. `now` kills a pod without its grace period."""
        force = ["--grace-period=0", "--force"] if now else []
        self.kubectl.run("delete", kind, name, "--namespace", namespace, "--wait=false", "--ignore-not-found", *force)

    def patch(self, kind: str, name: str, namespace: str, change: Any) -> None:
        """A merge patch for a mapping, a JSON patch for a list of operations."""
        form = "json" if isinstance(change, list) else "merge"
        self.kubectl.run("patch", kind, name, "--namespace", namespace, f"--type={form}", "--patch", json.dumps(change))

    def wait_until(self, settled: Callable[[], Any], *, wanted: str, timeout_seconds: float) -> Any:
        """Asks twice a second for what no watch tells. Returns the first truthy answer; raises NotInTime."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            answer = settled()
            if answer:
                return answer
            if time.monotonic() >= deadline:
                raise NotInTime(f"no {wanted} within {timeout_seconds:g} s; last answer: {answer!r}")
            time.sleep(0.5)

    def wait_ready(self, kind: str, name: str, namespace: str, *, timeout_seconds: float = 90.0) -> Manifest:
        """Condition Ready (Available for a Deployment)."""
        condition = "Available" if kind == "deployment" else "Ready"
        with self.kubectl.watch(kind, namespace=namespace, name=name) as watch:
            event = watch.until(
                lambda event: (
                    not event.deleted
                    and condition_of(event.object, condition).get("status") == "True"
                    and event.object["status"].get("observedGeneration", 0)
                    in (0, event.object["metadata"].get("generation", 0))
                ),
                wanted=f"condition {condition}",
                timeout_seconds=timeout_seconds,
            )
        return event.object

    # -- namespaces

    @contextlib.contextmanager
    def namespace(self, purpose: str, *, labels: Mapping[str, str] | None = None) -> Iterator[str]:
        """One of our own under the restricted Pod Security Standard. Deleted afterwards; nobody waits for that."""
        name = f"e2e-{purpose}-{secrets.token_hex(2)}"
        level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {**level, "vsm-mcp.io/e2e": "true", **(labels or {})}},
            }
        )
        self.wait_until(
            lambda: self.get("serviceaccount", "default", name), wanted="default ServiceAccount", timeout_seconds=30
        )
        try:
            yield name
        finally:
            if not os.environ.get("VSM_E2E_KEEP"):
                self.kubectl.run("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    # -- pods

    def execute(
        self,
        pod: str,
        namespace: str,
        argv: Sequence[str],
        *,
        container: str | None = None,
        timeout_seconds: float = 60,
    ) -> str:
        chosen = ["--container", container] if container else []
        return self.kubectl.run(
            "exec", pod, "--namespace", namespace, *chosen, "--", *argv, timeout_seconds=timeout_seconds
        )

    def operator_pods(self) -> list[Manifest]:
        """Those that are not on their way out."""
        pods = self.objects("pods", SYSTEM_NAMESPACE, selector={"app.kubernetes.io/name": OPERATOR})
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    @property
    def runtime_image(self) -> str:
        """Has python3, so every probe of ours runs in it."""
        return self.operator_environment["VSM_RUNTIME_IMAGE"]

    @property
    def pull_policy(self) -> str:
        return self.operator_environment.get("VSM_IMAGE_PULL_POLICY", "IfNotPresent")

    @property
    def audit_log(self) -> AuditLog | None:
        return AuditLog(self.local.layout.audit_log) if self.local else None

    # -- ways into the cluster's network

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The same program in the cluster's network. Only with `local`."""
        return self.local.exec_argv(argv) if self.local else list(argv)

    @contextlib.contextmanager
    def route(self, service: str, namespace: str, *, port: int) -> Iterator[str]:
        """Address ("host:port") of a Service for programs started with `run_program`."""
        if self.local is not None:
            yield f"{self.read('service', service, namespace)['spec']['clusterIP']}:{port}"
        else:
            with self._port_forward(f"service/{service}", namespace, port) as address:
                yield address

    @contextlib.contextmanager
    def route_to_pod(self, pod: Manifest, *, port: int) -> Iterator[str]:
        """The same for one pod, ready or not."""
        if self.local is not None:
            yield f"{pod['status']['podIP']}:{port}"
        else:
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            with self._port_forward(f"pod/{name}", namespace, port) as address:
                yield address

    @contextlib.contextmanager
    def _port_forward(self, target: str, namespace: str, port: int) -> Iterator[str]:
        argv = [self.kubectl.program, "port-forward", "--namespace", namespace, target, f":{port}"]
        with subprocess.Popen(
            argv, env=dict(self.kubectl.environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                match = _FORWARDING.search(line)
                if match is None:
                    raise KubectlFailed(f"port-forward to {target} in {namespace}: {line.strip()}")
                yield f"127.0.0.1:{match[1]}"
            finally:
                process.terminate()

    def run_program(self, name: str, request: Any, *, timeout_seconds: float) -> Any:
        """One of `programs/`, in the cluster's network: JSON in on stdin, JSON out on stdout."""
        done = subprocess.run(
            self.inside([sys.executable, str(PROGRAMS / f"{name}.py")]),
            input=json.dumps(request),
            env=self._program_environment(),
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{name} failed (exit {done.returncode}): {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def background_program(self, name: str, request: Any) -> "Iterator[subprocess.Popen[str]]":
        """The same while the block runs; whoever needs its answer calls `communicate`."""
        with subprocess.Popen(
            self.inside([sys.executable, str(PROGRAMS / f"{name}.py"), json.dumps(request)]),
            env=self._program_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _program_environment(self) -> dict[str, str]:
        proxies = {"http_proxy", "https_proxy", "all_proxy"}
        return {key: value for key, value in self.kubectl.environment.items() if key.lower() not in proxies}


def condition_of(manifest: Manifest, condition_type: str) -> dict[str, Any]:
    """{} when it was never set."""
    conditions = (manifest.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == condition_type), {})


def find() -> Cluster:
    """The cluster that `make up` made or chose. Raises ClusterAbsent."""
    local = LocalCluster.of(CHECKOUT)
    layout = local.layout
    if not layout.kubeconfig.exists():
        raise ClusterAbsent(f"there is no {layout.kubeconfig.relative_to(CHECKOUT)}: run `make up`")
    environment = {
        **local.environment(),
        "PYTHONPATH": os.pathsep.join(str(CHECKOUT / part) for part in ("operator", "runtime", "tests", "tools")),
    }
    program = shutil.which("kubectl", path=environment["PATH"])
    if program is None:
        raise ClusterAbsent(
            f"kubectl is neither in {layout.tools.relative_to(CHECKOUT)} nor on the PATH: run `make up`"
        )
    kubectl = Kubectl(program, environment)
    try:
        deployment = kubectl.json("get", "deployment", OPERATOR, "--namespace", SYSTEM_NAMESPACE, "--ignore-not-found")
    except KubectlFailed as error:
        raise ClusterAbsent(f"the cluster does not answer: {error}; run `make up`") from error
    if deployment is None:
        raise ClusterAbsent(f"no Deployment {OPERATOR} in namespace {SYSTEM_NAMESPACE}: run `make up`")
    containers = deployment["spec"]["template"]["spec"]["containers"]
    settings = {entry["name"]: entry.get("value", "") for entry in containers[0].get("env", [])}
    return Cluster(kubectl, local if _is_running(local) else None, settings)


def _is_running(local: LocalCluster) -> bool:
    try:
        local.node.require_holder()
    except LocalClusterError:
        return False
    return True
