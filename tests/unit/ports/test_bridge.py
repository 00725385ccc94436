"""What a bridge says of its server, or nothing at all: no answer may stop a diagnosis."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.ports.bridge import MAX_STATUS_BYTES, MAX_TOOL_NAMES, Blocked, BridgeStatus, bridge_status

HASH, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
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


READY: dict[str, Any] = {
    "state": "ready",
    "protocolVersion": "2025-11-25",
    "serverInfo": {"name": "memory", "version": "1.2"},
    "tools": {"count": 2, "names": ["read", "write"], "hash": HASH},
    "blocked": None,
}


async def test_server_that_serves_is_described() -> None:
    assert await told(json.dumps(READY)) == BridgeStatus(
        state="ready",
        restarts=0,
        consecutive_failures=0,
        protocol_version="2025-11-25",
        server_name="memory",
        server_version="1.2",
        tools_hash=HASH,
        tools_count=2,
        tool_names=("read", "write"),
    )


@pytest.mark.parametrize(
    ("raw", "want"),
    [
        ({"reason": "ToolsChanged", "expected": HASH, "observed": OTHER}, Blocked("ToolsChanged", HASH, OTHER)),
        ({"reason": "ToolsNotAdmitted", "expected": None, "observed": OTHER}, Blocked("ToolsNotAdmitted", "", OTHER)),
        ({"reason": "Quarantined; rm -rf /", "expected": "$(x)", "observed": 7}, Blocked("ToolsChanged", "", "")),
        ({}, None),
        ("yes", None),
    ],
)
async def test_block_is_read_with_both_hashes_or_without_what_is_none(raw: object, want: Blocked | None) -> None:
    found = await told(json.dumps(READY | {"state": "blocked", "blocked": raw}))
    assert found is not None
    assert found.blocked == want


@pytest.mark.parametrize("digest", ["", "sha256:abc", "sha256:" + "A" * 64, HASH + "\n", 5, None])
async def test_hash_that_is_none_counts_as_not_listed(digest: object) -> None:
    found = await told(json.dumps(READY | {"tools": {"count": 1, "names": [], "hash": digest}}))
    assert found is not None
    assert found.tools_hash == ""


async def test_names_are_bounded_in_number_and_length() -> None:
    tools = {"count": 999, "names": ["n" * 300] * 600, "hash": HASH}
    found = await told(json.dumps(READY | {"tools": tools}))
    assert found is not None
    assert (len(found.tool_names), max(map(len, found.tool_names))) == (MAX_TOOL_NAMES, 200)
    assert found.tools_count == 999


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
    st.dictionaries(
        st.sampled_from(
            [
                "state",
                "restarts",
                "consecutiveFailures",
                "lastFailure",
                "tools",
                "serverInfo",
                "protocolVersion",
                "blocked",
            ]
        ),
        values,
    ),
    st.dictionaries(st.sampled_from(["reason", "message", "stderrTail"]), values),
    st.dictionaries(st.sampled_from(["count", "names", "hash", "reason", "expected", "observed"]), values),
)
async def test_mutated_status_is_read_without_an_error(
    changes: dict[str, Any], failure: dict[str, Any], inner: dict[str, Any]
) -> None:
    raw = STATUS | READY | {"lastFailure": STATUS["lastFailure"] | failure, "tools": inner, "blocked": inner} | changes
    found = await told(json.dumps(raw))
    if found is not None:
        assert isinstance(found.restarts, int)
        assert found.tools_count >= 0
        texts = (found.server_name, found.server_version, found.protocol_version, *found.tool_names)
        for text in (found.state, found.reason, found.message, *found.stderr_tail, *texts):
            text.encode()
        assert found.tools_hash in ("", HASH)
