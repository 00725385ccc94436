"""What a Python package index says of one version of a project, and how much each statement is worth.

Dates.   `upload-time` is the index's and belongs to a file: a wheel can be added to an old release today, so a version
         is as young as the file that is used. Mirrors pass upload times on unchanged. Dates in archives say nothing.
Silence. `project-status`, `provenance` and `ownership` are None here when the index leaves them out.
The project document (PyPI's JSON API) describes its newest version: what it says of links and readme counts for another
version only where METADATA of the wheel does not say it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.parser import HeaderParser
from typing import Any

from packaging.version import InvalidVersion, Version

from vsm_operator.domain.vetting.model import Finding, Severity, SourceState
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.http import Document
from vsm_runtime.intake.pypi_index import parse_page
from vsm_runtime.vetting.continuity import Release, before, continuity
from vsm_runtime.vetting.documents import Answer, from_document, mapping, moment, rfc3339, sequence, text, told
from vsm_runtime.vetting.repositories import Repository, mcp_name_in, project_repositories

LATE_FILE = timedelta(days=14)
"""Builders of wheels for many platforms need hours; weeks later somebody came back to an old release."""
_CLOCK_SKEW = timedelta(hours=1)
_STATUSES = frozenset({"active", "archived", "quarantined", "deprecated"})
_MAX_METADATA = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PypiFile:
    """One file of the version."""

    filename: str
    sha256: str
    uploaded_at: datetime | None
    yanked: str | None
    """Why; "" when it is not; None when not told."""
    attested: bool | None

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")


@dataclass(frozen=True, slots=True)
class PypiFacts:
    """None always means: not told."""

    purl: str
    listed: bool
    file: PypiFile | None = None
    """The one that was asked for, else the youngest of the version."""
    has_wheel: bool | None = None
    first_published_at: datetime | None = None
    published_at: datetime | None = None
    versions_count: int | None = None
    yanked: str | None = None
    project_status: str | None = None
    publishers: tuple[str, ...] | None = None
    """Owners and maintainers of the project; who uploaded a version is not told by any index."""
    repositories: tuple[Repository, ...] = ()
    mcp_name: str = ""
    requires: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    sources: tuple[SourceState, ...] = ()

    def fields(self) -> dict[str, Any]:
        """What PackageEvidence is told under the same names."""
        return {
            "published_at": rfc3339(self.published_at),
            "first_published_at": rfc3339(self.first_published_at),
            "versions_count": self.versions_count,
            "deprecated": None if self.project_status is None else self.project_status == "deprecated",
            "yanked": None if self.yanked is None else bool(self.yanked),
            "project_status": self.project_status,
            "repository": str(self.repositories[0]) if self.repositories else None,
            "publishers": self.publishers,
        }


def simple_answer(document: Document | None) -> Answer:
    """The Simple API's page as JSON, also when the index has HTML only; that format has neither times nor status."""
    answer = from_document(document)
    kind = document.content_type.partition(";")[0].strip().lower() if document else ""
    if document is None or kind.endswith("json"):
        return answer
    try:
        rows = parse_page(document)
    except IntakeError:
        return Answer("error", "the answer is no page of a package index")
    files = [{"filename": r.filename, "hashes": {"sha256": r.sha256}, "yanked": r.yanked or False} for r in rows]
    return Answer("ok", "", {"files": files})


def pypi_facts(
    *, simple: Answer, project: Answer, metadata: str, version: str, filename: str, purl: str, now: datetime
) -> PypiFacts:
    """`metadata` is METADATA of the wheel that was downloaded, "" when there is none; `filename` that wheel's name."""
    rows = [row for row in sequence(simple.said.get("files")) if isinstance(row, dict)]
    here = [_file(row) for row in rows if _version_of(row) == _parsed(version)]
    chosen = next((f for f in here if f.filename == filename), None) or max(here, key=_age_key, default=None)
    status, findings = _status(simple.said), []
    published_at = chosen.uploaded_at if chosen else None
    if published_at is not None and published_at > now + _CLOCK_SKEW:
        findings.append(_finding(purl, "G4", "publish-time-in-future", "high", "the index dates it in the future"))
        published_at = None
    findings += _standing(purl, status, chosen)
    findings += _late(purl, chosen, here)
    if chosen is not None:
        this = Release(version, chosen.uploaded_at, attested=chosen.attested)
        findings += continuity(purl, this, before(this, _history(rows, without=chosen.filename)))
    if simple.content is not None and not here:
        findings.append(_finding(purl, "G3", "version-not-listed", "high", "the index does not list this version"))
    header = HeaderParser().parsestr(metadata[:_MAX_METADATA])
    info, own = mapping(project.said.get("info")), _info_of(header)
    same = _parsed(text(info.get("version"), max_length=140)) == _parsed(version)
    roles = sequence(mapping(project.said.get("ownership")).get("roles"))
    people = sorted({text(mapping(role).get("user"), max_length=100) for role in roles[:1000]} - {""})
    repositories = project_repositories(own) or project_repositories(info)
    readme = str(header.get_payload() or header.get("Description") or "")
    return PypiFacts(
        purl,
        listed=bool(here),
        file=chosen,
        has_wheel=any(f.is_wheel for f in here) if here else None,
        first_published_at=min((at for row in rows if (at := moment(row.get("upload-time")))), default=None),
        published_at=published_at,
        versions_count=_count(simple.said, rows) if simple.content is not None else None,
        yanked=chosen.yanked if chosen else None,
        project_status=status,
        publishers=tuple(people) if people else None,
        repositories=repositories,
        mcp_name=mcp_name_in(readme) or (mcp_name_in(info.get("description")) if same else ""),
        requires=tuple(text(str(row)) for row in header.get_all("Requires-Dist") or ()),
        findings=tuple(findings),
        sources=_signals(simple, project, purl, dated=published_at is not None, status=status, people=bool(people)),
    )


def _file(row: Mapping[str, Any]) -> PypiFile:
    yanked = row.get("yanked")
    reason = text(yanked, max_length=200) if isinstance(yanked, str) else ("yanked" if yanked is True else "")
    provenance = row.get("provenance")
    return PypiFile(
        filename=text(row.get("filename"), max_length=300),
        sha256=text(mapping(row.get("hashes")).get("sha256"), max_length=64).lower(),
        uploaded_at=moment(row.get("upload-time")),
        yanked=(reason or ("yanked" if isinstance(yanked, str) else "")) if "yanked" in row else None,
        attested=bool(provenance) if "provenance" in row else None,
    )


def _history(rows: Sequence[Mapping[str, Any]], *, without: str) -> list[Release]:
    """The other files as releases. Those of the same version count: one file without attestation stands out there."""
    grouped: dict[Version, list[PypiFile]] = {}
    for row in rows:
        found = _version_of(row)
        if found is not None and row.get("filename") != without:
            grouped.setdefault(found, []).append(_file(row))
    releases = []
    for version, files in grouped.items():
        known = [f.attested for f in files if f.attested is not None]
        at = min((f.uploaded_at for f in files if f.uploaded_at is not None), default=None)
        releases.append(Release(str(version), at, attested=any(known) if known else None))
    return releases


def _age_key(file: PypiFile) -> tuple[str, str]:
    return rfc3339(file.uploaded_at) or "", file.filename


def _version_of(row: Mapping[str, Any]) -> Version | None:
    """From the file's name: `name-version-tags.whl` or `name-version.tar.gz`."""
    name = text(row.get("filename"), max_length=300)
    if name.endswith(".whl"):
        parts = name.split("-")
        return _parsed(parts[1]) if len(parts) >= 5 else None
    for suffix in (".tar.gz", ".zip", ".tar.bz2", ".tgz"):
        if name.endswith(suffix):
            return _parsed(name.removesuffix(suffix).rpartition("-")[2])
    return None


def _parsed(version: str) -> Version | None:
    try:
        return Version(version) if len(version) <= 140 else None
    except InvalidVersion:
        return None


def _count(page: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> int:
    listed = sequence(page.get("versions"))
    return len(listed) if listed else len({v for row in rows if (v := _version_of(row)) is not None})


def _status(page: Mapping[str, Any]) -> str | None:
    """PEP 792, wherever the index puts it. A status that nobody knows is not "active"."""
    told = mapping(page.get("meta")).get("project-status", page.get("project-status"))
    value = text(mapping(told).get("status") if isinstance(told, dict) else told, max_length=40).lower()
    return (value if value in _STATUSES else "unknown") if value else None


def _standing(purl: str, status: str | None, file: PypiFile | None) -> Iterator[Finding]:
    if status == "quarantined":
        summary = "the index has put the project under quarantine"
        yield _finding(purl, "G2", "quarantined", "critical", summary, field="project-status")
    elif status in {"archived", "deprecated", "unknown"}:
        yield _finding(purl, "C9", "project-status", "medium", f"the project is {status}", field="project-status")
    if file is not None and file.yanked:
        yield _finding(purl, "C9", "yanked", "high", f"withdrawn by its maintainers: {file.yanked}", field="yanked")


def _late(purl: str, file: PypiFile | None, files: Sequence[PypiFile]) -> Iterator[Finding]:
    first = min((f.uploaded_at for f in files if f.uploaded_at is not None), default=None)
    if file is None or first is None or file.uploaded_at is None or file.uploaded_at - first < LATE_FILE:
        return
    summary = f"{file.filename} was added {(file.uploaded_at - first).days} days after the release"
    yield _finding(purl, "C7", "late-file", "medium", summary, field="upload-time")


def _info_of(header: Any) -> dict[str, Any]:
    """METADATA's links in the shape of the project document's `info`."""
    urls: dict[str, str] = {}
    for row in list(header.get_all("Project-URL") or ())[:100]:
        label, _, url = str(row).partition(",")
        urls.setdefault(label.strip()[:100], url.strip())
    return {"project_urls": urls, "home_page": str(header.get("Home-page") or "")}


def _signals(
    simple: Answer, project: Answer, purl: str, *, dated: bool, status: str | None, people: bool
) -> tuple[SourceState, ...]:
    """Which kinds of statement this index makes. None feeds G2, see npm_facts."""
    silent = simple.reason or "the index leaves this out"
    no_roles = project.reason or "the index does not say who owns the project"
    return (
        simple.state("pypi-simple", purl=purl, feeds=()),
        project.state("pypi-project", purl=purl, feeds=()),
        told("pypi-upload-times", purl=purl, feeds=("C9", "G4"), yes=dated, reason=silent),
        told("pypi-project-status", purl=purl, feeds=(), yes=status is not None, reason=silent),
        told("pypi-roles", purl=purl, feeds=("C7",), yes=people, reason=no_roles),
    )


def _finding(purl: str, check: str, rule: str, severity: Severity, summary: str, *, field: str = "") -> Finding:
    return Finding(check=check, purl=purl, rule=rule, severity=severity, summary=summary, field=field)
