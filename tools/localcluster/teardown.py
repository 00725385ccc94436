"""Removing all that a checkout's cluster made, whatever state a killed run left it in. Harmless when repeated."""

from __future__ import annotations

import shutil
from pathlib import Path

from localcluster import cgroups, network, processes
from localcluster.commands import run
from localcluster.errors import LocalClusterError
from localcluster.node import Node
from localcluster.progress import Progress


def wipe(node: Node, *, progress: Progress) -> bool:
    """Processes, link, mounts, cgroups, files: in this order, since each holds the next. True when there was any."""
    layout = node.layout
    groups = [mount / layout.cgroup for mount in node.hierarchies.mounts]
    found = layout.state.exists() or layout.runtime.exists() or any(group.exists() for group in groups)
    if not found:
        return False
    progress.step("removing what is there of the cluster")
    if (holder := node.holder()) is not None:
        # The kernel takes every process of the namespace along.
        own = node.group_of("node")
        processes.end(holder, still_ours=lambda pid: pid in cgroups.members(own), grace_seconds=0)
    if left := processes.end_all(node.group):
        raise LocalClusterError(f"processes {left} of the cluster do not end", next_step=f"ps -fp {left[0]}")
    network.remove_host_link(layout)
    for directory in (layout.state, layout.runtime):
        _unmount_below(directory)
        _remove_tree(directory)
    if resisting := cgroups.remove(node.hierarchies, parent=layout.cgroup):
        group = resisting[0]
        raise LocalClusterError(f"cgroup {group} cannot be removed", next_step=f"cat {group}/cgroup.procs")
    return True


def mounts_below(directory: Path, mountinfo: str) -> list[str]:
    """Mount points at or below `directory`, innermost first. Shape: the text of /proc/self/mountinfo."""
    points = [line.split()[4].replace("\\040", " ") for line in mountinfo.splitlines()]
    inside = [point for point in points if point == str(directory) or point.startswith(f"{directory}/")]
    return sorted(inside, key=lambda point: point.count("/"), reverse=True)


def _unmount_below(directory: Path) -> None:
    """The cluster mounts nothing in the host's namespace: what is here was put by hand, and is not deleted through."""
    for point in mounts_below(directory, Path("/proc/self/mountinfo").read_text(encoding="utf-8")):
        run(["umount", "--lazy", point])


def _remove_tree(directory: Path) -> None:
    """Names that end up in an `rm`: only a directory of ours, never through a symbolic link."""
    if directory.is_symlink():
        directory.unlink()
        return
    # Twice: a process that has only just died may have added a file behind the first sweep.
    for _ in range(2):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
    left = next((path for path in directory.rglob("*") if not path.is_dir()), directory)
    raise LocalClusterError(f"{left} cannot be removed", next_step=f"ls -la {left}; lsattr {left}")
