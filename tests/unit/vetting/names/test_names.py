"""One form for names: disguises are seen through, blocked names are met everywhere, allowed ones only exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting import confusables
from vsm_operator.domain.vetting.names import (
    BlockMatch,
    blocked_by,
    canonical,
    dependency_names,
    matching_entry,
    parse_name,
)

NPM, PYPI = Ecosystem.NPM, Ecosystem.PYPI
BLOCKED = (
    "child_process", "cluster", "dgram", "dns", "net", "tls", "crypto", "fs", "path", "os", "process", "eval", "vm",
    "domain",
)  # fmt: skip


@pytest.mark.parametrize("name", BLOCKED)
def test_every_blocked_name_is_met_as_itself(name: str) -> None:
    assert blocked_by(BLOCKED, NPM, name) == BlockMatch(name, name, "exact")


@pytest.mark.parametrize(
    "disguise",
    [
        "node:child_process", "NODE:Child_Process", "npm:child_process", "npm:node:child_process",
        "child_process@1.0.2",
        "npm:child_process@^1", "Child_Process", "child-process", "child.process", "childprocess", "_child_process_",
        "chi1d_process", "child_pr0cess", "\u0441hild_process", "child_proc\u0435ss", "child\u200b_process",
        "child_\u202eprocess", "\uff43hild_process", "ch\u00edld_process", "@node/child_process",
        "@nodejs/child-process",
        "%40node%2fchild_process", "x@npm:child_process@1", "\U000e0061child_process", " child_process ",
    ],
)  # fmt: skip
def test_a_blocked_name_is_met_in_every_disguise(disguise: str) -> None:
    match = blocked_by(BLOCKED, NPM, disguise)
    assert match is not None
    assert match.entry == "child_process"


@pytest.mark.parametrize(
    "honest",
    ["express", "fs-extra", "path-key", "cross-env", "@protobufjs/path", "@npmcli/fs", "@parcel/fs", "dns-packet",
     "node-domexception", "osenv", "netmask", "process-nextick-args", "crypto-js", "evaluate", "vm2"],
)  # fmt: skip
def test_an_honest_name_beside_a_blocked_one_is_not_met(honest: str) -> None:
    assert blocked_by(BLOCKED, NPM, honest) is None


def test_an_alias_is_met_although_its_target_is_honest() -> None:
    assert blocked_by(BLOCKED, NPM, "left-pad", alias="fs") == BlockMatch("fs", "fs", "alias")


def test_both_sides_of_an_alias_in_a_manifest_are_names() -> None:
    assert [n.identity for n in dependency_names(NPM, "nice", "npm:@evil/thing@^1")] == ["nice", "@evil/thing"]
    assert [n.identity for n in dependency_names(NPM, "nice", "^1.0.0")] == ["nice"]


@pytest.mark.parametrize(
    ("version", "met"), [("1.0.0", True), ("2.0.0", False), ("", True), ("not a version", True)],
    ids=["inside", "outside", "unknown", "unreadable"],
)  # fmt: skip
def test_a_blocked_range_lets_pass_only_what_certainly_lies_outside(version: str, met: bool) -> None:
    assert (blocked_by(["thing@<2"], NPM, "thing", version=version) is not None) is met


@pytest.mark.parametrize("entry", ["@evil/*", "evil/*", "pkg:npm/%40evil/*"])
def test_a_whole_scope_is_met(entry: str) -> None:
    assert blocked_by([entry], NPM, "@evil/anything") is not None
    assert blocked_by([entry], NPM, "@\u0435vil/anything") is not None
    assert blocked_by([entry], NPM, "@evilness/anything") is None


def test_a_package_url_means_one_registry_only() -> None:
    assert blocked_by(["pkg:npm/fs"], PYPI, "fs") is None
    assert blocked_by(["pkg:npm/fs"], NPM, "fs") is not None


@pytest.mark.parametrize(
    ("entry", "ecosystem", "name", "version", "matches"),
    [
        ("express", NPM, "express", "5.0.0", True),
        ("express@^4", NPM, "express", "4.21.0", True),
        ("express@^4", NPM, "express", "5.0.0", False),
        ("express@nonsense!", NPM, "express", "5.0.0", False),
        ("@scope/*", NPM, "@scope/name", "1.0.0", True),
        ("scope/*", NPM, "@scope/name", "1.0.0", True),
        ("scope/*", NPM, "@scope2/name", "1.0.0", False),
        ("scope/*", NPM, "scope", "1.0.0", False),
        ("@scope/name", NPM, "@scope/name", "1.0.0", True),
        ("name", NPM, "@scope/name", "1.0.0", False),
        ("Foo_Bar", PYPI, "foo-bar", "1.0", True),
        ("foo-bar>=1", PYPI, "foo-bar", "1.0", True),
        ("foo-bar>=1", PYPI, "foo-bar", "0.9", False),
        ("foo-bar[extra]", PYPI, "foo-bar", "1.0", False),
        ("foo-bar@>=1,<2", PYPI, "Foo.Bar", "1.5", True),
        ("foo-bar@>=1,<2", PYPI, "Foo.Bar", "2.0", False),
    ],
)
def test_an_allowed_entry_means_exactly_its_packages(
    entry: str, ecosystem: Ecosystem, name: str, version: str, matches: bool
) -> None:
    assert (matching_entry([entry], ecosystem, name, version) == entry) is matches


@pytest.mark.parametrize(
    "name", ["expr\u0435ss", "exp\u200bress", "node:express", "e\u0445press", "expres5", "ex-press"]
)
def test_a_disguise_of_an_allowed_name_is_never_allowed(name: str) -> None:
    assert matching_entry(["express"], NPM, name, "5.0.0") is None


def test_names_of_the_python_index_are_compared_as_pep_503_says() -> None:
    assert {
        canonical(PYPI, n) for n in ("Foo.Bar_baz", "foo--bar-baz", "FOO_bar.baz[extra]>=1", "foo-bar-baz @ file:///x")
    } == {"foo-bar-baz"}


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("express", []),
        ("expr\u0435ss", ["mixed-scripts", "look-alike-character"]),
        ("exp\u200bress", ["invisible-character"]),
        ("\u202eexpress", ["bidi-control"]),
        ("\u65e5\u672c", ["non-ascii-character"]),
        ("exp ress", ["invisible-character"]),
        ("exp\ud800", ["invisible-character"]),
    ],
)
def test_flaws_are_named(text: str, rules: list[str]) -> None:
    assert [flaw.rule for flaw in confusables.flaws(text)] == rules


@given(st.text(max_size=300), st.sampled_from(list(Ecosystem)))
def test_no_text_breaks_the_reading_and_the_reading_is_stable(text: str, ecosystem: Ecosystem) -> None:
    first = canonical(ecosystem, text)
    assert canonical(ecosystem, first) == first or not parse_name(ecosystem, text).identity
    assert confusables.skeleton(confusables.skeleton(text)) == confusables.skeleton(text)
    blocked_by(BLOCKED, ecosystem, text, alias=text)
    matching_entry([text, "a@" + text], ecosystem, text, text)


@given(
    st.sampled_from(BLOCKED),
    st.integers(0, 12),
    st.sampled_from("\u200b\u200d\u2060\ufeff\u00ad\u202e\ufe0f\U000e0041\u3164"),
)
def test_an_invisible_character_anywhere_does_not_free_a_blocked_name(name: str, place: int, char: str) -> None:
    assert blocked_by(BLOCKED, NPM, name[:place] + char + name[place:]) is not None


@given(st.sampled_from(BLOCKED), st.sampled_from(["upper", "title", "swapcase"]))
def test_case_does_not_free_a_blocked_name(name: str, change: str) -> None:
    assert blocked_by(BLOCKED, NPM, getattr(name, change)()) is not None


def test_a_gigantic_name_is_cut_and_refused_by_allow_lists() -> None:
    assert matching_entry(["a" * 512], NPM, "a" * 1_000_000, "1.0.0") is None
    assert parse_name(NPM, "npm:" * 100_000).identity == ""
