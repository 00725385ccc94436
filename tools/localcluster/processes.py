"""Ending processes that are ours, and only those.

A process is ours while it is a member of the cluster's cgroup. It is ended through a pidfd that was opened before its
membership was read once more, so a process id that the kernel has handed to somebody else is never signalled.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

from localcluster import cgroups

PROC = Path("/proc")


def program_of(pid: int, *, proc: Path = PROC) -> str:
    """Base name of the executable; "" for a process that is gone or a zombie."""
    try:
        return (proc / str(pid) / "exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return ""


def find(group: Path, *, program: str) -> int | None:
    """The process of `group` that runs `program`: helpers that merely started it do not count."""
    return next((pid for pid in cgroups.members(group) if program_of(pid) == program), None)


def end(pid: int, *, still_ours: Callable[[int], bool], grace_seconds: float, timeout_seconds: float = 10) -> bool:
    """SIGTERM, SIGKILL after the grace time. True when the process is gone."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        if not still_ours(pid):
            return True
        if grace_seconds > 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGTERM)
            if _ended(handle, within_seconds=grace_seconds):
                return True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return _ended(handle, within_seconds=timeout_seconds)
    finally:
        os.close(handle)


def end_all(group: Path, *, timeout_seconds: float = 15) -> list[int]:
    """SIGKILL for every member of `group`, again for those born meanwhile. Returns the ids that are left."""
    deadline = time.monotonic() + timeout_seconds
    while (left := cgroups.members(group)) and time.monotonic() < deadline:
        for pid in left:
            end(
                pid,
                still_ours=lambda candidate: candidate in cgroups.members(group),
                grace_seconds=0,
                timeout_seconds=2,
            )
    return left


def _ended(handle: int, *, within_seconds: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(within_seconds * 1000))
