"""Entries of a dump, sorted by the packages that they speak of, and what is known about the body as a whole.

Only entries of our two ecosystems are kept. A pass may be limited to the packages of one tree, so that a dump of any
size is looked through in the memory that this tree needs.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date

import msgspec

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.model import SourceState, SourceStatus
from vsm_runtime.vetting.advisories.dump import Reading
from vsm_runtime.vetting.advisories.osv import Advisory, parse_advisory
from vsm_runtime.vetting.advisories.port import MALWARE, VULNERABILITIES, Answer, Hit, Subject, states_of
from vsm_runtime.vetting.advisories.ranges import Match, judge

Key = tuple[Ecosystem, str]
"""Ecosystem and canonical name."""


@dataclass(slots=True)
class Index:
    """`advisories` and `malware` count entries for each ecosystem, kept or not: which questions the body can answer."""

    by_package: dict[Key, list[Advisory]] = field(default_factory=lambda: defaultdict(list))
    advisories: dict[Ecosystem, int] = field(default_factory=lambda: dict.fromkeys(Ecosystem, 0))
    malware: dict[Ecosystem, int] = field(default_factory=lambda: dict.fromkeys(Ecosystem, 0))
    newest: date | None = None
    unreadable: int = 0

    def add(self, advisory: Advisory, *, today: date, wanted: Collection[Key] | None = None) -> None:
        """A date in the future is no sign of freshness."""
        keys = {(affected.ecosystem, affected.name) for affected in advisory.affected}
        for ecosystem in {ecosystem for ecosystem, _ in keys}:
            counts = self.malware if advisory.malicious else self.advisories
            counts[ecosystem] += 1
        if keys and advisory.modified <= today and (self.newest is None or advisory.modified > self.newest):
            self.newest = advisory.modified
        for key in keys if wanted is None else keys.intersection(wanted):
            self.by_package[key].append(advisory)

    def feeds(self, ecosystem: Ecosystem) -> tuple[str, ...]:
        """A body without a single malware entry is no malware list, however clean it finds a tree."""
        known = VULNERABILITIES if self.advisories[ecosystem] else ()
        return known + MALWARE if self.malware[ecosystem] else known


def indexed(
    entries: Iterable[tuple[str, bytes]], reading: Reading, *, today: date, wanted: Collection[Key] | None = None
) -> Index:
    """Raises what `entries` raises."""
    index = Index()
    for name, content in entries:
        try:
            advisory = parse_advisory(msgspec.json.decode(content))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            reading.reject(name)
            continue
        index.add(advisory, today=today, wanted=wanted)
    index.unreadable = len(reading.unreadable)
    return index


def answer_from(
    index: Index, subjects: Iterable[Subject], *, source: str, digest: str, today: date, max_age_hours: float
) -> Answer:
    """Stale and incomplete bodies still tell what they know; only their silence means nothing."""
    as_of = index.newest.isoformat() if index.newest else ""
    status: SourceStatus = "ok"
    reason = ""
    if index.unreadable:
        status, reason = "error", f"{index.unreadable} of its entries cannot be read"
    elif index.newest is None or index.newest > today:
        status, reason = "error", "nothing in it says how old it is"
    elif (today - index.newest).days * 24 > max_age_hours:
        status, reason = "stale", f"its newest entry is of {as_of}"
    states: list[SourceState] = []
    hits: list[Hit] = []
    for ecosystem in Ecosystem:
        asked = [subject for subject in subjects if subject.ecosystem is ecosystem]
        feeds = index.feeds(ecosystem)
        missing = tuple(name for name in (*VULNERABILITIES, *MALWARE) if name not in feeds)
        states += (
            states_of(source, status=status, subjects=asked, feeds=feeds, reason=reason, as_of=as_of, digest=digest)
            if feeds
            else ()
        )
        states += (
            states_of(
                source,
                status="unavailable",
                subjects=asked,
                feeds=missing,
                reason=f"it has no such entries for {ecosystem}",
                as_of=as_of,
                digest=digest,
            )
            if missing
            else ()
        )
        hits += [hit for subject in asked for hit in hits_of(index, subject, source=source, as_of=as_of, today=today)]
    return Answer(tuple(states), tuple(hits))


def hits_of(index: Index, subject: Subject, *, source: str, as_of: str, today: date) -> list[Hit]:
    """Every entry that covers the subject, or that cannot be compared with it; withdrawn ones cover nothing."""
    found = []
    for advisory in index.by_package.get((subject.ecosystem, subject.name), ()):
        if advisory.withdrawn_by(today):
            continue
        for affected in advisory.affected:
            if (affected.ecosystem, affected.name) != (subject.ecosystem, subject.name):
                continue
            judgement = judge(affected, subject.version, malicious=advisory.malicious)
            if judgement.match is Match.NO:
                continue
            found.append(
                Hit(
                    subject=subject,
                    id=advisory.id,
                    aliases=advisory.aliases,
                    malicious=advisory.malicious,
                    severity=affected.severity,
                    fixed=judgement.fix,
                    summary=advisory.summary,
                    source=source,
                    as_of=as_of,
                    undecided=judgement.match is Match.UNDECIDED,
                )
            )
    return found
