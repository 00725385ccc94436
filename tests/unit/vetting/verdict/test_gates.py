"""The hard gates: each fires on its one wrong fact, wherever in the tree that is, and says where and what to do."""

import dataclasses
from typing import Any

import pytest

from unit.vetting.verdict.making import (
    DEEP,
    DEP,
    PACKAGE_STAGE,
    ROOT,
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
from vsm_operator.domain.vetting.model import Evidence
from vsm_operator.domain.vetting.policy import DEVELOPMENT, PRODUCTION
from vsm_operator.domain.vetting.verdict import Verdict


def fired(verdict: Verdict) -> list[str]:
    return [gate.id for gate in verdict.gates if gate.fired]


@pytest.mark.parametrize(
    ("gate", "rule", "changes"),
    [
        ("G2", "quarantined", {"project_status": "quarantined"}),
        ("G2", "security-holding", {"version": "0.0.1-security"}),
        ("G2", "yanked", {"yanked": True}),
        ("G3", "digest-mismatch", {"integrity_verified": False}),
        ("G3", "mutable-source", {"immutable_source": False}),
        ("G3", "no-integrity", {"integrity": ""}),
        ("G4", "too-young", {"published_at": "2026-11-21T00:00:00Z"}),
        ("G7", "install-time-code", {"install_scripts": ("postinstall",)}),
        ("G7", "install-time-code", {"install_scripts": ("sdist-only",)}),
    ],
)
@pytest.mark.parametrize("purl", [ROOT, DEEP])
def test_one_wrong_fact_anywhere_in_the_tree_refuses(gate: str, rule: str, changes: dict[str, Any], purl: str) -> None:
    packages = [package(each, **(changes if each == purl else {})) for each in (ROOT, DEP, DEEP)]
    verdict = judge(evidence(*packages))
    assert (verdict.verdict, fired(verdict)) == ("Denied", [gate])
    reason = verdict.reasons[0]
    assert (reason.id, reason.purl) == (gate, purl)
    assert reason.remedy
    assert rule in {found.rule for each in verdict.gates for found in each.findings}


@pytest.mark.parametrize("gate", ["G2", "G8", "G9", "G11"])
def test_what_a_collector_reports_to_a_gate_refuses_and_as_info_only_shows(gate: str) -> None:
    assert fired(judge(with_finding(finding(gate, DEEP, severity="low")))) == [gate]
    shown = judge(with_finding(finding(gate, DEEP, severity="info")))
    assert (shown.verdict, fired(shown)) == ("Allowed", [])


def test_a_poisoned_surface_found_after_the_trial_refuses() -> None:
    base = evidence(stage="trial", sources=(source(*TRIAL_STAGE),))
    assert judge(base).verdict == "Allowed"
    poisoned = judge(dataclasses.replace(base, findings=(finding("G10", "", field="tools[0].description"),)))
    assert fired(poisoned) == ["G10"]
    assert "tools[0].description" in str(poisoned.reasons[0])


@pytest.mark.parametrize("name", ["child_process", "fs", "vm"])
def test_a_package_that_carries_a_blocked_name_is_refused_at_any_depth(name: str) -> None:
    verdict = judge(evidence(package(), package(f"pkg:npm/{name}@1.0.0")))
    assert verdict.first_gate == "G1"
    assert name in verdict.reasons[0].text
    assert "blockedPackages" in verdict.reasons[0].remedy


def test_an_alias_does_not_hide_a_blocked_name() -> None:
    assert judge(with_dependency(aliases=("child_process",))).first_gate == "G1"
    assert judge(evidence(package(), package("pkg:npm/vm@1.0.0", aliases=("harmless", "left")))).first_gate == "G1"


def test_only_what_is_on_a_list_is_allowed_once_there_is_one() -> None:
    assert fired(judge(evidence(), allowed_servers=("other",))) == ["G1"]
    assert judge(evidence(), allowed_servers=("@acme/server",)).verdict == "Allowed"
    assert judge(evidence(), allowed_servers=("@acme/server@^1.2.0",)).verdict == "Allowed"
    assert fired(judge(evidence(), allowed_servers=("@acme/server@^2.0.0",))) == ["G1"]
    assert fired(judge(evidence(), allowed_dependencies=("left",))) == ["G1"]
    assert judge(evidence(), allowed_dependencies=("left", "right")).verdict == "Allowed"


def test_a_list_that_is_not_enforced_only_shows() -> None:
    verdict = judge(evidence(), allowed_servers=("other",), whitelist_enforced=False)
    assert verdict.verdict == "Allowed"
    assert verdict.to_json()["gates"][0]["evidence"][0]["rule"] == "not-allowed"


@pytest.mark.parametrize(
    ("at", "least", "outcome"),
    [
        ("2026-11-20T12:00:00Z", 72, "Allowed"),
        ("2026-11-20T12:00:01Z", 72, "Denied"),
        ("2026-11-20", 72, "Denied"),
        ("2026-11-23T11:00:00Z", 0, "Allowed"),
        ("2026-11-24T12:00:00Z", 0, "Denied"),
        (None, 72, "Inconclusive"),
        ("yesterday", 72, "Inconclusive"),
    ],
)
def test_a_release_cools_down_for_so_many_hours(at: str | None, least: int, outcome: str) -> None:
    assert judge(with_dependency(published_at=at), min_release_age_hours=least).verdict == outcome


def test_the_reason_for_a_cooldown_says_when_it_is_over() -> None:
    verdict = judge(with_root(published_at="2026-11-23T10:00:00Z"))
    assert "2026-11-26T10:00" in verdict.reasons[0].remedy


def test_what_was_approved_before_has_passed_its_cooldown() -> None:
    assert judge(with_dependency(published_at="2026-11-23T00:00:00Z", newly_added=False)).verdict == "Allowed"


def test_the_time_of_a_mirrors_copy_neither_refuses_nor_allows_what_may_be_older() -> None:
    young = {"published_at": "2026-11-23T00:00:00Z", "published_is_lower_bound": True}
    assert judge(with_dependency(**young)).verdict == "Inconclusive"
    assert (
        judge(with_dependency(published_at="2026-11-01T00:00:00Z", published_is_lower_bound=True)).verdict == "Allowed"
    )


@pytest.mark.parametrize(
    ("severity", "data", "fires"),
    [
        ("critical", {"id": "GHSA-1", "fixed": "9.9.9"}, True),
        ("high", {"id": "GHSA-1", "cvss": 9.0, "fixed": "9.9.9"}, True),
        ("critical", {"id": "GHSA-1"}, True),
        ("critical", {"id": "GHSA-1", "fixed": ""}, False),
        ("high", {"id": "GHSA-1", "cvss": 8.9, "fixed": "9.9.9"}, False),
        ("low", {"id": "GHSA-1", "fixed": "", "exploited": True}, True),
        ("info", {"id": "GHSA-1", "cvss": 9.9}, False),
    ],
)
def test_a_critical_vulnerability_with_a_fix_or_an_exploited_one_refuses(
    severity: str, data: dict[str, Any], fires: bool
) -> None:
    verdict = judge(with_finding(finding("C1", DEEP, severity=severity, data=data)))
    assert fired(verdict) == (["G5"] if fires else [])
    if fires and data.get("fixed"):
        assert "right 9.9.9" in verdict.reasons[0].remedy


@pytest.mark.parametrize(
    ("risk", "changes", "fires"),
    [
        (7.6, {"popularity_rank": None}, True),
        (7.5, {"popularity_rank": None}, False),
        (8.2, {"popularity_rank": 900}, False),
        (8.2, {"popularity_rank": 900, "published_at": "2026-11-10T00:00:00Z"}, True),
        (8.2, {"popularity_rank": 900, "published_at": "2026-10-01T00:00:00Z"}, False),
    ],
)
def test_malicious_code_refuses_unless_many_have_used_it_for_long(
    risk: float, changes: dict[str, Any], fires: bool
) -> None:
    assert ("G6" in fired(judge(with_dependency(static_risk=risk, **changes)))) == fires


def test_popularity_excuses_no_root_and_nothing_where_the_list_is_missing() -> None:
    assert fired(judge(with_root(static_risk=8.0, popularity_rank=1))) == ["G6"]
    without = source(*(name for name in PACKAGE_STAGE if name != "C10"))
    assert fired(judge(dataclasses.replace(with_dependency(static_risk=8.0), sources=(without,)))) == ["G6"]


def test_the_gate_on_behaviour_leads_to_the_line() -> None:
    chain = finding(
        "C2", ROOT, rule="collect-encode-send", severity="critical", file="dist/index.js", line=7, summary="sends env"
    )
    verdict = judge(with_finding(chain, onto=with_root(static_risk=9.0)))
    assert verdict.reasons[0].where == "dist/index.js:7"
    assert "sends env" in verdict.reasons[0].text


def test_packages_that_build_native_parts_may_have_scripts() -> None:
    verdict = judge(evidence(package(), package("pkg:npm/esbuild@0.25.0", install_scripts=("postinstall",))))
    assert verdict.verdict == "Allowed"
    assert judge(with_root(install_scripts=("install",)), lifecycle_scripts="Allow").first_gate == ""


@pytest.mark.parametrize(
    ("licence", "fires"),
    [("GPL-3.0-only", True), ("MIT OR GPL-3.0-only", False), ("MIT AND GPL-3.0-only", True), ("MIT", False)],
)
def test_a_denied_licence_refuses_where_there_is_no_other_choice(licence: str, fires: bool) -> None:
    assert (judge(with_dependency(licence=licence), denied_licences=("GPL-3.0-only",)).first_gate == "G12") == fires


def test_an_unknown_licence_is_not_allowed_where_licences_are_denied() -> None:
    assert judge(with_dependency(licence=None), denied_licences=("GPL-3.0-only",)).verdict == "Inconclusive"


def test_a_waiver_lifts_its_finding_and_is_counted_and_shown() -> None:
    spoiled = with_dependency(install_scripts=("postinstall",))
    waived = (waiver("G7", versions="^3.0.0"), waiver("C3"))
    verdict = judge(spoiled, waivers=waived)
    assert verdict.verdict == "Allowed"
    shown = verdict.to_json()
    assert [(each["check"], each["state"], each["findings"]) for each in shown["waivers"]] == [
        ("C3", "applied", 1),
        ("G7", "applied", 1),
    ]
    assert {each["rule"] for each in shown["waived"]} == {"install-time-code"}


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": "2026-11-22"},
        {"versions": "^2.0.0"},
        {"versions": "~~nonsense"},
        {"name": "left"},
        {"name": "pkg:pypi/right"},
        {"rule": "another-rule"},
        {"check": "G8"},
    ],
)
def test_a_waiver_for_something_else_lifts_nothing(changes: dict[str, Any]) -> None:
    given = waiver(**{"check": "G7", "name": "right", **changes})
    verdict = judge(with_dependency(install_scripts=("postinstall",)), waivers=(given,))
    assert verdict.verdict == "Denied"
    assert [use.state for use in verdict.waivers] == ["expired" if "expires" in changes else "unused"]


def test_a_waiver_holds_on_its_last_day() -> None:
    last = waiver("G7", expires="2026-11-23")
    assert judge(with_dependency(install_scripts=("postinstall",)), waivers=(last,)).first_gate == ""


def test_a_waiver_for_malware_names_the_entry_that_is_wrong() -> None:
    with pytest.raises(ValueError, match="needs `rule`"):
        waiver("G2")
    listed = with_finding(finding("G2", DEEP, rule="malware", data={"id": "MAL-2026-1"}))
    assert judge(listed, waivers=(waiver("G2", rule="MAL-2026-1"),)).verdict == "Allowed"
    assert judge(listed, waivers=(waiver("G2", rule="MAL-2026-2"),)).verdict == "Denied"


def test_a_finding_can_forbid_its_waiver() -> None:
    found = finding("G8", DEEP, data={"waivable": False})
    assert judge(with_finding(found), waivers=(waiver("G8"),)).verdict == "Denied"


def test_a_member_that_an_edge_names_and_nobody_looked_at_is_never_allowed() -> None:
    base = evidence()
    verdict = judge(dataclasses.replace(base, edges=(*base.edges, (DEEP, "pkg:npm/unseen@1.0.0"))))
    assert (verdict.verdict, verdict.reasons[0].id, verdict.reasons[0].purl) == (
        "Inconclusive",
        "tree",
        "pkg:npm/unseen@1.0.0",
    )


def test_evidence_without_its_root_is_never_allowed() -> None:
    assert judge(evidence(package(DEP))).verdict == "Inconclusive"
    assert judge(Evidence(root=ROOT, packages=())).verdict == "Inconclusive"


def test_the_profiles_differ_where_they_are_said_to() -> None:
    assert (DEVELOPMENT.min_score, PRODUCTION.min_score) == (70, 80)
    assert DEVELOPMENT.blocked_packages == PRODUCTION.blocked_packages
    assert len(PRODUCTION.blocked_packages) == 14
    assert PRODUCTION.min_release_age_hours == 72


def test_no_policy_can_do_without_an_answer_about_integrity() -> None:
    rest = source(*(name for name in PACKAGE_STAGE if name != "G3"))
    assert judge(evidence(sources=(rest,)), required=(), min_coverage_percent=0).verdict == "Inconclusive"
    assert judge(with_dependency(integrity_verified=None), required=()).verdict == "Inconclusive"
