"""Whether a release comes from where the releases before it came from. Pure.

A change is a signal, not a proof: maintainers come and go. What weighs is a step backwards: a package that a build
service published with attestations, and whose next version somebody uploads with a token and without any.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vsm_operator.domain.vetting.model import Finding
from vsm_runtime.vetting.repositories import Repository

RECENT_RELEASES = 5
"""How many releases before this one count as what the package normally does."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version in a package's history; None and "" mean that the registry does not tell."""

    version: str
    at: datetime | None
    publisher: str = ""
    trusted_publisher: bool | None = None
    """Published by a build service's identity instead of a person's token."""
    maintainers: frozenset[str] = frozenset()
    attested: bool | None = None
    """Whether the registry holds attestations for it."""
    repository: Repository | None = None


def before(release: Release, releases: Sequence[Release]) -> tuple[Release, ...]:
    """The releases before this one, newest first; () when the dates do not tell the order."""
    at = release.at
    if at is None:
        return ()
    rows = [(r.at, r.version, r) for r in releases if r.at is not None and r.at < at]
    return tuple(r for _, _, r in sorted(rows, key=lambda row: row[:2], reverse=True))


def continuity(purl: str, release: Release, earlier: Sequence[Release]) -> tuple[Finding, ...]:
    """What changed between the releases before this one and this one."""
    findings = (
        *_people(purl, release, earlier),
        *_attestations(purl, release, earlier),
        *_source(purl, release, earlier),
    )
    return tuple(findings)


def _people(purl: str, release: Release, earlier: Sequence[Release]) -> Iterator[Finding]:
    known = [r.publisher for r in earlier if r.publisher]
    recent = [r for r in earlier[:RECENT_RELEASES] if r.trusted_publisher is not None]
    if release.trusted_publisher is False and recent and recent[0].trusted_publisher:
        yield Finding(
            check="C7",
            purl=purl,
            rule="left-trusted-publishing",
            severity="high",
            summary=f"{recent[0].version} was published by a build service, this one by {release.publisher}",
            field="_npmUser",
            remedy="ask the maintainers whether this release is theirs, or use the version before it",
        )
    elif release.publisher and known and release.publisher not in known and not release.trusted_publisher:
        yield Finding(
            check="C7",
            purl=purl,
            rule="publisher-changed",
            severity="medium",
            summary=f"{release.publisher} published none of the {len(known)} earlier versions; {known[0]} the last",
            field="_npmUser",
            remedy="check that the maintainers announced the new publisher",
        )
    last = next((r.maintainers for r in earlier if r.maintainers), frozenset[str]())
    if last and release.maintainers and not last & release.maintainers:
        yield Finding(
            check="C7",
            purl=purl,
            rule="maintainers-replaced",
            severity="high",
            summary="none of the maintainers of the version before is a maintainer of this one",
            field="maintainers",
            remedy="check that the package was handed over in public",
        )


def _attestations(purl: str, release: Release, earlier: Sequence[Release]) -> Iterator[Finding]:
    if release.attested is not False:
        return
    told = [r for r in earlier if r.attested is not None]
    recent = told[:RECENT_RELEASES]
    attested = [r for r in recent if r.attested]
    if recent and (recent[0].attested or 2 * len(attested) > len(recent)):
        yield Finding(
            check="G9",
            purl=purl,
            rule="provenance-regression",
            severity="critical",
            summary=f"{len(attested)} of {len(recent)} releases before were attested by a builder, this one is not",
            remedy=f"use {attested[0].version}, or ask the maintainers how this version was made",
            data={"last_attested": attested[0].version},
        )
    elif any(r.attested for r in told):
        yield Finding(
            check="C6",
            purl=purl,
            rule="provenance-lapsed",
            severity="low",
            summary="earlier versions were attested by a build service, the recent ones are not",
        )


def _source(purl: str, release: Release, earlier: Sequence[Release]) -> Iterator[Finding]:
    last = next((r for r in earlier if r.repository is not None), None)
    here = release.repository
    if last is None or last.repository is None:
        return
    there = last.repository
    if here is None:
        summary = f"{last.version} named the repository {there}, this version names none"
    elif (here.host, here.owner) != (there.host, there.owner):
        summary = f"the repository moved from {there} ({last.version}) to {here}"
    else:
        return
    yield Finding(
        check="C6",
        purl=purl,
        rule="repository-changed",
        severity="medium",
        summary=summary,
        field="repository",
        remedy="check that the old repository points to the new one",
    )
