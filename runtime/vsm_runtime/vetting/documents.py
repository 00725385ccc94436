"""What a registry answered, taken apart by somebody who distrusts all of it.

Nothing here raises for a document's content: a value of the wrong type reads as absent, long ones are cut, and what is
no JSON object becomes a SourceState that says so. "Absent" (404, 405, 410) and "garbled" are kept apart from "empty",
because only the last one says something about the package.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from vsm_operator.domain.text import storable
from vsm_operator.domain.vetting.model import SourceState, SourceStatus
from vsm_runtime.intake.http import Document

MAX_ITEMS = 200_000
"""Versions, files or maintainers that are looked at; the largest honest packument has about 20 000 versions."""
MAX_TEXT = 2048
_ABSENT = frozenset({404, 405, 410})
_MOMENT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6})\d{0,12})?(?:[Zz]|\+00:?00)?", re.ASCII
)
_EPOCH = datetime(1990, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """One question to a registry and what came back; `content` is None unless `status` is ok."""

    status: SourceStatus
    reason: str = ""
    content: Mapping[str, Any] | None = None

    @property
    def said(self) -> Mapping[str, Any]:
        """The content, empty when there is none: for reading, never for concluding that something is not there."""
        return self.content or {}

    def state(self, source: str, *, purl: str, feeds: tuple[str, ...]) -> SourceState:
        return SourceState(id=source, status=self.status, feeds=feeds, reason=self.reason, purls=(purl,))


def read(*, status: int | None, body: bytes) -> Answer:
    """An answer from its HTTP status (None: no answer at all) and body."""
    if status is None:
        return unavailable("the registry did not answer")
    if status in _ABSENT:
        return unavailable(f"the registry does not serve this ({status})")
    if not 200 <= status < 300:
        return unavailable(f"the registry answered {status}")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return Answer("error", "the answer is no JSON")
    return Answer("ok", "", content) if isinstance(content, dict) else Answer("error", "the answer is no JSON object")


def from_document(document: Document | None) -> Answer:
    """An answer from what the intake's HTTP client returns; None is its word for 404, 405 and 410."""
    if document is None:
        return unavailable("the registry does not serve this (404, 405 or 410)")
    return read(status=200, body=document.body)


def unavailable(reason: str) -> Answer:
    return Answer("unavailable", reason)


def told(source: str, *, purl: str, feeds: tuple[str, ...], yes: bool, reason: str) -> SourceState:
    """Whether a registry makes this kind of statement; `reason` says why not."""
    status: SourceStatus = "ok" if yes else "unavailable"
    return SourceState(id=source, status=status, feeds=feeds, reason="" if yes else reason, purls=(purl,))


def merged(states: Iterable[SourceState]) -> tuple[SourceState, ...]:
    """One state for all packages that a source said the same of: a tree of 500 packages stays readable."""
    purls: dict[SourceState, set[str]] = {}
    for state in states:
        purls.setdefault(replace(state, purls=()), set()).update(state.purls)
    joined = (replace(state, purls=tuple(names)) for state, names in purls.items())
    return tuple(sorted(joined, key=lambda s: (s.id, s.status, s.reason, s.purls)))


def text(value: object, *, max_length: int = MAX_TEXT) -> str:
    """A string fit to be stored; "" for anything that is none."""
    return storable(value, max_length=max_length) if isinstance(value, str) else ""


def mapping(value: object) -> Mapping[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[Any]:
    return value[:MAX_ITEMS] if isinstance(value, list) else ()


def entries(value: object) -> Iterator[tuple[str, Any]]:
    """Items of an object with string keys, bounded in number."""
    for count, (key, item) in enumerate(mapping(value).items()):
        if count >= MAX_ITEMS:
            return
        if isinstance(key, str):
            yield key, item


def moment(value: object) -> datetime | None:
    """An RFC 3339 instant in UTC; None for anything else, and for a time before there were packages."""
    found = _MOMENT.fullmatch(value) if isinstance(value, str) and len(value) < 64 else None
    if found is None:
        return None
    *whole, fraction = found.groups()
    try:
        at = datetime(*(int(part) for part in whole), int((fraction or "0").ljust(6, "0")), tzinfo=UTC)  # type: ignore[arg-type,misc]
    except ValueError:
        return None
    return at if at >= _EPOCH else None


def rfc3339(at: datetime | None) -> str | None:
    """Whole seconds: more would only make equal evidence look different."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
