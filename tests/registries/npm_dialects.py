"""The npm registry's words, whole and as a read-only mirror leaves them.

The mirror answers GET and HEAD only, with 405 for the rest; it has no audit, no attestations, no keys and no search. Of
a package it keeps five keys, of `dist` three; who published, signatures, deprecation and ETag are gone, `scripts` stay.
Its times are those of its own copy, so later than the true ones.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from packaging.version import Version

from registries.advisories import npm_bulk
from registries.loopback import Answer, Loopback, Request
from registries.provenance import SLSA, npm_attestations, npm_keys, npm_signature
from registries.releases import NpmRelease

Json = dict[str, Any]

ABBREVIATED = "application/vnd.npm.install-v1+json"
_INGESTED_AFTER = timedelta(days=90)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass
class NpmRegistry:
    """Releases behind a loopback server; `stripped` chooses the mirror's words."""

    releases: Iterable[NpmRelease]
    now: datetime
    stripped: bool = False
    server: Loopback = field(init=False)
    _packages: dict[str, dict[str, NpmRelease]] = field(init=False, default_factory=dict)
    _archives: dict[str, NpmRelease] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.server = Loopback(self.answer)
        for release in self.releases:
            self._packages.setdefault(release.name, {})[release.version] = release
            self._archives[f"/{release.name}/-/{release.filename}"] = release

    @property
    def url(self) -> str:
        return self.server.origin

    def answer(self, request: Request) -> Answer:
        if self.stripped and request.method not in {"GET", "HEAD"}:
            return Answer(405, headers={"allow": "GET, HEAD"})
        if request.path in self._archives:
            return Answer(body=self._archives[request.path].served, content_type="application/octet-stream")
        if request.path == "/-/ping":
            return _json({})
        if request.path.startswith("/-/package/") and request.path.endswith("/dist-tags"):
            name = request.path.removeprefix("/-/package/").removesuffix("/dist-tags")
            return _json(self._tags(name)) if name in self._packages else self._missing()
        if request.path.startswith("/-/"):
            return self._missing() if self.stripped else self._service(request)
        return self._document(request)

    def _document(self, request: Request) -> Answer:
        name = request.path[1:]
        if name in self._packages:
            return self._packument(name, abbreviated=ABBREVIATED in request.headers.get("accept", ""))
        name, _, wanted = name.rpartition("/")
        versions = self._packages.get(name, {})
        release = versions.get(self._tags(name).get(wanted, wanted)) if versions else None
        return _json(self._version(release)) if release else self._missing()

    def _service(self, request: Request) -> Answer:
        match (request.method, request.path):
            case ("POST", "/-/npm/v1/security/advisories/bulk"):
                zipped = request.headers.get("content-encoding") == "gzip"
                return _json(npm_bulk(json.loads(gzip.decompress(request.body) if zipped else request.body)))
            case ("POST", "/-/npm/v1/security/audits/quick"):
                return Answer(410, b'{"error":"retired"}')
            case ("GET", "/-/npm/v1/keys"):
                return _json(npm_keys())
            case ("GET", "/-/v1/search"):
                return _json({"objects": [], "total": 0, "time": stamp(self.now)})
            case ("GET", path) if path.startswith("/-/npm/v1/attestations/"):
                name, _, version = path.removeprefix("/-/npm/v1/attestations/").rpartition("@")
                release = self._packages.get(name, {}).get(version)
                return _json(npm_attestations(release)) if release and release.attested else self._missing()
        return self._missing()

    def _packument(self, name: str, *, abbreviated: bool) -> Answer:
        releases = self._packages[name]
        versions = {version: self._version(release) for version, release in releases.items()}
        document: Json = {"_id": name, "name": name, "dist-tags": self._tags(name), "versions": versions}
        if self.stripped:
            return _json(document | {"time": {version: self._time(release) for version, release in releases.items()}})
        newest = max(releases.values(), key=lambda release: release.published)
        times = {version: self._time(release) for version, release in releases.items()}
        oldest = min(times.values())
        if abbreviated:
            kept = {"dependencies", "bin", "dist", "name", "version", "deprecated", "hasInstallScript"}
            short = {version: {k: v for k, v in entry.items() if k in kept} for version, entry in versions.items()}
            body = {
                "name": name,
                "dist-tags": document["dist-tags"],
                "modified": max(times.values()),
                "versions": short,
            }
            return _json(body, content_type=ABBREVIATED, etag=True)
        document["time"] = {"created": oldest, "modified": max(times.values())} | times
        document["maintainers"] = [_person(newest.publisher)]
        document |= {key: newest.package_json[key] for key in ("repository", "license") if key in newest.package_json}
        return _json(document, etag=True)

    def _version(self, release: NpmRelease) -> Json:
        dist: Json = release.dist | {"tarball": f"{self.url}/{release.name}/-/{release.filename}"}
        entry = release.package_json | {"_id": f"{release.name}@{release.version}", "dist": dist}
        if self.stripped:
            return entry
        dist |= {
            "fileCount": len(release.files) + 1,
            "unpackedSize": sum(map(len, release.files.values())),
            "signatures": [npm_signature(release)],
        }
        if release.attested:
            url = f"{self.url}/-/npm/v1/attestations/{release.name}@{release.version}"
            dist["attestations"] = {"url": url, "provenance": {"predicateType": SLSA}}
        entry |= {"_npmUser": _person(release.publisher), "maintainers": [_person(release.publisher)]}
        entry |= {"hasInstallScript": True} if release.has_install_script else {}
        return entry | ({"deprecated": release.deprecated} if release.deprecated else {})

    def _time(self, release: NpmRelease) -> str:
        if not self.stripped:
            return stamp(release.published)
        return stamp(min(release.published + _INGESTED_AFTER, self.now))

    def _tags(self, name: str) -> dict[str, str]:
        """The highest version is the latest; all versions here are ones that PyPI's rules can read too, save one."""
        return {"latest": max(self._packages[name], key=lambda version: Version(version.partition("-")[0]))}

    def _missing(self) -> Answer:
        return Answer(404) if self.stripped else Answer(404, b'{"error":"Not found"}')


def _person(name: str) -> Json:
    return {"name": name, "email": f"{name}@people.invalid"}


def _json(document: Json, *, content_type: str = "application/json", etag: bool = False) -> Answer:
    body = json.dumps(document).encode()
    more = {"etag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'} if etag else {}
    return Answer(body=body, content_type=content_type, headers=more)
