"""The verbs: up, down, status, load_image and the rest. Level-triggered: each looks at what is there and does the rest.

`up` on a healthy cluster only looks. On one that was complete and is now damaged it starts what is missing and keeps
objects and images, as a reboot of a node would; on one that never became complete, or cannot be repaired, it removes
all and starts anew.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster import builds, cgroups, components, network, prerequisites
from localcluster import record as records
from localcluster.errors import LocalClusterError, PrerequisiteError
from localcluster.images import ImageStore
from localcluster.layout import NODE_NAME, POD_RANGE, SERVICE_RANGE, Layout
from localcluster.locks import exclusive
from localcluster.node import Node
from localcluster.probes import Api, dns_problem
from localcluster.progress import Progress
from localcluster.record import Record
from localcluster.startup import Startup
from localcluster.teardown import wipe

MINORS = ("1.34", "1.36")
DEFAULT_MINOR = MINORS[0]


@dataclass(frozen=True, slots=True)
class Status:
    """`problems` is empty for a healthy cluster; `kubernetes` is "" when there is none at all."""

    kubernetes: str
    version: str
    node: str
    node_address: str
    host_address: str
    kubeconfig: str
    problems: tuple[str, ...]
    pod_range: str = POD_RANGE
    service_range: str = SERVICE_RANGE

    @property
    def healthy(self) -> bool:
        return bool(self.kubernetes) and not self.problems


class LocalCluster:
    def __init__(self, layout: Layout, *, progress: Progress | None = None) -> None:
        self.layout = layout
        self.progress = progress or Progress()
        self.node = Node(layout, cgroups.here())
        self.images = ImageStore(layout)

    @classmethod
    def of(cls, checkout: Path, *, progress: Progress | None = None) -> LocalCluster:
        return cls(Layout.of(checkout, os.environ), progress=progress)

    def up(self, *, kubernetes: str | None = None) -> Status:
        """Raises LocalClusterError when no healthy cluster of the asked minor can be had. None: whichever is there."""
        with exclusive(self.layout.lock, progress=self.progress):
            recorded = records.read(self.layout.record)
            made = recorded if recorded and recorded.complete else None
            minor = kubernetes or (made.kubernetes if made else DEFAULT_MINOR)
            if minor not in MINORS:
                raise LocalClusterError(f"Kubernetes {minor} is not supported here: choose {' or '.join(MINORS)}")
            if made and made.kubernetes != minor:
                raise LocalClusterError(
                    f"this checkout's cluster runs Kubernetes {made.kubernetes}, asked for is {minor}: "
                    "a cluster does not change its version, and its objects would be lost",
                    next_step="PYTHONPATH=tools python3 -m localcluster down",
                )
            status = self.status()
            if not status.healthy:
                self._make_healthy(minor, made=made, problems=status.problems)
                status = self.status()
            if not status.healthy:
                raise LocalClusterError(f"the cluster came up and fell over: {'; '.join(status.problems)}")
            self._startup().write_kubeconfig(status.node_address)
            self._link_tools(records.read(self.layout.record))
            return status

    def down(self) -> bool:
        """Remove all that this checkout's cluster made. True when there was anything."""
        with exclusive(self.layout.lock, progress=self.progress):
            found = wipe(self.node, progress=self.progress)
            with contextlib.suppress(FileNotFoundError):
                if f"current-context: {self.layout.context}\n" in self.layout.kubeconfig.read_text(encoding="utf-8"):
                    self.layout.kubeconfig.unlink()
                    found = True
            return found

    def status(self) -> Status:
        recorded = records.read(self.layout.record)
        if recorded is None:
            return Status("", "", NODE_NAME, "", "", "", ("there is no cluster in this checkout",))
        api = Api(recorded.node_address, self.layout.pki)
        problems = tuple(self._problems(recorded, api))
        version = (api.get("/version") or {}).get("gitVersion", "") if not problems else ""
        return Status(
            kubernetes=recorded.kubernetes,
            version=version,
            node=NODE_NAME,
            node_address=recorded.node_address,
            host_address=recorded.host_address,
            kubeconfig=str(self.layout.kubeconfig),
            problems=problems,
        )

    def load_image(self, archive: Path, *, name: str = "") -> str:
        """Load an image archive into the cluster's containerd; harmless when it is there already."""
        self.node.require_holder()
        reference, done = self.images.load(archive, name=name)
        self.progress.step(f"image {reference} {'loaded' if done else 'is loaded already'}")
        return reference

    def exec_argv(self, command: Sequence[str], *, whole_node: bool = False) -> list[str]:
        """argv that runs `command` in the cluster's network (host's files), or in all namespaces of the node."""
        prefix = self.node.enter_argv() if whole_node else self.node.network_argv()
        return [*prefix, *command]

    def environment(self) -> dict[str, str]:
        """For programs that talk to the cluster: our kubeconfig and tools, no proxy in between."""
        recorded = records.read(self.layout.record)
        users = os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")
        node = recorded.node_address if recorded else ""
        no_proxy = ",".join(filter(None, [users, node, POD_RANGE, SERVICE_RANGE, "127.0.0.1", "localhost"]))
        path = f"{self.layout.tools}:{os.environ.get('PATH', '')}"
        return {
            **os.environ,
            "KUBECONFIG": str(self.layout.kubeconfig),
            "KUBECACHEDIR": str(self.layout.kubectl_cache),
            "PATH": path,
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }

    def install_tools(self, *, kubernetes: str = DEFAULT_MINOR) -> None:
        """kubectl and helm into .local/bin, for a cluster that is not ours."""
        whole = builds.cached(builds.kubernetes(kubernetes), cache=self.layout.cache, progress=self.progress)
        if whole:
            self._link(whole, ("kubectl",))
        for wanted in (builds.helm(),) if whole else (builds.kubectl(kubernetes), builds.helm()):
            directory = builds.ensure(wanted, cache=self.layout.cache, progress=self.progress)
            self._link(directory, wanted.programs)

    def build_kind(self) -> Path:
        wanted = builds.kind()
        directory = builds.ensure(wanted, cache=self.layout.cache, progress=self.progress)
        self._link(directory, wanted.programs)
        return self.layout.tools / "kind"

    def binaries_directory(self) -> Path:
        recorded = records.read(self.layout.record)
        if recorded is None:
            raise LocalClusterError("there is no cluster in this checkout", next_step="make up")
        return Path(recorded.kubernetes_binaries)

    def _problems(self, recorded: Record, api: Api) -> list[str]:
        if not recorded.complete:
            return ["an earlier start did not finish"]
        if self.node.holder() is None:
            return ["its processes have ended"]
        found = [
            f"{component.name}: {problem}"
            for component in components.catalogue(node_address=recorded.node_address).values()
            if (problem := components.problem(component, node=self.node, api=api))
        ]
        if not network.has_way_out(self.node):
            found.append("slirp4netns: not running")
        if found:
            return found
        return [problem for problem in (api.node_problem(), dns_problem(self.node)) if problem]

    def _make_healthy(self, minor: str, *, made: Record | None, problems: Sequence[str]) -> None:
        missing = prerequisites.missing(minor=minor)
        if missing:
            raise PrerequisiteError(prerequisites.explain(missing))
        kubernetes = builds.ensure(builds.kubernetes(minor), cache=self.layout.cache, progress=self.progress)
        addons = builds.ensure(builds.addons(), cache=self.layout.cache, progress=self.progress)
        startup = self._startup()
        if made:
            self.progress.step(f"repairing the cluster: {'; '.join(problems)}")
            addresses = startup.addresses_of(made)
            if addresses is None:
                self.progress.step(f"its address {made.node_address} is taken by now: starting anew")
            else:
                try:
                    startup.run(minor, addresses=addresses, kubernetes=kubernetes, addons=addons)
                except LocalClusterError as error:
                    self.progress.step(f"the repair failed ({error}): starting anew, without its objects and images")
                else:
                    return
        wipe(self.node, progress=self.progress)
        addresses = network.choose_addresses(self.layout)
        startup.run(minor, addresses=addresses, kubernetes=kubernetes, addons=addons)

    def _startup(self) -> Startup:
        return Startup(self.node, self.images, progress=self.progress)

    def _link_tools(self, recorded: Record | None) -> None:
        if recorded and (binaries := Path(recorded.kubernetes_binaries)).exists():
            self._link(binaries, ("kubectl",))
        if not all((self.layout.tools / tool).exists() for tool in ("kubectl", "helm")):
            self.install_tools(kubernetes=recorded.kubernetes if recorded else DEFAULT_MINOR)

    def _link(self, directory: Path, programs: Sequence[str]) -> None:
        self.layout.tools.mkdir(parents=True, exist_ok=True)
        for program in programs:
            link, target = self.layout.tools / program, directory / program
            if not (link.is_symlink() and link.readlink() == target):
                unfinished = link.with_name(f".{program}.{os.getpid()}")
                unfinished.symlink_to(target)
                unfinished.replace(link)
