"""What a provider of advisories is asked and what it answers.

An answer names, for every subject it was asked about, either success or trouble: a subject that no "ok" state lists was
not answered, and its checks stay inconclusive. Hits are facts whatever the state is: stale data can still be right.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.model import Dataset, SourceState, SourceStatus
from vsm_runtime.vetting.advisories.osv import canonical_name
from vsm_runtime.vetting.advisories.severity import Severity

VULNERABILITIES: Final = ("C1", "G5")
MALWARE: Final = ("G2",)


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """One member of a tree; `name` is canonical, `purl` is what findings are filed under."""

    purl: str
    ecosystem: Ecosystem
    name: str
    version: str

    @classmethod
    def of(cls, ecosystem: Ecosystem, *, name: str, version: str, purl: str) -> "Subject":
        return cls(purl, ecosystem, canonical_name(ecosystem, name), version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One advisory that covers one subject, as one provider tells it. `undecided`: the range could not be compared."""

    subject: Subject
    id: str
    aliases: tuple[str, ...]
    malicious: bool
    severity: Severity
    fixed: str
    summary: str
    source: str
    as_of: str
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything one provider says about the subjects it was asked about."""

    states: tuple[SourceState, ...]
    hits: tuple[Hit, ...] = ()
    datasets: tuple[Dataset, ...] = ()


class AdvisoryProvider(Protocol):
    """A source of advisories. `ask` never raises for what the source does; it is asked once for a whole tree."""

    @property
    def id(self) -> str: ...

    @property
    def only_for_gaps(self) -> bool:
        """Asked only about subjects that earlier providers left open: every question costs a request."""

    def ask(self, subjects: Sequence[Subject]) -> Answer: ...


def states_of(
    source: str,
    *,
    status: SourceStatus,
    subjects: Iterable[Subject],
    feeds: tuple[str, ...],
    reason: str = "",
    as_of: str = "",
    digest: str = "",
) -> tuple[SourceState, ...]:
    """One state about these subjects, or none when there are none: an empty list of purls would mean the whole tree."""
    purls = tuple(sorted({subject.purl for subject in subjects}))
    if not purls:
        return ()
    state = SourceState(id=source, status=status, feeds=feeds, reason=reason, as_of=as_of, digest=digest, purls=purls)
    return (state,)
