"""From nothing, or from a damaged cluster, to a healthy one: every step is skipped when its result is there already."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from localcluster import components, etcd_program, manifests, network, pki, prerequisites, render
from localcluster import record as records
from localcluster.addresses import LinkAddresses
from localcluster.commands import NODE_PATH, run
from localcluster.components import Component
from localcluster.errors import CommandError, ComponentError, PrerequisiteError
from localcluster.images import ImageStore, coredns_reference
from localcluster.layout import API_PORT, Layout
from localcluster.node import Node
from localcluster.probes import Api, dns_problem
from localcluster.progress import Progress, wait_until
from localcluster.record import Record

READY_TIMEOUT_SECONDS = 90
RECOVERY_SECONDS = 20
_COMPONENT_USERS = ("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kube-router")


class Startup:
    def __init__(self, node: Node, images: ImageStore, *, progress: Progress) -> None:
        self._node = node
        self._images = images
        self._progress = progress

    @property
    def _layout(self) -> Layout:
        return self._node.layout

    def addresses_of(self, made: Record) -> LinkAddresses | None:
        """The addresses of a damaged cluster, None when somebody else has them by now: its certificates name them."""
        wanted = LinkAddresses(host=made.host_address, node=made.node_address)
        chosen = network.choose_addresses(self._layout, preferred=wanted)
        return wanted if chosen == wanted else None

    def run(self, minor: str, *, addresses: LinkAddresses, kubernetes: Path, addons: Path) -> None:
        """Raises LocalClusterError; what has been started by then stays, for its logs, until the next up or down."""
        layout = self._layout
        record = Record(
            kubernetes=minor, host_address=addresses.host, node_address=addresses.node,
            kubernetes_binaries=str(kubernetes), addon_binaries=str(addons),
        )  # fmt: skip
        for directory in (layout.state, layout.config / "cni", layout.logs):
            directory.mkdir(parents=True, exist_ok=True)
        etcd_program.provide(layout, progress=self._progress)
        if not layout.record.exists():
            records.write(layout.record, record)
        if not layout.pki.exists():
            pki.make(layout.pki, node_address=addresses.node)
            self._progress.step("certificates made")
        self._write_configuration(addresses)
        self._arrange_node(addresses, kubernetes=kubernetes, addons=addons)
        self._start_components(addresses, addons=addons)
        self._finish(addresses, kubectl=kubernetes / "kubectl")
        records.write(layout.record, replace(record, complete=True))

    def _write_configuration(self, addresses: LinkAddresses) -> None:
        layout = self._layout
        cni_directory = prerequisites.cni_directory()
        if cni_directory is None:
            raise PrerequisiteError("CNI plugins are missing", next_step="apt-get install containernetworking-plugins")
        texts = {
            "resolv.conf": render.resolv_conf(),
            "containerd.toml": render.containerd(
                socket=str(layout.containerd_socket), cni_directory=str(cni_directory), snapshotter=_snapshotter(layout)
            ),
            "cni/10-vsm-local.conflist": render.cni(has_ipv6=Path("/proc/sys/net/ipv6").exists()),
            "kubelet.json": render.kubelet(cgroup=layout.cgroup, containerd_socket=str(layout.containerd_socket)),
            "kube-proxy.json": render.kube_proxy(),
            "audit-policy.json": render.audit_policy(),
            "objects.json": manifests.everything(dns_image=coredns_reference()),
        }
        for user in _COMPONENT_USERS:
            server = f"https://127.0.0.1:{API_PORT}"
            texts[f"{user}.kubeconfig"] = pki.kubeconfig(layout.pki, user=user, server=server, context=layout.context)
        for name, text in texts.items():
            _write_private(layout.config / name, text)
        self.write_kubeconfig(addresses.node)

    def write_kubeconfig(self, node_address: str) -> None:
        """The user's way in; written anew when it is missing or somebody else's. Idempotent."""
        layout, server = self._layout, f"https://{node_address}:{API_PORT}"
        wanted = pki.kubeconfig(layout.pki, user="admin", server=server, context=layout.context)
        if not (layout.kubeconfig.exists() and layout.kubeconfig.read_text(encoding="utf-8") == wanted):
            _write_private(layout.kubeconfig, wanted)

    def _arrange_node(self, addresses: LinkAddresses, *, kubernetes: Path, addons: Path) -> None:
        if self._node.holder() is None:
            self._node.create(kubernetes=kubernetes, addons=addons)
            self._progress.step("namespaces made")
        if not network.host_is_connected(self._node, addresses):
            network.connect_host(self._node, addresses)
            self._progress.step(f"host linked: {addresses.host} <-> {addresses.node}")
        network.add_rules(self._node)
        if not network.has_way_out(self._node):
            network.connect_outside(self._node, log=components.log_of(network.SLIRP, self._layout))
            self._progress.step("slirp4netns ready")

    def _start_components(self, addresses: LinkAddresses, *, addons: Path) -> None:
        catalogue = components.catalogue(node_address=addresses.node)
        api = Api(addresses.node, self._layout.pki)
        for stage in components.STAGES:
            if "kube-router" in stage:
                self._await_registration(api)
            started = [component for name in stage if self._must_start(component := catalogue[name], api=api)]
            for component in started:
                components.start(component, node=self._node)
            for component in started:
                self._settle(component, api=api)
            if "containerd" in stage and (loaded := self._images.load_own(addons)):
                self._progress.step(f"images loaded: {', '.join(loaded)}")

    def _must_start(self, component: Component, *, api: Api) -> bool:
        """A process that lives gets time to become well: its machine may be busy, or what it depends on has only just
        been restarted."""
        last = ""

        def settled() -> bool:
            nonlocal last
            last = components.problem(component, node=self._node, api=api)
            return last in {"", components.NOT_RUNNING}

        wait_until(settled, timeout_seconds=RECOVERY_SECONDS)
        return bool(last)

    def _settle(self, component: Component, *, api: Api) -> None:
        components.wait_ready(component, node=self._node, api=api)
        self._progress.step(f"{component.name} ready")

    def _await_registration(self, api: Api) -> None:
        if not wait_until(api.node_is_registered, timeout_seconds=READY_TIMEOUT_SECONDS):
            log = components.log_of("kubelet", self._layout)
            raise ComponentError("kubelet", "did not register its node", log=log)

    def _finish(self, addresses: LinkAddresses, *, kubectl: Path) -> None:
        api = Api(addresses.node, self._layout.pki)
        self._apply_objects(kubectl)
        self._await_well("node", api.node_problem)
        self._await_well("cluster DNS", lambda: dns_problem(self._node))

    def _await_well(self, what: str, problem: Callable[[], str]) -> None:
        if not wait_until(lambda: not problem(), timeout_seconds=READY_TIMEOUT_SECONDS):
            log = components.log_of("kubelet", self._layout)
            raise ComponentError("kubelet", f"{problem()} after {READY_TIMEOUT_SECONDS} s", log=log)
        self._progress.step(f"{what} ready")

    def _apply_objects(self, kubectl: Path) -> None:
        """Right after its start the API server may still lack the kube-system namespace: tried again for a while."""
        client = [str(kubectl), "--kubeconfig", str(self._layout.kubeconfig)]
        apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=localcluster", "-f"]
        environ = {"PATH": NODE_PATH, "KUBECACHEDIR": str(self._layout.kubectl_cache)}
        deadline = time.monotonic() + 30
        while True:
            try:
                run([*client, *apply, str(self._layout.config / "objects.json")], environ=environ)
            except CommandError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.5)
            else:
                return


def _snapshotter(layout: Layout) -> str:
    """overlayfs does not stack on another overlay (a checkout inside a container): native copies work everywhere."""
    kind = run(["stat", "--file-system", "--format=%T", str(layout.state)]).strip()
    return "native" if kind == "overlayfs" else "overlayfs"


def _write_private(path: Path, text: str) -> None:
    """0600 from its first byte, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    unfinished.replace(path)
