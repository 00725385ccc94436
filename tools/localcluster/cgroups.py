"""Where the cluster's cgroups are, on hosts with cgroup v1, v2 or both; made before the kubelet, removed after it.

One hierarchy (`tracking`) doubles as the record of which processes are ours: each daemon is put into its own group
before it is executed, so membership can neither be stale nor name a recycled process id.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import PrerequisiteError
from localcluster.progress import wait_until

_NEEDED_V2 = ("cpu", "memory", "pids")
_WANTED_V2 = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
_TRACKING_PREFERENCE = ("pids", "freezer", "cpu", "memory")


@dataclass(frozen=True, slots=True)
class Hierarchies:
    mounts: tuple[Path, ...]
    tracking: Path
    unified: bool
    """True where only cgroup v2 is mounted, i.e. where the kubelet will use it."""


def detect(mountinfo: str) -> Hierarchies:
    """Shape: the text of /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    v1: dict[frozenset[str], Path] = {}
    v2: list[Path] = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.partition(" ")
        if kind not in {"cgroup", "cgroup2"}:
            continue
        path = Path(left.split()[4].replace("\\040", " "))
        if kind == "cgroup2":
            v2.append(path)
        else:
            v1.setdefault(frozenset(options.split()[-1].split(",")) - {"rw", "ro"}, path)
    if not v1 and not v2:
        raise PrerequisiteError("no cgroup hierarchy is mounted", next_step="mount -t cgroup2 none /sys/fs/cgroup")
    if not v1:
        return Hierarchies(mounts=(v2[0],), tracking=v2[0], unified=True)
    for controller in _TRACKING_PREFERENCE:
        for controllers, path in v1.items():
            if controller in controllers:
                return Hierarchies(mounts=(*v1.values(), *v2[:1]), tracking=path, unified=False)
    raise PrerequisiteError("cgroup v1 is mounted without any of " + ", ".join(_TRACKING_PREFERENCE))


def here() -> Hierarchies:
    return detect(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))


def prepare(hierarchies: Hierarchies, *, parent: str) -> None:
    """Make the parent group everywhere; the kubelet refuses a cgroupRoot that does not exist."""
    if hierarchies.unified:
        _enable_controllers(hierarchies.tracking)
    for mount in hierarchies.mounts:
        group = mount / parent
        group.mkdir(exist_ok=True)
        # A v1 cpuset group starts empty and takes no process until it is told its processors and memory nodes.
        for name in ("cpuset.cpus", "cpuset.mems"):
            own, inherited = group / name, mount / name
            if not hierarchies.unified and own.exists() and inherited.exists() and not own.read_text().strip():
                own.write_text(inherited.read_text())


def _enable_controllers(root: Path) -> None:
    control = root / "cgroup.subtree_control"
    for controller in _WANTED_V2:
        if controller not in control.read_text().split():
            with contextlib.suppress(OSError):
                control.write_text(f"+{controller}")
    missing = [name for name in _NEEDED_V2 if name not in control.read_text().split()]
    if missing:
        raise PrerequisiteError(
            f"cgroup v2 controllers cannot be enabled in {root}: {', '.join(missing)}",
            next_step="run on the host itself or in a container with its own, empty cgroup root",
        )


def members(group: Path) -> list[int]:
    """Process ids in `group` and in every group below it; [] when it does not exist."""
    found: list[int] = []
    for directory, _, _ in os.walk(group):  # groups may vanish meanwhile: os.walk passes over them, rglob raises
        with contextlib.suppress(OSError):
            found += [int(line) for line in Path(directory, "cgroup.procs").read_text().split()]
    return [pid for pid in found if pid > 0]


def remove(hierarchies: Hierarchies, *, parent: str, timeout_seconds: float = 30) -> list[Path]:
    """Remove the parent group with all below it. Returns what resisted, which is [] when no process is left in it."""
    groups = [mount / parent for mount in hierarchies.mounts]

    def all_gone() -> bool:
        for group in groups:
            for directory, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
        return not any(group.exists() for group in groups)

    wait_until(all_gone, timeout_seconds=timeout_seconds)
    return [group for group in groups if group.exists()]
