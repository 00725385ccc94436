"""The daemons of the node: argv, order, and what tells that each is well.

A component counts as running while its cgroup holds a process of its program, and as well when its probe says so.
`STAGES` is the start order; what stands in one stage starts side by side.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster import cgroups, processes
from localcluster.commands import NODE_PATH, run
from localcluster.errors import CommandError, ComponentError
from localcluster.layout import (
    API_PORT,
    NODE_ADDONS,
    NODE_KUBERNETES,
    NODE_NAME,
    NODE_STATE,
    POD_RANGE,
    SERVICE_RANGE,
    Layout,
)
from localcluster.node import Node
from localcluster.probes import Api, Health
from localcluster.progress import wait_until

READY_TIMEOUT_SECONDS = 90
NOT_RUNNING = "not running"
LOG_LIMIT_BYTES = 20 * 1024 * 1024
_PKI = f"{NODE_STATE}/pki"
_CONFIG = f"{NODE_STATE}/config"
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Component:
    name: str
    argv: tuple[str, ...]
    health: Health | None = None
    """None: its own way, see `problem`."""

    @property
    def program(self) -> str:
        return Path(self.argv[0]).name


STAGES: tuple[tuple[str, ...], ...] = (
    ("etcd", "containerd"),
    ("kube-apiserver",),
    ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
    ("kube-router",),  # it exits when the Node object does not exist yet
)


def catalogue(*, node_address: str) -> dict[str, Component]:
    components = (
        _etcd(),
        Component("containerd", ("containerd", "--config", f"{_CONFIG}/containerd.toml")),
        _apiserver(node_address),
        _controller_manager(),
        Component(
            "kube-scheduler",
            (f"{NODE_KUBERNETES}/kube-scheduler", *_kubeconfigs("kube-scheduler"), *_loopback_serving(),
             "--leader-elect=false"),
            Health(10259, tls=True),
        ),
        Component(
            "kubelet",
            (f"{NODE_KUBERNETES}/kubelet", f"--config={_CONFIG}/kubelet.json",
             f"--kubeconfig={_CONFIG}/kubelet.kubeconfig", f"--hostname-override={NODE_NAME}",
             f"--node-ip={node_address}", "--root-dir=/var/lib/kubelet"),
            Health(10248),
        ),
        Component(
            "kube-proxy", (f"{NODE_KUBERNETES}/kube-proxy", f"--config={_CONFIG}/kube-proxy.json"), Health(10256)
        ),
        Component(
            "kube-router",
            (f"{NODE_ADDONS}/kube-router", "--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
             f"--kubeconfig={_CONFIG}/kube-router.kubeconfig", f"--hostname-override={NODE_NAME}",
             f"--service-cluster-ip-range={SERVICE_RANGE}", "--health-port=20244", "--metrics-port=0"),
            Health(20244),
        ),
    )  # fmt: skip
    return {component.name: component for component in components}


def problem(component: Component, *, node: Node, api: Api) -> str:
    """ "" when the component runs and is well, else one line about what is wrong."""
    if processes.find(node.group_of(component.name), program=component.program) is None:
        return NOT_RUNNING
    if component.name == "kube-apiserver":
        return api.problem()
    if component.name == "containerd":
        try:
            socket = str(node.layout.containerd_socket)
            run(["ctr", "--address", socket, "--timeout", "3s", "version"], timeout_seconds=5)
        except CommandError as error:
            return str(error)
    return component.health.problem(node) if component.health else ""


def start(component: Component, *, node: Node) -> None:
    """Start the component after any earlier process of it has let go of its port and files."""
    _end_earlier(component, node=node)
    log = log_of(component.name, node.layout)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    node.spawn(component.name, component.argv, log=log, environ=_environment(component.name))


def wait_ready(component: Component, *, node: Node, api: Api) -> None:
    """Raises ComponentError when it exits or is not well in time."""
    log = log_of(component.name, node.layout)
    last = ""

    def settled() -> str:
        nonlocal last
        starts = node.starts(component.name)  # before the look at its process: it may execute in between
        last = problem(component, node=node, api=api)
        return "ready" if not last else ("exited" if last == NOT_RUNNING and not starts else "")

    outcome = wait_until(settled, timeout_seconds=READY_TIMEOUT_SECONDS)
    if outcome == "exited":
        raise ComponentError(component.name, "it exited right after its start", log=log)
    if outcome is None:
        raise ComponentError(component.name, f"not ready within {READY_TIMEOUT_SECONDS} s: {last}", log=log)


def log_of(component: str, layout: Layout) -> Path:
    return layout.logs / f"{component}.log"


def _end_earlier(component: Component, *, node: Node) -> None:
    """Only processes of the same program: containerd's shims live in its group and outlast it, with their pods."""
    group = node.group_of(component.name)
    for pid in cgroups.members(group):
        if processes.program_of(pid) == component.program and not processes.end(
            pid,
            still_ours=lambda candidate: candidate in cgroups.members(group),
            grace_seconds=5,
        ):
            raise ComponentError(
                component.name, f"its earlier process {pid} does not end", log=log_of(component.name, node.layout)
            )


def _environment(component: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Only containerd, which pulls images, gets the user's proxies: the others talk to the cluster alone."""
    chosen = {"PATH": f"{NODE_STATE}/bin:{NODE_PATH}", "HOME": "/"}
    if component == "containerd":
        for name in _PROXY_VARIABLES:
            if value := environ.get(name) or environ.get(name.lower()):
                chosen[name] = value
    return chosen


def _kubeconfigs(user: str) -> tuple[str, ...]:
    path = f"{_CONFIG}/{user}.kubeconfig"
    return (f"--kubeconfig={path}", f"--authentication-kubeconfig={path}", f"--authorization-kubeconfig={path}")


def _loopback_serving() -> tuple[str, ...]:
    serving = f"{_PKI}/node-serving"
    return ("--bind-address=127.0.0.1", f"--tls-cert-file={serving}.crt", f"--tls-private-key-file={serving}.key")


def _etcd() -> Component:
    return Component(
        "etcd",
        ("etcd", "--name=node", "--data-dir=/var/lib/etcd", "--logger=zap", "--log-level=warn",
         "--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
         "--listen-peer-urls=http://127.0.0.1:2380", "--listen-metrics-urls=http://127.0.0.1:2381",
         f"--cert-file={_PKI}/etcd.crt", f"--key-file={_PKI}/etcd.key", "--client-cert-auth",
         f"--trusted-ca-file={_PKI}/etcd-ca.crt"),
        Health(2381, "/health"),
    )  # fmt: skip


def _apiserver(node_address: str) -> Component:
    accounts, front = f"{_PKI}/service-accounts", f"{_PKI}/front-proxy"
    flags = {
        "advertise-address": node_address,
        "secure-port": str(API_PORT),
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "service-cluster-ip-range": SERVICE_RANGE,
        "endpoint-reconciler-type": "lease",
        "etcd-servers": "https://127.0.0.1:2379",
        "etcd-cafile": f"{_PKI}/etcd-ca.crt",
        "etcd-certfile": f"{_PKI}/etcd-client.crt",
        "etcd-keyfile": f"{_PKI}/etcd-client.key",
        "client-ca-file": f"{_PKI}/ca.crt",
        "tls-cert-file": f"{_PKI}/apiserver.crt",
        "tls-private-key-file": f"{_PKI}/apiserver.key",
        "kubelet-certificate-authority": f"{_PKI}/ca.crt",
        "kubelet-client-certificate": f"{_PKI}/apiserver-kubelet.crt",
        "kubelet-client-key": f"{_PKI}/apiserver-kubelet.key",
        "kubelet-preferred-address-types": "InternalIP",  # nobody resolves the node's name
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": f"{accounts}.pub",
        "service-account-signing-key-file": f"{accounts}.key",
        "requestheader-client-ca-file": f"{_PKI}/front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": f"{front}.crt",
        "proxy-client-key-file": f"{front}.key",
        "audit-policy-file": f"{_CONFIG}/audit-policy.json",
        "audit-log-path": f"{NODE_STATE}/logs/audit.log",
        "audit-log-maxsize": "100",
        "audit-log-maxbackup": "2",
        "profiling": "false",
    }
    options = tuple(f"--{name}={value}" for name, value in flags.items())
    return Component("kube-apiserver", (f"{NODE_KUBERNETES}/kube-apiserver", *options))


def _controller_manager() -> Component:
    return Component(
        "kube-controller-manager",
        (f"{NODE_KUBERNETES}/kube-controller-manager", *_kubeconfigs("kube-controller-manager"), *_loopback_serving(),
         "--leader-elect=false", "--use-service-account-credentials", f"--root-ca-file={_PKI}/ca.crt",
         f"--service-account-private-key-file={_PKI}/service-accounts.key", "--allocate-node-cidrs",
         f"--cluster-cidr={POD_RANGE}", f"--cluster-signing-cert-file={_PKI}/ca.crt",
         f"--cluster-signing-key-file={_PKI}/ca.key", "--kube-api-qps=100", "--kube-api-burst=200"),
        Health(10257, tls=True),
    )  # fmt: skip
