"""The weighted checks: what each fact costs, what is discounted, and what silence does to score and coverage."""

import dataclasses
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from unit.vetting.verdict.making import (
    DEEP,
    DEP,
    PACKAGE_STAGE,
    ROOT,
    TODAY,
    TRIAL_STAGE,
    evidence,
    finding,
    judge,
    package,
    source,
    waiver,
    with_dependency,
    with_finding,
    with_root,
)
from vsm_operator.domain.vetting.checks import WEIGHTS, Judged
from vsm_operator.domain.vetting.model import Evidence
from vsm_operator.domain.vetting.policy import DEVELOPMENT, PRODUCTION
from vsm_operator.domain.vetting.verdict import Verdict, _assured, evaluate


def score_of(verdict: Verdict, name: str) -> float:
    return float(next(check.score for check in verdict.checks if check.id == name))


def test_the_weights_are_those_of_the_model() -> None:
    assert sum(WEIGHTS.values()) == 100
    assert max(WEIGHTS, key=lambda name: WEIGHTS[name]) == "C2"


@pytest.mark.parametrize(
    ("purl", "severity", "data", "left"),
    [
        (ROOT, "high", {"id": "A", "fixed": "2"}, 6),
        (DEP, "high", {"id": "A", "fixed": "2"}, 6),
        (DEEP, "high", {"id": "A", "fixed": "2"}, 7.2),
        (DEEP, "high", {"id": "A", "fixed": ""}, 8.6),
        (DEEP, "medium", {"id": "A"}, 8.95),
        (ROOT, "low", {"id": "A", "cvss": 7.5}, 6),
        (ROOT, "high", {"id": "A", "cvss": 2.0}, 6),
        (ROOT, "info", {"id": "A", "cvss": 9.9}, 10),
    ],
)
def test_a_vulnerability_costs_by_severity_distance_and_fix(
    purl: str, severity: str, data: dict[str, Any], left: float
) -> None:
    verdict = judge(with_finding(finding("C1", purl, severity=severity, data=data)))
    assert score_of(verdict, "C1") == pytest.approx(left)


def test_vulnerabilities_add_up_over_the_tree_and_one_advisory_counts_once() -> None:
    one = with_finding(finding("C1", ROOT, severity="high", data={"id": "A"}))
    twice = with_finding(finding("C1", ROOT, severity="high", rule="other-provider", data={"id": "A"}), onto=one)
    assert score_of(judge(twice), "C1") == 6
    two = with_finding(finding("C1", DEP, severity="high", data={"id": "B"}), onto=twice)
    assert score_of(judge(two), "C1") == 2
    three = with_finding(finding("C1", DEEP, severity="high", data={"id": "C"}), onto=two)
    assert score_of(judge(three), "C1") == 0


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"popularity_rank": 10}, 9),
        ({"popularity_rank": None}, 8),
        ({"popularity_rank": 10, "published_at": "2026-11-05T00:00:00Z"}, 6),
    ],
)
def test_heuristics_about_dependencies_are_discounted_by_age_and_popularity(
    changes: dict[str, Any], left: float
) -> None:
    assert score_of(judge(with_dependency(static_risk=4.0, **changes)), "C2") == left
    assert score_of(judge(with_root(static_risk=4.0, **changes)), "C2") == 6


def test_facts_about_dependencies_are_not_discounted() -> None:
    assert score_of(judge(with_dependency(install_scripts=("install",)), lifecycle_scripts="Allow"), "C3") == 0
    assert score_of(judge(with_dependency(licence="UNKNOWN")), "C11") == 2


def test_the_worst_member_decides_and_not_the_mean() -> None:
    worst = evidence(package(static_risk=1.0), package(DEP, static_risk=6.0, popularity_rank=None), package(DEEP))
    assert score_of(judge(worst), "C2") == 7


@pytest.mark.parametrize(
    ("name", "changes", "left"),
    [
        ("C3", {"install_scripts": ("sdist-only",)}, 3),
        ("C3", {"install_scripts": ("sdist-only", "postinstall")}, 0),
        ("C6", {}, 8),
        ("C6", {"provenance": "absent"}, 4),
        ("C6", {"provenance": "absent", "registry_signature": None, "owner_match": None}, 3),
        ("C7", {}, 10),
        ("C7", {"publishers": ("ann",)}, 7),
        ("C7", {"publishers": ("eve", "mal"), "previous_publishers": ("ann",)}, 3),
        ("C7", {"publishers": ("eve",), "previous_publishers": ("ann",)}, 0),
        ("C7", {"publishers": ("eve", "mal"), "previous_publishers": ()}, 10),
        ("C9", {}, 10),
        ("C9", {"first_published_at": "2026-10-10"}, 6),
        ("C9", {"versions_count": 2}, 8),
        ("C9", {"deprecated": True}, 8),
        ("C9", {"deprecated": None}, 8),
        ("C9", {"project_status": "archived"}, 8),
        ("C10", {"popularity_rank": 100}, 10),
        ("C10", {"popularity_rank": 101}, 9),
        ("C10", {"popularity_rank": 99999}, 6),
        ("C10", {"popularity_rank": None}, 3),
        ("C11", {"licence": "MIT OR GPL-3.0-only"}, 10),
        ("C11", {"licence": "MIT AND GPL-3.0-only"}, 5),
        ("C11", {"licence": "FILE"}, 7),
        ("C11", {"licence": "as you like"}, 2),
    ],
)
def test_what_a_fact_about_the_root_costs(name: str, changes: dict[str, Any], left: float) -> None:
    assert score_of(judge(with_root(**changes), lifecycle_scripts="Allow"), name) == left


@pytest.mark.parametrize(
    ("data", "severity", "left"),
    [({"points": 6}, "low", 4), ({}, "medium", 6), ({"points": -5}, "high", 10), ({"points": 99}, "low", 0)],
)
def test_a_finding_says_its_points_or_costs_by_severity_and_never_earns(
    data: dict[str, Any], severity: str, left: float
) -> None:
    assert score_of(judge(with_finding(finding("C8", ROOT, severity=severity, data=data))), "C8") == left


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, "9", True, None])
def test_points_that_are_no_number_do_not_break_the_judge(value: Any) -> None:
    found = finding("C8", ROOT, severity="medium", data={"points": value})
    assert score_of(judge(with_finding(found)), "C8") in (0, 6)


def test_tool_surface_and_trial_count_only_after_the_trial() -> None:
    before = judge(with_finding(finding("C4", ROOT)))
    assert (before.verdict, before.coverage_percent) == ("Allowed", 100)
    unasked = judge(evidence(stage="trial"))
    assert unasked.verdict == "Inconclusive"
    after = judge(with_finding(finding("C4", ROOT), onto=evidence(stage="trial", sources=(source(*TRIAL_STAGE),))))
    assert score_of(after, "C4") == 4
    assert after.score < before.score


def test_a_scan_that_skipped_executable_bytes_is_not_conclusive() -> None:
    assert judge(with_dependency(scanned_bytes=95, executable_bytes=100)).verdict == "Allowed"
    verdict = judge(with_dependency(scanned_bytes=94, executable_bytes=100))
    assert (verdict.verdict, verdict.reasons[0].id) == ("Inconclusive", "C2")


def test_the_stripped_registry_leaves_a_healthy_server_allowed_with_less_coverage() -> None:
    """No provenance, no publishers, no deprecation: what read-only mirrors do not serve."""
    bare = {
        "provenance": None,
        "registry_signature": None,
        "publishers": None,
        "previous_publishers": None,
        "deprecated": None,
    }
    answered = tuple(name for name in PACKAGE_STAGE if name not in ("C6", "C7", "G9"))
    packages = [package(purl, **bare) for purl in (ROOT, DEP, DEEP)]
    verdict = judge(evidence(*packages, sources=(source(*answered),)))
    assert (verdict.verdict, verdict.coverage_percent) == ("Allowed", 85)


@pytest.mark.parametrize("status", ["unavailable", "stale", "error"])
@pytest.mark.parametrize("name", ["C1", "C2", "C3", "C8", "G2", "G3", "G4"])
def test_what_is_required_and_did_not_answer_is_inconclusive_and_says_which(name: str, status: str) -> None:
    rest = source(*(each for each in PACKAGE_STAGE if each != name))
    broken = source(name, id="the-source", status=status, reason="405 for POST")
    verdict = judge(evidence(sources=(rest, broken)))
    assert verdict.verdict == "Inconclusive"
    assert "the-source" in verdict.reasons[0].text
    assert "405 for POST" in verdict.reasons[0].text
    shown = next(
        each for each in verdict.to_json()["checks" if name.startswith("C") else "gates"] if each["id"] == name
    )
    assert shown["conclusive"] is False
    assert shown.get("score") is None


def test_the_next_provider_answers_where_the_first_is_silent() -> None:
    silent = source("C1", id="bulk", status="unavailable")
    rest = source(*(each for each in PACKAGE_STAGE if each != "C1"))
    assert judge(evidence(sources=(rest, silent))).verdict == "Inconclusive"
    assert judge(evidence(sources=(rest, silent, source("C1", id="dump", as_of="2026-11-23")))).verdict == "Allowed"


def test_one_package_without_an_answer_is_enough_to_be_inconclusive() -> None:
    trouble = source("C1", id="everything", status="error", purls=(DEEP,))
    assert judge(evidence(sources=(source(), trouble))).verdict == "Inconclusive"
    rest = source(*(each for each in PACKAGE_STAGE if each != "C1"))
    some = source("C1", id="per-version", purls=(ROOT, DEP))
    assert judge(evidence(sources=(rest, some))).verdict == "Inconclusive"


@pytest.mark.parametrize(
    ("as_of", "outcome"),
    [
        ("2026-11-21T12:00:00Z", "Allowed"),
        ("2026-11-21T11:59:59Z", "Inconclusive"),
        ("2026-11-22", "Allowed"),
        ("2026-11-20", "Inconclusive"),
        ("last week", "Inconclusive"),
        ("", "Allowed"),
    ],
)
def test_advisories_grow_stale_and_other_data_do_not(as_of: str, outcome: str) -> None:
    advisories = source("C1", "G2", id="dump", as_of=as_of)
    rest = source(*(each for each in PACKAGE_STAGE if each not in ("C1", "G2", "G5")), as_of="2020-01-01")
    assert judge(evidence(sources=(advisories, rest))).verdict == outcome


def test_a_plain_date_counts_against_the_package_at_both_ends() -> None:
    def on_that_day(judged: Evidence) -> str:
        return evaluate(judged, PRODUCTION, today=date(2026, 11, 23)).verdict

    assert on_that_day(with_root(published_at="2026-11-20T01:00:00Z")) == "Denied"
    assert on_that_day(with_root(published_at="2026-11-20T00:00:00Z")) == "Allowed"
    rest = source(*(each for each in PACKAGE_STAGE if each != "C1"))
    assert (
        on_that_day(evidence(sources=(rest, source("C1", id="dump", as_of="2026-11-21T20:00:00Z")))) == "Inconclusive"
    )


@pytest.mark.parametrize(("risk", "outcome"), [(0.0, "Allowed"), (7.5, "Review")])
def test_the_score_decides_between_allowed_review_and_denied(risk: float, outcome: str) -> None:
    assert judge(with_root(static_risk=risk)).verdict == outcome


def test_a_score_below_review_is_denied_without_any_gate() -> None:
    bad = with_root(
        static_risk=7.5, install_scripts=("install",), licence="UNKNOWN", popularity_rank=None, versions_count=1,
        publishers=("eve",), provenance="absent", first_published_at="2026-11-15", published_at="2026-11-18T00:00:00Z",
    )  # fmt: skip
    bad = with_finding(finding("C8", ROOT, severity="critical"), onto=bad)
    verdict = judge(with_finding(finding("C1", ROOT, data={"id": "A"}), onto=bad), lifecycle_scripts="Allow")
    assert (verdict.verdict, verdict.first_gate) == ("Denied", "")
    assert verdict.score < 50


def test_silence_that_could_decide_is_inconclusive() -> None:
    """Answered checks reach the minimum, but bad answers of the silent ones would not."""
    answered = tuple(name for name in PACKAGE_STAGE if name not in ("C9", "C10", "C11"))
    middling = with_root(static_risk=5.0)
    verdict = judge(dataclasses.replace(middling, sources=(source(*answered),)), min_score=79)
    assert verdict.score >= 79
    assert (verdict.verdict, verdict.reasons[0].id) == ("Inconclusive", "coverage")


def test_a_waiver_gives_its_points_back_and_nothing_else() -> None:
    spoiled = with_finding(finding("C8", DEEP, severity="critical"), onto=with_dependency(static_risk=6.0))
    verdict = judge(spoiled, waivers=(waiver("C2"),))
    assert score_of(verdict, "C2") == 10
    assert score_of(verdict, "C8") < 10


def test_a_waiver_does_not_answer_for_a_source() -> None:
    rest = source(*(each for each in PACKAGE_STAGE if each != "C2"))
    assert judge(evidence(sources=(rest,)), waivers=(waiver("C2", "@acme/server"),)).verdict == "Inconclusive"


@pytest.mark.parametrize("percent", [0, 100])
def test_the_least_coverage_is_the_policys(percent: int) -> None:
    answered = tuple(name for name in PACKAGE_STAGE if name != "C11")
    verdict = evaluate(
        evidence(sources=(source(*answered),)),
        dataclasses.replace(DEVELOPMENT, min_coverage_percent=percent),
        today=TODAY,
    )
    assert verdict.verdict == ("Inconclusive" if percent else "Allowed")


def test_an_unanswered_check_never_counts_for_more_than_the_minimum_asks() -> None:
    """Else silence about provenance would lift a tree whose answer had kept it just below a very low minimum."""
    almost = [Judged(id="C1", applies=True, conclusive=True, score=Fraction(2), findings=())]
    silent = Judged(id="C6", applies=True, conclusive=False, score=Fraction(10), findings=())
    low = dataclasses.replace(PRODUCTION, min_score=20)
    assert _assured([*almost, silent], low) == 20
    assert _assured([*almost, silent], PRODUCTION) == 23
