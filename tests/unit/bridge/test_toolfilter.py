"""Names and globs against tool names, with fnmatch itself as the oracle."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_runtime.bridge import toolfilter
from vsm_runtime.bridge.toolfilter import Globs, InvalidGlob, ToolFilter

NAMES = st.text(alphabet="abcA_-.[]\n*?é", max_size=12)
GLOBS = st.lists(
    st.lists(
        st.sampled_from(["a", "b", "A", "_", "é", "*", "?", "[ab]", "[!a]", "[a-c]", "[[]", "[]]"]), min_size=1
    ).map("".join),
    max_size=4,
).map(tuple)


@given(GLOBS, GLOBS, st.lists(NAMES))
def test_deny_wins_over_allow_and_an_empty_allow_is_all(
    allow: tuple[str, ...], deny: tuple[str, ...], names: list[str]
) -> None:
    tools = ToolFilter(allow, deny)
    for name in names * 2:  # the second time from the cache
        denied = any(fnmatchcase(name, glob) for glob in deny)
        allowed = not allow or any(fnmatchcase(name, glob) for glob in allow)
        assert tools.allows(name) == (allowed and not denied)


@given(st.text())
def test_without_patterns_everything_is_allowed(name: str) -> None:
    tools = ToolFilter((), ())
    assert tools.allows(name)
    assert not tools.active


@given(st.text(max_size=30))
def test_accepted_glob_means_what_fnmatch_says_and_matches_something(glob: str) -> None:
    try:
        globs = Globs((glob,))
    except InvalidGlob:
        return
    literal = not set("*?[") & set(glob)
    assert not literal or globs.match(glob)
    assert globs.match(glob + "x") == fnmatchcase(glob + "x", glob)


@pytest.mark.parametrize(
    ("allow", "deny", "name", "allowed"),
    [
        pytest.param(("read",), (), "read", True, id="whole name"),
        pytest.param(("read",), (), "read_file", False, id="a name is no prefix"),
        pytest.param(("read",), (), "read\n", False, id="a line end is a character"),
        pytest.param(("read*",), (), "Read", False, id="case differs"),
        pytest.param((), ("*delete*",), "un\ndelete", False, id="star crosses lines"),
        pytest.param(("*",), ("rm",), "rm", False, id="deny wins"),
        pytest.param((), ("rm",), "", True, id="empty name"),
        pytest.param(("[[]x",), (), "[x", True, id="literal bracket"),
    ],
)
def test_name(allow: tuple[str, ...], deny: tuple[str, ...], name: str, *, allowed: bool) -> None:
    assert ToolFilter(allow, deny).allows(name) is allowed


@pytest.mark.parametrize(
    "glob",
    ["", " a", "a ", "a\n", "a\x00", "a[", "[]", "[!]", "x[abc", "[z-a]", "ok[z-a]*", "a" * 257],
)
def test_glob_that_cannot_mean_what_it_says_is_refused(glob: str) -> None:
    with pytest.raises(InvalidGlob, match="pattern"):
        ToolFilter((), (glob,))


def test_too_many_globs_are_refused() -> None:
    with pytest.raises(InvalidGlob, match="at most 256"):
        ToolFilter(tuple(f"t{n}" for n in range(257)), ())


def test_name_that_is_too_long_to_judge_is_refused_only_by_a_filter() -> None:
    name = "a" * (toolfilter.MAX_NAME_CHARS + 1)
    assert not ToolFilter(("*",), ()).allows(name)
    assert not ToolFilter((), ("b",)).allows(name)
    assert ToolFilter((), ()).allows(name)


def test_names_that_clients_invent_do_not_pile_up() -> None:
    tools = ToolFilter(("a*",), ())
    for number in range(2 * toolfilter.MAX_CACHED):
        tools.allows(f"a{number}")
    tools.allows("a" * 1000)
    assert len(tools._verdicts) <= toolfilter.MAX_CACHED
    assert max(map(len, tools._verdicts)) <= toolfilter.MAX_CACHED_NAME_CHARS
