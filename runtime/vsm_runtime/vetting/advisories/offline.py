"""Advisories from files: a mounted OSV dump, and a dated snapshot. No request leaves the machine.

A dump is turned into a snapshot once, if there is a place to keep it; after that a tree costs the shards it touches.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from vsm_operator.domain.vetting.model import Dataset, SourceStatus
from vsm_runtime.vetting.advisories import snapshot
from vsm_runtime.vetting.advisories.dump import UnusableDump, entries, started
from vsm_runtime.vetting.advisories.index import Index, answer_from, indexed
from vsm_runtime.vetting.advisories.port import MALWARE, VULNERABILITIES, Answer, Subject, states_of

DUMP_SOURCE_ID: Final = "osv-dump"
SNAPSHOT_SOURCE_ID: Final = "bundled-snapshot"
DEFAULT_MAX_AGE_HOURS = 48.0
MAX_LISTED_FILES = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot file. `path` is None where none is bundled."""

    path: Path | None
    today: date
    max_age_hours: float = DEFAULT_MAX_AGE_HOURS
    id: str = SNAPSHOT_SOURCE_ID
    """A mounted snapshot beside the bundled one needs a name of its own."""
    only_for_gaps: bool = False

    def ask(self, subjects: Sequence[Subject]) -> Answer:
        if self.path is None or not self.path.is_file():
            return _nothing(self.id, subjects, reason="no snapshot is bundled", missing=True)
        try:
            loaded = snapshot.load(self.path, wanted=[(each.ecosystem, each.name) for each in subjects])
        except UnusableDump as error:
            return _nothing(self.id, subjects, reason=str(error))
        return _answered(
            self.id, loaded.index, subjects, digest=loaded.digest, today=self.today, max_age_hours=self.max_age_hours
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OsvDump:
    """A dump at `path`. `cache` is a directory of ours where its snapshot is kept between runs, or None."""

    path: Path
    today: date
    max_age_hours: float = DEFAULT_MAX_AGE_HOURS
    cache: Path | None = None
    only_for_gaps: bool = False

    @property
    def id(self) -> str:
        return DUMP_SOURCE_ID

    def ask(self, subjects: Sequence[Subject]) -> Answer:
        try:
            index, digest = self._cached(subjects) if self.cache is not None else self._scanned(subjects)
        except UnusableDump as error:
            return _nothing(self.id, subjects, reason=str(error), missing=not self.path.exists())
        except OSError as error:
            return _nothing(self.id, subjects, reason=f"it cannot be read ({type(error).__name__})")
        return _answered(self.id, index, subjects, digest=digest, today=self.today, max_age_hours=self.max_age_hours)

    def _scanned(self, subjects: Sequence[Subject]) -> tuple[Index, str]:
        reading = started()
        wanted = {(each.ecosystem, each.name) for each in subjects}
        index = indexed(entries(self.path, reading), reading, today=self.today, wanted=wanted)
        return index, reading.digest

    def _cached(self, subjects: Sequence[Subject]) -> tuple[Index, str]:
        assert self.cache is not None  # noqa: S101 - the caller has asked
        kept = self.cache / f"osv-{_identity(self.path)}.zip"
        wanted = [(each.ecosystem, each.name) for each in subjects]
        if kept.is_file():
            try:
                loaded = snapshot.load(kept, wanted=wanted)
            except UnusableDump:
                kept.unlink(missing_ok=True)
            else:
                return loaded.index, loaded.origin
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            snapshot.build(self.path, kept, today=self.today)
        except OSError:
            return self._scanned(subjects)  # the cache is full or read-only: slower, not worse
        loaded = snapshot.load(kept, wanted=wanted)
        return loaded.index, loaded.origin


def _identity(path: Path) -> str:
    """Changes when a file of the dump is added, removed, replaced or written to."""
    hasher = hashlib.sha256(str(snapshot.FORMAT).encode())
    files = [path]
    if path.is_dir():
        files = []
        for folder, folders, names in os.walk(path):
            folders.sort()
            files += [Path(folder, name) for name in sorted(names)]
            if len(files) > MAX_LISTED_FILES:
                raise UnusableDump("the dump is larger than any that is published")
    for file in files:
        try:
            known = file.stat()
        except OSError as error:
            raise UnusableDump("there is no such file or directory") from error
        relative = file.relative_to(path) if path.is_dir() else Path(file.name)
        hasher.update(f"{relative}\0{known.st_size}\0{known.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return hasher.hexdigest()[:32]


def _answered(
    source: str, index: Index, subjects: Sequence[Subject], *, digest: str, today: date, max_age_hours: float
) -> Answer:
    answer = answer_from(index, subjects, source=source, digest=digest, today=today, max_age_hours=max_age_hours)
    as_of = index.newest.isoformat() if index.newest else ""
    return Answer(answer.states, answer.hits, (Dataset(name=source, digest=digest, as_of=as_of),))


def _nothing(source: str, subjects: Sequence[Subject], *, reason: str, missing: bool = False) -> Answer:
    status: SourceStatus = "unavailable" if missing else "error"
    return Answer(
        states_of(source, status=status, subjects=subjects, feeds=(*VULNERABILITIES, *MALWARE), reason=reason)
    )
