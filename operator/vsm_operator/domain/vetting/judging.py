"""What gates and checks share: which questions were answered, how old things are, how far to believe a heuristic.

Invariants: pure; nothing here depends on the order in which evidence was collected. A plain date as `today` counts
against the package at both ends: releases are as young, and data as old, as that day allows.
"""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Final, TypeAlias

from vsm_operator.domain.vetting.model import Evidence, Finding, PackageEvidence, SourceState
from vsm_operator.domain.vetting.policy import Policy

AGEING: Final = frozenset({"C1", "G2", "G5"})
"""Answers that data must be fresh for: what was harmless last month may be listed today."""
SEASONED: Final = timedelta(days=30)
SCAN_COVERAGE_PERCENT: Final = 95
ASKED_AS: Final = {"G5": "C1", "G6": "C2", "G7": "C3", "G12": "C11"}
"""Gates that are derived from the evidence of a check: who answers that one answers them."""

_Ids: TypeAlias = tuple[frozenset[str], frozenset[str]]
_NOBODY: Final[_Ids] = (frozenset(), frozenset())


@dataclass(frozen=True)
class Case:
    """One subject before one policy at one time."""

    evidence: Evidence
    policy: Policy
    today: date

    @cached_property
    def packages(self) -> list[PackageEvidence]:
        unique = len({package.purl for package in self.evidence.packages}) == len(self.evidence.packages)
        return sorted(self.evidence.packages, key=lambda package: (package.purl, "" if unique else repr(package)))

    @cached_property
    def by_purl(self) -> dict[str, PackageEvidence]:
        return {package.purl: package for package in reversed(self.packages)}

    @property
    def root(self) -> PackageEvidence | None:
        return self.by_purl.get(self.evidence.root)

    @cached_property
    def unseen(self) -> list[str]:
        """Members that an edge names and nobody looked at; also the root."""
        named = {self.evidence.root, *(purl for edge in self.evidence.edges for purl in edge)}
        return sorted(named - set(self.by_purl))

    @cached_property
    def now(self) -> datetime:
        """For the age of releases: not later than it can be."""
        if isinstance(self.today, datetime):
            return self.today if self.today.tzinfo else self.today.replace(tzinfo=UTC)
        return datetime.combine(self.today, time.min, UTC)

    def is_root(self, package: PackageEvidence) -> bool:
        return package.purl == self.evidence.root

    def applies(self, name: str) -> bool:
        return self.evidence.stage == "trial" or name not in ("C4", "C5", "G10", "G11")

    def stale(self, source: SourceState) -> bool:
        if source.status == "stale":
            return True
        if not source.as_of or not AGEING.intersection(source.feeds):
            return False
        made = moment(source.as_of, late=False)
        end = self.now if isinstance(self.today, datetime) else self.now + timedelta(days=1)
        return made is None or end - made > timedelta(hours=self.policy.max_data_age_hours)

    def answered(self, name: str, purl: str) -> bool:
        """Whether some source spoke about this package, and nothing of the same source says that it failed."""
        speaking = self._speaking(name)
        everywhere, here = speaking.get("", _NOBODY), speaking.get(purl, _NOBODY)
        return bool((everywhere[0] | here[0]) - everywhere[1] - here[1])

    def troubles(self, name: str) -> list[str]:
        """Why a question was not answered, for people."""
        found = set()
        for source in self.evidence.sources:
            if _feeds(source, name) and (source.status != "ok" or self.stale(source)):
                state = "stale" if self.stale(source) else source.status
                detail = source.reason or (f"of {source.as_of}" if source.as_of else "")
                found.add(f"{source.id}: {state}" + (f", {detail}" if detail else ""))
        return sorted(found)

    @cached_property
    def _answers(self) -> dict[str, dict[str, _Ids]]:
        return {}

    def _speaking(self, name: str) -> dict[str, _Ids]:
        """For each purl ("" stands for the whole tree): ids that answered, ids that did not."""
        if name not in self._answers:
            table: dict[str, tuple[set[str], set[str]]] = {}
            for source in self.evidence.sources:
                if _feeds(source, name):
                    good = source.status == "ok" and not self.stale(source)
                    for purl in source.purls or ("",):
                        table.setdefault(purl, (set(), set()))[0 if good else 1].add(source.id)
            self._answers[name] = {purl: (frozenset(good), frozenset(bad)) for purl, (good, bad) in table.items()}
        return self._answers[name]

    def age(self, package: PackageEvidence) -> timedelta | None:
        return self._age(package.published_at)

    def package_age(self, package: PackageEvidence) -> timedelta | None:
        return self._age(package.first_published_at)

    def _age(self, at: str | None) -> timedelta | None:
        published = moment(at, late=True) if at else None
        return None if published is None else self.now - published

    def discount(self, package: PackageEvidence) -> Fraction:
        """How much of a heuristic finding counts: all of it in the root, less in what many others have used for long.

        Facts are never multiplied with this.
        """
        age = self.age(package)
        if self.is_root(package) or age is None or age < SEASONED:
            return Fraction(1)
        return Fraction(1, 4) if self.is_popular(package) else Fraction(1, 2)

    def is_popular(self, package: PackageEvidence) -> bool:
        return package.popularity_rank is not None and self.answered("C10", package.purl)


def _feeds(source: SourceState, name: str) -> bool:
    return name in source.feeds or ASKED_AS.get(name) in source.feeds


def moment(text: str, *, late: bool) -> datetime | None:
    """RFC 3339, as UTC; a date alone is its first or its last moment. None for what is no time."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == len("2026-01-01") and late:
        value += timedelta(days=1)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def points(finding: Finding, *, default: Fraction) -> Fraction:
    """Between 0 and 10; never negative: no finding may earn anything."""
    given = finding.data.get("points")
    if isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given):
        return default
    return min(max(exact(given), Fraction(0)), Fraction(10))


def exact(value: float) -> Fraction:
    """A float as the hundredths that a person would read."""
    return Fraction(10**6) if value > 10**6 else Fraction(round(max(value, -1.0) * 100), 100)
