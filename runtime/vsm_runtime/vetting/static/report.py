"""The result of one scan, as values and as JSON: same bytes in, same bytes out, whatever the machine."""

from dataclasses import dataclass
from typing import Any

from vsm_operator.domain.vetting.model import Finding

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StaticReport:
    """What static analysis says of one artefact."""

    risk: float
    """0 to 10; from 7.6 on nothing should start it."""
    findings: tuple[Finding, ...]
    """Worst first."""
    capabilities: tuple[str, ...]
    files: int
    total_bytes: int
    executable_bytes: int
    """Of files that an interpreter or an installer would run."""
    scanned_bytes: int
    """Of those, what was looked at."""
    complete: bool
    """False when anything at all was left unread."""
    rule_pack: str
    """Digest of all rules that were applied."""

    @property
    def coverage(self) -> float:
        return 1.0 if not self.executable_bytes else round(self.scanned_bytes / self.executable_bytes, 4)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "risk": self.risk,
            "complete": self.complete,
            "coverage": self.coverage,
            "files": self.files,
            "totalBytes": self.total_bytes,
            "executableBytes": self.executable_bytes,
            "scannedBytes": self.scanned_bytes,
            "capabilities": list(self.capabilities),
            "rulePack": self.rule_pack,
            "findings": [_finding(finding) for finding in self.findings],
        }


def _finding(finding: Finding) -> dict[str, Any]:
    fields = {
        "check": finding.check,
        "rule": finding.rule,
        "severity": finding.severity,
        "summary": finding.summary,
        "file": finding.file,
        "line": finding.line,
        "snippetSha256": finding.snippet_sha256,
        "remedy": finding.remedy,
        "data": dict(finding.data),
    }
    return {name: value for name, value in fields.items() if value not in ("", 0, {})}
