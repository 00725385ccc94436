"""The hard gates that follow from facts and policy: each returns findings, and one that is not waived refuses.

Gates that are seen elsewhere (malware G2, names G8, provenance G9, tool surface G10, trial G11) arrive as findings;
here are those that fields of the evidence state. Invariant: more evidence of harm never means fewer findings.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.judging import Case
from vsm_operator.domain.vetting.model import Finding, PackageEvidence, Scalar, Severity
from vsm_operator.domain.vetting.names import blocked_by, matching_entry
from vsm_operator.domain.vetting.spdx import unavoidable

ORDER: Final = ("G2", "G3", "G1", "G11", "G10", "G9", "G6", "G8", "G7", "G5", "G4", "G12")
"""What a person should read first."""
MALICIOUS_RISK: Final = 7.6
CRITICAL_CVSS: Final = 9.0


def derived(case: Case) -> list[Finding]:
    """Every gate finding that follows from the evidence. Rules are constant: no waiver starts to fit by chance."""
    members = [finding for package in case.packages for gate in _GATES for finding in gate(case, package)]
    return [*members, *_g5(case)]


def answered(case: Case, name: str) -> bool:
    """Whether the gate was judged for the whole tree."""
    if name == "G1":
        return not case.unseen
    test = _ANSWERS.get(name)
    return not case.unseen and all(
        case.answered(name, package.purl) and (test is None or test(case, package)) for package in case.packages
    )


def _g1(case: Case, package: PackageEvidence) -> Iterator[Finding]:
    policy = case.policy
    for alias in package.aliases or ("",):
        match = blocked_by(
            policy.blocked_packages, Ecosystem(package.ecosystem), package.name, version=package.version, alias=alias
        )
        if match is not None:
            shown = f"{package.name} (installed as {alias})" if alias else package.name
            summary = f"{shown} is on the list of blocked packages: entry {match.entry}"
            yield _finding("G1", package, "blocked-package", summary, "use another package, or change blockedPackages")
    is_root = case.is_root(package)
    allowed = policy.allowed_servers if is_root else policy.allowed_dependencies
    if allowed and matching_entry(allowed, Ecosystem(package.ecosystem), package.name, package.version) is None:
        listed = "allowedServers" if is_root else "allowedDependencies"
        severity: Severity = "high" if policy.whitelist_enforced else "info"
        summary = f"{package.name}@{package.version} is not on the list {listed}"
        yield _finding("G1", package, "not-allowed", summary, f"add it to {listed}", severity=severity)


def _g2(case: Case, package: PackageEvidence) -> Iterator[Finding]:  # noqa: ARG001 - one signature for all gates
    if package.project_status == "quarantined":
        yield _finding(
            "G2", package, "quarantined", "the index has put the project in quarantine", "use another package"
        )
    if package.ecosystem == "npm" and package.version.endswith("-security"):
        summary = "a placeholder that the registry keeps in place of a removed package"
        yield _finding("G2", package, "security-holding", summary, "use another package")
    if package.yanked:
        yield _finding("G2", package, "yanked", "its publisher has withdrawn this version", "use another version")


def _g3(case: Case, package: PackageEvidence) -> Iterator[Finding]:
    if package.integrity_verified is False:
        summary = "the bytes are not those that the registry or the lock names"
        yield _finding(
            "G3", package, "digest-mismatch", summary, "fetch again; if it stays, tell the registry's operator"
        )
    if package.immutable_source is False:
        summary = "comes from git, a URL or a path: the same lock can mean other bytes tomorrow"
        yield _finding("G3", package, "mutable-source", summary, "depend on a released version in the registry")
    if case.policy.require_integrity and not package.integrity:
        summary = "the lock names no digest for it"
        yield _finding("G3", package, "no-integrity", summary, "lock it with a digest (integrity, --generate-hashes)")


def _g4(case: Case, package: PackageEvidence) -> Iterator[Finding]:
    age, least = case.age(package), timedelta(hours=case.policy.min_release_age_hours)
    if not package.newly_added or package.published_is_lower_bound or age is None or age >= least:
        return
    summary = f"published {package.published_at}, less than {case.policy.min_release_age_hours} h ago"
    remedy = f"use an older version, or wait until {(case.now - age + least).isoformat(timespec='minutes')}"
    yield _finding("G4", package, "too-young", summary, remedy, field="published_at")


def _g5(case: Case) -> Iterator[Finding]:
    for found in case.evidence.all_findings():
        package = case.by_purl.get(found.purl) or case.root
        if found.check != "C1" or found.severity == "info" or package is None:
            continue
        cvss, fixed = found.data.get("cvss"), found.data.get("fixed")
        exploited = found.data.get("exploited") is True
        critical = found.severity == "critical" or (isinstance(cvss, int | float) and cvss >= CRITICAL_CVSS)
        if exploited or (critical and fixed != ""):
            ident = str(found.data.get("id") or found.rule)
            how = "known to be exploited" if exploited else "critical"
            remedy = f"use {package.name} {fixed} or later" if fixed else found.remedy or "use another package"
            data: dict[str, Scalar] = {"id": ident}
            yield _finding(
                "G5", package, found.rule, f"{ident} is {how}: {found.summary}", remedy, like=found, data=data
            )


def _g6(case: Case, package: PackageEvidence) -> Iterator[Finding]:
    risk = package.static_risk
    if risk is None or risk < MALICIOUS_RISK or case.discount(package) <= 0.25:
        return
    worst = min((found for found in package.findings if found.check == "C2"), key=Finding.key, default=None)
    summary = f"its code behaves like malware (risk {risk:.1f} of 10)" + (f": {worst.summary}" if worst else "")
    remedy = "use another package or version, or have a person read the code and waive G6"
    yield _finding("G6", package, "static-risk", summary, remedy, like=worst)


def _g7(case: Case, package: PackageEvidence) -> Iterator[Finding]:
    if case.policy.lifecycle_scripts != "Deny" or not package.install_scripts:
        return
    if (
        matching_entry(case.policy.allowed_install_scripts, Ecosystem(package.ecosystem), package.name, package.version)
        is None
    ):
        seen = next((found for found in sorted(package.findings, key=Finding.key) if found.check in ("C3", "G7")), None)
        summary = f"runs code when it is installed: {', '.join(sorted(package.install_scripts))}"
        remedy = "use a version without it, or add the package to allowedInstallScripts"
        yield _finding("G7", package, "install-time-code", summary, remedy, like=seen)


def _g12(case: Case, package: PackageEvidence) -> Iterator[Finding]:
    denied, licence = case.policy.denied_licences, package.licence
    if denied and licence is not None and unavoidable(licence, denied):
        yield _finding(
            "G12", package, "denied-licence", f"licensed under {licence}", "use another package", field="license"
        )


_GATES: Final[tuple[Callable[[Case, PackageEvidence], Iterator[Finding]], ...]] = (
    _g1, _g2, _g3, _g4, _g6, _g7, _g12,
)  # fmt: skip


def _age_known(case: Case, package: PackageEvidence) -> bool:
    age = case.age(package)
    if age is None:
        return False
    young = age < timedelta(hours=case.policy.min_release_age_hours)
    return not (young and package.newly_added and package.published_is_lower_bound)


_ANSWERS: Final[dict[str, Callable[[Case, PackageEvidence], bool]]] = {
    "G3": lambda _, package: package.integrity_verified is not None and package.immutable_source is not None,
    "G4": _age_known,
    "G6": lambda _, package: package.static_risk is not None,
    "G7": lambda _, package: package.install_scripts is not None,
    "G12": lambda _, package: package.licence is not None,
}


def _finding(
    check: str,
    package: PackageEvidence,
    rule: str,
    summary: str,
    remedy: str,
    *,
    severity: Severity = "critical",
    field: str = "",
    like: Finding | None = None,
    data: dict[str, Scalar] | None = None,
) -> Finding:
    """`like` lends its place, so that the reader is led to the line."""
    file, line = (like.file, like.line) if like else ("", 0)
    snippet = like.snippet_sha256 if like else ""
    return Finding(
        check=check, purl=package.purl, rule=rule, severity=severity, summary=summary, remedy=remedy,
        file=file, line=line, field=like.field if like else field, snippet_sha256=snippet, data=data or {},
    )  # fmt: skip
