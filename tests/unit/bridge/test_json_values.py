"""What is read is what is written: the fast reader and the standard library's never differ in what a value is."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vsm_runtime.bridge import jsonrpc

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


def by_the_book(data: bytes) -> Any:
    """As the standard library reads it, without NaN and the like; ValueError for what it refuses."""

    def refuse(name: str) -> Any:
        raise ValueError(name)

    return json.loads(data, parse_constant=refuse)


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types: 1 is not 1.0, and 0.0 is not -0.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other


@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"NaN")
@example(b"[1,]")
@example(b"01")
@example(b"\xef\xbb\xbf1")
@example(b'"\xed\xa0\x80"')
@example(b'"\x01"')
@example("[1]".encode("utf-16"))
@example(b"")
def test_bytes_are_read_or_refused_as_by_the_book(data: bytes) -> None:
    try:
        expected = by_the_book(data)
    except ValueError:
        with pytest.raises(jsonrpc.Malformed):
            jsonrpc.decode(data)
    else:
        assert same(jsonrpc.decode(data), expected)


@given(NUMBERS)
@example("123456789012345678901234567890")
@example("18446744073709551616")
@example("-9223372036854775809")
@example("9007199254740993.0")
@example("-0")
@example("-0.0")
@example("5e-324")
@example("1" + "0" * 400)
def test_number_is_read_as_by_the_book(text: str) -> None:
    expected = by_the_book(text.encode())
    found = jsonrpc.decode(text.encode())
    assert found == expected
    assert isinstance(found, type(expected))


@given(VALUES)
def test_value_is_the_same_after_it_was_written_and_read(value: Any) -> None:
    written = jsonrpc.encode({"jsonrpc": "2.0", "params": {"value": value}})
    assert b"\n" not in written
    assert same(by_the_book(written)["params"]["value"], value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a":1,"a":2}', id="a key twice: the last counts"),
        pytest.param('{"a":"\\ud83d\\ude00"}', id="surrogates that are a pair"),
        pytest.param('{"a":"\\ud800"}', id="half a pair"),
        pytest.param('{"\\ud800":1}', id="half a pair as a key"),
        pytest.param('{"a":"\\u0000"}', id="zero byte"),
        pytest.param('{"a":"\\u2028 \\u007f"}', id="line separator"),
        pytest.param('{"a":12345678901234567890123}', id="large integer"),
    ],
)
def test_odd_message_comes_through_unchanged(text: str) -> None:
    message = jsonrpc.decode(text.encode())
    assert isinstance(message, dict)
    assert same(by_the_book(jsonrpc.encode(message)), by_the_book(text.encode()))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1.7976931348623159e308"])
@pytest.mark.parametrize("around", ["{%s}", '{"list":[{%s}]}'], ids=["flat", "nested"])
def test_number_outside_of_json_is_never_written_as_another_value(number: str, around: str) -> None:
    message = jsonrpc.decode((around % f'"a":{number}').encode())
    assert isinstance(message, dict)
    with pytest.raises(jsonrpc.Malformed):
        jsonrpc.encode(message)


def test_integer_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(jsonrpc.Malformed):
        jsonrpc.decode(b"1" * 5000)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["lists", "objects"])
def test_nesting_that_nothing_can_follow_is_refused(opening: bytes) -> None:
    with pytest.raises(jsonrpc.Malformed):
        jsonrpc.decode(opening * 200_000)
