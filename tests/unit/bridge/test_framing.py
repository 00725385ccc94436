"""Lines out of a stream, however it is cut into chunks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_runtime.bridge.framing import LineSplitter, Oversized
from vsm_runtime.bridge.sse import EventParser, EventTooLarge, event

_LINES = st.lists(st.binary(min_size=1, max_size=50).map(lambda b: b.replace(b"\n", b"").strip() or b"x"), max_size=8)


@given(_LINES, st.lists(st.integers(1, 30), min_size=1))
def test_chunking_makes_no_difference(lines: list[bytes], sizes: list[int]) -> None:
    splitter = LineSplitter(50)
    assert collect(splitter, b"".join(line + b"\n" for line in lines), sizes) == lines


@given(st.integers(51, 5000), st.lists(st.integers(1, 700), min_size=1), _LINES)
def test_line_over_the_limit_is_dropped_and_the_next_one_is_whole(
    size: int, sizes: list[int], after: list[bytes]
) -> None:
    splitter = LineSplitter(50)
    stream = b"y" * size + b"\n" + b"".join(line + b"\n" for line in after)
    assert collect(splitter, stream, sizes) == [Oversized(size, None), *after]


def test_line_over_the_limit_costs_nothing_while_it_arrives() -> None:
    splitter = LineSplitter(100)
    for _ in range(1000):
        assert list(splitter.feed(b"z" * 10_000)) == []
    assert len(splitter._line) <= 1024
    assert list(splitter.feed(b"\n")) == [Oversized(10_000_000, None)]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"jsonrpc": "2.0", "id": 77, "result": "?"}, id="Python SDK"),
        pytest.param({"result": "?", "jsonrpc": "2.0", "id": 77}, id="TypeScript SDK"),
        pytest.param({"id": 77, "jsonrpc": "2.0", "result": "?"}, id="id first"),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["compact", "spaced"])
def test_answer_over_the_limit_is_known_by_its_id(message: dict[str, object], separators: tuple[str, str]) -> None:
    line = json.dumps(message | {"result": "x" * 5000}, separators=separators).encode()
    assert list(LineSplitter(1000).feed(line + b"\n")) == [Oversized(len(line), 77)]


def test_request_over_the_limit_is_no_answer() -> None:
    line = json.dumps({"jsonrpc": "2.0", "method": "m", "params": "x" * 5000, "id": "7"}).encode()
    assert list(LineSplitter(1000).feed(line + b"\n")) == [Oversized(len(line), None)]


def test_blank_lines_are_left_out() -> None:
    assert list(LineSplitter(10).feed(b"\n \r\n a\r\n\n")) == [b" a\r"]


@given(
    st.lists(st.binary(min_size=1).map(lambda b: b"x" + b.translate(None, b"\r\n")), max_size=5),
    st.lists(st.integers(1, 9), min_size=1),
)
def test_events_survive_any_chunking(messages: list[bytes], sizes: list[int]) -> None:
    stream = b": hello\n\n" + b"".join(event(message) for message in messages)
    assert collect(EventParser(10_000), stream, sizes) == messages


def test_events_of_other_kinds_and_without_data_are_left_out() -> None:
    stream = b"event: ping\ndata: 1\n\nid: 7\ndata:\n\ndata: a\r\ndata:b\r\n\r\n"
    assert list(EventParser(100).feed(stream)) == [b"a\nb"]


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"data: x\n" * 200], ids=["one line", "many lines"])
def test_event_over_the_limit_is_refused(stream: bytes) -> None:
    with pytest.raises(EventTooLarge):
        list(EventParser(100).feed(stream))


def collect(parser: LineSplitter | EventParser, stream: bytes, sizes: list[int]) -> list[object]:
    found: list[object] = []
    start = turn = 0
    while start < len(stream):
        size = sizes[turn % len(sizes)]
        found += parser.feed(stream[start : start + size])
        start, turn = start + size, turn + 1
    return found
