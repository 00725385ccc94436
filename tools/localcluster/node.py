"""The node's namespaces and how to get into them.

One process (`pause`, process 1 of the cluster's process-id namespace) holds the mount, network and process-id
namespaces. Nothing is pinned in the file system: when that process ends, the kernel ends all others in it and takes the
mounts, interfaces and iptables rules away. Daemons are found again by their cgroup, never by a stored number.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster import cgroups, processes
from localcluster.commands import NODE_PATH, run
from localcluster.errors import ComponentError, LocalClusterError
from localcluster.layout import Layout
from localcluster.progress import wait_until

HOLDER = "pause"
SETUP = Path(__file__).parent / "node-setup.sh"
_JOIN_GROUP = 'echo 0 >"$0" && exec "$@"'
_STARTER = "setsid"
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class Node:
    layout: Layout
    hierarchies: cgroups.Hierarchies

    @property
    def group(self) -> Path:
        """All processes of the cluster, pods included."""
        return self.hierarchies.tracking / self.layout.cgroup

    def group_of(self, component: str) -> Path:
        return self.group / "daemons" / component

    def holder(self) -> int | None:
        return processes.find(self.group_of("node"), program=HOLDER)

    def require_holder(self) -> int:
        if (pid := self.holder()) is None:
            raise LocalClusterError("the local cluster is not running", next_step="make up")
        return pid

    def create(self, *, kubernetes: Path, addons: Path) -> int:
        """Start the holder and wait until it has arranged its namespaces. Returns its process id."""
        layout = self.layout
        if left := processes.end_all(self.group):  # of a holder that has only just died
            raise LocalClusterError(f"processes {left} of an earlier cluster do not end", next_step=f"ps -fp {left[0]}")
        cgroups.prepare(self.hierarchies, parent=layout.cgroup)
        layout.runtime.mkdir(mode=0o700, exist_ok=True)
        log = layout.logs / "node.log"
        setup = ["sh", str(SETUP), str(layout.runtime), str(layout.state), str(kubernetes), str(addons)]
        unshare = ["unshare", "--mount", "--net", "--pid", "--propagation", "slave", "--", _STARTER, "--fork"]
        self._start("node", [*unshare, *setup], log=log, environ={"PATH": NODE_PATH})
        group = self.group_of("node")
        wait_until(lambda: self.holder() or not cgroups.members(group), timeout_seconds=15)
        if (pid := self.holder()) is None:
            raise ComponentError("node", "the namespaces could not be set up", log=log)
        return pid

    def spawn(self, component: str, argv: Sequence[str], *, log: Path, environ: Mapping[str, str]) -> None:
        """Start a daemon in all of the node's namespaces; it outlives this process and keeps nothing of it open."""
        self._start(component, [*self.enter_argv(), _STARTER, "--fork", *argv], log=log, environ=environ)

    def spawn_outside(self, component: str, argv: Sequence[str], *, log: Path, environ: Mapping[str, str]) -> None:
        """Start a daemon that dies with the node but sees the host's network and files."""
        enter = ["nsenter", f"--target={self.require_holder()}", "--pid", "--"]
        self._start(component, [*enter, _STARTER, "--fork", *argv], log=log, environ=environ)

    def starts(self, component: str) -> bool:
        """Whether a daemon has been forked and is about to execute its program."""
        return processes.find(self.group_of(component), program=_STARTER) is not None

    def enter_argv(self) -> list[str]:
        return ["nsenter", f"--target={self.require_holder()}", "--mount", "--net", "--pid", "--"]

    def network_argv(self) -> list[str]:
        """Prefix that runs a program of the host inside the cluster's network, with the host's files and processes."""
        return ["nsenter", f"--target={self.require_holder()}", "--net", "--"]

    def in_network(self, argv: Sequence[str], *, timeout_seconds: float = 30, check: bool = True) -> str:
        environ = {"PATH": NODE_PATH}
        return run([*self.network_argv(), *argv], timeout_seconds=timeout_seconds, environ=environ, check=check)

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that this thread opens inside the block belong to the cluster's network, also after it."""
        libc = ctypes.CDLL(None, use_errno=True)
        with contextlib.ExitStack() as stack:
            own, theirs = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in self._network_files())
            stack.callback(os.close, own)
            stack.callback(os.close, theirs)
            _set_network(libc, theirs)
            stack.callback(_set_network, libc, own)
            yield

    def _network_files(self) -> tuple[str, str]:
        return "/proc/thread-self/ns/net", f"/proc/{self.require_holder()}/ns/net"

    def _start(self, component: str, argv: Sequence[str], *, log: Path, environ: Mapping[str, str]) -> None:
        group = self.group_of(component)
        group.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            starter = subprocess.run(
                ["sh", "-c", _JOIN_GROUP, str(group / "cgroup.procs"), *argv], cwd="/", env=environ,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, timeout=30, check=False,
            )  # fmt: skip
        if starter.returncode != 0:
            raise ComponentError(component, f"could not be started (exit {starter.returncode})", log=log)


def _set_network(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")
