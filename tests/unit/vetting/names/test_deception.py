"""Typing errors, swapped letters and copied scopes are found; honest neighbours are left alone."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.deception import IdentityFacts, Names
from vsm_operator.domain.vetting.popular import PopularIndex, RankedList, edit_distance
from vsm_runtime.vetting import popular_data

NPM, PYPI = Ecosystem.NPM, Ecosystem.PYPI
POPULAR = ("express", "lodash", "requests", "node-fetch", "typescript", "webpack", "numpy", "babel-plugin-istanbul",
           "@babel/core", "@babel/parser", "color", "sha1")  # fmt: skip
INDEX = PopularIndex(NPM, POPULAR)
NAMES = Names((RankedList(NPM, POPULAR, "own-test", "sha256:0", "2026-01-01"),))
STRANGER = IdentityFacts(age_days=5, owner="somebody")


@pytest.mark.parametrize(
    ("name", "target", "kind"),
    [
        ("expres", "express", "doubled-letter"), ("exprress", "express", "doubled-letter"),
        ("exrpess", "express", "transposition"),
        ("expross", "express", "one-edit"), ("lodahs", "lodash", "transposition"), ("l0dash", "lodash", "look-alike"),
        ("webpak", "webpack", "one-edit"), ("typesrcipt", "typescript", "transposition"),
        ("typsecrpit", "typescript", "two-edits"),
        ("nurnpy", "numpy", "look-alike"), ("@bable-x/core", "@babel", "none"),
        ("nodefetch", "node-fetch", "separators"),
        ("fetch-node", "node-fetch", "word-order"), ("node-express", "express", "affix"),
    ],
)  # fmt: skip
def test_a_slip_leads_to_the_name_that_was_meant(name: str, target: str, kind: str) -> None:
    found = [(each.target, each.kind) for each in INDEX.similar(name)]
    assert ((target, kind) in found) is (kind != "none")


@pytest.mark.parametrize(
    "name",
    [
        "express",
        "@babel/core",
        "lodash-es",
        "babel-plugin-macros",
        "colors-of-rain",
        "sha2",
        "react",
        "ramda",
        "fs-extra",
        "",
    ],
)
def test_an_honest_name_resembles_nothing_with_confidence(name: str) -> None:
    assert not [each for each in INDEX.similar(name) if each.confident]


def test_a_near_scope_is_seen() -> None:
    index = PopularIndex(NPM, ["@modelcontext/a", "@modelcontext/b"])
    assert [each.kind for each in index.similar("@modelcontxt/a")] == ["scope"]


@given(st.sampled_from(["express", "lodash", "typescript", "webpack"]), st.data())
def test_every_swap_of_neighbours_is_found(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 2))
    swapped = name[:place] + name[place + 1] + name[place] + name[place + 2 :]
    assert swapped == name or name in [each.target for each in INDEX.similar(swapped)]


_short = st.text("abc", max_size=6)


@given(_short, _short)
def test_distance_is_symmetric_and_zero_only_for_equal_texts(one: str, other: str) -> None:
    assert edit_distance(one, other, limit=2) == edit_distance(other, one, limit=2)
    assert (edit_distance(one, other, limit=2) == 0) is (one == other)


@given(st.text(max_size=600))
def test_no_text_breaks_the_search(text: str) -> None:
    NAMES.findings(NPM, text, purl="pkg:npm/x", alias=text)


def test_a_look_alike_letter_fires_the_gate() -> None:
    found = NAMES.findings(NPM, "expr\u0435ss", purl="pkg:npm/x")
    assert {f.rule for f in found if f.check == "G8"} == {"mixed-scripts", "look-alike-character"}
    assert any(f.rule == "near-name-look-alike" and f.data["target"] == "express" for f in found)


@pytest.mark.parametrize(
    "name", ["server-filesystem", "mcp-server-filesystem", "modelcontextprotocol-server-filesystem"]
)
def test_a_copy_of_an_official_scoped_name_is_refused_only_for_a_young_stranger(name: str) -> None:
    def checks(facts: IdentityFacts) -> set[str]:
        return {f.check for f in NAMES.findings(NPM, name, purl="pkg:npm/x", facts=facts)}

    assert "G8" in checks(STRANGER)
    assert checks(IdentityFacts()) == {"C8"}
    assert checks(IdentityFacts(age_days=900, owner="somebody")) == {"C8"}
    assert checks(IdentityFacts(age_days=5, owner="modelcontextprotocol")) == set()


def test_a_known_server_is_not_suspected() -> None:
    for name in ("@modelcontextprotocol/server-memory", "mcp-server-kubernetes", "@azure/mcp"):
        assert NAMES.findings(NPM, name, purl="pkg:npm/x", facts=STRANGER) == ()


def test_the_scope_of_the_official_servers_is_not_imitated_unnoticed() -> None:
    found = NAMES.findings(NPM, "@modelcontextprotoco1/server-memory", purl="pkg:npm/x", facts=STRANGER)
    assert [f.rule for f in found] == ["near-name-scope"]


def test_the_name_of_a_built_in_module_is_a_finding() -> None:
    assert [f.rule for f in NAMES.findings(NPM, "worker-threads", purl="p")] == ["built-in-module-name"]
    assert [f.rule for f in NAMES.findings(PYPI, "subprocess", purl="p")] == ["built-in-module-name"]


def test_without_a_list_the_comparison_is_not_answered() -> None:
    assert NAMES.source(PYPI).status == "unavailable"
    assert NAMES.source(NPM).status == "ok"


def test_a_settled_project_loses_little_for_a_near_name() -> None:
    (young,) = NAMES.findings(NPM, "exrpess", purl="p", facts=STRANGER)
    (old,) = NAMES.findings(NPM, "exrpess", purl="p", facts=IdentityFacts(age_days=3000))
    assert (young.severity, old.severity) == ("high", "low")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"downloaded_timestamp": 1, "packages": []}', b'{"downloaded_timestamp": 1, "packages": [1]}',
     b'{"downloaded_timestamp": "x", "packages": ["a"]}', b"[" * 200_000,
     b'{"downloaded_timestamp": 1e999, "packages": ["a"]}'],
)  # fmt: skip
def test_a_list_of_another_shape_is_absent_not_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(content)
    with pytest.raises(popular_data.NoList):
        popular_data.read_list(path, ecosystem=NPM, dataset="test")


def test_a_list_carries_its_digest_and_date(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"downloaded_timestamp": 86_400, "packages": ["a", "b", "a"]}))
    read = popular_data.read_list(path, ecosystem=NPM, dataset="test")
    assert (read.names, read.as_of, len(read.digest)) == (("a", "b"), "1970-01-02", 71)


def test_a_missing_distribution_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popular_data, "DISTRIBUTION", "no-such-distribution")
    assert popular_data.installed_lists() == ()


@pytest.fixture(scope="module")
def installed() -> Names:
    lists = popular_data.installed_lists()
    if len(lists) < 2:
        pytest.skip("the lists of popular names are not installed")
    return Names(lists)


def test_almost_no_popular_name_would_be_suspected_if_it_were_not_listed(installed: Names) -> None:
    for ecosystem, index in installed._indexes.items():
        names = list(index._ranks)[::10]
        suspected = [name for name in names if any(s.confident for s in index.similar(name, held_out=True))]
        assert len(suspected) <= 0.01 * len(names), (ecosystem, suspected)
