"""What this checkout has made in a cluster, written before it is made: `make down` after a killed run finds it all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from devenv.errors import DevenvError


@dataclass(frozen=True, slots=True)
class Record:
    """`cluster` is as CLUSTER says it; the rest is what was not there before and is ours to remove."""

    cluster: str
    engine: str = ""
    made_cluster: bool = False
    made_namespace: bool = False
    made_releases: tuple[str, ...] = ()
    made_quickstart: bool = False


def _path(state: Path) -> Path:
    return state / "made.json"


def read(state: Path) -> Record | None:
    """None when nothing was made."""
    try:
        text = _path(state).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        record = Record(**found)
    except (ValueError, TypeError) as error:
        raise DevenvError(
            f"{_path(state)} is not readable ({error}); remove it if no cluster of ours is left"
        ) from error
    return replace(record, made_releases=tuple(record.made_releases))


def write(state: Path, record: Record) -> Record:
    """Atomically: a killed run leaves the old record or the new one."""
    state.mkdir(parents=True, exist_ok=True)
    unfinished = _path(state).with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    unfinished.rename(_path(state))
    return record


def forget(state: Path) -> None:
    """After everything in the record is gone."""
    _path(state).unlink(missing_ok=True)
