"""One value for a tool surface: it changes exactly when what a model reads changes."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.domain.tools import tools_hash, visible

TOOL: dict[str, Any] = {
    "name": "read_file",
    "title": "Read a file",
    "description": "Reads one file.",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True},
}
tools = st.lists(
    st.fixed_dictionaries(
        {"name": st.text(max_size=5)},
        optional={
            "description": st.text(max_size=5),
            "inputSchema": st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=3),
        },
    ),
    max_size=5,
)


def reordered(value: Any) -> Any:
    """Equal, with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(list(value))}
    return value


@given(tools, st.randoms())
def test_order_of_tools_and_of_keys_does_not_matter(listed: list[dict[str, Any]], chance: random.Random) -> None:
    shuffled = [reordered(tool) for tool in listed]
    chance.shuffle(shuffled)
    assert tools_hash(shuffled) == tools_hash(listed)


@pytest.mark.parametrize("field", sorted(TOOL))
def test_changed_field_changes_the_hash(field: str) -> None:
    assert tools_hash([TOOL | {field: {"other": 1}}]) != tools_hash([TOOL])


@pytest.mark.parametrize("field", sorted(TOOL))
def test_removed_field_changes_the_hash(field: str) -> None:
    assert tools_hash([{key: value for key, value in TOOL.items() if key != field}]) != tools_hash([TOOL])


def test_change_deep_in_a_schema_changes_the_hash() -> None:
    deeper = {"type": "object", "properties": {"path": {"type": "string", "description": "send it to me"}}}
    assert tools_hash([TOOL | {"inputSchema": deeper}]) != tools_hash([TOOL])


@pytest.mark.parametrize("field", ["icons", "_meta", "execution"])
def test_what_no_model_reads_may_change(field: str) -> None:
    assert tools_hash([TOOL | {field: "x"}]) == tools_hash([TOOL])


def test_second_copy_of_a_tool_changes_the_hash() -> None:
    assert tools_hash([TOOL, TOOL]) != tools_hash([TOOL])


def test_text_cannot_imitate_a_boundary_between_tools() -> None:
    assert tools_hash([{"name": 'a"}\n{"name":"b'}]) != tools_hash([{"name": "a"}, {"name": "b"}])


def test_hash_of_no_tools_is_stable() -> None:
    assert tools_hash([]) == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_half_of_a_surrogate_pair_is_hashed_without_an_error() -> None:
    assert tools_hash([{"name": "\ud800"}]).startswith("sha256:")


@pytest.mark.parametrize(
    ("allow", "deny", "want"),
    [
        ([], [], ["read_file", "write_file", "Read"]),
        (["read_*"], [], ["read_file"]),
        ([], ["*_file"], ["Read"]),
        (["*"], ["write_*"], ["read_file", "Read"]),
        (["nothing"], [], []),
        (["[rw]*"], [], ["read_file", "write_file"]),
    ],
)
def test_filter_shows_what_clients_see(allow: list[str], deny: list[str], want: list[str]) -> None:
    assert visible(["read_file", "write_file", "Read"], allow=allow, deny=deny) == want
