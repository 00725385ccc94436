"""PyPI's JSON API: `vulnerabilities` of one exact version, or of the latest release where an index serves only that.

Many indexes lack the per-version document or the field, or serve an always empty one. So an index is first asked about
a release that is known to be vulnerable, once a day; only an index that knows it is asked about the tree.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

import msgspec

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.model import SourceState
from vsm_runtime.vetting.advisories.capability import Capabilities
from vsm_runtime.vetting.advisories.fetch import JsonSource, SourceTrouble
from vsm_runtime.vetting.advisories.osv import (
    MAX_ALIASES,
    MAX_SUMMARY_LENGTH,
    MalformedAdvisory,
    advisory_id,
    canonical_name,
    printable,
)
from vsm_runtime.vetting.advisories.port import VULNERABILITIES, Answer, Hit, Subject, states_of
from vsm_runtime.vetting.advisories.severity import UNKNOWN
from vsm_runtime.vetting.advisories.versions import version_key

VERSION_SOURCE_ID: Final = "pypi-version-json"
LATEST_SOURCE_ID: Final = "pypi-latest-json"
CANARY: Final = ("pycrypto", "2.6.1")
"""The last release of an abandoned project, with public vulnerabilities."""
MAX_CONNECTIONS = 8
MAX_VULNERABILITIES = 2_000


class Vulnerability(msgspec.Struct, frozen=True):
    """One item of `vulnerabilities`, as far as we read it."""

    id: str
    aliases: list[str] = []
    fixed_in: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    withdrawn: str | None = None


class Info(msgspec.Struct, frozen=True):
    name: str
    version: str


class Document(msgspec.Struct, frozen=True):
    """The rest of the document, some megabytes for old projects, is skipped. `vulnerabilities` must be there."""

    info: Info
    vulnerabilities: list[Vulnerability]


@dataclass(frozen=True, slots=True)
class PypiJson:
    """`latest=False` asks for each exact version; `latest=True` for the project, which answers for one version only."""

    source: JsonSource
    capabilities: Capabilities
    today: str
    latest: bool = False
    canary: tuple[str, str] | None = CANARY

    @property
    def id(self) -> str:
        return LATEST_SOURCE_ID if self.latest else VERSION_SOURCE_ID

    @property
    def only_for_gaps(self) -> bool:
        return True

    def ask(self, subjects: Sequence[Subject]) -> Answer:
        asked = sorted({subject for subject in subjects if subject.ecosystem is Ecosystem.PYPI})
        if not asked:
            return Answer(())
        try:
            self._probe()
        except SourceTrouble as trouble:
            return self._failed(asked, trouble)
        with ThreadPoolExecutor(MAX_CONNECTIONS) as pool:
            answers = list(pool.map(self._guarded(self._ask_one), asked))
        return Answer(
            _joined(state for answer in answers for state in answer.states),
            tuple(hit for answer in answers for hit in answer.hits),
        )

    def _probe(self) -> None:
        """Raises SourceTrouble unless the index knows the canary, today or as remembered."""
        if self.canary is None:
            return
        known = self.capabilities.get(self.source.url, self.id)
        if known is None:
            name, version = self.canary
            subject = Subject.of(Ecosystem.PYPI, name=name, version=version, purl="")
            try:
                known = bool(self._document(subject).vulnerabilities)
            except SourceTrouble as trouble:
                if trouble.absent:
                    self.capabilities.put(self.source.url, self.id, answers=False)
                raise
            self.capabilities.put(self.source.url, self.id, answers=known)
        if not known:
            raise SourceTrouble("unavailable", "the index serves no vulnerabilities here")

    def _guarded(self, ask: Callable[[Subject], Answer]) -> Callable[[Subject], Answer]:
        def guarded(subject: Subject) -> Answer:
            try:
                return ask(subject)
            except SourceTrouble as trouble:
                return self._failed([subject], trouble)

        return guarded

    def _failed(self, subjects: Sequence[Subject], trouble: SourceTrouble) -> Answer:
        return Answer(
            states_of(self.id, status=trouble.status, subjects=subjects, feeds=VULNERABILITIES, reason=trouble.reason)
        )

    def _ask_one(self, subject: Subject) -> Answer:
        document = self._document(subject)
        if version_key(subject.ecosystem, document.info.version) != version_key(subject.ecosystem, subject.version):
            if self.latest:
                raise SourceTrouble("unavailable", "the index answers for the latest release only")
            raise SourceTrouble("error", "answered about another version")
        hits = tuple(self._hits(subject, document.vulnerabilities))
        state = states_of(self.id, status="ok", subjects=[subject], feeds=VULNERABILITIES, as_of=self.today)
        return Answer(state, hits)

    def _document(self, subject: Subject) -> Document:
        path = f"/pypi/{quote(subject.name, safe='')}"
        path += "/json" if self.latest else f"/{quote(subject.version, safe='')}/json"
        document = self.source.get(path, shape=Document)
        if canonical_name(Ecosystem.PYPI, document.info.name[:300]) != subject.name:
            raise SourceTrouble("error", "answered about another project")
        if len(document.vulnerabilities) > MAX_VULNERABILITIES:
            raise SourceTrouble("error", "lists more vulnerabilities than any release has")
        return document

    def _hits(self, subject: Subject, vulnerabilities: Sequence[Vulnerability]) -> Iterator[Hit]:
        for each in vulnerabilities:
            if each.withdrawn and each.withdrawn[:10] <= self.today:
                continue
            try:
                aliases = {advisory_id(alias) for alias in each.aliases[:MAX_ALIASES]}
                identifier = advisory_id(each.id)
            except MalformedAdvisory as error:
                raise SourceTrouble("error", "answered a vulnerability without a usable id") from error
            yield Hit(
                subject=subject,
                id=identifier,
                aliases=tuple(sorted(aliases - {identifier})),
                malicious=any(name.startswith("MAL-") for name in (identifier, *aliases)),
                severity=UNKNOWN,  # this document rates nothing; another source may
                fixed=_first_fix(subject, each.fixed_in or []),
                summary=printable(each.summary or each.details or "", max_length=MAX_SUMMARY_LENGTH),
                source=self.id,
                as_of=self.today,
            )


def _first_fix(subject: Subject, fixed_in: Sequence[str]) -> str:
    """The lowest release above the version in use that repairs it."""
    own = version_key(subject.ecosystem, subject.version)
    known = ((version_key(subject.ecosystem, text), text) for text in fixed_in[:MAX_ALIASES])
    later = [(key, text) for key, text in known if key is not None and (own is None or key > own)]
    return min(later)[1] if later else ""


def _joined(states: Iterable[SourceState]) -> tuple[SourceState, ...]:
    """States that differ in their purls only, as one."""
    purls: dict[SourceState, list[str]] = defaultdict(list)
    for state in states:
        purls[replace(state, purls=())] += state.purls
    return tuple(replace(state, purls=tuple(each)) for state, each in purls.items())
