"""Hits of all providers become one finding a vulnerability, and a provider's defect is trouble, not silence."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.vetting.advisories.kit import npm, pypi
from vsm_runtime.vetting.advisories.collect import collect, findings_of, same_vulnerability
from vsm_runtime.vetting.advisories.port import MALWARE, VULNERABILITIES, Answer, Hit, Subject, states_of
from vsm_runtime.vetting.advisories.severity import UNKNOWN, Severity

THING = npm("thing", "1.0.0")
MEDIUM, CRITICAL = Severity("medium", 5.0, "", known=True), Severity("critical", 9.8, "v", known=True, measured=True)
HIT = Hit(
    subject=THING,
    id="GHSA-1",
    aliases=(),
    malicious=False,
    severity=MEDIUM,
    fixed="1.2.0",
    summary="It breaks",
    source="a",
    as_of="2026-11-22",
)


@dataclass
class Fake:
    """Answers what it was told to, and remembers what it was asked."""

    id: str = "fake"
    only_for_gaps: bool = False
    answers: Answer | None = None
    feeds: tuple[str, ...] = (*VULNERABILITIES, *MALWARE)
    asked: list[Sequence[Subject]] = field(default_factory=list)

    def ask(self, subjects: Sequence[Subject]) -> Answer:
        self.asked.append(subjects)
        return self.answers or Answer(states_of(self.id, status="ok", subjects=subjects, feeds=self.feeds))


class Broken(Fake):
    def ask(self, subjects: Sequence[Subject]) -> Answer:
        raise KeyError("user:password@host")


def test_names_that_any_source_calls_aliases_are_one_vulnerability() -> None:
    hits = [
        HIT,
        replace(HIT, id="CVE-1", aliases=("PYSEC-1",), severity=CRITICAL, fixed="1.10.0", source="b"),
        replace(HIT, id="PYSEC-1", aliases=("GHSA-1",), severity=UNKNOWN, fixed="", source="c"),
    ]
    (finding,) = findings_of(hits)
    assert finding.data["id"] == "GHSA-1"
    assert finding.data["aliases"] == "PYSEC-1 CVE-1"
    assert (finding.severity, finding.data["cvss"]) == ("critical", 9.8)
    assert finding.data["fixed"] == "1.10.0"
    assert finding.data["source"] == "a b c"
    assert finding.data["as_of"] == "2026-11-22"


def test_a_rated_source_beats_the_assumption_about_an_unrated_one() -> None:
    (finding,) = findings_of([HIT, replace(HIT, severity=UNKNOWN, source="b")])
    assert (finding.severity, finding.data["rated"]) == ("medium", True)
    assert "cvss" not in finding.data  # a label is no measurement


def test_different_vulnerabilities_and_different_packages_count_apart() -> None:
    hits = [HIT, replace(HIT, id="GHSA-2"), replace(HIT, subject=npm("thing", "1.1.0"))]
    assert len(findings_of(hits)) == 3


def test_malware_is_a_gate_and_says_to_remove_it() -> None:
    (finding,) = findings_of([HIT, replace(HIT, id="MAL-1", aliases=("GHSA-1",), malicious=True)])
    assert (finding.check, finding.severity, finding.data["id"]) == ("G2", "critical", "MAL-1")
    assert finding.remedy.startswith("remove thing")


def test_what_one_source_could_decide_is_decided() -> None:
    (finding,) = findings_of([replace(HIT, undecided=True), HIT])
    assert (finding.rule, finding.data["undecided"]) == ("known-vulnerability", False)
    (doubtful,) = findings_of([replace(HIT, undecided=True, fixed="")])
    assert (doubtful.rule, doubtful.data["undecided"]) == ("vulnerability-undecided", True)


@pytest.mark.parametrize("name", ["GHSA-1", "CVE-7"])
def test_known_exploitation_is_recognised_under_any_name(name: str) -> None:
    hit = replace(HIT, aliases=("CVE-7",))
    assert findings_of([hit], exploited={name})[0].data["exploited"] is True
    assert findings_of([hit])[0].data["exploited"] is False


def test_without_a_fix_the_remedy_is_to_replace_it() -> None:
    (finding,) = findings_of([replace(HIT, fixed="")])
    assert finding.data["fixed"] == ""
    assert "replace thing" in finding.remedy


names = st.sampled_from([f"{prefix}-{number}" for prefix in ("GHSA", "CVE", "PYSEC") for number in range(4)])
hits_strategy = st.lists(
    st.builds(
        lambda identifier, aliases, fixed, source: replace(
            HIT, id=identifier, aliases=tuple(sorted(aliases - {identifier})), fixed=fixed, source=source
        ),
        names,
        st.sets(names, max_size=2),
        st.sampled_from(["", "1.2.0", "1.10.0"]),
        st.sampled_from("abc"),
    ),
    max_size=8,
)


@given(hits_strategy, st.randoms())
def test_the_findings_do_not_depend_on_the_order_of_hits(hits: list[Hit], random: object) -> None:
    shuffled = list(hits)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert findings_of(shuffled) == findings_of(hits)


@given(hits_strategy)
def test_groups_share_no_name_and_lose_no_hit(hits: list[Hit]) -> None:
    groups = same_vulnerability(hits)
    assert sorted(map(repr, hits)) == sorted(repr(hit) for group in groups for hit in group)
    named = [{name for hit in group for name in (hit.id, *hit.aliases)} for group in groups]
    assert sum(len(each) for each in named) == len(set().union(*named))


def test_a_provider_that_fails_has_not_answered_and_stops_nobody() -> None:
    healthy = Fake()
    report = collect([Broken(id="broken"), healthy], [THING])
    assert [(state.id, state.status, state.purls) for state in report.sources] == [
        ("broken", "error", (THING.purl,)),
        ("fake", "ok", (THING.purl,)),
    ]
    assert report.sources[0].reason == "failed with KeyError"


def test_providers_that_cost_requests_are_asked_only_about_what_is_open() -> None:
    first = Fake(answers=Answer(states_of("first", status="ok", subjects=[THING], feeds=VULNERABILITIES)))
    second, third, local = Fake(only_for_gaps=True), Fake(only_for_gaps=True), Fake()
    other = pypi("other", "1.0")
    collect([first, second, third, local], [THING, other])
    assert (second.asked, third.asked, local.asked) == ([[other]], [], [[THING, other]])


@pytest.mark.parametrize("status", ["stale", "error", "unavailable"])
def test_trouble_and_a_malware_list_alone_leave_the_gap_open(status: str) -> None:
    trouble = states_of("first", status=status, subjects=[THING], feeds=VULNERABILITIES)  # type: ignore[arg-type]
    malware = states_of("first", status="ok", subjects=[THING], feeds=MALWARE)
    second = Fake(only_for_gaps=True)
    collect([Fake(answers=Answer(trouble + malware)), second], [THING])
    assert second.asked == [[THING]]


def test_an_empty_tree_asks_nobody() -> None:
    provider = Fake()
    report = collect([provider], [])
    assert (provider.asked, report.findings, report.sources) == ([], (), ())
