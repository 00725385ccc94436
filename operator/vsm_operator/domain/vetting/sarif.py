"""A verdict as SARIF 2.1.0, for code scanning views.

Invariants: pure and deterministic; every result names a rule, a level and the package; waived findings are there as
suppressed results, never left out; sources that did not answer are notifications. Paths come from packages, so they
are encoded to relative URI references and cannot point anywhere else.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from vsm_operator.domain.vetting.checks import TITLES, WEIGHTS
from vsm_operator.domain.vetting.explain import GATE_TITLES
from vsm_operator.domain.vetting.model import CHECK_IDS, GATE_IDS, Finding, PackageEvidence
from vsm_operator.domain.vetting.results import Verdict

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
RESULTS_MAX_ITEMS: Final = 5000
_LEVELS: Final = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_RULES: Final = (*GATE_IDS, *CHECK_IDS)


def sarif(verdict: Verdict) -> dict[str, Any]:
    """One log with one run."""
    packages = {each.purl: each for each in sorted(verdict.evidence.packages, key=repr)}
    open_findings = [*_all(gate.findings for gate in verdict.gates), *_all(check.findings for check in verdict.checks)]
    results = [_result(finding, packages.get(finding.purl)) for finding in open_findings]
    results += [_suppressed(finding, packages.get(finding.purl), verdict) for finding in verdict.waived]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(verdict)},
                "automationDetails": {"id": f"vetting/{verdict.evidence.root}"},
                "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": _notifications(verdict)}],
                "results": results[:RESULTS_MAX_ITEMS],
                "properties": {
                    "verdict": verdict.verdict,
                    "score": verdict.score,
                    "coverage": verdict.coverage_percent / 100,
                    "policyDigest": verdict.policy.digest(),
                    "omitted": max(0, len(results) - RESULTS_MAX_ITEMS),
                },
            }
        ],
    }


def _all(groups: Iterable[tuple[Finding, ...]]) -> list[Finding]:
    return [finding for group in groups for finding in group]


def _driver(verdict: Verdict) -> dict[str, Any]:
    titles = TITLES | GATE_TITLES
    rules = [
        {
            "id": name,
            "name": titles[name].title().replace(" ", "").replace("-", ""),
            "shortDescription": {"text": f"{'Gate' if name in GATE_IDS else 'Check'} {name}: {titles[name]}"},
            "properties": {"gate": True} if name in GATE_IDS else {"gate": False, "weight": WEIGHTS[name]},
        }
        for name in _RULES
    ]
    return {"name": "vsm-vetting", "version": verdict.evidence.rule_pack or "0", "rules": rules}


def _notifications(verdict: Verdict) -> list[dict[str, Any]]:
    silent = {(each.id, each.status, each.reason) for each in verdict.evidence.sources if each.status != "ok"}
    return [
        {
            "descriptor": {"id": f"source/{ident}"},
            "level": "warning",
            "message": {"text": f"{ident} is {status}" + (f": {reason}" if reason else "")},
        }
        for ident, status, reason in sorted(silent)
    ]


def _result(finding: Finding, package: PackageEvidence | None) -> dict[str, Any]:
    gate = finding.check in GATE_IDS and finding.severity != "info"
    text = f"{finding.summary} ({finding.purl})" + (f" To clear: {finding.remedy}." if finding.remedy else "")
    result: dict[str, Any] = {
        "ruleId": finding.check,
        "ruleIndex": _RULES.index(finding.check),
        "level": "error" if gate else _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [_location(finding, package)],
        "properties": {
            "rule": finding.rule,
            "severity": finding.severity,
            **({"field": finding.field} if finding.field else {}),
        },
    }
    if finding.snippet_sha256:
        result["partialFingerprints"] = {"snippetSha256/v1": finding.snippet_sha256}
    return result


def _suppressed(finding: Finding, package: PackageEvidence | None, verdict: Verdict) -> dict[str, Any]:
    reasons = [
        f"{use.waiver.reason} (until {use.waiver.expires})"
        for use in verdict.waivers
        if use.state == "applied" and package is not None and use.waiver.covers(finding, package)
    ]
    return _result(finding, package) | {
        "suppressions": [{"kind": "external", "status": "accepted", "justification": text} for text in reasons]
    }


def _location(finding: Finding, package: PackageEvidence | None) -> dict[str, Any]:
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": finding.purl or "?", "kind": "package"}]}
    if finding.file:
        folder = f"{package.name}@{package.version}" if package else "server"
        segments = [part for part in f"{folder}/{finding.file}".split("/") if part not in ("", ".", "..")]
        physical: dict[str, Any] = {"artifactLocation": {"uri": "/".join(quote(part, safe="") for part in segments)}}
        if finding.line > 0:
            physical["region"] = {"startLine": finding.line}
        location["physicalLocation"] = physical
    return location
