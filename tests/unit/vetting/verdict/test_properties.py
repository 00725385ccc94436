"""What must hold for every evidence and every policy, not only for those somebody thought of."""

import dataclasses
import json
import random
from typing import Any

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from unit.vetting.verdict.making import (
    DEEP,
    PACKAGE_STAGE,
    TODAY,
    evidence,
    evidences,
    finding,
    findings,
    package,
    policies,
    source,
    waiver,
    with_finding,
)
from vsm_operator.domain.vetting.cyclonedx import bom
from vsm_operator.domain.vetting.judging import Case
from vsm_operator.domain.vetting.model import Evidence, Finding
from vsm_operator.domain.vetting.policy import DEVELOPMENT, PRODUCTION, Policy
from vsm_operator.domain.vetting.sarif import sarif
from vsm_operator.domain.vetting.verdict import evaluate

RANK = {"Allowed": 0, "Inconclusive": 1, "Review": 2, "Denied": 3}


def dumped(judged: Evidence, policy: Policy) -> str:
    verdict = evaluate(judged, policy, today=TODAY)
    return json.dumps(
        [verdict.to_json(), sarif(verdict), bom(judged, verdict=verdict)], sort_keys=True, allow_nan=False
    )


@given(evidences(), policies, findings)
def test_one_more_finding_never_improves_a_verdict(base: Evidence, policy: Policy, more: Finding) -> None:
    before = evaluate(base, policy, today=TODAY)
    after = evaluate(with_finding(more, onto=base), policy, today=TODAY)
    event(f"{before.verdict} -> {after.verdict}")
    assert RANK[after.verdict] >= RANK[before.verdict]
    assert after.score <= before.score
    assert after.coverage_percent == before.coverage_percent


@given(evidences(), policies, st.data())
def test_a_source_that_falls_silent_never_turns_anything_into_allowed(
    base: Evidence, policy: Policy, data: st.DataObject
) -> None:
    assume(base.sources)
    silenced = data.draw(st.sampled_from(base.sources))
    how = data.draw(st.sampled_from(["unavailable", "stale", "error", "gone"]))
    changed = [dataclasses.replace(silenced, status=how)] if how != "gone" else []
    # A lost report of trouble is trouble that nobody knows of: only what had answered can fall silent.
    assume(how != "gone" or (silenced.status == "ok" and not Case(base, policy, TODAY).stale(silenced)))
    without = [each for each in base.sources if each != silenced]
    before = evaluate(base, policy, today=TODAY)
    after = evaluate(dataclasses.replace(base, sources=(*without, *changed)), policy, today=TODAY)
    event(f"{before.verdict} -> {after.verdict}")
    assert before.verdict == "Allowed" or after.verdict != "Allowed"
    assert after.coverage_percent <= before.coverage_percent


@given(evidences(), policies, st.data())
def test_a_fact_that_nobody_could_tell_never_turns_anything_into_allowed(
    base: Evidence, policy: Policy, data: st.DataObject
) -> None:
    names = ["static_risk", "install_scripts", "licence", "published_at", "versions_count", "deprecated"]
    name = data.draw(st.sampled_from([*names, "integrity_verified", "immutable_source", "first_published_at"]))
    policy = dataclasses.replace(policy, required=PRODUCTION.required, min_score=max(policy.min_score, 30))
    without = tuple(dataclasses.replace(each, **{name: None}) for each in base.packages)
    before = evaluate(base, policy, today=TODAY)
    after = evaluate(dataclasses.replace(base, packages=without), policy, today=TODAY)
    assert before.verdict == "Allowed" or after.verdict != "Allowed"


@given(evidences(), policies, st.randoms(use_true_random=False))
def test_the_order_of_the_evidence_changes_no_byte(base: Evidence, policy: Policy, chance: random.Random) -> None:
    def shuffled(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(chance.sample(items, len(items)))

    packages = tuple(dataclasses.replace(each, findings=shuffled(each.findings)) for each in shuffled(base.packages))
    other = dataclasses.replace(
        base,
        packages=packages,
        edges=shuffled(base.edges),
        sources=shuffled(base.sources),
        findings=shuffled(base.findings),
    )
    reordered = dataclasses.replace(
        policy, waivers=shuffled(policy.waivers), blocked_packages=shuffled(policy.blocked_packages)
    )
    assert dumped(other, reordered) == dumped(base, policy)


@given(evidences(), policies)
def test_judging_again_or_after_storage_changes_no_byte(base: Evidence, policy: Policy) -> None:
    stored = Evidence.from_json(json.loads(json.dumps(base.to_json())))
    assert stored == base
    assert dumped(stored, Policy.from_json(json.loads(json.dumps(policy.to_json())))) == dumped(base, policy)


@given(evidences(), policies, st.sampled_from(["integrity_verified", "immutable_source"]))
def test_nothing_lifts_a_failed_integrity(base: Evidence, policy: Policy, name: str) -> None:
    packages = tuple(
        dataclasses.replace(each, **{name: False}) if each.purl == DEEP else each for each in base.packages
    )
    broken = dataclasses.replace(base, packages=packages)
    verdict = evaluate(broken, policy, today=TODAY)
    assert verdict.verdict == "Denied"
    assert "G3" in {gate.id for gate in verdict.gates if gate.fired}


@given(policies, st.permutations(["allowed_servers", "allowed_dependencies"]))
def test_block_beats_allow(policy: Policy, lists: list[str]) -> None:
    named = package("pkg:npm/vm@1.0.0")
    policy = dataclasses.replace(policy, **dict.fromkeys(lists, ("vm", "@acme/*", "left", "right")))
    assert evaluate(evidence(package(), named), policy, today=TODAY).first_gate == "G1"


@pytest.mark.parametrize("check", ["G1", "G3"])
def test_there_is_no_waiver_for_blocks_and_integrity(check: str) -> None:
    with pytest.raises(ValueError, match="cannot be waived"):
        waiver(check)


@given(evidences(), policies)
def test_allowed_means_that_no_gate_fired_and_everything_required_was_answered(base: Evidence, policy: Policy) -> None:
    verdict = evaluate(base, policy, today=TODAY)
    if verdict.verdict != "Allowed":
        assert verdict.reasons, "whatever is not allowed says why"
        return
    known = {each.id for each in (*verdict.gates, *verdict.checks) if each.conclusive or not each.applies}
    assert not verdict.first_gate
    assert set(policy.required) <= known
    assert verdict.score >= policy.min_score
    assert verdict.coverage_percent >= policy.min_coverage_percent


def test_every_check_alone_that_falls_silent_is_inconclusive_or_still_allowed_with_less_coverage() -> None:
    full = evaluate(evidence(), PRODUCTION, today=TODAY)
    for name in PACKAGE_STAGE:
        rest = tuple(each for each in PACKAGE_STAGE if each != name)
        verdict = evaluate(evidence(sources=(source(*rest),)), PRODUCTION, today=TODAY)
        if name in PRODUCTION.required:
            assert verdict.verdict == "Inconclusive", name
        elif name.startswith("C"):
            assert verdict.coverage_percent < full.coverage_percent, name


def test_the_healthy_tree_is_allowed_in_both_profiles() -> None:
    for policy in (PRODUCTION, DEVELOPMENT):
        verdict = evaluate(evidence(), policy, today=TODAY)
        assert (verdict.verdict, verdict.coverage_percent) == ("Allowed", 100)
        assert verdict.score >= 95
    assert evaluate(with_finding(finding("G2")), DEVELOPMENT, today=TODAY).verdict == "Denied"
