"""What a cluster was made with, on disk: written when its making begins, `complete` when it was once well."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    kubernetes: str
    """The minor version, "1.34"."""
    host_address: str
    node_address: str
    kubernetes_binaries: str
    addon_binaries: str
    complete: bool = False


def read(path: Path) -> Record | None:
    """None when there is none, or when it is damaged: a cluster that cannot say what it is, is made anew."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write(path: Path, record: Record) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)
