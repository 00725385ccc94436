"""One `up` or `down` at a time per checkout. The kernel drops the lock with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from localcluster.errors import LocalClusterError
from localcluster.progress import Progress, wait_until

WAIT_SECONDS = 1800
"""Longer than a first build of everything."""


@contextmanager
def exclusive(path: Path, *, progress: Progress, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Holds `path` locked; waits, and says so, while another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as handle:
        if not _try(handle):
            progress.step(f"waiting for another run in this checkout (process {_owner(path)})")
            if not wait_until(lambda: _try(handle), timeout_seconds=wait_seconds):
                raise LocalClusterError(
                    f"process {_owner(path)} has held {path} for {wait_seconds / 60:.0f} minutes",
                    next_step=f"ps -fp {_owner(path)}",
                )
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


def _try(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() or "unknown"
