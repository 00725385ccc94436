"""Reading and writing JSON-RPC messages."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_runtime.bridge.jsonrpc import MAX_VALUES, Kind, Malformed, decode, encode, id_key, kind_of

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _VALUES, max_size=5))
def test_every_message_survives_in_one_line(message: dict[str, object]) -> None:
    line = encode(message)
    assert b"\n" not in line
    assert b"\r" not in line
    assert decode(line) == message


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_value_or_malformed(data: bytes) -> None:
    with suppress(Malformed):
        json.dumps(decode(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"NaN", id="not a number"),
        pytest.param(b"-Infinity", id="infinity"),
        pytest.param(b"9" * 5000, id="number of thousands of digits"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="nested too deeply"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b"[" + b"0," * MAX_VALUES + b"0]", id="too many values"),
        pytest.param(b"[" + b'"a",' * (MAX_VALUES + 1) + b"0]", id="too many strings"),
        pytest.param(b"[" + b"{}," * MAX_VALUES + b"0]", id="too many objects"),
    ],
)
def test_what_is_not_strict_json_in_bounds_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


def test_long_text_full_of_commas_and_brackets_is_one_value() -> None:
    text = 'a,"[{' * MAX_VALUES
    assert decode(json.dumps([text]).encode()) == [text]


def test_infinity_that_was_read_from_a_number_is_not_written() -> None:
    with pytest.raises(Malformed):
        encode({"x": decode(b"1e999")})


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"jsonrpc": "2.0", "id": 0, "method": "m"}, Kind.REQUEST),
        ({"jsonrpc": "2.0", "id": "", "method": "m", "params": {}}, Kind.REQUEST),
        ({"jsonrpc": "2.0", "method": "m"}, Kind.NOTIFICATION),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, Kind.RESPONSE),
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "m"}}, Kind.RESPONSE),
        ({"jsonrpc": "2.0", "id": None, "error": {"code": -1, "message": "m"}}, Kind.RESPONSE),
        ({"jsonrpc": "2.0", "id": None, "method": "m"}, None),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "m"}, None),
        ({"jsonrpc": "2.0", "id": True, "result": {}}, None),
        ({"jsonrpc": "2.0", "id": [], "error": {"code": -1, "message": "m"}}, None),
        ({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {"code": -1, "message": "m"}}, None),
        ({"jsonrpc": "2.0", "id": 1, "result": []}, None),
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": "x", "message": "m"}}, None),
        ({"jsonrpc": "2.0", "id": 1, "error": "x"}, None),
        ({"jsonrpc": "2.0", "id": 1}, None),
        ({"jsonrpc": "2.0", "method": "m", "params": None}, None),
        ({"jsonrpc": "1.0", "id": 1, "method": "m"}, None),
        ([{"jsonrpc": "2.0", "method": "m"}], None),
        ("text", None),
        (None, None),
    ],
    ids=str,
)
def test_messages_are_told_apart_by_their_members(message: object, kind: Kind | None) -> None:
    assert kind_of(message) is kind


def test_number_and_text_are_two_ids() -> None:
    assert id_key(1) != id_key("1")
