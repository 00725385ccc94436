"""PyPI's words, whole and as a read-only mirror leaves them.

The mirror speaks version 1.1 of the Simple API: hashes, sizes, upload times and yanked files are there; metadata of
files (PEP 658), provenance (PEP 740) and the project's status (PEP 792) are not. Its JSON knows projects but no single
versions, and gives relative addresses of files.
"""

import hashlib
import html
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from packaging.version import Version

from registries.advisories import pypi_vulnerabilities
from registries.loopback import Answer, Loopback, Request
from registries.npm_dialects import stamp
from registries.provenance import pypi_provenance
from registries.releases import PypiRelease

Json = dict[str, Any]

SIMPLE = "application/vnd.pypi.simple.v1+json"
INTEGRITY = "application/vnd.pypi.integrity.v1+json"
_HTML = "text/html"


@dataclass
class PypiIndex:
    """Releases behind a loopback server; `stripped` chooses the mirror's words."""

    releases: Iterable[PypiRelease]
    now: datetime
    stripped: bool = False
    server: Loopback = field(init=False)
    _projects: dict[str, list[PypiRelease]] = field(init=False, default_factory=dict)
    _files: dict[str, PypiRelease] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.server = Loopback(self.answer)
        for release in self.releases:
            self._projects.setdefault(release.project, []).append(release)
            self._files[_place(release)] = release

    @property
    def url(self) -> str:
        """The Simple API's."""
        return f"{self.server.origin}/simple"

    def answer(self, request: Request) -> Answer:
        if request.method not in {"GET", "HEAD"}:
            return Answer(405, headers={"allow": "GET, HEAD"})
        if request.path in self._files:
            return Answer(body=self._files[request.path].served, content_type="application/octet-stream")
        parts = request.path.strip("/").split("/")
        match parts:
            case ["simple", project] if project in self._projects:
                return self._simple(project, SIMPLE in request.headers.get("accept", ""))
            case ["pypi", project, "json"] if project in self._projects:
                newest = max(self._projects[project], key=lambda each: (not each.yanked, Version(each.version)))
                return self._project_json(project, newest)
        return Answer(404) if self.stripped else self._full_only(request.path, parts)

    def _full_only(self, path: str, parts: list[str]) -> Answer:
        match parts:
            case ["pypi", project, version, "json"]:
                found = [release for release in self._projects.get(project, ()) if release.version == version]
                return self._project_json(project, found[0]) if found else Answer(404)
            case ["integrity", project, version, filename, "provenance"]:
                return self._provenance(project, version, filename)
        release = self._files.get(path.removesuffix(".metadata"))
        if release is None or release.source_only:
            return Answer(404)
        return Answer(body=release.metadata, content_type="text/plain")

    def _simple(self, project: str, json_wanted: bool) -> Answer:
        releases = self._projects[project]
        if not json_wanted:
            anchors = "".join(map(self._anchor, releases))
            body = f"<!DOCTYPE html><html><body>{anchors}</body></html>".encode()
            return Answer(body=body, content_type=_HTML)
        meta: Json = {"api-version": "1.1"} if self.stripped else {"api-version": "1.4"}
        document: Json = {"meta": meta, "name": project, "versions": sorted({r.version for r in releases})}
        if not self.stripped:
            document["project-status"] = {"status": releases[-1].status}
        return _json(document | {"files": [self._file(release) for release in releases]}, content_type=SIMPLE)

    def _file(self, release: PypiRelease) -> Json:
        entry: Json = {
            "filename": release.filename,
            "url": self._url(release),
            "hashes": {"sha256": release.sha256},
            "size": len(release.recorded),
            "upload-time": stamp(release.published),
            "requires-python": ">=3.9",
            "yanked": release.yanked or False,
        }
        if self.stripped:
            return entry
        digest = hashlib.sha256(release.metadata).hexdigest()
        place = f"/integrity/{release.project}/{release.version}/{release.filename}/provenance"
        return entry | {
            "core-metadata": False if release.source_only else {"sha256": digest},
            "provenance": f"{self.server.origin}{place}" if release.attested else None,
        }

    def _anchor(self, release: PypiRelease) -> str:
        yanked = f' data-yanked="{html.escape(release.yanked)}"' if release.yanked else ""
        address = f"{self._url(release)}#sha256={release.sha256}"
        return f'<a href="{address}" data-requires-python="&gt;=3.9"{yanked}>{release.filename}</a><br>'

    def _project_json(self, project: str, release: PypiRelease) -> Answer:
        info: Json = {
            "name": release.name,
            "version": release.version,
            "summary": "A package for tests",
            "description": release.description,
            "license_expression": "MIT",
            "project_urls": {"Source": release.repository} if release.repository else None,
            "requires_dist": list(release.requires) or None,
            "requires_python": ">=3.9",
            "yanked": bool(release.yanked),
            "yanked_reason": release.yanked or None,
            "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
        }
        document: Json = {
            "info": info,
            "last_serial": 1,
            "urls": [self._json_file(release)],
            "vulnerabilities": pypi_vulnerabilities(project, release.version),
            "ownership": {"organization": None, "roles": [{"role": "Owner", "user": release.publisher}]},
        }
        releases: Json = {}
        for other in self._projects[project]:
            releases.setdefault(other.version, []).append(self._json_file(other))
        return _json(document | {"releases": releases})

    def _json_file(self, release: PypiRelease) -> Json:
        return {
            "filename": release.filename,
            "url": f"../..{_place(release)}" if self.stripped else self._url(release),
            "packagetype": "sdist" if release.source_only else "bdist_wheel",
            "digests": {"sha256": release.sha256},
            "size": len(release.recorded),
            "upload_time_iso_8601": stamp(release.published),
            "yanked": bool(release.yanked),
            "yanked_reason": release.yanked or None,
            **({"core-metadata": False} if self.stripped else {}),
        }

    def _provenance(self, project: str, version: str, filename: str) -> Answer:
        for release in self._projects.get(project, ()):
            if release.version == version and release.filename == filename and release.attested:
                return _json(pypi_provenance(release), content_type=INTEGRITY)
        return Answer(404)

    def _url(self, release: PypiRelease) -> str:
        """The mirror's Simple API is relative too, which every client must be able to follow."""
        return f"../..{_place(release)}" if self.stripped else f"{self.server.origin}{_place(release)}"


def _place(release: PypiRelease) -> str:
    digest = release.sha256
    return f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{release.filename}"


def _json(document: Json, *, content_type: str = "application/json") -> Answer:
    return Answer(body=json.dumps(document).encode(), content_type=content_type)
