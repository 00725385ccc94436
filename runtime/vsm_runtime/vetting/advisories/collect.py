"""All providers asked about one tree, their hits merged: one vulnerability of one package is one finding.

Providers are asked in order, the ones that cost requests only about what is still open. Identifiers that any provider
calls aliases of each other name the same vulnerability. Where sources differ, the worst severity and the highest fixed
release count, since that release satisfies all of them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from vsm_operator.domain.vetting.model import Dataset, Finding, Scalar, SourceState
from vsm_runtime.vetting.advisories.port import (
    MALWARE,
    VULNERABILITIES,
    AdvisoryProvider,
    Answer,
    Hit,
    Subject,
    states_of,
)
from vsm_runtime.vetting.advisories.versions import version_key

_PREFERRED = ("MAL-", "GHSA-", "PYSEC-", "CVE-")
"""Which of its names a vulnerability is shown under."""


@dataclass(frozen=True, slots=True)
class Report:
    """Findings in a fixed order, each with its package's purl; what every provider said; the data that judged."""

    findings: tuple[Finding, ...]
    sources: tuple[SourceState, ...]
    datasets: tuple[Dataset, ...]


def collect(
    providers: Sequence[AdvisoryProvider], subjects: Iterable[Subject], *, exploited: Collection[str] = frozenset()
) -> Report:
    """`exploited` are identifiers, in any naming, of vulnerabilities that are known to be used in attacks."""
    tree = sorted(set(subjects))
    answers: list[Answer] = []
    answered: set[str] = set()
    for provider in providers:
        asked = [subject for subject in tree if not provider.only_for_gaps or subject.purl not in answered]
        if not asked:
            continue
        answer = _asked(provider, asked)
        answers.append(answer)
        for state in answer.states:
            if state.status == "ok" and set(VULNERABILITIES) <= set(state.feeds):
                answered.update(state.purls)
    hits = [hit for answer in answers for hit in answer.hits]
    return Report(
        findings=tuple(findings_of(hits, exploited=exploited)),
        sources=tuple(state for answer in answers for state in answer.states),
        datasets=tuple(sorted({dataset for answer in answers for dataset in answer.datasets})),
    )


def _asked(provider: AdvisoryProvider, subjects: Sequence[Subject]) -> Answer:
    try:
        return provider.ask(subjects)
    except Exception as error:  # noqa: BLE001 - a defect in one provider must read as trouble, not as a clean tree
        reason = f"failed with {type(error).__name__}"
        feeds = (*VULNERABILITIES, *MALWARE)
        return Answer(states_of(provider.id, status="error", subjects=subjects, feeds=feeds, reason=reason))


def findings_of(hits: Iterable[Hit], *, exploited: Collection[str] = frozenset()) -> list[Finding]:
    """C1 for vulnerabilities, with what the G5 gate needs to know; G2 for malware."""
    by_subject: dict[Subject, list[Hit]] = defaultdict(list)
    for hit in hits:
        by_subject[hit.subject].append(hit)
    found = [
        _finding(subject, group, exploited=exploited)
        for subject, each in by_subject.items()
        for group in same_vulnerability(each)
    ]
    return sorted(found, key=Finding.key)


def same_vulnerability(hits: Sequence[Hit]) -> list[list[Hit]]:
    """Hits of one subject, grouped by identifiers that they share, over any number of steps."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for hit in hits:
        for alias in hit.aliases:
            parent[root(alias)] = root(hit.id)
    groups: dict[str, list[Hit]] = defaultdict(list)
    for hit in hits:
        groups[root(hit.id)].append(hit)
    return list(groups.values())


def _finding(subject: Subject, hits: Sequence[Hit], *, exploited: Collection[str]) -> Finding:
    names = sorted({name for hit in hits for name in (hit.id, *hit.aliases)}, key=_preference)
    decided = [hit for hit in hits if not hit.undecided]
    severity = max((hit.severity for hit in hits), key=lambda each: each.rank)
    malicious = any(hit.malicious for hit in hits)
    fixed = _highest(subject, [hit.fixed for hit in hits if hit.fixed])
    told = sorted({(hit.source, hit.as_of) for hit in hits})
    data: dict[str, Scalar] = {
        "id": names[0],
        "aliases": " ".join(names[1:]),
        "fixed": fixed,
        "source": " ".join(source for source, _ in told),
        "as_of": max(as_of for _, as_of in told),
        "exploited": any(name in exploited for name in names),
        "rated": severity.known,
        "undecided": not decided,
    }
    if severity.measured:
        data |= {"cvss": severity.score, "vector": severity.vector}
    title = next((summary for _, summary in sorted((hit.source, hit.summary) for hit in hits) if summary), "")
    doubt = "" if decided else " (the affected range cannot be compared with this version)"
    return Finding(
        check="G2" if malicious else "C1",
        purl=subject.purl,
        rule=_rule(malicious=malicious, decided=bool(decided)),
        severity="critical" if malicious else severity.label,
        summary=f"{names[0]}{doubt}: {title}" if title else f"{names[0]}{doubt}",
        remedy=_remedy(subject, malicious=malicious, fixed=fixed, name=names[0]),
        data=data,
    )


def _rule(*, malicious: bool, decided: bool) -> str:
    if malicious:
        return "known-malicious"
    return "known-vulnerability" if decided else "vulnerability-undecided"


def _remedy(subject: Subject, *, malicious: bool, fixed: str, name: str) -> str:
    if malicious:
        return f"remove {subject.name} from the tree; if the report is wrong, waive {name} with a reason"
    if fixed:
        return f"use {subject.name} {fixed} or later"
    return f"no fixed release is known: replace {subject.name}, or waive {name} with a reason"


def _preference(name: str) -> tuple[int, str]:
    rank = next((place for place, prefix in enumerate(_PREFERRED) if name.startswith(prefix)), len(_PREFERRED))
    return (rank, name)


def _highest(subject: Subject, fixes: Sequence[str]) -> str:
    keyed = [(key, text) for text in fixes if (key := version_key(subject.ecosystem, text)) is not None]
    return max(keyed)[1] if keyed else ""
