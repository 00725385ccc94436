"""A vetted tree as a CycloneDX 1.6 bill of materials, with its vulnerabilities and the verdict.

Invariants: pure and deterministic (the serial number follows from the content); every reference resolves inside the
document; unknown is left out, never guessed.
"""

import base64
import binascii
import hashlib
import json
import uuid
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from vsm_operator.domain.vetting.judging import moment
from vsm_operator.domain.vetting.model import Evidence, Finding, PackageEvidence
from vsm_operator.domain.vetting.results import Verdict
from vsm_operator.domain.vetting.spdx import satisfied

SPEC_VERSION: Final = "1.6"
_ALGORITHMS: Final = {
    "sha512": ("SHA-512", 64),
    "sha384": ("SHA-384", 48),
    "sha256": ("SHA-256", 32),
    "sha1": ("SHA-1", 20),
}
_NAMESPACE: Final = uuid.UUID("6b1b2f0e-3d1c-5c53-9d2a-1d3f2c5e8a41")


def bom(evidence: Evidence, *, verdict: Verdict | None = None) -> dict[str, Any]:
    """The tree of `evidence`; with a verdict also what was decided and what is waived."""
    packages = {each.purl: each for each in sorted(evidence.packages, key=repr, reverse=True)}
    root = packages.get(evidence.root)
    body: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": _metadata(evidence, root, verdict),
        "components": [_component(packages[purl]) for purl in sorted(packages) if purl != evidence.root],
        "dependencies": [
            {"ref": purl, "dependsOn": sorted({b for a, b in evidence.edges if a == purl and b in packages})}
            for purl in sorted(packages)
        ],
        "vulnerabilities": _vulnerabilities(evidence, packages, verdict),
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    # A name, not a secret: uuid5 alone would hash with SHA-1 over the whole document.
    serial = uuid.uuid5(_NAMESPACE, hashlib.sha256(text.encode()).hexdigest())
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", **body, "serialNumber": f"urn:uuid:{serial}"}


def _metadata(evidence: Evidence, root: PackageEvidence | None, verdict: Verdict | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"tools": {"components": [{"type": "application", "name": "vsm-vetting"}]}}
    collected = moment(evidence.collected_at, late=False)
    if isinstance(collected, datetime):
        shown["timestamp"] = collected.isoformat(timespec="seconds").replace("+00:00", "Z")
    if root is not None:
        shown["component"] = _component(root) | {"type": "application"}
    shown["properties"] = [
        {"name": f"vsm-mcp:vetting:{name}", "value": value}
        for name, value in (
            ("rulePack", evidence.rule_pack),
            ("verdict", verdict.verdict if verdict else ""),
            ("score", str(verdict.score) if verdict else ""),
            ("coverage", f"{verdict.coverage_percent} %" if verdict else ""),
            ("policyDigest", verdict.policy.digest() if verdict else ""),
        )
        if value
    ]
    return shown


def _component(package: PackageEvidence) -> dict[str, Any]:
    scope, _, name = package.name.rpartition("/") if package.ecosystem == "npm" else ("", "", package.name)
    shown: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": name,
        "version": package.version,
        "purl": package.purl,
    }
    if scope:
        shown["group"] = scope
    if hashes := _hashes(package.integrity) or _hashes(package.artifact_digest):
        shown["hashes"] = hashes
    if package.licence is not None and package.licence not in ("FILE", "UNKNOWN"):
        understood = satisfied(package.licence, ()) is not None
        shown["licenses"] = [{"expression": package.licence} if understood else {"license": {"name": package.licence}}]
    if package.repository and package.repository.startswith("https://"):
        url = quote(package.repository, safe=":/#?&=%@+~.,;-_")
        shown["externalReferences"] = [{"type": "vcs", "url": url}]
    return shown


def _hashes(digest: str) -> list[dict[str, str]]:
    """From "sha512-<base64>" (several with spaces between them) or "sha256:<hex>"."""
    found: dict[str, str] = {}
    for part in digest.split():
        algorithm, encoded = (
            (part.split("-", 1) if "-" in part else part.split(":", 1)) if _is_digest(part) else ("", "")
        )
        if algorithm not in _ALGORITHMS:
            continue
        name, size = _ALGORITHMS[algorithm]
        try:
            raw = base64.b64decode(encoded, validate=True) if "-" in part else bytes.fromhex(encoded)
        except (binascii.Error, ValueError):
            continue
        if len(raw) == size:
            found[name] = raw.hex()
    return [{"alg": name, "content": content} for name, content in sorted(found.items())]


def _is_digest(part: str) -> bool:
    return "-" in part or ":" in part


def _vulnerabilities(
    evidence: Evidence, packages: dict[str, PackageEvidence], verdict: Verdict | None
) -> list[dict[str, Any]]:
    grouped: dict[str, list[Finding]] = {}
    for finding in evidence.all_findings():
        if finding.check in ("C1", "G2") and finding.purl in packages:
            grouped.setdefault(str(finding.data.get("id") or finding.rule), []).append(finding)
    shown = []
    for ident, findings in sorted(grouped.items()):
        findings.sort(key=Finding.key)
        entry: dict[str, Any] = {
            "bom-ref": f"vulnerability:{ident}",
            "id": ident,
            "ratings": [_rating(findings[0])],
            "description": findings[0].summary,
            "affects": [{"ref": purl} for purl in sorted({finding.purl for finding in findings})],
        }
        if findings[0].remedy:
            entry["recommendation"] = findings[0].remedy
        if reasons := _accepted(findings, packages, verdict):
            entry["analysis"] = {"response": ["will_not_fix"], "detail": "; ".join(reasons)}
        shown.append(entry)
    return shown


def _accepted(findings: list[Finding], packages: dict[str, PackageEvidence], verdict: Verdict | None) -> list[str]:
    return sorted(
        {
            f"waived until {use.waiver.expires}: {use.waiver.reason}"
            for use in (verdict.waivers if verdict else ())
            for finding in findings
            if use.state == "applied" and use.waiver.covers(finding, packages[finding.purl])
        }
    )


def _rating(finding: Finding) -> dict[str, Any]:
    cvss = finding.data.get("cvss")
    rating: dict[str, Any] = {"severity": finding.severity}
    if isinstance(cvss, int | float) and not isinstance(cvss, bool) and 0 <= cvss <= 10:
        rating["score"] = cvss
    return rating
