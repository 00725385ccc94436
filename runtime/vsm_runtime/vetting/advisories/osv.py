"""OSV entries (schema 1.x) as immutable values. What is not of the schema's shape raises MalformedAdvisory.

Entries come from files and servers that may be damaged or hostile: every list is bounded, every type is checked, and
nothing is repaired by guessing. Unknown fields are ignored, as the schema demands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from packaging.utils import canonicalize_name

from vsm_operator.domain.packages import Ecosystem
from vsm_runtime.vetting.advisories.severity import MAX_VECTORS, Severity, severity_of
from vsm_runtime.vetting.advisories.versions import MAX_VERSION_LENGTH

MAX_ALIASES = 200
MAX_AFFECTED = 5_000
MAX_RANGES = 200
MAX_EVENTS = 5_000
MAX_VERSIONS = 50_000
MAX_SUMMARY_LENGTH = 120
EVENT_KINDS = ("introduced", "fixed", "last_affected", "limit")
EMBEDDED_MALICIOUS_CODE = "CWE-506"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ][0-9:.]{0,32}(?:[Zz]|[+-][0-9:]{4,6})?)?")
_ECOSYSTEMS = {"npm": Ecosystem.NPM, "PyPI": Ecosystem.PYPI}


class MalformedAdvisory(ValueError):  # noqa: N818 - a verdict on the input
    """The entry is not of the schema's shape; the text says where."""


@dataclass(frozen=True, slots=True)
class Event:
    """One turn of a range; `kind` is one of EVENT_KINDS."""

    kind: str
    version: str


@dataclass(frozen=True, slots=True)
class VersionRange:
    """`kind` is SEMVER, ECOSYSTEM or GIT."""

    kind: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Affected:
    """The versions of one package; either list may be empty."""

    ecosystem: Ecosystem
    name: str
    ranges: tuple[VersionRange, ...]
    versions: tuple[str, ...]
    severity: Severity


@dataclass(frozen=True, slots=True)
class Advisory:
    """One entry, reduced to the two ecosystems that we know."""

    id: str
    aliases: tuple[str, ...]
    modified: date
    withdrawn: date | None
    summary: str
    malicious: bool
    affected: tuple[Affected, ...]

    def withdrawn_by(self, today: date) -> bool:
        """A withdrawal that lies in the future has not happened."""
        return self.withdrawn is not None and self.withdrawn <= today


def canonical_name(ecosystem: Ecosystem, name: str) -> str:
    """The name under which advisories are looked up: PEP 503 for PyPI; npm tells cases apart."""
    return str(canonicalize_name(name)) if ecosystem is Ecosystem.PYPI else name


def parse_advisory(raw: object) -> Advisory:
    """Raises MalformedAdvisory."""
    entry = _object(raw, "entry")
    identifier = advisory_id(entry.get("id"))
    major = str(entry.get("schema_version", "1")).partition(".")[0]
    if major not in ("1", "0"):
        raise MalformedAdvisory(f"{identifier}: schema version {major[:10]} is not known here")
    aliases = tuple(sorted({advisory_id(alias) for alias in _list(entry.get("aliases"), MAX_ALIASES, "aliases")}))
    withdrawn = entry.get("withdrawn")
    database = _object(entry.get("database_specific") or {}, "database_specific")
    cwes = _list(database.get("cwe_ids"), MAX_ALIASES, "cwe_ids")
    malicious = any(name.startswith("MAL-") for name in (identifier, *aliases)) or EMBEDDED_MALICIOUS_CODE in cwes
    summary = entry.get("summary") or entry.get("details") or ""
    affected = [
        _affected(item, entry=entry, database=database)
        for item in _list(entry.get("affected"), MAX_AFFECTED, "affected")
    ]
    return Advisory(
        id=identifier,
        aliases=tuple(alias for alias in aliases if alias != identifier),
        modified=_day(entry.get("modified"), "modified"),
        withdrawn=None if withdrawn is None else _day(withdrawn, "withdrawn"),
        summary=printable(summary, max_length=MAX_SUMMARY_LENGTH),
        malicious=malicious,
        affected=tuple(item for item in affected if item is not None),
    )


def advisory_id(raw: object) -> str:
    """Raises MalformedAdvisory for anything that is not usable as an identifier."""
    if not isinstance(raw, str) or not _ID.fullmatch(raw):
        raise MalformedAdvisory("an id or alias is no identifier")
    return raw


def printable(value: object, *, max_length: int) -> str:
    """One line that can neither move a cursor nor hide a character."""
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text[: 4 * max_length]).strip()[:max_length]


def _affected(raw: object, *, entry: Mapping[str, Any], database: Mapping[str, Any]) -> Affected | None:
    item = _object(raw, "affected")
    package = item.get("package")
    if package is None:
        return None  # a source repository only: the schema allows it, no registry package is meant
    package = _object(package, "package")
    ecosystem, name = _text(package.get("ecosystem"), "ecosystem"), _text(package.get("name"), "name")
    known = _ECOSYSTEMS.get(ecosystem.partition(":")[0])
    if known is None:
        return None
    versions = [_version(version) for version in _list(item.get("versions"), MAX_VERSIONS, "versions")]
    specific = _object(item.get("ecosystem_specific") or {}, "ecosystem_specific")
    own = _object(item.get("database_specific") or {}, "database_specific")
    vectors = [*_vectors(item.get("severity")), *_vectors(entry.get("severity"))]
    label = next((word for source in (own, specific, database) if (word := source.get("severity"))), None)
    return Affected(
        ecosystem=known,
        name=canonical_name(known, name),
        ranges=tuple(_range(each) for each in _list(item.get("ranges"), MAX_RANGES, "ranges")),
        versions=tuple(versions),
        severity=severity_of(vectors, label=label),
    )


def _vectors(raw: object) -> list[str]:
    found = [_object(item, "severity").get("score") for item in _list(raw, MAX_VECTORS, "severity")]
    return [score for score in found if isinstance(score, str)]


def _range(raw: object) -> VersionRange:
    item = _object(raw, "range")
    kind = item.get("type")
    if kind not in ("SEMVER", "ECOSYSTEM", "GIT"):
        raise MalformedAdvisory("a range has an unknown type")
    if kind == "GIT":
        return VersionRange(kind, ())  # commits are nothing that a registry's version can be compared with
    events: list[Event] = []
    for each in _list(item.get("events"), MAX_EVENTS, "events"):
        turn = _object(each, "event")
        known = [Event(name, _version(turn[name])) for name in EVENT_KINDS if name in turn]
        if len(known) != 1:
            raise MalformedAdvisory("an event has to be exactly one of " + ", ".join(EVENT_KINDS))
        events += known
    if not any(event.kind == "introduced" for event in events):
        raise MalformedAdvisory("a range has no introduced event")
    return VersionRange(kind, tuple(events))


def _version(raw: object) -> str:
    text = _text(raw, "version")
    if len(text) > MAX_VERSION_LENGTH:
        raise MalformedAdvisory("a version is too long")
    return text


def _text(raw: object, what: str) -> str:
    if not isinstance(raw, str) or not raw or len(raw) > 512:
        raise MalformedAdvisory(f"{what} is no text of reasonable length")
    return raw


def _day(raw: object, what: str) -> date:
    match = _DATE.fullmatch(raw) if isinstance(raw, str) else None
    try:
        if match is not None:
            return date.fromisoformat(match[1])
    except ValueError:
        pass
    raise MalformedAdvisory(f"{what} is no date")


def _object(raw: object, what: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise MalformedAdvisory(f"{what} is no object")
    return raw


def _list(raw: object, most: int, what: str) -> list[Any]:
    if raw is None:
        return []
    if not isinstance(raw, list) or len(raw) > most:
        raise MalformedAdvisory(f"{what} is no list of at most {most}")
    return raw
