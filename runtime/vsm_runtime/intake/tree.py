"""An unpacked, verified package tree: what the ecosystems produce and the bundle is made of."""

import re
from dataclasses import dataclass
from pathlib import Path

from vsm_runtime.intake.facts import PackageFacts

LOCK_DIRECTORY = "vsm"
_ENTRYPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RESERVED = re.compile(r"(python|node|npm|npx|env|sh|bash)[0-9.]*")
"""bin/ comes first in the server's PATH: no package may stand in for its own interpreter."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Files below `top`: bin/, vsm/ and the ecosystem's own directory."""

    top: Path
    lock: Path
    platform: str
    entrypoints: tuple[str, ...]
    """Executables of the requested package, each present as bin/NAME."""
    packages: tuple[PackageFacts, ...]
    skipped: tuple[str, ...] = ()


def is_entrypoint_name(name: str) -> bool:
    """Whether an executable of this name is offered as bin/NAME."""
    return bool(_ENTRYPOINT.fullmatch(name)) and not _RESERVED.fullmatch(name)
