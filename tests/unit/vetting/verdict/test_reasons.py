"""The explanation: the most important first, each with a place and a way out, and no flood hides another kind."""

import dataclasses

import pytest

from unit.vetting.verdict.making import (
    DEEP,
    DEP,
    ROOT,
    evidence,
    finding,
    judge,
    package,
    with_dependency,
    with_finding,
    with_root,
)
from vsm_operator.domain.vetting.model import Finding


def test_malware_comes_before_integrity_and_that_before_policy() -> None:
    bad = evidence(
        package(install_scripts=("install",)),
        package("pkg:npm/vm@1.0.0", published_at="2026-11-23T00:00:00Z"),
        package(DEEP, integrity_verified=False, project_status="quarantined"),
    )
    assert [reason.id for reason in judge(bad).reasons][:5] == ["G2", "G3", "G1", "G7", "G4"]


def test_many_findings_of_one_gate_leave_room_for_another() -> None:
    flood = tuple(finding("G2", DEEP, rule=f"r{n}") for n in range(50))
    verdict = judge(with_finding(finding("G9", ROOT), onto=with_dependency(findings=flood)))
    assert [reason.id for reason in verdict.reasons[:2]] == ["G2", "G9"]
    assert sum(reason.id == "G2" for reason in verdict.reasons) == 5


def test_a_review_names_what_costs_most_before_the_number() -> None:
    chain = finding("C2", ROOT, severity="high", file="index.js", line=12, summary="reads the environment")
    verdict = judge(with_finding(chain, onto=with_root(static_risk=7.5)))
    assert verdict.verdict == "Review"
    first = verdict.reasons[0]
    assert (first.id, first.where) == ("C2", "index.js:12")
    assert "reads the environment" in first.text
    assert first.remedy
    assert "score" in {reason.id for reason in verdict.reasons[:3]}


def test_points_in_reasons_are_points_of_the_score() -> None:
    verdict = judge(with_root(static_risk=4.0))
    assert "costs 10 points" in next(reason.text for reason in verdict.reasons if reason.id == "C2")


@pytest.mark.parametrize("purl", [ROOT, DEP, DEEP])
def test_a_reason_reads_as_one_sentence_with_its_place(purl: str) -> None:
    found = finding("G8", purl, summary="looks like another name", field="name", remedy="use the real one")
    text = str(judge(with_finding(found)).reasons[0])
    assert text == f"G8: looks like another name ({purl}) [name]; to clear: use the real one"


def test_what_is_allowed_says_what_it_lost_and_names_no_gate() -> None:
    verdict = judge(evidence())
    assert verdict.verdict == "Allowed"
    assert {reason.id for reason in verdict.reasons} == {"C6"}


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (finding("C1", DEEP, data={"id": "GHSA-1", "fixed": "3.1.0"}), "use version 3.1.0 or later"),
        (finding("C8", DEEP), "waive C8"),
        (finding("G8", DEEP, data={"waivable": False}), "use another version or package"),
        (finding("G3", DEEP), "use another version or package"),
    ],
)
def test_what_names_no_remedy_gets_the_usual_one(found: Finding, remedy: str) -> None:
    told = next(reason for reason in judge(with_finding(found)).reasons if reason.id == found.check)
    assert told.remedy.endswith(remedy)


def test_every_reason_of_a_thoroughly_bad_package_says_what_would_clear_it() -> None:
    bad = with_root(
        static_risk=9.0, install_scripts=("install",), licence="UNKNOWN", popularity_rank=None, versions_count=1,
        publishers=("eve",), provenance="absent", first_published_at="2026-11-15", published_at="2026-11-22T00:00:00Z",
        deprecated=True, yanked=True, integrity="", immutable_source=False,
    )  # fmt: skip
    reasons = judge(dataclasses.replace(bad, sources=())).reasons
    assert len(reasons) > 10
    for reason in reasons:
        assert reason.remedy, reason
        assert len(str(reason)) < 700


def test_the_finding_that_costs_most_comes_first_in_whatever_order_they_were_found() -> None:
    severities = ("low", "high", "medium")
    found = [finding("C8", ROOT, rule=f"near-{severity}", severity=severity) for severity in severities]
    shown = [judge(with_root(findings=order)).to_json() for order in (tuple(found), tuple(found[::-1]))]
    assert shown[0] == shown[1]
    assert [each["rule"] for each in shown[0]["checks"][7]["evidence"]] == ["near-high", "near-medium", "near-low"]
