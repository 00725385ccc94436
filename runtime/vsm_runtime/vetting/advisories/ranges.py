"""Whether an affected entry covers a version, and which release gets out of it.

Ranges become half-open or closed intervals first, so that membership and the fix come from one reading. The order of
events in a file means nothing. What cannot be compared is UNDECIDED: the caller decides what that costs, and never
takes it for "not affected".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from vsm_operator.domain.packages import Ecosystem
from vsm_runtime.vetting.advisories.osv import Affected, VersionRange
from vsm_runtime.vetting.advisories.versions import VersionKey, version_key


class Match(Enum):
    """The three answers; `fix` travels beside them."""

    NO = "no"
    YES = "yes"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Interval:
    """From `lower` (None: the beginning) to `upper` (None: no end); `closed` when the upper end is affected itself."""

    lower: VersionKey | None
    upper: VersionKey | None
    closed: bool
    fix: str
    """The text of the exclusive upper end, when that is a release which repairs it."""

    def contains(self, key: VersionKey) -> bool:
        if self.lower is not None and key < self.lower:
            return False
        if self.upper is None:
            return True
        return bool(key <= self.upper) if self.closed else bool(key < self.upper)


@dataclass(frozen=True, slots=True)
class Judgement:
    """`fix` is the lowest listed release above the version that no interval of the entry covers; empty if none is."""

    match: Match
    fix: str = ""


def judge(affected: Affected, version: str, *, malicious: bool = False) -> Judgement:
    """Follows the schema's evaluation: a version counts when it is listed or when any range holds it.

    An entry with neither list nor comparable range says nothing about versions: for malware that means all of them.
    """
    key = version_key(affected.ecosystem, version)
    listed = version in affected.versions or (key is not None and _listed(affected, key))
    readings = [intervals(each, affected.ecosystem) for each in affected.ranges if each.kind != "GIT"]
    readable = [reading for reading in readings if reading is not None]
    if key is None:
        return Judgement(Match.YES if listed else Match.UNDECIDED)
    flat = [interval for reading in readable for interval in reading]
    if listed or any(interval.contains(key) for interval in flat):
        return Judgement(Match.YES, _fix(flat, affected, key))
    if not readings and not affected.versions:
        return Judgement(Match.YES if malicious else Match.UNDECIDED)
    # A range that cannot be read does not matter where the versions are listed one by one.
    unreadable = len(readable) < len(readings) and not affected.versions
    return Judgement(Match.UNDECIDED if unreadable else Match.NO)


def intervals(each: VersionRange, ecosystem: Ecosystem) -> Sequence[Interval] | None:
    """None when an event's version cannot be compared.

    Where one version both fixes and introduces, what was affected before it stays affected from it on.
    """
    turns: list[tuple[VersionKey | None, str, str]] = []
    limits: list[VersionKey] = []
    for event in each.events:
        if event.kind == "limit" and event.version == "*":
            continue
        if event.kind == "introduced" and event.version == "0":
            turns.append((None, "introduced", "0"))
            continue
        key = version_key(ecosystem, event.version)
        if key is None:
            return None
        if event.kind == "limit":
            limits.append(key)
        else:
            turns.append((key, event.kind, event.version))
    limit = max(limits, default=None)
    return [bounded for interval in _walk(turns) if (bounded := _limited(interval, limit)) is not None]


def _walk(turns: list[tuple[VersionKey | None, str, str]]) -> list[Interval]:
    found: list[Interval] = []
    beginning = [turn for turn in turns if turn[0] is None]
    later = sorted((turn for turn in turns if turn[0] is not None), key=lambda turn: (turn[0], turn[1], turn[2]))
    is_open, lower = bool(beginning), None
    for key, group in groupby(later, key=lambda turn: turn[0]):
        kinds = {kind: text for _, kind, text in group}
        if "introduced" in kinds and "fixed" in kinds:
            continue  # affected before: still; not affected before: an empty range
        if "introduced" in kinds and not is_open:
            is_open, lower = True, key
        if is_open and "fixed" in kinds:
            found.append(Interval(lower, key, closed=False, fix=kinds["fixed"]))
            is_open = False
        elif is_open and "last_affected" in kinds:
            found.append(Interval(lower, key, closed=True, fix=""))
            is_open = False
    if is_open:
        found.append(Interval(lower, None, closed=False, fix=""))
    return found


def _limited(interval: Interval, limit: VersionKey | None) -> Interval | None:
    if limit is None:
        return interval
    if interval.lower is not None and not interval.lower < limit:
        return None
    if interval.upper is None or interval.upper >= limit:
        keeps = interval.upper is not None and bool(interval.upper == limit) and not interval.closed
        return Interval(interval.lower, limit, closed=False, fix=interval.fix if keeps else "")
    return interval


def _listed(affected: Affected, key: VersionKey) -> bool:
    return any(version_key(affected.ecosystem, text) == key for text in affected.versions)


def _fix(flat: Iterable[Interval], affected: Affected, key: VersionKey) -> str:
    candidates = sorted((interval.upper, interval.fix) for interval in flat if interval.fix and interval.upper > key)
    for upper, text in candidates:
        if not any(interval.contains(upper) for interval in flat) and not _listed(affected, upper):
            return str(text)
    return ""
