"""Which versions an OSV entry covers, how bad it says it is, and what is refused as no entry."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.vetting.advisories.kit import CRITICAL, TODAY, entry
from vsm_operator.domain.packages import Ecosystem
from vsm_runtime.vetting.advisories.osv import MAX_VERSIONS, MalformedAdvisory, parse_advisory
from vsm_runtime.vetting.advisories.ranges import Judgement, Match, judge
from vsm_runtime.vetting.advisories.severity import severity_of
from vsm_runtime.vetting.advisories.versions import version_key


def judged(version: str, raw: dict[str, Any]) -> Judgement:
    advisory = parse_advisory(raw)
    return judge(advisory.affected[0], version, malicious=advisory.malicious)


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{kind: version} for kind, version in pairs]


AGAIN = turns(("introduced", "0"), ("fixed", "1.0.0"), ("introduced", "2.0.0"), ("fixed", "2.1.0"))


@pytest.mark.parametrize(
    ("version", "events", "wanted"),
    [
        pytest.param("0.0.1-alpha", AGAIN, Match.YES, id="from the beginning, pre-releases too"),
        pytest.param("1.0.0", AGAIN, Match.NO, id="the fix itself"),
        pytest.param("1.0.0-rc.1", AGAIN, Match.YES, id="a pre-release of the fix"),
        pytest.param("2.0.5", AGAIN, Match.YES, id="introduced again"),
        pytest.param("2.1.0", AGAIN[::-1], Match.NO, id="order of events means nothing"),
        pytest.param("2.0.5", AGAIN[::-1], Match.YES, id="order of events means nothing, affected"),
        pytest.param("9.9.9", turns(("introduced", "1.0.0")), Match.YES, id="never fixed"),
        pytest.param("0.9.0", turns(("introduced", "1.0.0")), Match.NO, id="before it came"),
        pytest.param("1.5.0", turns(("introduced", "0"), ("last_affected", "1.5.0")), Match.YES, id="last affected"),
        pytest.param("1.5.1", turns(("introduced", "0"), ("last_affected", "1.5.0")), Match.NO, id="after the last"),
        pytest.param("1.0.0", turns(("introduced", "1.0.0"), ("last_affected", "1.0.0")), Match.YES, id="one version"),
        pytest.param("1.0.1", turns(("introduced", "1.0.0"), ("last_affected", "1.0.0")), Match.NO, id="the one after"),
        pytest.param("3.0.0", turns(("introduced", "0"), ("limit", "3.0.0")), Match.NO, id="at the limit"),
        pytest.param("2.9.9", turns(("introduced", "0"), ("limit", "3.0.0")), Match.YES, id="below the limit"),
        pytest.param(
            "2.9.9", turns(("introduced", "0"), ("limit", "1.0.0"), ("limit", "3.0.0")), Match.YES, id="limits"
        ),
        pytest.param("9.0.0", turns(("introduced", "0"), ("limit", "*")), Match.YES, id="no limit"),
        pytest.param("5.0.0", turns(("introduced", "1.0.0"), ("fixed", "1.0.0")), Match.NO, id="an empty range"),
        pytest.param(
            "1.5.0",
            turns(("introduced", "0"), ("fixed", "1.0.0"), ("introduced", "1.0.0"), ("fixed", "2.0.0")),
            Match.YES,
            id="fixed and introduced at once stays affected",
        ),
        pytest.param("1.0.0", turns(("introduced", "0"), ("fixed", "soon")), Match.UNDECIDED, id="unreadable bound"),
        pytest.param("banana", turns(("introduced", "0")), Match.UNDECIDED, id="unreadable version"),
    ],
)
def test_events_decide(version: str, events: list[dict[str, str]], wanted: Match) -> None:
    assert judged(version, entry(events=events)).match is wanted


@pytest.mark.parametrize(
    ("version", "raw", "wanted"),
    [
        pytest.param(
            "1.0", entry(ecosystem="PyPI", events=[], versions=["1.0.0"]), Match.YES, id="equal under PEP 440"
        ),
        pytest.param("1.1", entry(ecosystem="PyPI", events=[], versions=["1.0.0"]), Match.NO, id="not in the list"),
        pytest.param(
            "1.1",
            entry(ecosystem="PyPI", events=turns(("introduced", "0"), ("fixed", "2004d")), versions=["1.0"]),
            Match.NO,
            id="a list makes up for a legacy version in the range",
        ),
        pytest.param("1.5.0", entry(events=AGAIN, versions=["1.5.0"]), Match.YES, id="listed outside of the range"),
        pytest.param("1.0.0", entry(events=[]), Match.UNDECIDED, id="neither list nor range"),
        pytest.param("1.0.0", entry("MAL-2026-1", events=[]), Match.YES, id="malware without versions is all versions"),
        pytest.param(
            "1.0.0+build", entry(events=turns(("introduced", "0"), ("fixed", "1.0.0"))), Match.NO, id="build metadata"
        ),
    ],
)
def test_lists_of_versions_count_beside_ranges(version: str, raw: dict[str, Any], wanted: Match) -> None:
    assert judged(version, raw).match is wanted


def test_commits_alone_say_nothing_about_versions() -> None:
    raw = entry(events=[])
    raw["affected"][0]["ranges"] = [{"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]}]
    assert judged("1.0.0", raw).match is Match.UNDECIDED


def test_the_fix_is_the_first_release_that_nothing_in_the_entry_covers() -> None:
    raw = entry(events=turns(("introduced", "0"), ("fixed", "1.2.0")))
    raw["affected"][0]["ranges"].append(
        {"type": "SEMVER", "events": turns(("introduced", "1.1.0"), ("fixed", "1.4.0"))}
    )
    assert judged("1.0.0", raw).fix == "1.4.0"


@pytest.mark.parametrize(
    "events",
    [turns(("introduced", "0")), turns(("introduced", "0"), ("last_affected", "2.0.0"))],
    ids=["never fixed", "no fix named"],
)
def test_without_a_fixed_event_there_is_no_fix(events: list[dict[str, str]]) -> None:
    assert judged("1.0.0", entry(events=events)) == Judgement(Match.YES, "")


number = st.integers(0, 6)
npm_version = st.builds(
    lambda a, b, pre: f"{a}.{b}.0{pre}", number, number, st.sampled_from(["", "", "-rc.1", "-alpha"])
)
pypi_version = st.builds(
    lambda a, b, tail: f"{a}.{b}{tail}", number, number, st.sampled_from(["", "", "rc1", ".post1"])
)
events_of = st.sampled_from(["introduced", "fixed", "last_affected", "limit"])


def by_the_schema(ecosystem: Ecosystem, version: str, events: list[dict[str, str]]) -> bool:
    """The pseudo-code of the schema, event by event; only for events that lie at different versions."""
    key = version_key(ecosystem, version)
    pairs = [(kind, text) for each in events for kind, text in each.items()]
    limits = [text for kind, text in pairs if kind == "limit"]
    if limits and not any(key < version_key(ecosystem, text) for text in limits):
        return False
    vulnerable = False
    for kind, text in sorted(
        ((kind, text) for kind, text in pairs if kind != "limit"),
        key=lambda pair: (pair[1] != "0", None if pair[1] == "0" else version_key(ecosystem, pair[1])),
    ):
        bound = None if text == "0" else version_key(ecosystem, text)
        if kind == "introduced" and (bound is None or key >= bound):
            vulnerable = True
        elif (kind == "fixed" and key >= bound) or (kind == "last_affected" and key > bound):
            vulnerable = False
    return vulnerable


@pytest.mark.parametrize("ecosystem", ["npm", "PyPI"])
@given(data=st.data())
def test_ranges_are_read_as_the_schema_reads_them(ecosystem: str, data: st.DataObject) -> None:
    known = Ecosystem.NPM if ecosystem == "npm" else Ecosystem.PYPI
    texts = npm_version if known is Ecosystem.NPM else pypi_version
    bounds = data.draw(st.lists(texts, min_size=1, max_size=6, unique_by=lambda text: version_key(known, text)))
    kinds = data.draw(st.lists(events_of, min_size=len(bounds), max_size=len(bounds)))
    events = [{"introduced": "0"}] * data.draw(st.integers(0, 1)) + [
        {kind: text} for kind, text in zip(kinds, bounds, strict=True)
    ]
    if not any("introduced" in each for each in events):
        events[0] = {"introduced": bounds[0]}
    version = data.draw(st.one_of(texts, st.sampled_from(bounds)))
    judgement = judged(version, entry(ecosystem=ecosystem, events=events))
    assert (judgement.match is Match.YES) == by_the_schema(known, version, events)
    if judgement.fix:
        assert version_key(known, judgement.fix) > version_key(known, version)
        assert judged(judgement.fix, entry(ecosystem=ecosystem, events=events)).match is Match.NO


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": "../../etc"},
        {"id": "A" * 500},
        {"id": "CVE-1\x1b[2J"},
        {"schema_version": "9.0"},
        {"modified": "yesterday"},
        {"modified": None},
        {"modified": "2026-13-45T00:00:00Z"},
        {"withdrawn": 5},
        {"aliases": "CVE-1"},
        {"aliases": [["CVE-1"]]},
        {"aliases": ["CVE-1"] * 1000},
        {"affected": {}},
        {"affected": [1]},
        {"affected": [{"package": "x"}]},
        {"affected": [{"package": {"ecosystem": "npm", "name": 5}}]},
        {"affected": [{"package": {"ecosystem": "npm", "name": "x" * 5000}}]},
        {"database_specific": ["x"]},
        {"severity": [None]},
        {"severity": [{}] * 1000},
    ],
    ids=str,
)
def test_what_is_not_of_the_schema_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedAdvisory):
        parse_advisory(entry() | change)


@pytest.mark.parametrize(
    "affected",
    [
        {"ranges": {}},
        {"ranges": [None]},
        {"ranges": [{"type": "WISH", "events": []}]},
        {"ranges": [{"type": "SEMVER", "events": [{"fixed": "1.0.0"}]}]},
        {"ranges": [{"type": "SEMVER", "events": [{"introduced": "0", "fixed": "1.0.0"}]}]},
        {"ranges": [{"type": "SEMVER", "events": [{"introduced": 0}]}]},
        {"ranges": [{"type": "SEMVER", "events": [{"introduced": "1" * 1000}]}]},
        {"ranges": [{"type": "SEMVER", "events": "introduced"}]},
        {"versions": "1.0.0"},
        {"versions": [1.0]},
        {"versions": ["1.0.0"] * (MAX_VERSIONS + 1)},
    ],
    ids=lambda each: str(each)[:60],
)
def test_malformed_ranges_are_refused(affected: dict[str, Any]) -> None:
    raw = entry()
    raw["affected"][0] |= affected
    with pytest.raises(MalformedAdvisory):
        parse_advisory(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
field_names = st.sampled_from([*entry(), "aliases", "withdrawn", "severity", "database_specific", "details"])


@given(
    st.dictionaries(field_names, json_values, max_size=5),
    st.dictionaries(st.sampled_from(["package", "ranges", "versions", "severity", "ecosystem_specific"]), json_values),
)
def test_any_json_is_an_entry_or_is_refused(change: dict[str, Any], affected: dict[str, Any]) -> None:
    raw = entry() | change
    if "affected" not in change:
        raw["affected"][0] |= affected
    try:
        advisory = parse_advisory(raw)
    except MalformedAdvisory:
        return
    for each in advisory.affected:
        judge(each, "1.0.0", malicious=advisory.malicious)


def test_other_ecosystems_and_unknown_fields_are_passed_over() -> None:
    raw = entry(credits=[{"name": "x"}], related=["CVE-1"])
    raw["affected"] += [{"package": {"ecosystem": "crates.io", "name": "x"}}, {"ranges": []}]
    assert [each.name for each in parse_advisory(raw).affected] == ["left-thing"]


def test_a_withdrawal_counts_from_its_day_on() -> None:
    assert parse_advisory(entry(withdrawn="2026-11-23T23:59:59Z")).withdrawn_by(TODAY)
    assert not parse_advisory(entry(withdrawn="2026-11-24T00:00:00Z")).withdrawn_by(TODAY)
    assert not parse_advisory(entry()).withdrawn_by(TODAY)


@pytest.mark.parametrize(
    "raw",
    [
        entry("MAL-2026-7"),
        entry(aliases=["MAL-2026-7"]),
        entry(database_specific={"cwe_ids": ["CWE-79", "CWE-506"]}),
    ],
    ids=["by id", "by alias", "embedded malicious code"],
)
def test_malware_is_recognised(raw: dict[str, Any]) -> None:
    assert parse_advisory(raw).malicious
    assert not parse_advisory(entry()).malicious


def test_the_summary_is_one_printable_line() -> None:
    summary = parse_advisory(entry(summary="a\x1b[31m\u202eb\nc" + "x" * 1000)).summary
    assert summary.isprintable()
    assert len(summary) <= 120


V2 = "AV:N/AC:L/Au:N/C:C/I:C/A:C"
V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"


@pytest.mark.parametrize(
    ("vectors", "label", "wanted"),
    [
        ([CRITICAL], None, ("critical", 9.8, True)),
        ([V4], None, ("medium", 6.9, True)),
        ([V2], None, ("critical", 10.0, True)),
        ([V2, V4], None, ("medium", 6.9, True)),
        ([CRITICAL, V4], "LOW", ("critical", 9.8, True)),
        (["CVSS:3.1/AV:N"], "MODERATE", ("medium", 4.0, True)),
        (["CVSS:9.9/AV:N", "x" * 5000, "ü"], "Critical", ("critical", 9.0, True)),
        ([], "catastrophic", ("high", 7.0, False)),
        ([], 5, ("high", 7.0, False)),
        ([], None, ("high", 7.0, False)),
    ],
)
def test_severity_is_the_worst_modern_vector_else_the_label_else_unknown_and_high(
    vectors: list[str], label: object, wanted: tuple[str, float, bool]
) -> None:
    severity = severity_of(vectors, label=label)
    assert (severity.label, severity.score, severity.known) == wanted


@given(st.lists(st.text(max_size=200) | st.text("CVSS:34.01/AVNLPRUIHacw", max_size=100), max_size=5), json_values)
def test_no_vector_and_no_label_make_it_raise(vectors: list[str], label: object) -> None:
    assert 0 <= severity_of(vectors, label=label, score=label).score <= 10


def test_severity_of_the_affected_entry_and_of_its_ecosystem_are_read() -> None:
    raw = entry()
    raw["affected"][0]["ecosystem_specific"] = {"severity": "LOW"}
    assert parse_advisory(raw).affected[0].severity.label == "low"
    raw["affected"][0]["severity"] = [{"type": "CVSS_V3", "score": CRITICAL}]
    assert parse_advisory(raw).affected[0].severity.label == "critical"
