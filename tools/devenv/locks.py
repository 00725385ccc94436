"""The lock files: every version with its hashes, and no address, so that a mirror serves them as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devenv.commands import Commands
from devenv.errors import DevenvError
from devenv.venv import Environment, uv_environment

_HEADER = "# Made by `make lock` from pyproject.toml; not to be edited.\n"
_PYTHON = "3.11"


@dataclass(frozen=True, slots=True)
class Lock:
    """One file and the extras of pyproject.toml that it covers."""

    name: str
    extras: tuple[str, ...]
    like: str = ""
    """Another lock whose versions it shares."""
    also: tuple[str, ...] = ()
    """Files with more requirements."""

    def command(self, uv: str, *, upgrade: bool) -> list[str]:
        """uv keeps the versions that an existing file has, as long as they fit."""
        return [
            *(uv, "pip", "compile", "--quiet", "pyproject.toml", *self.also, "--output-file", self.name),
            *(part for extra in self.extras for part in ("--extra", extra)),
            *("--universal", "--python-version", _PYTHON, "--generate-hashes"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
            *(("--constraint", self.like) if self.like else ()),
            *(("--upgrade",) if upgrade else ()),
        ]


DEVELOPMENT = Lock(
    "requirements-dev.lock", ("operator", "runtime", "vetting", "dev"), also=("tools/devenv/build-requirements.in",)
)
LOCKS: Sequence[Lock] = (
    DEVELOPMENT,
    Lock("requirements-operator.lock", ("operator",), like=DEVELOPMENT.name),
    Lock("requirements-runtime.lock", ("runtime",), like=DEVELOPMENT.name),
)


def make(environment: Environment, *, upgrade: bool, commands: Commands) -> list[str]:
    """Writes all of them; the answer names those that changed."""
    uv = environment.uv()
    root = environment.checkout.root
    changed = []
    for lock in LOCKS:
        file = root / lock.name
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        commands.run(
            lock.command(uv, upgrade=upgrade), environment=uv_environment(environment.environ), timeout_seconds=600
        )
        made = _HEADER + file.read_text(encoding="utf-8").removeprefix(_HEADER)
        if "://" in made:
            raise DevenvError(f"{lock.name} would carry an address; a lock names versions and hashes only")
        file.write_text(made, encoding="utf-8")
        if made != before:
            changed.append(lock.name)
    return changed
