"""What the test registries hold: complete, inert and the same each time."""

import gzip
import io
import json
import re
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registries.advisories import npm_bulk, osv_documents, pypi_vulnerabilities
from registries.cases import CASES, Case, Dialect, Place
from registries.npm_releases import npm_releases
from registries.pypi_releases import pypi_releases
from registries.releases import NpmRelease, PypiRelease

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
Release = NpmRelease | PypiRelease
RELEASES: tuple[Release, ...] = (*npm_releases(NOW), *pypi_releases(NOW))
_ADDRESS = re.compile(rb"(?:https?|git\+https|ssh|ftp)://([^/\s'\"\\)>@]+@)?([A-Za-z0-9.-]+)")


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: f"{type(r).__name__}-{r.name}-{r.version}")
def test_contents_point_nowhere_but_to_invalid_names(release: Release) -> None:
    for data in (release.recorded, release.served):
        hosts = {found[1].decode() for content in contents(data) for found in _ADDRESS.findall(content)}
        assert {host for host in hosts if not host.endswith(".invalid")} == set()


def test_archives_are_the_same_bytes_each_time() -> None:
    again: tuple[Release, ...] = (*npm_releases(NOW), *pypi_releases(NOW))
    assert [(r.recorded, r.served) for r in RELEASES] == [(r.recorded, r.served) for r in again]


def test_only_the_tampered_are_served_with_other_bytes() -> None:
    changed = {release.name for release in RELEASES if release.recorded != release.served}
    assert changed == {"vsm-case-tampered", "vsm-case-swapped"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_case_has_its_release(case: Case) -> None:
    releases = npm_releases(NOW) if case.ecosystem == "npm" else pypi_releases(NOW)
    assert [r.version for r in releases if (r.name, r.version) == (case.name, case.version)] == [case.version]


def test_cases_are_named_once_and_every_package_that_is_one_has_a_case() -> None:
    ids = [case.id for case in CASES]
    assert len(set(ids)) == len(ids)
    roots = {case.name for case in CASES}
    supporting = {
        "vsm-case-collector",
        "vsm-case-swapped",
        "vsm-case-middle-man",
        "vsm-case-young",
        "vsm-case-pth-below",
    }
    assert {r.name for r in RELEASES if r.name.startswith("vsm-case-")} - roots == supporting


def test_a_mirror_hides_what_only_the_registry_can_know() -> None:
    hidden = {(case.ecosystem, case.seen_in) for case in CASES if not case.visible_in(Dialect.STRIPPED)}
    both = {Place.ADVISORIES, Place.ATTESTATIONS}
    npm, pypi = both | {Place.TIME, Place.DEPRECATION}, both | {Place.STATUS}
    assert hidden == {("npm", place) for place in npm} | {("pypi", place) for place in pypi}
    assert all(case.visible_in(Dialect.FULL) for case in CASES)


def test_the_dump_and_the_registries_agree_on_what_is_vulnerable(osv_dump: Path) -> None:
    written = [json.loads(path.read_text()) for path in sorted(osv_dump.rglob("*.json"))]
    assert sorted(document["id"] for document in written) == sorted(d["id"] for d in osv_documents())
    assert {path.parent.name for path in osv_dump.rglob("*.json")} == {"npm", "PyPI"}
    for version, count in (("1.2.0", 1), ("1.2.5", 0)):
        assert len(npm_bulk({"vsm-demo-parser": [version]})) == count
        assert len(pypi_vulnerabilities("vsm-demo-parser", version)) == count


def contents(data: bytes) -> list[bytes]:
    """Of every member; what is written in hexadecimal escapes or base64 is looked at as it is."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [archive.read(name) for name in archive.namelist()]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        return [member.read() for info in archive if (member := archive.extractfile(info))]
