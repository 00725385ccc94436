"""What an npm registry says of one version of a package, and how much each statement is worth.

Dates.   `time[version]` is the registry's, never the publisher's. In a full packument it is the moment of publication.
         A mirror that leaves out `created` and `modified` gives the moment it first saw the version, which is later:
         the version is at least that old, and nothing more is known. Dates inside archives are worth nothing.
Silence. A field that the dialect leaves out (maintainers, deprecated, signatures) is None here and a SourceState says
         "unavailable"; only a registry that is known to serve a field can say "no" by leaving it out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from vsm_operator.domain.vetting.model import Finding, Severity, SourceState
from vsm_runtime.vetting.continuity import Release, before, continuity
from vsm_runtime.vetting.documents import Answer, entries, mapping, moment, rfc3339, sequence, text, told
from vsm_runtime.vetting.repositories import Repository, mcp_name_field, parse_repository

_HOLDING_VERSION = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}-security(?:\.\d{1,6})?")
_HOLDING_REPOSITORY = "security-holder"
_CLOCK_SKEW = timedelta(hours=1)


class Dates(StrEnum):
    """What the dates of a packument are worth."""

    PUBLISHED = "published"
    """The moment of publication."""
    INGESTED = "ingested"
    """When a mirror first saw the version: publication was earlier, so ages are lower bounds."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NpmFacts:
    """None always means: not told."""

    purl: str
    listed: bool
    """The registry describes this very version."""
    dates: Dates = Dates.UNKNOWN
    published_at: datetime | None = None
    first_published_at: datetime | None = None
    versions_count: int | None = None
    deprecated: str | None = None
    """Why; "" when the registry says that it is not."""
    publishers: tuple[str, ...] = ()
    """Who published it, then the other maintainers by name."""
    repository: Repository | None = None
    mcp_name: str = ""
    integrity: str = ""
    signatures: tuple[tuple[str, str], ...] | None = None
    """(key id, base64 signature) by the registry over name@version:integrity."""
    manifest: Mapping[str, Any] | None = None
    """The registry's copy of package.json."""
    release: Release | None = None
    earlier: tuple[Release, ...] = ()
    """Releases before this one, newest first; empty when the dates do not tell the order."""
    findings: tuple[Finding, ...] = ()
    sources: tuple[SourceState, ...] = ()

    def fields(self) -> dict[str, Any]:
        """What PackageEvidence is told under the same names."""
        people = self.release is not None and bool(self.release.publisher)
        before = [r.publisher for r in self.earlier if r.publisher]
        ordered = self.dates is Dates.PUBLISHED
        return {
            "published_at": rfc3339(self.published_at),
            "published_is_lower_bound": self.dates is Dates.INGESTED,
            "first_published_at": rfc3339(self.first_published_at),
            "versions_count": self.versions_count,
            "deprecated": None if self.deprecated is None else bool(self.deprecated),
            "repository": None if self.repository is None else str(self.repository),
            "publishers": self.publishers if people else None,
            "previous_publishers": tuple(sorted(set(before))) if people and ordered else None,
        }


def npm_facts(answer: Answer, *, version: str, purl: str, now: datetime) -> NpmFacts:
    """Everything the full packument says; it must have been asked for as application/json, not abbreviated."""
    packument, time = answer.said, mapping(answer.said.get("time"))
    versions = {key: item for key, item in entries(packument.get("versions")) if isinstance(item, dict)}
    manifest = versions.get(version)
    withdrawn = tuple(_withdrawn(packument, version=version, purl=purl, listed=manifest is not None))
    if answer.content is None:
        return NpmFacts(purl, listed=False, sources=_signals(answer, purl, None))
    if manifest is None:
        return NpmFacts(
            purl,
            listed=False,
            versions_count=len(versions),
            findings=withdrawn,
            sources=_signals(answer, purl, None),
        )
    dates, findings, full = _dates_of(time), list(withdrawn), _is_full(packument)
    releases = [_release(key, item, time=time, full=full) for key, item in versions.items()]
    release = next(r for r in releases if r.version == version)
    earlier = before(release, releases) if dates is Dates.PUBLISHED else ()  # a mirror may fetch old ones last
    findings += continuity(purl, release, earlier)
    published_at = release.at
    if published_at is not None and published_at > now + _CLOCK_SKEW:
        findings.append(_finding(purl, "G4", "publish-time-in-future", "high", "the registry dates it in the future"))
        published_at, dates = None, Dates.UNKNOWN
    elif dates is Dates.INGESTED:
        summary = "the registry is a mirror: the version is at least as old as its date, the true date is not told"
        findings.append(_finding(purl, "C9", "date-is-lower-bound", "info", summary, field="time"))
    known = [at for key, value in entries(time) if key in versions and (at := moment(value)) is not None]
    deprecated = text(manifest.get("deprecated"), max_length=200) if full or "deprecated" in manifest else None
    if manifest.get("deprecated") is True:
        deprecated = "deprecated"
    if deprecated:
        summary = f"deprecated: {deprecated}"
        findings.append(_finding(purl, "C9", "deprecated", "medium", summary, field="deprecated"))
    dist = mapping(manifest.get("dist"))
    return NpmFacts(
        purl,
        listed=True,
        dates=dates if published_at is not None else Dates.UNKNOWN,
        published_at=published_at,
        first_published_at=min(known, default=None),
        versions_count=len(versions),
        deprecated=deprecated,
        publishers=tuple(dict.fromkeys(p for p in (release.publisher, *sorted(release.maintainers)) if p)),
        repository=release.repository,
        mcp_name=mcp_name_field(manifest.get("mcpName")),
        integrity=text(dist.get("integrity"), max_length=1024),
        signatures=_signatures(dist),
        manifest=manifest,
        release=release,
        earlier=earlier,
        findings=tuple(findings),
        sources=_signals(answer, purl, release, dated=published_at is not None, full=full, signed="signatures" in dist),
    )


def _dates_of(time: Mapping[str, Any]) -> Dates:
    if not any(moment(value) is not None for _, value in entries(time)):
        return Dates.UNKNOWN
    complete = moment(time.get("created")) is not None and moment(time.get("modified")) is not None
    return Dates.PUBLISHED if complete else Dates.INGESTED


def _is_full(packument: Mapping[str, Any]) -> bool:
    """Whether leaving a field out means "no": a stripped dialect has neither maintainers nor a modification time."""
    time = mapping(packument.get("time"))
    return bool(sequence(packument.get("maintainers"))) or "modified" in time or "modified" in packument


def _release(version: str, manifest: Mapping[str, Any], *, time: Mapping[str, Any], full: bool) -> Release:
    user, dist = mapping(manifest.get("_npmUser")), mapping(manifest.get("dist"))
    publisher = text(user.get("name"), max_length=100)
    names = (_person(item) for item in sequence(manifest.get("maintainers"))[:1000])
    attested: bool | None = True if mapping(dist.get("attestations")) else None
    if attested is None and full and "signatures" in dist:
        attested = False  # a registry that signs would have said so
    return Release(
        version=version,
        at=moment(time.get(version)),
        publisher=publisher,
        trusted_publisher=bool(mapping(user.get("trustedPublisher"))) if publisher else None,
        maintainers=frozenset(name for name in names if name),
        attested=attested,
        repository=parse_repository(manifest.get("repository")),
    )


def _person(value: object) -> str:
    """npm writes people as objects, older documents as "name <mail>"."""
    name = value.get("name") if isinstance(value, dict) else value
    return text(name, max_length=100).partition("<")[0].strip()


def _signatures(dist: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    if "signatures" not in dist:
        return None
    rows = (mapping(row) for row in sequence(dist["signatures"])[:8])
    return tuple((text(row.get("keyid"), max_length=200), text(row.get("sig"), max_length=1024)) for row in rows)


def _withdrawn(packument: Mapping[str, Any], *, version: str, purl: str, listed: bool) -> Iterator[Finding]:
    """Gate G2: the registry itself took the package, or this version of it, away."""
    time, versions = mapping(packument.get("time")), mapping(packument.get("versions"))
    latest = text(mapping(packument.get("dist-tags")).get("latest"), max_length=200)
    if _is_holding(version, mapping(versions.get(version))):
        yield _finding(
            purl, "G2", "security-holding", "critical", "the registry replaced this package by a security placeholder"
        )
    elif _is_holding(latest, mapping(versions.get(latest))):
        summary = "the newest version is the registry's security placeholder: the package was removed"
        yield _finding(purl, "G2", "security-holding", "critical", summary, field="dist-tags.latest")
    if "unpublished" in time:
        yield _finding(purl, "G2", "unpublished", "critical", "the whole package was unpublished", field="time")
    elif not listed and version in time:
        summary = "this version was published and is no longer offered by the registry"
        yield _finding(purl, "G2", "version-unpublished", "critical", summary, field="time")
    elif not listed and versions:
        yield _finding(purl, "G3", "version-not-listed", "high", "the registry does not list this version")


def _is_holding(version: str, manifest: Mapping[str, Any]) -> bool:
    if not _HOLDING_VERSION.fullmatch(version):
        return False
    told = text(manifest.get("description")).lower() + str(parse_repository(manifest.get("repository")) or "")
    return version.startswith("0.0.1-") or "security holding" in told or _HOLDING_REPOSITORY in told


def _signals(answer: Answer, purl: str, release: Release | None, **known: bool) -> tuple[SourceState, ...]:
    """Which kinds of statement this registry makes.

    None feeds G2: a packument can prove a removal, but its silence is no answer to "is it known to be malicious".
    """
    silent = answer.reason or ("the registry leaves this out" if release else "the registry lists no such version")
    people = release is not None and bool(release.publisher)
    return (
        answer.state("npm-packument", purl=purl, feeds=()),
        told("npm-publish-times", purl=purl, feeds=("C9", "G4"), yes=known.get("dated", False), reason=silent),
        told("npm-publishers", purl=purl, feeds=("C7",), yes=people, reason=silent),
        told("npm-deprecations", purl=purl, feeds=(), yes=known.get("full", False), reason=silent),
        told("npm-signatures", purl=purl, feeds=(), yes=known.get("signed", False), reason=silent),
    )


def _finding(
    purl: str, check: str, rule: str, severity: Severity, summary: str, *, field: str = "", remedy: str = ""
) -> Finding:
    return Finding(check=check, purl=purl, rule=rule, severity=severity, summary=summary, field=field, remedy=remedy)
