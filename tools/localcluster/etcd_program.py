"""Which etcd runs: the host's own when it is new enough, else one built from the Go module proxy.

A built one is copied into the state directory, where the node finds it first: data written by it is never opened by an
older etcd that the host gets later.
"""

from __future__ import annotations

import os
import shutil

from localcluster import builds
from localcluster.commands import run
from localcluster.errors import CommandError
from localcluster.layout import Layout
from localcluster.progress import Progress
from localcluster.toolchain import Version, parse_version

OLDEST: Version = (3, 4, 0)


def provide(layout: Layout, *, progress: Progress) -> None:
    """Idempotent."""
    own = layout.binaries / "etcd"
    if own.exists() or host_version() >= OLDEST:
        return
    built = builds.ensure(builds.etcd(), cache=layout.cache, progress=progress) / "etcd"
    own.parent.mkdir(parents=True, exist_ok=True)
    unfinished = own.with_name(f".etcd.{os.getpid()}")
    shutil.copy2(built, unfinished)
    unfinished.replace(own)


def host_version() -> Version:
    """(0, 0, 0) when the host has none that runs."""
    try:
        return parse_version(run(["etcd", "--version"]))
    except CommandError:
        return (0, 0, 0)
