"""What a Python index's answer is worth: the newest API, a mirror's, HTML only, and nonsense."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.vetting.registry.making import NOW, day
from vsm_operator.domain.vetting.model import PackageEvidence
from vsm_runtime.intake.http import Document
from vsm_runtime.vetting.documents import Answer, read, unavailable
from vsm_runtime.vetting.pypi_facts import PypiFacts, pypi_facts, simple_answer

PURL = "pkg:pypi/widget@1.1"
WHEEL = "widget-1.1-py3-none-any.whl"
METADATA = """Metadata-Version: 2.4
Name: widget
Version: 1.1
Project-URL: Documentation, https://docs.invalid/widget
Project-URL: Source Code, https://github.com/acme/widget/tree/main/src
Requires-Dist: httpx>=0.27
Requires-Dist: gadget @ git+https://github.com/acme/gadget ; extra == "x"

<!-- mcp-name: io.github.acme/widget -->
"""
PROJECT: dict[str, Any] = {
    "info": {"version": "1.1"},
    "ownership": {"roles": [{"role": "Owner", "user": "ann"}, {"role": "Maintainer", "user": "bob"}]},
}


def file(name: str, age: int, **changed: Any) -> dict[str, Any]:
    row = {
        "filename": name,
        "upload-time": day(age),
        "yanked": False,
        "hashes": {"sha256": "a" * 64},
        "provenance": None,
    }
    return {key: value for key, value in (row | changed).items() if value is not ...}


def page(*files: dict[str, Any], **changed: Any) -> dict[str, Any]:
    rows = [file("widget-1.0-py3-none-any.whl", 300), *(files or (file(WHEEL, 100), file("widget-1.1.tar.gz", 100)))]
    about = {"meta": {"api-version": "1.4", "project-status": "active"}, "versions": ["1.0", "1.1"], "files": rows}
    return {key: value for key, value in (about | changed).items() if value is not ...}


def facts(simple: Any = None, project: Any = PROJECT, *, metadata: str = METADATA, filename: str = WHEEL) -> PypiFacts:
    answers = [
        a if isinstance(a, Answer) else read(status=200, body=json.dumps(a).encode())
        for a in (simple or page(), project)
    ]
    return pypi_facts(
        simple=answers[0], project=answers[1], metadata=metadata, version="1.1", filename=filename, purl=PURL, now=NOW
    )


def rules(found: PypiFacts) -> set[tuple[str, str]]:
    return {(finding.check, finding.rule) for finding in found.findings}


def states(found: PypiFacts) -> dict[str, str]:
    return {state.id: state.status for state in found.sources}


def test_the_full_dialect_tells_everything_and_finds_nothing() -> None:
    found = facts()

    assert found.findings == ()
    assert set(states(found).values()) == {"ok"}
    assert {check for state in found.sources for check in state.feeds} == {"C7", "C9", "G4"}
    evidence = PackageEvidence(purl=PURL, ecosystem="pypi", name="widget", version="1.1", **found.fields())
    assert evidence.published_at == "2026-02-21T00:00:00Z"
    assert evidence.first_published_at == "2025-08-05T00:00:00Z"
    assert (evidence.versions_count, evidence.yanked, evidence.project_status) == (2, False, "active")
    assert evidence.publishers == ("ann", "bob")
    assert evidence.repository == "https://github.com/acme/widget"
    assert (found.mcp_name, found.has_wheel) == ("io.github.acme/widget", True)
    assert found.requires[1].startswith("gadget @ git+https")
    assert found.file is not None
    assert found.file.attested is False


def test_a_mirrors_older_api_leaves_status_and_attestations_unknown() -> None:
    rows = [file(WHEEL, 100, provenance=...)]
    found = facts(page(meta={"api-version": "1.1"}, files=rows), unavailable("404"))

    assert found.project_status is None
    assert found.fields()["deprecated"] is None
    assert found.fields()["publishers"] is None
    assert found.file is not None
    assert found.file.attested is None
    assert states(found) == {
        "pypi-simple": "ok", "pypi-project": "unavailable", "pypi-upload-times": "ok",
        "pypi-project-status": "unavailable", "pypi-roles": "unavailable",
    }  # fmt: skip


def test_an_index_of_html_only_has_no_dates_and_says_so() -> None:
    html = f'<a href="{WHEEL}#sha256={"a" * 64}" data-yanked="broken">x</a>'.encode()
    found = facts(
        simple_answer(Document("https://index.invalid/simple/widget/", "text/html", html)), unavailable("404")
    )

    assert (found.listed, found.has_wheel, found.published_at, found.yanked) == (True, True, None, "broken")
    assert states(found)["pypi-upload-times"] == "unavailable"


@pytest.mark.parametrize("status", [404, 405, 500, None])
def test_no_answer_makes_every_source_unavailable(status: int | None) -> None:
    found = facts(read(status=status, body=b""), unavailable("404"))

    assert not found.listed
    assert set(states(found).values()) == {"unavailable"}
    assert found.findings == ()


def test_a_missing_page_is_unavailable_not_empty() -> None:
    assert simple_answer(None).status == "unavailable"


@pytest.mark.parametrize("told", ["quarantined", {"status": "quarantined", "reason": "x"}])
@pytest.mark.parametrize("place", ["meta", "top"])
def test_quarantine_closes_the_gate_wherever_it_is_told(told: object, place: str) -> None:
    changed = {"meta": {"project-status": told}} if place == "meta" else {"meta": {}, "project-status": told}

    found = facts(page(**changed))

    assert found.project_status == "quarantined"
    assert rules(found) == {("G2", "quarantined")}


@pytest.mark.parametrize("status", ["archived", "deprecated", "something-new"])
def test_other_states_of_a_project_are_noted_and_none_reads_as_active(status: str) -> None:
    found = facts(page(meta={"project-status": status}))

    assert rules(found) == {("C9", "project-status")}
    assert found.project_status != "active"


@pytest.mark.parametrize(("told", "want"), [("bad build", "bad build"), (True, "yanked"), ("", "yanked"), (False, "")])
def test_yanked(told: object, want: str) -> None:
    found = facts(page(file(WHEEL, 100, yanked=told)))

    assert found.yanked == want
    assert (("C9", "yanked") in rules(found)) is bool(want)


def test_a_file_added_to_an_old_release_is_as_young_as_the_file() -> None:
    late = "widget-1.1-cp311-cp311-manylinux_2_17_x86_64.whl"
    found = facts(page(file(WHEEL, 100), file(late, 1)), filename=late)

    assert found.published_at == NOW - timedelta(days=1)
    assert rules(found) == {("C7", "late-file")}


def test_without_a_chosen_file_the_youngest_of_the_version_counts() -> None:
    found = facts(page(file(WHEEL, 100), file("widget-1.1.tar.gz", 2)), filename="")

    assert found.published_at == NOW - timedelta(days=2)


def test_a_version_without_wheel_is_source_only() -> None:
    assert facts(page(file("widget-1.1.tar.gz", 100)), filename="").has_wheel is False


def test_attested_releases_before_an_unattested_one_close_the_gate() -> None:
    attested = {"provenance": "https://index.invalid/integrity/x"}
    rows = [file("widget-1.0-py3-none-any.whl", 300, **attested), file(WHEEL, 100)]

    assert rules(facts(page(files=rows))) == {("G9", "provenance-regression")}


def test_one_unattested_file_among_attested_ones_of_its_release_closes_the_gate() -> None:
    attested = {"provenance": "https://index.invalid/integrity/x"}
    rows = [file("widget-1.1.tar.gz", 100, **attested), file(WHEEL, 99)]

    assert rules(facts(page(files=rows))) == {("G9", "provenance-regression")}


def test_a_version_that_is_not_listed_is_said() -> None:
    found = facts(page(file("widget-1.2-py3-none-any.whl", 9)))

    assert (found.listed, found.has_wheel) == (False, None)
    assert rules(found) == {("G3", "version-not-listed")}


def test_a_date_in_the_future_is_no_date() -> None:
    found = facts(page(file(WHEEL, -2)))

    assert found.published_at is None
    assert rules(found) == {("G4", "publish-time-in-future")}


def test_the_readme_of_another_version_gives_no_mcp_name() -> None:
    info = {"version": "9", "description": "mcp-name: io.github.acme/widget"}

    assert facts(project={"info": info}, metadata="").mcp_name == ""
    assert facts(project={"info": info | {"version": "1.1"}}, metadata="").mcp_name == "io.github.acme/widget"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), metadata=st.text(max_size=200))
def test_documents_of_wrong_types_never_raise(data: st.DataObject, metadata: str) -> None:
    row = file(WHEEL, 100) | data.draw(st.dictionaries(st.sampled_from(sorted(file(WHEEL, 1))), JSON))
    simple = page(row) | data.draw(
        st.dictionaries(st.sampled_from(("meta", "files", "versions", "project-status")), JSON)
    )
    project = data.draw(st.dictionaries(st.sampled_from(("info", "ownership", "urls")), JSON))

    found = facts(Answer("ok", "", simple), Answer("ok", "", project), metadata=metadata)

    PackageEvidence(purl=PURL, ecosystem="pypi", name="w", version="1", findings=found.findings, **found.fields())
    json.dumps([found.requires, found.fields()]).encode()
