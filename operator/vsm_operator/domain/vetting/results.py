"""What judging produces, and its stable JSON form.

Invariant: `to_json` of equal verdicts is equal byte for byte once dumped with sorted keys; the time that the judging
took is not part of a verdict and is added only when it is given. Lists are capped, and say how much they leave out.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from vsm_operator.domain.vetting import gates as gating
from vsm_operator.domain.vetting.checks import Judged
from vsm_operator.domain.vetting.model import Evidence, Finding, PackageEvidence
from vsm_operator.domain.vetting.policy import Policy, Waiver

FORMAT: Final = "vsm-mcp.io/verdict/v1"
"""Fields are only added within v1."""
EVIDENCE_MAX_ITEMS: Final = 20

Outcome: TypeAlias = Literal["Allowed", "Review", "Inconclusive", "Denied"]
WaiverState: TypeAlias = Literal["applied", "unused", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate: fired if any finding is left after waivers, conclusive if it was judged for the whole tree."""

    id: str
    applies: bool
    conclusive: bool
    findings: tuple[Finding, ...]

    @property
    def fired(self) -> bool:
        return any(finding.severity != "info" for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverUse:
    """What became of one waiver."""

    waiver: Waiver
    state: WaiverState
    lifted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One sentence of the explanation: which check or gate, where to look, what would clear it."""

    id: str
    text: str
    where: str = ""
    purl: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        place = f" [{self.where}]" if self.where and self.where != self.purl else ""
        return f"{self.id}: {self.text}{place}" + (f"; to clear: {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer with everything that led to it."""

    verdict: Outcome
    score: int
    """0 to 100 over conclusive checks, rounded down."""
    coverage_percent: int
    """Weight of the conclusive checks among those that apply, rounded down."""
    gates: tuple[GateResult, ...]
    checks: tuple[Judged, ...]
    reasons: tuple[Reason, ...]
    """Most important first."""
    waivers: tuple[WaiverUse, ...]
    waived: tuple[Finding, ...]
    evidence: Evidence
    policy: Policy

    @property
    def first_gate(self) -> str:
        fired = {gate.id for gate in self.gates if gate.fired}
        return next((name for name in gating.ORDER if name in fired), "")

    @property
    def root(self) -> PackageEvidence | None:
        found = [each for each in self.evidence.packages if each.purl == self.evidence.root]
        return min(found, key=repr, default=None)

    def to_json(self, *, duration_ms: int | None = None) -> dict[str, Any]:
        """The interface of `vsmctl validate-package --output json` and of stored verdicts."""
        root, evidence = self.root, self.evidence
        paths = {each.purl: [list(path) for path in sorted(each.paths)[:1]] for each in evidence.packages}
        shown: dict[str, Any] = {
            "format": FORMAT,
            "package": root.name if root else "",
            "ecosystem": root.ecosystem if root else "",
            "version": root.version if root else "",
            "purl": evidence.root,
            "integrity": root.integrity if root else "",
            "verdict": self.verdict,
            "score": self.score,
            "minScore": self.policy.min_score,
            "coverage": self.coverage_percent / 100,
            "stage": evidence.stage,
            "firstGate": self.first_gate,
            "reasons": [
                {"id": each.id, "text": each.text, "where": each.where, "purl": each.purl, "remedy": each.remedy}
                for each in self.reasons[:EVIDENCE_MAX_ITEMS]
            ],
            "gates": [
                {
                    "id": gate.id,
                    "fired": gate.fired,
                    "applies": gate.applies,
                    "conclusive": gate.conclusive,
                    **_evidence(gate.findings, paths),
                }
                for gate in self.gates
            ],
            "checks": [
                {
                    "id": check.id,
                    "weight": check.weight,
                    "score": int(check.score * 10) / 10 if check.conclusive else None,
                    "applies": check.applies,
                    "conclusive": check.conclusive,
                    **_evidence(check.findings, paths),
                }
                for check in self.checks
            ],
            "waivers": [
                {
                    "check": use.waiver.check,
                    "package": use.waiver.package,
                    "versions": use.waiver.versions,
                    "rule": use.waiver.rule,
                    "reason": use.waiver.reason,
                    "expires": use.waiver.expires,
                    "state": use.state,
                    "findings": use.lifted,
                }
                for use in self.waivers
            ],
            "waived": _evidence(self.waived, paths)["evidence"],
            "tree": {
                "packages": sorted({each.purl for each in evidence.packages}),
                "edges": [list(edge) for edge in sorted(set(evidence.edges))],
                "depth": max((each.depth for each in evidence.packages), default=0),
            },
            "sources": sorted(
                (
                    {
                        "id": each.id,
                        "status": each.status,
                        "reason": each.reason,
                        "asOf": each.as_of,
                        "digest": each.digest,
                    }
                    | ({"packages": len(each.purls)} if each.purls else {})
                    for each in evidence.sources
                ),
                key=repr,
            ),
            "datasets": [
                {"name": each.name, "digest": each.digest, "asOf": each.as_of}
                for each in sorted(set(evidence.datasets))
            ],
            "rulePack": evidence.rule_pack,
            "policy": {"profile": self.policy.profile, "digest": self.policy.digest()},
            "toolsHash": evidence.tools_hash,
        }
        return shown if duration_ms is None else {**shown, "durationMs": duration_ms}


def _evidence(findings: tuple[Finding, ...], paths: dict[str, list[list[str]]]) -> dict[str, Any]:
    items = [finding_json(finding, paths=paths) for finding in findings[:EVIDENCE_MAX_ITEMS]]
    return {"evidence": items, "omitted": len(findings) - len(items)}


def finding_json(finding: Finding, *, paths: dict[str, list[list[str]]]) -> dict[str, Any]:
    """Empty places are left out."""
    optional: dict[str, Any] = {
        "path": next(iter(paths.get(finding.purl, [])), []),
        "file": finding.file,
        "line": finding.line,
        "field": finding.field,
        "snippetSha256": finding.snippet_sha256,
        "remedy": finding.remedy,
        "data": dict(finding.data),
    }
    always = {"purl": finding.purl, "rule": finding.rule, "severity": finding.severity, "summary": finding.summary}
    return always | {key: value for key, value in optional.items() if value}
