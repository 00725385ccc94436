"""Trace context from headers into _meta: what is taken, what is dropped, and that _meta itself is left alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_runtime.bridge.trace import is_baggage, is_traceparent, is_tracestate, merge

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = "rojo=00f067aa0ba902b7,congo@vendor=t61rcWkgMzE"
BAGGAGE = "userId=alice,serverNode=DF%2028;secret, isProduction = false ; a=b"
HEADERS = {"traceparent": PARENT, "tracestate": STATE, "baggage": BAGGAGE}
META = st.dictionaries(st.sampled_from(["traceparent", "tracestate", "baggage", "x", "progressToken"]), st.text())
VALUES = st.sampled_from([PARENT, STATE, BAGGAGE, "", "a"]) | st.text()


def test_all_three_headers_are_taken() -> None:
    assert merge({"x": 1}, HEADERS) == {"x": 1, **HEADERS}


def test_nothing_to_add_costs_no_copy() -> None:
    meta = {"x": 1}
    assert merge(meta, {"accept": "*/*"}) is meta
    assert merge(meta, {"traceparent": "garbage", "tracestate": STATE, "baggage": ","}) is meta


@pytest.mark.parametrize(
    "meta",
    [
        pytest.param({"traceparent": PARENT.replace("b7", "c8")}, id="parent of its own"),
        pytest.param({"traceparent": "garbage"}, id="garbage of its own"),
        pytest.param({"tracestate": "a=b"}, id="only a state of its own"),
    ],
)
def test_two_contexts_are_never_mixed(meta: dict[str, Any]) -> None:
    assert merge(meta, HEADERS) == {**meta, "baggage": BAGGAGE}


def test_baggage_of_the_client_stays() -> None:
    assert merge({"baggage": "a=b"}, HEADERS) == {"baggage": "a=b", "traceparent": PARENT, "tracestate": STATE}


def test_broken_state_does_not_cost_the_parent() -> None:
    assert merge({}, {"traceparent": PARENT, "tracestate": "no equals sign"}) == {"traceparent": PARENT}


@given(META, st.dictionaries(st.sampled_from(["traceparent", "tracestate", "baggage"]), VALUES))
def test_what_a_client_sent_stays_and_only_well_formed_things_come_in(
    meta: dict[str, Any], headers: dict[str, str]
) -> None:
    before = dict(meta)
    merged = merge(meta, headers)
    assert meta == before
    assert before.items() <= merged.items()
    for name in merged.keys() - before.keys():
        assert merged[name] == headers[name]
        assert merged[name].isascii()
        assert merged[name].isprintable() or name != "traceparent"
        assert len(merged[name]) <= 8192
    assert "tracestate" not in merged or "tracestate" in before or "traceparent" in merged


@pytest.mark.parametrize(
    "value",
    [
        "",
        PARENT.upper(),
        PARENT + "-01",
        PARENT[:-1],
        PARENT + "\n",
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + PARENT[35:],
        PARENT[:36] + "0" * 16 + "-01",
        PARENT + ", " + PARENT,
        "01" + PARENT[2:] + "x",
        "01" + PARENT[2:] + "-" + "x" * 300,
    ],
)
def test_no_traceparent(value: str) -> None:
    assert not is_traceparent(value)


@pytest.mark.parametrize("value", [PARENT, "01" + PARENT[2:], "01" + PARENT[2:] + "-later"])
def test_traceparent(value: str) -> None:
    assert is_traceparent(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "A=b",
        "a",
        "a=",
        "a=b,a=c",
        "a=b=c",
        "a=é",
        "a=\x01",
        ",".join(f"k{n}=v" for n in range(33)),
        "a=" + "b" * 511,
    ],
)
def test_no_tracestate(value: str) -> None:
    assert not is_tracestate(value)


@pytest.mark.parametrize(
    "value", [STATE, "a=b", "a=b,, c=d\t", "1a@b=c d", ",".join(f"k{n}=v" for n in range(32)), "a=" + "b" * 256]
)
def test_tracestate(value: str) -> None:
    assert is_tracestate(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "a",
        "=b",
        "a b=c",
        "a=b c",
        'a="b"',
        "a=b;=c",
        "a=é",
        "a=b\\",
        ",".join(["a=b"] * 65),
        "a=" + "b" * 8200,
    ],
)
def test_no_baggage(value: str) -> None:
    assert not is_baggage(value)


@pytest.mark.parametrize("value", [BAGGAGE, "a=", "a=b=c", "a=b;p;q=1", ",".join(["a=b"] * 64), "a=" + "b" * 8190])
def test_baggage(value: str) -> None:
    assert is_baggage(value)


@pytest.mark.parametrize("filler", [" ", "a", ";a", "; ", "a=", "=", "\t;"])
def test_hostile_baggage_is_judged_without_backtracking_for_long(filler: str) -> None:
    # A regular expression that goes back and forth over 8 KiB would take minutes: the test would not end.
    assert not is_baggage("a=b;c" + filler * (8000 // len(filler)) + "\x00")
