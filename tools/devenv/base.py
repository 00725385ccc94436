"""A local stand-in for the usual Debian base image, made from Debian packages where no registry is reached."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv import fingerprint, host
from devenv.commands import Commands
from devenv.errors import DevenvError

SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
_MERGED_USR_HOOKS = "/usr/share/mmdebstrap/hooks/merged-usr"  # else usrmerge, and 50 MB of Perl with it
_DPKG_OPTIONS = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
)
# What mmdebstrap takes over from this machine, and what a container runtime brings anyway.
_FORGOTTEN = (
    "etc/apt/sources.list",
    "etc/apt/sources.list.d",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/hostname",
    "etc/resolv.conf",
    "var/log/apt",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
)
_TIMEOUT_SECONDS = 1200.0


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What the base holds; its key changes with it, and with how it is made."""

    suite: str = SUITE
    packages: tuple[str, ...] = PACKAGES

    @property
    def key(self) -> str:
        return fingerprint.of_texts(["1", self.suite, *self.packages, *_DPKG_OPTIONS, *_FORGOTTEN, os.uname().machine])

    @property
    def reference(self) -> str:
        return f"localhost/vsm-base:{self.suite}-{self.key}"

    def archive(self, cache: Path) -> Path:
        return cache / "images" / f"base-{self.suite}-{self.key}.tar"

    def command(self, target: Path, *, mirrors: Sequence[str], apt_options: Sequence[str]) -> list[str]:
        """mmdebstrap's; without mirrors it uses Debian's own."""
        forgotten = " ".join(f'"$1"/{path}' for path in _FORGOTTEN)
        return [
            "mmdebstrap",
            "--variant=minbase",
            f"--include={','.join(self.packages)}",
            f"--hook-dir={_MERGED_USR_HOOKS}",
            *(f"--dpkgopt={option}" for option in _DPKG_OPTIONS),
            *(f"--aptopt={option}" for option in apt_options),
            f"--customize-hook=rm -rf {forgotten}",
            self.suite,
            str(target),
            *mirrors,
        ]


def ensure(base: BaseImage, *, cache: Path, commands: Commands) -> Path:
    """The base as a tar file, made now unless the cache has it. The caller holds the cache's lock."""
    archive = base.archive(cache)
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(".unfinished.tar")
    unfinished.unlink(missing_ok=True)
    mirrors, options = _sources_of_host(base.suite, commands)
    commands.run(
        base.command(unfinished, mirrors=mirrors, apt_options=options),
        environment={"TMPDIR": str(archive.parent)},
        timeout_seconds=_TIMEOUT_SECONDS,
    )
    unfinished.rename(archive)
    return archive


def _sources_of_host(suite: str, commands: Commands) -> tuple[list[str], list[str]]:
    fields = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
    try:
        targets = commands.run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"])
        options = host.apt_proxy_options(commands.run(["apt-config", "dump"]))
    except DevenvError:
        return [], []  # not a machine with apt: Debian's own mirrors
    return host.debian_sources(targets, suite=suite), options
