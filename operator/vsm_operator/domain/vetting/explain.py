"""Why a verdict is what it is: sentences for people, the most important first, each with a place and a way out.

Invariant: explains and never decides; the outcome is given. One finding of each gate comes before the second of any,
so that a flood of one kind does not hide another.
"""

from collections.abc import Iterable
from typing import Final

from vsm_operator.domain.vetting import gates
from vsm_operator.domain.vetting.checks import TITLES, WEIGHTS, Judged
from vsm_operator.domain.vetting.judging import Case
from vsm_operator.domain.vetting.model import CHECK_IDS, GATE_IDS, Finding
from vsm_operator.domain.vetting.policy import UNWAIVABLE
from vsm_operator.domain.vetting.results import GateResult, Outcome, Reason

_MORE_OF_A_GATE: Final = 5
GATE_TITLES: Final = {
    "G1": "blocked and allowed packages", "G2": "known malware", "G3": "integrity", "G4": "release age",
    "G5": "critical vulnerabilities", "G6": "malicious behaviour", "G7": "install-time code", "G8": "deceptive names",
    "G9": "provenance", "G10": "poisoned tool surface", "G11": "trial violations", "G12": "denied licences",
}  # fmt: skip


def reasons(
    case: Case,
    gate_results: Iterable[GateResult],
    judged: Iterable[Judged],
    *,
    missing: list[str],
    score: int,
    coverage: int,
    outcome: Outcome,
) -> tuple[Reason, ...]:
    """All of them, in the order in which a person should read them."""
    return (
        *_gate_reasons(gate_results),
        *_silence_reasons(case, missing, coverage=coverage, outcome=outcome),
        *_score_reasons(case, judged, score=score, outcome=outcome),
    )


def _gate_reasons(gate_results: Iterable[GateResult]) -> list[Reason]:
    """One for each gate first, so that a flood of one kind does not hide another; then the rest."""
    fired = {
        gate.id: [each for each in gate.findings if each.severity != "info"] for gate in gate_results if gate.fired
    }
    ranked = [
        (position, order, finding)
        for order, name in enumerate(name for name in gates.ORDER if name in fired)
        for position, finding in enumerate(fired[name])
    ]
    ranked.sort(key=lambda entry: entry[:2])
    return [_reason(finding) for position, _, finding in ranked if position < _MORE_OF_A_GATE]


def _silence_reasons(case: Case, missing: list[str], *, coverage: int, outcome: Outcome) -> list[Reason]:
    if outcome not in ("Inconclusive", "Denied"):
        return []
    found = [
        Reason(id="tree", text=f"{len(case.unseen)} member(s) of the tree were not looked at", purl=case.unseen[0])
        for _ in case.unseen[:1]
    ]
    for name in sorted(missing, key=lambda each: (-WEIGHTS.get(each, 19), (*CHECK_IDS, *GATE_IDS).index(each))):
        why = "; ".join(case.troubles(name)[:2]) or _silent(case, name)
        title = TITLES.get(name) or GATE_TITLES[name]
        found.append(
            Reason(id=name, text=f"no conclusive answer about {title} ({why})", remedy="give it a source that answers")
        )
    if outcome == "Inconclusive":
        least = case.policy.min_coverage_percent
        text = f"answered checks weigh {coverage} % of all, {least} % are needed"
        if coverage >= least:
            text = f"what did not answer (coverage {coverage} %) could take the score below {case.policy.min_score}"
        if coverage < least or not found:
            found.append(Reason(id="coverage", text=text, remedy="give the silent checks a source that answers"))
    return found


def _silent(case: Case, name: str) -> str:
    """Nothing failed, and still nobody answered: the collector was missing, or a field is."""
    without = next((package.purl for package in case.packages if not case.answered(name, package.purl)), "")
    return f"no source speaks about {without}" if without else "a fact about a package is unknown"


def _score_reasons(case: Case, judged: Iterable[Judged], *, score: int, outcome: Outcome) -> list[Reason]:
    applying = sum(check.weight for check in judged if check.applies)
    found = []
    if outcome in ("Review", "Denied") and score < case.policy.min_score:
        text = f"score {score} is below {case.policy.min_score}"
        found.append(
            Reason(id="score", text=text, remedy="clear the checks named below, or have it approved by check id")
        )
    worst = sorted(
        (check for check in judged if check.applies and check.lost > 0), key=lambda check: (-check.lost, check.id)
    )
    for check in worst:
        if check.findings and (check.conclusive or outcome != "Allowed"):
            lost = float(round(10 * check.lost / applying, 1))
            reason = _reason(check.findings[0])
            found.append(Reason(**{**_fields(reason), "text": f"{reason.text} (costs {lost:g} points)"}))
    # The number alone helps nobody: what caused it comes before it.
    return [*found[1:3], *found[:1], *found[3:]] if found and found[0].id == "score" else found


def _fields(reason: Reason) -> dict[str, str]:
    return {name: getattr(reason, name) for name in ("id", "text", "where", "purl", "remedy")}


def _reason(finding: Finding) -> Reason:
    return Reason(
        id=finding.check,
        text=f"{finding.summary} ({finding.purl})" if finding.purl else finding.summary,
        where=finding.where,
        purl=finding.purl,
        remedy=finding.remedy or _usual_remedy(finding),
    )


def _usual_remedy(finding: Finding) -> str:
    """For collectors that named none."""
    if fixed := finding.data.get("fixed"):
        return f"use version {fixed} or later"
    if finding.data.get("waivable") is False or finding.check in UNWAIVABLE:
        return "use another version or package"
    return f"use another version or package, or have it looked at and waive {finding.check}"
