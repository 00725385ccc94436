"""Against registries that others wrote: the whole dialect is understood, the stripped one is never taken for clean."""

from datetime import date
from pathlib import Path

import pytest

from registries.advisories import (
    AS_OF,
    NPM_ADVISORY,
    NPM_MALWARE,
    PATCHED,
    PYPI_ADVISORY,
    PYPI_MALWARE,
    osv_documents,
    write_osv,
)
from registries.fixtures import full_npm, full_pypi, now, npm_seed, pypi_seed, stripped_npm, stripped_pypi
from registries.npm_dialects import NpmRegistry
from registries.pypi_dialects import PypiIndex
from unit.vetting.advisories.kit import npm, pypi
from vsm_runtime.vetting.advisories.capability import Capabilities
from vsm_runtime.vetting.advisories.collect import Report, collect
from vsm_runtime.vetting.advisories.fetch import JsonSource
from vsm_runtime.vetting.advisories.npm_bulk import NpmBulk
from vsm_runtime.vetting.advisories.offline import OsvDump
from vsm_runtime.vetting.advisories.pypi_json import PypiJson

__all__ = ["full_npm", "full_pypi", "now", "npm_seed", "pypi_seed", "stripped_npm", "stripped_pypi"]

DAY = "2026-11-23"
CANARY = ("vsm-demo-parser", "1.2.0")
TREE = [npm("vsm-demo-parser", "1.2.0"), npm("vsm-demo-parser", PATCHED), pypi("vsm-demo-parser", "1.2.0")]
MALWARE = {document["id"]: document["affected"][0]["package"]["name"] for document in osv_documents()}


def online(npm_url: str, pypi_url: str) -> Report:
    node, python = JsonSource(npm_url, sleep=lambda _: None), JsonSource(pypi_url, sleep=lambda _: None)
    known = Capabilities(None, DAY)
    providers = [
        NpmBulk(node, DAY, canary=CANARY),
        PypiJson(python, known, DAY, canary=CANARY),
        PypiJson(python, known, DAY, latest=True, canary=None),
    ]
    return collect(providers, TREE)


def answered(report: Report) -> set[str]:
    return {purl for state in report.sources if state.status == "ok" and "C1" in state.feeds for purl in state.purls}


def test_the_whole_dialect_tells_which_versions_are_vulnerable(full_npm: NpmRegistry, full_pypi: PypiIndex) -> None:
    report = online(full_npm.url, full_pypi.server.origin)
    assert [(found.purl, found.data["id"], found.data["fixed"]) for found in report.findings] == [
        ("pkg:npm/vsm-demo-parser@1.2.0", NPM_ADVISORY, PATCHED),
        ("pkg:pypi/vsm-demo-parser@1.2.0", PYPI_ADVISORY, PATCHED),
    ]
    assert answered(report) == {subject.purl for subject in TREE}


def test_the_stripped_dialect_answers_nothing(stripped_npm: NpmRegistry, stripped_pypi: PypiIndex) -> None:
    report = online(stripped_npm.url, stripped_pypi.server.origin)
    assert (report.findings, answered(report)) == ((), set())
    assert {state.status for state in report.sources} == {"unavailable"}
    assert {purl for state in report.sources for purl in state.purls} == {subject.purl for subject in TREE}


@pytest.mark.parametrize("cached", [False, True])
def test_a_mounted_dump_makes_up_for_what_a_mirror_does_not_tell(
    stripped_npm: NpmRegistry, tmp_path: Path, cached: bool
) -> None:
    dump = OsvDump(
        path=write_osv(tmp_path / "dump"), today=date.fromisoformat(AS_OF[:10]), cache=tmp_path if cached else None
    )
    tree = [*TREE, npm(MALWARE[NPM_MALWARE], "1.0.0"), pypi(MALWARE[PYPI_MALWARE], "1.0")]
    report = collect([NpmBulk(JsonSource(stripped_npm.url, sleep=lambda _: None), DAY), dump], tree)
    assert {(found.check, found.data["id"]) for found in report.findings} == {
        ("C1", NPM_ADVISORY),
        ("C1", PYPI_ADVISORY),
        ("G2", NPM_MALWARE),
        ("G2", PYPI_MALWARE),
    }
    assert answered(report) == {subject.purl for subject in tree}
