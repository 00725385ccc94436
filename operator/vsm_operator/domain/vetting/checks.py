"""The weighted checks C1 to C11: what each costs a tree, and whether it could be judged at all.

Score of a check = 10 less the worst member of the tree, C1 10 less the sum. Fields of the evidence become findings
first (`derived`), so that waivers, explanations and arithmetic see one kind of thing. Invariants: a finding costs
between 0 and 10 points and never earns any; heuristics are discounted in dependencies, facts never.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Final

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.judging import SCAN_COVERAGE_PERCENT, Case, exact, points
from vsm_operator.domain.vetting.model import SEVERITIES, Finding, PackageEvidence, Severity
from vsm_operator.domain.vetting.names import matching_entry
from vsm_operator.domain.vetting.spdx import satisfied

WEIGHTS: Final = {
    "C1": 18, "C2": 20, "C3": 10, "C4": 10, "C5": 10, "C6": 8, "C7": 4, "C8": 8, "C9": 6, "C10": 3, "C11": 3,
}  # fmt: skip
TITLES: Final = {
    "C1": "known vulnerabilities", "C2": "static behaviour", "C3": "install-time code", "C4": "tool surface",
    "C5": "trial behaviour", "C6": "provenance", "C7": "publisher continuity", "C8": "identity confusion",
    "C9": "maturity", "C10": "popularity", "C11": "licence",
}  # fmt: skip
UNKNOWN_SCORE: Final = {"C6": 3, "C7": 3}
"""What an unanswered check is assumed to be worth, at most, when it is asked whether silence could decide. Else 0."""

_HEURISTICS: Final = frozenset({"C2", "C7", "C8", "C9"})
_BY_SEVERITY: Final = frozenset({"C4", "C5", "C7", "C8"})
"""Checks whose findings cost by severity when they do not say their points; elsewhere such findings only explain."""
_POINTS: Final[dict[str, Fraction]] = {
    "critical": Fraction(10), "high": Fraction(6), "medium": Fraction(4), "low": Fraction(2), "info": Fraction(0),
}  # fmt: skip
_VULNERABILITY: Final[dict[str, Fraction]] = {
    "critical": Fraction(10), "high": Fraction(4), "medium": Fraction(3, 2), "low": Fraction(1, 2), "info": Fraction(0),
}  # fmt: skip
_TIME: Final = "time clears it; or use what has been out for longer"
_RANKS: Final = ((100, 0), (1000, 1), (5000, 3), (10**9, 4))
"""(last place, points lost); not in the list: 7."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One check over the tree."""

    id: str
    applies: bool
    conclusive: bool
    score: Fraction
    """0 to 10. If not conclusive: what is left after what is known so far."""
    findings: tuple[Finding, ...]

    @property
    def weight(self) -> int:
        return WEIGHTS[self.id]

    @property
    def lost(self) -> Fraction:
        return self.weight * (10 - self.score)


def judge(case: Case, findings: Iterable[Finding]) -> list[Judged]:
    """All checks in order. `findings` are those that no waiver has lifted, derived ones among them."""
    grouped: dict[str, list[Finding]] = {name: [] for name in WEIGHTS}
    for finding in findings:
        if finding.check in grouped:
            grouped[finding.check].append(finding)
    results = []
    for name, members in grouped.items():
        members.sort(key=lambda finding: (-cost(case, finding), finding.key()))
        conclusive = case.applies(name) and answered(case, name)
        results.append(Judged(name, case.applies(name), conclusive, _score(case, name, members), tuple(members)))
    return results


def answered(case: Case, name: str) -> bool:
    """Whether the check was judged for every member that it looks at."""
    test = _ANSWERS.get(name)
    members = [case.root] if name in ("C6", "C10") else case.packages
    return not case.unseen and all(
        package is not None and case.answered(name, package.purl) and (test is None or test(package))
        for package in members
    )


def cost(case: Case, finding: Finding) -> Fraction:
    """Points of ten that a finding costs its check, after discounts."""
    package = case.by_purl.get(finding.purl)
    if finding.check == "C1":
        return _vulnerability(case, finding, package)
    default = _POINTS[finding.severity] if finding.check in _BY_SEVERITY else Fraction(0)
    lost = points(finding, default=default)
    return lost * case.discount(package) if package is not None and finding.check in _HEURISTICS else lost


def _score(case: Case, name: str, findings: list[Finding]) -> Fraction:
    lost: dict[str, Fraction] = {}
    if name == "C1":
        # One advisory is one fact, however many providers tell of it.
        worst: dict[tuple[str, str], Fraction] = {}
        for finding in findings:
            key = (finding.purl, str(finding.data.get("id") or finding.rule))
            worst[key] = max(worst.get(key, Fraction(0)), cost(case, finding))
        return max(Fraction(0), 10 - sum(worst.values(), Fraction(0)))
    for finding in findings:
        lost[finding.purl] = lost.get(finding.purl, Fraction(0)) + cost(case, finding)
    return max(Fraction(0), 10 - max(lost.values(), default=Fraction(0)))


def _vulnerability(case: Case, finding: Finding, package: PackageEvidence | None) -> Fraction:
    cvss = finding.data.get("cvss")
    by_score: Severity = "info"
    if isinstance(cvss, int | float) and finding.severity != "info":
        by_score = "critical" if cvss >= 9 else "high" if cvss >= 7 else "medium" if cvss >= 4 else "low"
    severity = min(finding.severity, by_score, key=SEVERITIES.index)
    near = package is None or package.direct or case.is_root(package)
    unfixable = finding.data.get("fixed") == ""
    return _VULNERABILITY[severity] * (1 if near else Fraction(7, 10)) * (Fraction(1, 2) if unfixable else 1)


def derived(case: Case) -> list[Finding]:
    """What the fields of the evidence cost."""
    found = [finding for package in case.packages for rule in _RULES for finding in rule(case, package)]
    if (root := case.root) is not None:
        found += [*_provenance(root), *_popularity(root)]
    return found


def _static(case: Case, package: PackageEvidence) -> Iterator[Finding]:  # noqa: ARG001 - one signature for all
    if package.static_risk:
        worst = min((found for found in package.findings if found.check == "C2"), key=Finding.key, default=None)
        summary = f"static risk {package.static_risk:.1f} of 10" + (f", most of all: {worst.summary}" if worst else "")
        yield _finding(
            "C2", package, "static-risk", summary, exact(package.static_risk), like=worst,
            remedy="use a version without this code, or have it read and waive C2",
        )  # fmt: skip


def _install(case: Case, package: PackageEvidence) -> Iterator[Finding]:
    if not package.install_scripts:
        return
    known = matching_entry(
        case.policy.allowed_install_scripts, Ecosystem(package.ecosystem), package.name, package.version
    )
    lost = 3 if known is not None else 7 if set(package.install_scripts) == {"sdist-only"} else 10
    seen = next((found for found in sorted(package.findings, key=Finding.key) if found.check in ("C3", "G7")), None)
    summary = f"runs code when it is installed: {', '.join(sorted(package.install_scripts))}"
    remedy = "use a version without it" if known else "use a version without it, or add it to allowedInstallScripts"
    yield _finding("C3", package, "install-time-code", summary, Fraction(lost), like=seen, remedy=remedy)


def _publishers(case: Case, package: PackageEvidence) -> Iterator[Finding]:  # noqa: ARG001
    now, before = package.publishers, package.previous_publishers
    if now is None or before is None:
        return
    if before and not set(now) & set(before):
        summary = f"published by {', '.join(sorted(now)[:3]) or 'nobody named'}, earlier versions by others"
        remedy = "use an earlier version, or ask the publisher about the handover"
        yield _finding("C7", package, "new-publisher", summary, Fraction(7), remedy=remedy, field="publishers")
    if len(set(now)) < 2:
        summary = "one account alone can publish it"
        remedy = "a second publisher of its project clears it"
        yield _finding("C7", package, "single-publisher", summary, Fraction(3), remedy=remedy, field="publishers")


def _maturity(case: Case, package: PackageEvidence) -> Iterator[Finding]:
    age, whole = case.age(package), case.package_age(package)
    if whole is not None and whole < timedelta(days=90):
        summary = f"the package is younger than 90 days (first release {package.first_published_at})"
        yield _finding("C9", package, "young-package", summary, Fraction(4), field="first_published_at", remedy=_TIME)
    if package.versions_count is not None and package.versions_count < 3:
        summary = f"only {package.versions_count} published version(s)"
        yield _finding("C9", package, "few-versions", summary, Fraction(2), field="versions_count", remedy=_TIME)
    if age is not None and age < timedelta(days=7):
        summary = f"the version is younger than 7 days (published {package.published_at})"
        yield _finding("C9", package, "young-version", summary, Fraction(2), field="published_at", remedy=_TIME)
    reason = _given_up(package)
    if reason:
        remedy = "use its successor, or a registry that tells" if package.deprecated is None else "use its successor"
        yield _finding("C9", package, "given-up", reason, Fraction(2), field="deprecated", remedy=remedy)


def _given_up(package: PackageEvidence) -> str:
    if package.project_status in ("archived", "deprecated"):
        return f"the project is {package.project_status}"
    if package.deprecated or package.yanked:
        return "its publisher advises against this version"
    # Unknown costs what a bad answer costs, so that a silent registry is no better than an honest one.
    return "the registry does not tell whether it is deprecated" if package.deprecated is None else ""


def _licence(case: Case, package: PackageEvidence) -> Iterator[Finding]:
    licence, wanted = package.licence, case.policy.licences
    if licence is None or (wanted and satisfied(licence, wanted)):
        return
    lost, summary = 5, f"licence {licence} is not on the list"
    if licence == "FILE":
        lost, summary = 3, "its licence is only in a file"
    elif satisfied(licence, ()) is None or licence in ("UNKNOWN", "NOASSERTION"):
        lost, summary = 8, "its licence is not understood"
    elif not wanted:
        return
    yield _finding("C11", package, "licence", summary, Fraction(lost), remedy="add it to licences", field="license")


_RULES: Final[tuple[Callable[[Case, PackageEvidence], Iterator[Finding]], ...]] = (
    _static, _install, _publishers, _maturity, _licence,
)  # fmt: skip


def _provenance(root: PackageEvidence) -> Iterator[Finding]:
    if root.provenance is None:
        return
    earned = (
        2 * (root.registry_signature is True) + 4 * (root.provenance == "verified") + 2 * (root.owner_match is True)
    )
    parts = [
        text
        for text, given in (
            ("no verified provenance", root.provenance == "verified"),
            ("no registry signature", root.registry_signature is True),
            ("owner not confirmed", root.owner_match is True),
        )
        if not given
    ]
    # Provenance is a bonus: even when complete it says who built something, not that it is harmless.
    summary = "; ".join(parts) or "complete; provenance alone proves no harmlessness"
    remedy = "use a release whose provenance, signature and owner can be verified" if parts else "nothing to clear"
    lost = Fraction(10 - max(3, earned))
    yield _finding("C6", root, "provenance", summary, lost, field="dist.attestations", remedy=remedy)


def _popularity(root: PackageEvidence) -> Iterator[Finding]:
    rank = root.popularity_rank
    lost = 7 if rank is None else next(lost for last, lost in _RANKS if rank <= last or last == _RANKS[-1][0])
    if lost:
        summary = "not in the list of popular packages" if rank is None else f"place {rank} in the popular list"
        remedy = "nothing to clear: popularity is only a hint"
        yield _finding("C10", root, "popularity", summary, Fraction(lost), field="name", remedy=remedy)


_ANSWERS: Final[dict[str, Callable[[PackageEvidence], bool]]] = {
    "C2": lambda package: (
        package.static_risk is not None
        and package.scanned_bytes * 100 >= package.executable_bytes * SCAN_COVERAGE_PERCENT
    ),
    "C3": lambda package: package.install_scripts is not None,
    "C6": lambda package: package.provenance is not None,
    "C7": lambda package: package.publishers is not None and package.previous_publishers is not None,
    "C9": lambda package: (
        package.published_at is not None
        and package.first_published_at is not None
        and package.versions_count is not None
    ),
    "C11": lambda package: package.licence is not None,
}


def _finding(
    check: str,
    package: PackageEvidence,
    rule: str,
    summary: str,
    lost: Fraction,
    *,
    remedy: str = "",
    field: str = "",
    like: Finding | None = None,
) -> Finding:
    """`like` lends its place, so that the reader is led to the line."""
    severity: Severity = "high" if lost >= 7 else "medium" if lost >= 4 else "low"
    return Finding(
        check=check, purl=package.purl, rule=rule, severity=severity, summary=summary, remedy=remedy,
        file=like.file if like else "", line=like.line if like else 0, field=like.field if like else field,
        snippet_sha256=like.snippet_sha256 if like else "", data={"points": float(lost)},
    )  # fmt: skip
