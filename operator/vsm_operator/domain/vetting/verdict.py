"""Evidence and policy to one verdict: gates first, then what is missing, then the score.

Invariants: `evaluate` is pure and total; equal arguments give byte-equal JSON, whatever the order of the evidence. A
finding more never gives a better verdict, an answer less never gives Allowed. A waiver lifts findings, never silence.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import date
from fractions import Fraction

from vsm_operator.domain.vetting import checks, gates
from vsm_operator.domain.vetting.checks import UNKNOWN_SCORE, Judged
from vsm_operator.domain.vetting.explain import reasons
from vsm_operator.domain.vetting.judging import Case
from vsm_operator.domain.vetting.model import GATE_IDS, Evidence, Finding
from vsm_operator.domain.vetting.policy import Policy
from vsm_operator.domain.vetting.results import GateResult, Outcome, Verdict, WaiverUse

__all__ = ["Outcome", "Verdict", "cache_key", "evaluate"]


def evaluate(evidence: Evidence, policy: Policy, *, today: date) -> Verdict:
    """Judges. `today` is a date or, for ages to the hour, a datetime in UTC; the caller's clock, never ours."""
    case = Case(evidence, policy, today)
    found = [*evidence.all_findings(), *gates.derived(case), *checks.derived(case)]
    kept, waived, uses = _waive(case, found)
    gate_results = _gates(case, kept)
    judged = checks.judge(case, kept)
    score, assured = _score(judged), _assured(judged, policy)
    applying = sum(check.weight for check in judged if check.applies)
    covered = sum(check.weight for check in judged if check.conclusive)
    coverage = 100 * covered // applying
    # Integrity is required by every policy, and a list of denied licences means nothing where the licence is unknown.
    required = dict.fromkeys(("G3", *policy.required, *(("G12",) if policy.denied_licences else ())))
    missing = [name for name in required if case.applies(name) and not _answered(name, gate_results, judged)]
    outcome: Outcome
    if any(gate.fired for gate in gate_results):
        outcome = "Denied"
    elif missing or case.unseen or 100 * covered < policy.min_coverage_percent * applying:
        outcome = "Inconclusive"
    elif score >= policy.min_score:
        # Where what is missing could take the score below the minimum, silence would be what allows.
        outcome = "Allowed" if assured >= policy.min_score else "Inconclusive"
    else:
        outcome = "Review" if score >= policy.min_review_score else "Denied"
    explained = reasons(case, gate_results, judged, missing=missing, score=score, coverage=coverage, outcome=outcome)
    return Verdict(
        verdict=outcome, score=score, coverage_percent=coverage, gates=gate_results, checks=tuple(judged),
        reasons=explained, waivers=uses, waived=waived, evidence=evidence, policy=policy,
    )  # fmt: skip


def cache_key(evidence: Evidence, policy: Policy) -> str:
    """Of what decides a verdict besides the day: artefacts, data sets, rules, stage, policy."""
    parts = {
        "artefacts": sorted({(each.purl, each.artifact_digest or each.integrity) for each in evidence.packages}),
        "datasets": sorted({(each.name, each.digest) for each in evidence.datasets}),
        "rules": evidence.rule_pack,
        "stage": [evidence.stage, evidence.tools_hash],
        "policy": policy.digest(),
    }
    return "sha256:" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _waive(case: Case, found: list[Finding]) -> tuple[list[Finding], tuple[Finding, ...], tuple[WaiverUse, ...]]:
    """Every waiver that fits is counted, also where another one fits as well."""
    waivers = sorted(set(case.policy.waivers))
    lifted = dict.fromkeys(waivers, 0)
    kept: list[Finding] = []
    waived: list[Finding] = []
    for finding in found:
        package = case.by_purl.get(finding.purl)
        fitting = [
            waiver
            for waiver in waivers
            if package is not None and not waiver.expired(case.now.date()) and waiver.covers(finding, package)
        ]
        for waiver in fitting:
            lifted[waiver] += 1
        (waived if fitting else kept).append(finding)
    uses = tuple(
        WaiverUse(
            waiver=waiver,
            state="expired" if waiver.expired(case.now.date()) else "applied" if count else "unused",
            lifted=count,
        )
        for waiver, count in lifted.items()
    )
    return kept, tuple(sorted(waived, key=Finding.key)), uses


def _gates(case: Case, kept: Iterable[Finding]) -> tuple[GateResult, ...]:
    grouped: dict[str, list[Finding]] = {name: [] for name in GATE_IDS}
    for finding in kept:
        if finding.check in grouped:
            grouped[finding.check].append(finding)
    return tuple(
        GateResult(
            id=name,
            applies=case.applies(name),
            conclusive=case.applies(name) and gates.answered(case, name),
            findings=tuple(sorted(members, key=Finding.key)),
        )
        for name, members in grouped.items()
    )


def _answered(name: str, gate_results: Iterable[GateResult], judged: Iterable[Judged]) -> bool:
    return name in {each.id for each in gate_results if each.conclusive} | {
        each.id for each in judged if each.conclusive
    }


def _score(judged: Iterable[Judged]) -> int:
    return _mean([(check.weight, check.score) for check in judged if check.conclusive])


def _assured(judged: Iterable[Judged], policy: Policy) -> int:
    """The score if every question without an answer had been answered badly, within reason."""
    # The ceiling keeps silence from lifting what an answer had left below the minimum, however low that is set.
    ceiling = Fraction(policy.min_score, 10)
    return _mean(
        [
            (
                check.weight,
                check.score
                if check.conclusive
                else min(check.score, ceiling, Fraction(UNKNOWN_SCORE.get(check.id, 0))),
            )
            for check in judged
            if check.applies
        ]
    )


def _mean(parts: list[tuple[int, Fraction]]) -> int:
    weight = sum(part[0] for part in parts)
    return int(10 * sum((part[0] * part[1] for part in parts), Fraction(0)) / weight) if weight else 0
