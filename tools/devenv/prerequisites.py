"""What has to be on the machine before anything starts: all that is missing at once, each with what installs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devenv.commands import Commands
from devenv.errors import DevenvError

PYTHONS = ("python3.13", "python3.12", "python3.11", "python3")
APT = "apt-get install "
_PYTHON_CHECK = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"
_DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing that is not there."""

    what: str
    remedy: str
    """A command for the person; those that begin with "apt-get install " are also run for them on request."""

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(self.remedy.removeprefix(APT).split()) if self.remedy.startswith(APT) else ()


def for_development(python: str | None) -> list[Missing]:
    """`python` is what `find_python` found."""
    if python is not None:
        return []
    return [Missing("Python 3.11 or later with its venv module", f"{APT}python3 python3-venv")]


def for_images(which: Callable[[str], str | None], *, exists: Callable[[str], bool]) -> list[Missing]:
    """Of building images without an engine."""
    missing = [
        Missing(f"program {program}", f"{APT}{package}")
        for program, package in (("buildah", "buildah"), ("mmdebstrap", "mmdebstrap"))
        if which(program) is None
    ]
    if not exists(_DEBIAN_KEYS):
        missing.append(Missing("keys of the Debian archive", f"{APT}debian-archive-keyring"))
    return missing


def parse(text: str) -> list[Missing]:
    """What `localcluster prerequisites` prints for a missing thing: its name, two or more spaces, the remedy."""
    missing = []
    for line in text.splitlines():
        what, separator, remedy = line.strip().partition("  ")
        if separator and line.startswith("  "):
            missing.append(Missing(what, remedy.strip()))
    return missing


def find_python(commands: Commands) -> str | None:
    """A Python that the development environment can be made with."""
    return next((name for name in PYTHONS if commands.answers([name, "-c", _PYTHON_CHECK])), None)


def explain(missing: Sequence[Missing]) -> str:
    """The list for a person, and one command for all that apt has."""
    width = max(len(entry.what) for entry in missing)
    lines = [f"  {entry.what:<{width}}  {entry.remedy}" for entry in missing]
    if command := apt_command(missing):
        lines += [
            "",
            "all that apt has, at once (or `make prerequisites`):",
            f"  apt-get update && {' '.join(command)}",
        ]
    return "\n".join(["missing on this machine:", *lines])


def apt_command(missing: Sequence[Missing]) -> list[str]:
    """Installs what apt can; [] when that is nothing."""
    packages = sorted({package for entry in missing for package in entry.packages})
    return ["apt-get", "install", "--yes", "--no-install-recommends", *packages] if packages else []


def install(missing: Sequence[Missing], *, commands: Commands, is_root: bool) -> None:
    """By apt, as root or through sudo. Raises when something is missing that apt does not have."""
    if command := apt_command(missing):
        prefix = [] if is_root else ["sudo"]
        if commands.which("apt-get") is None:
            raise DevenvError(f"{explain(missing)}\n\nThis is no Debian or Ubuntu: install them your system's way.")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        commands.run([*prefix, "apt-get", "update"], environment=quiet, timeout_seconds=600)
        commands.run([*prefix, *command], environment=quiet, timeout_seconds=1800)
    if rest := [entry for entry in missing if not entry.packages]:
        raise DevenvError(explain(rest))


def require_python() -> None:
    """This package itself needs a little less than the environment that it makes."""
    if sys.version_info < (3, 10):  # noqa: UP036  # the linter thinks of the environment's Python
        raise DevenvError("python3 is older than 3.10: apt-get install python3 on Debian 12, Ubuntu 22.04 or later")
