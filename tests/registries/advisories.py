"""What is known to be bad among the test packages: OSV documents, and the same as the registries say it themselves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from packaging.version import Version

Json = dict[str, Any]

CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
CRITICAL_SCORE = 9.8
NPM_ADVISORY, PYPI_ADVISORY = "GHSA-vsm0-test-0001", "PYSEC-0000-1"
NPM_MALWARE, PYPI_MALWARE = "MAL-0000-1", "MAL-0000-2"
PATCHED = "1.2.5"
AS_OF = "2026-01-15T08:00:00Z"
_Ecosystem = Literal["npm", "PyPI"]


def osv_documents() -> tuple[Json, ...]:
    """One critical vulnerability with a patched version, and one malware entry for all versions, of each ecosystem."""
    return (
        _vulnerability("npm", NPM_ADVISORY),
        _vulnerability("PyPI", PYPI_ADVISORY),
        _malware("npm", NPM_MALWARE),
        _malware("PyPI", PYPI_MALWARE),
    )


def write_osv(directory: Path) -> Path:
    """A dump as it is mounted: one file an advisory, below its ecosystem."""
    for document in osv_documents():
        place = directory / document["affected"][0]["package"]["ecosystem"] / f"{document['id']}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(document, indent=1, sort_keys=True))
    return directory


def npm_bulk(asked: Mapping[str, Sequence[str]]) -> dict[str, list[Json]]:
    """The answer of npm's bulk advisory endpoint to {name: [versions]}."""
    row = {
        "id": 1000001,
        "url": f"https://advisories.invalid/{NPM_ADVISORY}",
        "title": "Parses what it should not",
        "severity": "critical",
        "vulnerable_versions": f"<{PATCHED}",
        "cwe": ["CWE-502"],
        "cvss": {"score": CRITICAL_SCORE, "vectorString": CRITICAL},
    }
    hit = any(Version(version) < Version(PATCHED) for version in asked.get("vsm-demo-parser", ()))
    return {"vsm-demo-parser": [row]} if hit else {}


def pypi_vulnerabilities(project: str, version: str) -> list[Json]:
    """`vulnerabilities` of PyPI's JSON for one version."""
    if project != "vsm-demo-parser" or Version(version) >= Version(PATCHED):
        return []
    return [
        {
            "id": PYPI_ADVISORY,
            "aliases": ["CVE-0000-0001"],
            "details": "Parses what it should not.",
            "summary": None,
            "fixed_in": [PATCHED],
            "link": f"https://advisories.invalid/{PYPI_ADVISORY}",
            "source": "osv",
            "withdrawn": None,
        }
    ]


def _vulnerability(ecosystem: _Ecosystem, name: str) -> Json:
    kind = "SEMVER" if ecosystem == "npm" else "ECOSYSTEM"
    return _document(
        name,
        ecosystem,
        "vsm-demo-parser",
        summary="Parses what it should not",
        aliases=["CVE-0000-0001"],
        severity=[{"type": "CVSS_V3", "score": CRITICAL}],
        ranges=[{"type": kind, "events": [{"introduced": "0"}, {"fixed": PATCHED}]}],
    )


def _malware(ecosystem: _Ecosystem, name: str) -> Json:
    kind = "SEMVER" if ecosystem == "npm" else "ECOSYSTEM"
    return _document(
        name,
        ecosystem,
        "vsm-case-known-malware",
        summary=f"Malicious code in vsm-case-known-malware ({ecosystem})",
        ranges=[{"type": kind, "events": [{"introduced": "0"}]}],
    )


def _document(name: str, ecosystem: _Ecosystem, package: str, *, ranges: list[Json], **more: Any) -> Json:
    identity = {"ecosystem": ecosystem, "name": package, "purl": f"pkg:{ecosystem.lower()}/{package}"}
    return {
        "schema_version": "1.7.0",
        "id": name,
        "modified": AS_OF,
        "published": AS_OF,
        "affected": [{"package": identity, "ranges": ranges}],
        **more,
    }
