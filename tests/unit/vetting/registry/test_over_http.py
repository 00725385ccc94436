"""From a registry's words over HTTP to findings: loopback registries in both dialects, through the intake's client."""

import io
import json
import tarfile
from datetime import datetime
from urllib.parse import quote

import pytest

from registries.npm_dialects import NpmRegistry
from registries.pypi_dialects import PypiIndex
from vsm_runtime.intake.http import Registry
from vsm_runtime.vetting.dependencies import manifest_sources
from vsm_runtime.vetting.documents import Answer, from_document
from vsm_runtime.vetting.installcode import InstallCode, npm_install_code
from vsm_runtime.vetting.npm_facts import NpmFacts, npm_facts
from vsm_runtime.vetting.pypi_facts import PypiFacts, pypi_facts, simple_answer

SIMPLE = "application/vnd.pypi.simple.v1+json"


def npm(registry: NpmRegistry, name: str, *, version: str, now: datetime) -> NpmFacts:
    with Registry(registry.url, sleep=lambda _: None) as http:
        document = http.get(f"{http.url}/{quote(name, safe='@')}", accept="application/json")
    return npm_facts(from_document(document), version=version, purl=f"pkg:npm/{name}@{version}", now=now)


def unpacked(registry: NpmRegistry, name: str) -> InstallCode:
    with Registry(registry.url) as http:
        document = http.get(f"{http.url}/{name}", accept="application/json")
        assert document is not None
        published = document.json()["versions"]["1.0.0"]
        tarball = http.get(published["dist"]["tarball"], accept="*/*")
    assert tarball is not None
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(tarball.body)) as archive:
        for member in archive.getmembers():
            stream = archive.extractfile(member)
            files[member.name.partition("/")[2]] = stream.read() if stream else b""
    manifest = json.loads(files["package.json"])
    gyp = files.get("binding.gyp", b"").decode()
    return npm_install_code(
        purl=f"pkg:npm/{name}@1.0.0", manifest=manifest, files=files.keys(), published=published, gyp=gyp
    )


def pypi(index: PypiIndex, name: str, *, version: str, now: datetime) -> PypiFacts:
    with Registry(index.url, sleep=lambda _: None) as http:
        page = http.get(f"{http.url}/{name}/", accept=SIMPLE)
        project = http.get(f"{http.url.removesuffix('/simple')}/pypi/{name}/json", accept="application/json")
    purl = f"pkg:pypi/{name}@{version}"
    return pypi_facts(
        simple=simple_answer(page),
        project=from_document(project),
        metadata="",
        version=version,
        filename="",
        purl=purl,
        now=now,
    )


def gates(facts: NpmFacts | PypiFacts | InstallCode) -> set[str]:
    return {f.check for f in facts.findings if f.check.startswith("G") and f.severity != "info"}


class TestNpm:
    def test_an_honest_server_fires_nothing_in_either_dialect(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry, now: datetime
    ) -> None:
        for registry in (full_npm, stripped_npm):
            found = npm(registry, "@vsm-demo/notes-server", version="1.2.0", now=now)
            assert found.listed
            assert gates(found) == set()

    def test_the_mirrors_date_is_later_than_the_true_one_and_says_so(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry, now: datetime
    ) -> None:
        true, told = (
            npm(registry, "@vsm-demo/notes-server", version="1.2.0", now=now) for registry in (full_npm, stripped_npm)
        )

        assert true.published_at is not None
        assert told.published_at is not None
        assert told.published_at > true.published_at
        assert (true.fields()["published_is_lower_bound"], told.fields()["published_is_lower_bound"]) == (False, True)

    def test_a_removed_package_is_seen_in_both(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry, now: datetime
    ) -> None:
        for registry in (full_npm, stripped_npm):
            assert gates(npm(registry, "vsm-case-holding", version="0.0.1-security", now=now)) == {"G2"}

    def test_deprecation_is_told_by_the_one_and_unknown_at_the_other(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry, now: datetime
    ) -> None:
        full, less = (npm(r, "vsm-case-deprecated", version="1.0.0", now=now) for r in (full_npm, stripped_npm))

        assert (full.fields()["deprecated"], less.fields()["deprecated"]) == (True, None)

    def test_lost_attestations_close_the_gate_where_they_are_told_and_are_unknown_elsewhere(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry, now: datetime
    ) -> None:
        full, less = (
            npm(r, "vsm-case-provenance-regression", version="1.0.1", now=now) for r in (full_npm, stripped_npm)
        )

        assert gates(full) == {"G9"}
        assert less.release is not None
        assert (gates(less), less.release.attested) == (set(), None)

    @pytest.mark.parametrize("kind", ["git", "http", "file", "ssh"])
    def test_mutable_dependencies_are_in_every_registrys_words(
        self, stripped_npm: NpmRegistry, now: datetime, kind: str
    ) -> None:
        found = npm(stripped_npm, f"vsm-case-{kind}-dependency", version="1.0.0", now=now)

        assert found.manifest is not None
        assert [f.check for f in manifest_sources(purl=found.purl, manifest=found.manifest)] == ["G3"]

    @pytest.mark.parametrize(
        ("name", "scripts"),
        [
            ("vsm-case-postinstall", ("preinstall", "postinstall")),
            ("vsm-case-binding-gyp", ("binding.gyp",)),
            ("vsm-case-fresh", ()),
        ],
    )
    def test_install_time_code_is_read_from_the_archive(
        self, stripped_npm: NpmRegistry, name: str, scripts: tuple[str, ...]
    ) -> None:
        assert unpacked(stripped_npm, name).scripts == scripts

    def test_an_unknown_package_is_unavailable_and_not_clean(self, stripped_npm: NpmRegistry, now: datetime) -> None:
        found = npm(stripped_npm, "vsm-case-of-nobody", version="1.0.0", now=now)

        assert {state.status for state in found.sources} == {"unavailable"}


class TestPypi:
    def test_an_honest_server_fires_nothing_in_either_dialect(
        self, full_pypi: PypiIndex, stripped_pypi: PypiIndex, now: datetime
    ) -> None:
        for index in (full_pypi, stripped_pypi):
            found = pypi(index, "vsm-demo-notes-server", version="1.2.0", now=now)
            assert (found.listed, found.has_wheel) == (True, True)
            assert gates(found) == set()
            assert found.published_at is not None

    def test_quarantine_is_told_by_the_one_and_unknown_at_the_other(
        self, full_pypi: PypiIndex, stripped_pypi: PypiIndex, now: datetime
    ) -> None:
        full, less = (pypi(i, "vsm-case-quarantined", version="1.0.0", now=now) for i in (full_pypi, stripped_pypi))

        assert gates(full) == {"G2"}
        assert less.project_status is None

    def test_a_withdrawn_version_is_seen_in_both(
        self, full_pypi: PypiIndex, stripped_pypi: PypiIndex, now: datetime
    ) -> None:
        for index in (full_pypi, stripped_pypi):
            assert pypi(index, "vsm-case-yanked", version="1.0.1", now=now).fields()["yanked"] is True

    def test_lost_attestations_close_the_gate_where_they_are_told_and_are_unknown_elsewhere(
        self, full_pypi: PypiIndex, stripped_pypi: PypiIndex, now: datetime
    ) -> None:
        full, less = (
            pypi(i, "vsm-case-provenance-regression", version="1.0.1", now=now) for i in (full_pypi, stripped_pypi)
        )

        assert gates(full) == {"G9"}
        assert less.file is not None
        assert (gates(less), less.file.attested) == (set(), None)

    def test_source_only_versions_are_recognised(self, stripped_pypi: PypiIndex, now: datetime) -> None:
        assert pypi(stripped_pypi, "vsm-case-setup", version="1.0.0", now=now).has_wheel is False


def test_an_answer_is_what_the_client_says() -> None:
    assert from_document(None) == Answer("unavailable", "the registry does not serve this (404, 405 or 410)")
