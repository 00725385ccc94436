"""Content hashes that say whether something has to be made again. Names, contents and the executable bit count,
times do not: a fresh clone and an old checkout of the same commit give the same answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_LENGTH = 12
_IGNORED = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


def files_below(path: Path) -> Iterator[Path]:
    """The file itself, or every source file of the folder in a stable order."""
    if path.is_file():
        yield path
        return
    for entry in sorted(path.rglob("*")):
        parts = entry.relative_to(path).parts
        if entry.is_file() and not _IGNORED.intersection(parts) and entry.suffix != ".pyc":
            yield entry


def of_texts(texts: Iterable[str]) -> str:
    """Of a list of texts; where one ends and the next begins matters."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()[:_LENGTH]


def of_files(root: Path, paths: Iterable[Path], *, also: Iterable[str] = ()) -> str:
    """Of files and folders below `root`, named relative to it, together with some texts. Missing ones count as such."""
    texts = list(also)
    for path in paths:
        if not path.exists():
            texts.append(f"{path.relative_to(root)} is missing")
        for file in files_below(path):
            mode = "x" if file.stat().st_mode & 0o100 else "-"
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            texts.append(f"{file.relative_to(root)} {mode} {content}")
    return of_texts(texts)
