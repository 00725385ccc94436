"""What a bridge says of its server, or nothing at all: no answer may stop a diagnosis."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.ports.bridge import MAX_STATUS_BYTES, BridgeStatus, bridge_status

STATUS: dict[str, Any] = {
    "state": "backoff",
    "restarts": 3,
    "consecutiveFailures": 2,
    "lastFailure": {
        "at": "2026-01-01T00:00:00Z",
        "reason": "Exited",
        "message": "exit code 1",
        "exitCode": 1,
        "signal": None,
        "stderrTail": ["Traceback", "KeyError: 'TOKEN'"],
    },
}


async def ask(answer: Callable[[httpx.Request], httpx.Response]) -> BridgeStatus | None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        return await bridge_status(client, "http://10.0.0.5:8081/status")


async def told(content: str | bytes, **headers: str) -> BridgeStatus | None:
    return await ask(lambda _: httpx.Response(200, content=content, headers=headers))


async def test_failure_is_read_with_the_last_words() -> None:
    assert await told(json.dumps(STATUS)) == BridgeStatus(
        state="backoff",
        restarts=3,
        consecutive_failures=2,
        reason="Exited",
        message="exit code 1",
        stderr_tail=("Traceback", "KeyError: 'TOKEN'"),
    )


@pytest.mark.parametrize("failure", [None, {}, [], "x"])
async def test_bridge_without_a_failure_has_no_reason(failure: object) -> None:
    assert await told(json.dumps({"state": "starting", "lastFailure": failure})) == BridgeStatus("starting", 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("<html>", id="HTML"),
        pytest.param("[]", id="a list"),
        pytest.param("null", id="null"),
        pytest.param("{}", id="no state"),
        pytest.param("[" * 100_000, id="deep nesting"),
        pytest.param('{"state": "ready", "restarts": "many"}', id="a word for a number"),
        pytest.param('{"state": "ready", "restarts": null}', id="null for a number"),
        pytest.param('{"state": "ready", "restarts": 1e999}', id="infinity for a number"),
        pytest.param('{"state": "ready", "consecutiveFailures": NaN}', id="not a number"),
        pytest.param(b"\xff\xff", id="bytes that are no text"),
    ],
)
async def test_answer_that_is_no_status_counts_as_none(text: str | bytes) -> None:
    assert await told(text) is None


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("garbled")]
)
async def test_bridge_that_cannot_be_asked_says_nothing(error: httpx.HTTPError) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    assert await ask(answer) is None


async def test_endless_answer_is_cut_and_counts_as_none() -> None:
    taken = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 8192
            yield b" " * 8192

    assert await ask(lambda _: httpx.Response(200, content=flood())) is None
    assert taken <= MAX_STATUS_BYTES + 8192


async def test_compressed_answer_is_not_unpacked() -> None:
    assert await told(b"\x1f\x8b", **{"Content-Encoding": "gzip"}) is None


async def test_long_words_are_cut_and_the_last_lines_kept() -> None:
    failure = {
        "reason": "r" * 999,
        "message": "m" * 9999,
        "stderrTail": [f"{number} " + "x" * 999 for number in range(100)],
    }
    found = await told(json.dumps(STATUS | {"lastFailure": failure}))
    assert found is not None
    assert len(found.message) == 1000
    assert len(found.reason) == 40
    assert len(found.stderr_tail) == 40
    assert found.stderr_tail[-1].startswith("99 ")
    assert max(map(len, found.stderr_tail)) == 500


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()), st.lists, max_leaves=4
)


@given(
    st.dictionaries(st.sampled_from(["state", "restarts", "consecutiveFailures", "lastFailure"]), values),
    st.dictionaries(st.sampled_from(["reason", "message", "stderrTail"]), values),
)
async def test_mutated_status_is_read_without_an_error(changes: dict[str, Any], failure: dict[str, Any]) -> None:
    raw = STATUS | {"lastFailure": STATUS["lastFailure"] | failure} | changes
    found = await told(json.dumps(raw))
    if found is not None:
        assert isinstance(found.restarts, int)
        for text in (found.state, found.reason, found.message, *found.stderr_tail):
            text.encode()
