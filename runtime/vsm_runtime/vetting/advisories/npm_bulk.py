"""The npm registry's bulk advisories: one POST for a whole tree.

An empty answer looks the same from a registry that knows nothing and from a tree that is clean. So each question also
names one version that has been known to be vulnerable for years, and an answer that misses it counts as no answer.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from vsm_operator.domain.packages import Ecosystem
from vsm_runtime.vetting.advisories.fetch import JsonSource, SourceTrouble
from vsm_runtime.vetting.advisories.osv import EMBEDDED_MALICIOUS_CODE, MAX_SUMMARY_LENGTH, printable
from vsm_runtime.vetting.advisories.port import MALWARE, VULNERABILITIES, Answer, Hit, Subject, states_of
from vsm_runtime.vetting.advisories.severity import severity_of
from vsm_runtime.vetting.advisories.versions import npm_range_contains, npm_range_fix

SOURCE_ID: Final = "npm-bulk-advisories"
FEEDS: Final = (*VULNERABILITIES, *MALWARE)
PATH: Final = "/-/npm/v1/security/advisories/bulk"
CANARY: Final = ("minimist", "0.0.8")
"""Name and version with public advisories since 2020."""
MAX_NAMES_PER_QUESTION = 1_000
MAX_ADVISORIES_PER_NAME = 2_000
_GHSA = re.compile(r"GHSA(?:-[0-9a-z]{4}){3}")


class BulkAdvisory(msgspec.Struct, frozen=True):
    """One item of the answer, as far as we read it."""

    id: int | str
    vulnerable_versions: str
    url: str = ""
    title: str = ""
    severity: Any = None
    cvss: Any = None
    cwe: Any = None


@dataclass(frozen=True, slots=True)
class NpmBulk:
    """The registry behind `source`. `canary` is None for a registry that has advisories of its own only."""

    source: JsonSource
    today: str
    canary: tuple[str, str] | None = CANARY
    only_for_gaps: bool = False

    @property
    def id(self) -> str:
        return SOURCE_ID

    def ask(self, subjects: Sequence[Subject]) -> Answer:
        by_name: dict[str, list[Subject]] = defaultdict(list)
        for subject in subjects:
            if subject.ecosystem is Ecosystem.NPM:
                by_name[subject.name].append(subject)
        answer = Answer(())
        names = sorted(by_name)
        for start in range(0, len(names), MAX_NAMES_PER_QUESTION):
            chunk = {name: by_name[name] for name in names[start : start + MAX_NAMES_PER_QUESTION]}
            part = self._ask_chunk(chunk)
            answer = Answer(answer.states + part.states, answer.hits + part.hits)
        return answer

    def _ask_chunk(self, chunk: dict[str, list[Subject]]) -> Answer:
        asked = [subject for subjects in chunk.values() for subject in subjects]
        versions = {name: {subject.version for subject in subjects} for name, subjects in chunk.items()}
        if self.canary is not None:
            versions.setdefault(self.canary[0], set()).add(self.canary[1])
        body = {name: sorted(each) for name, each in versions.items()}
        try:
            said = self.source.post(PATH, body=body, shape=dict[str, list[BulkAdvisory]])
            self._check(said)
        except SourceTrouble as trouble:
            return Answer(
                states_of(SOURCE_ID, status=trouble.status, subjects=asked, feeds=FEEDS, reason=trouble.reason)
            )
        hits = tuple(hit for subject in asked for hit in self._hits(subject, said.get(subject.name, [])))
        return Answer(states_of(SOURCE_ID, status="ok", subjects=asked, feeds=FEEDS, as_of=self.today), hits)

    def _check(self, said: dict[str, list[BulkAdvisory]]) -> None:
        if any(len(advisories) > MAX_ADVISORIES_PER_NAME for advisories in said.values()):
            raise SourceTrouble("error", "lists more advisories than any package has")
        if self.canary is None:
            return
        name, version = self.canary
        if not any(npm_range_contains(each.vulnerable_versions, version) for each in said.get(name, [])):
            raise SourceTrouble("unavailable", "does not know a vulnerability that is public since years")

    def _hits(self, subject: Subject, advisories: Sequence[BulkAdvisory]) -> Iterator[Hit]:
        for each in advisories:
            covered = npm_range_contains(each.vulnerable_versions, subject.version)
            if covered is False:
                continue  # the name is in the tree in more than one version
            found = _GHSA.search(each.url[:300])
            cvss = each.cvss if isinstance(each.cvss, dict) else {}
            vector = cvss.get("vectorString")
            cwes = each.cwe if isinstance(each.cwe, list) else [each.cwe]
            yield Hit(
                subject=subject,
                id=found[0] if found else "npm-" + re.sub(r"[^0-9A-Za-z-]", "", str(each.id))[:40],
                aliases=(),
                malicious=EMBEDDED_MALICIOUS_CODE in cwes[:100],
                severity=severity_of(
                    [vector] if isinstance(vector, str) else [], label=each.severity, score=cvss.get("score")
                ),
                fixed=npm_range_fix(each.vulnerable_versions, subject.version),
                summary=printable(each.title, max_length=MAX_SUMMARY_LENGTH),
                source=SOURCE_ID,
                as_of=self.today,
                undecided=covered is None,
            )
