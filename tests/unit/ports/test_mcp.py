"""The handshake with a server: any client's view of it, and bounded whatever comes back."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from vsm_operator.ports.mcp import (
    MAX_HANDSHAKE_BYTES,
    MAX_PAGES,
    PROTOCOL_VERSION,
    Handshake,
    HandshakeFailed,
    Session,
    expect_refusal,
    handshake,
)

URL = "http://mcp-memory.team.svc:8080/mcp"
TOOLS = [{"name": "read", "description": "Reads."}, {"name": "write", "inputSchema": {"type": "object"}}]
Json = dict[str, Any]
Answer = Callable[[Json, httpx.Request], httpx.Response]


class Server:
    """An MCP server behind a mock transport. A test changes what it answers to one method."""

    def __init__(self, *, sse: bool = False, session_id: str = "", version: str = PROTOCOL_VERSION) -> None:
        self.sse = sse
        self.session_id = session_id
        self.requests: list[httpx.Request] = []
        self.results: dict[str, Json] = {
            "initialize": {
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "memory", "version": "1.2.3"},
            },
            "tools/list": {"tools": TOOLS},
        }
        self.answers: dict[str, Answer] = {}
        """By method; `DELETE` is one as well."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        message = json.loads(request.content) if request.content else {"method": request.method}
        if answer := self.answers.get(message["method"]):
            return answer(message, request)
        if "id" not in message:
            return httpx.Response(202)
        return self.says({"jsonrpc": "2.0", "id": message["id"], "result": self.results[message["method"]]})

    def says(self, message: Json) -> httpx.Response:
        headers = {"Mcp-Session-Id": self.session_id} if self.session_id else {}
        if not self.sse:
            return httpx.Response(200, json=message, headers=headers)
        text = f": hello\n\nevent: message\ndata: {json.dumps(message)}\n\n"
        return httpx.Response(200, text=text, headers=headers | {"Content-Type": "text/event-stream; charset=utf-8"})

    def methods(self) -> list[str]:
        return [
            json.loads(request.content)["method"] if request.content else request.method for request in self.requests
        ]


async def meet(server: Callable[[httpx.Request], httpx.Response]) -> Handshake:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as client:
        return await handshake(client, URL)


async def failure(server: Callable[[httpx.Request], httpx.Response]) -> str:
    with pytest.raises(HandshakeFailed) as caught:
        await meet(server)
    return str(caught.value)


@pytest.mark.parametrize("sse", [False, True], ids=["as JSON", "as a stream"])
async def test_server_is_known_after_a_handshake(sse: bool) -> None:
    server = Server(sse=sse)
    assert await meet(server) == Handshake(
        protocol_version=PROTOCOL_VERSION,
        server_name="memory",
        server_version="1.2.3",
        tool_names=("read", "write"),
    )
    assert server.methods() == ["initialize", "notifications/initialized", "tools/list"]


async def test_every_request_has_its_own_id_and_accepts_both_forms() -> None:
    server = Server()
    await meet(server)
    ids = [json.loads(request.content).get("id") for request in server.requests]
    assert ids == [1, None, 2]
    assert {request.headers["Accept"] for request in server.requests} == {"application/json, text/event-stream"}


async def test_version_that_was_agreed_on_is_in_every_later_request() -> None:
    server = Server(version="2025-03-26")
    assert (await meet(server)).protocol_version == "2025-03-26"
    assert [request.headers.get("MCP-Protocol-Version") for request in server.requests] == [
        None,
        "2025-03-26",
        "2025-03-26",
    ]


async def test_session_is_kept_and_ended() -> None:
    server = Server(session_id="s-1")
    await meet(server)
    assert server.methods() == ["initialize", "notifications/initialized", "tools/list", "DELETE"]
    assert [request.headers.get("Mcp-Session-Id") for request in server.requests] == [None, "s-1", "s-1", "s-1"]


async def test_server_without_a_session_is_not_asked_to_end_one() -> None:
    server = Server()
    await meet(server)
    assert "DELETE" not in server.methods()


async def refused(status: int, text: str = "") -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(status, text=text))) as client:
        await expect_refusal(client, URL)


async def test_server_that_refuses_a_token_that_is_none_is_well() -> None:
    await refused(401)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (200, "was let in, although spec.auth asks for one"),
        (202, "was let in"),
        (403, "HTTP 403: because"),
        (503, "HTTP 503: because"),
        (404, "HTTP 404"),
    ],
)
async def test_any_other_answer_than_a_refusal_is_trouble(status: int, why: str) -> None:
    with pytest.raises(HandshakeFailed, match=why):
        await refused(status, "because")


async def test_guarded_server_that_is_away_is_trouble() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: unreachable({}, _))) as client:
        with pytest.raises(HandshakeFailed, match="ConnectError"):
            await expect_refusal(client, URL)


async def test_token_of_a_caller_is_in_every_request() -> None:
    server = Server(session_id="s")
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as client:
        session = Session(client, URL, token="t0ken")
        await session.open()
        await session.close()
    assert {request.headers.get("Authorization") for request in server.requests} == {"Bearer t0ken"}


@pytest.mark.parametrize("status", [404, 405, 500])
async def test_refusal_to_end_the_session_changes_nothing(status: int) -> None:
    server = Server(session_id="s")
    server.answers["DELETE"] = lambda _, _request: httpx.Response(status)
    assert (await meet(server)).server_name == "memory"


async def test_lost_connection_at_the_end_of_the_session_changes_nothing() -> None:
    server = Server(session_id="s")
    server.answers["DELETE"] = unreachable
    assert (await meet(server)).server_name == "memory"


async def test_server_without_tools_is_not_asked_for_them() -> None:
    server = Server()
    server.results["initialize"]["capabilities"] = {"prompts": {}}
    found = await meet(server)
    assert "tools/list" not in server.methods()
    assert found.tool_names == ()


def pages(count: int) -> Answer:
    def answer(message: Json, _request: httpx.Request) -> httpx.Response:
        number = int(message["params"].get("cursor", "0"))
        result: Json = {"tools": [{"name": f"t{number}"}]}
        if number + 1 < count:
            result["nextCursor"] = str(number + 1)
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": message["id"], "result": result})

    return answer


@pytest.mark.parametrize("count", [1, 2, MAX_PAGES])
async def test_all_pages_are_read(count: int) -> None:
    server = Server()
    server.answers["tools/list"] = pages(count)
    assert (await meet(server)).tool_names == tuple(f"t{number}" for number in range(count))


async def test_endless_pages_end() -> None:
    server = Server()
    server.answers["tools/list"] = pages(10**9)
    assert await failure(server) == f"tools/list has more than {MAX_PAGES} pages"
    assert server.methods().count("tools/list") == MAX_PAGES


@pytest.mark.parametrize(
    "cursor", [5, ["a"], {"a": 1}, "x" * 5000, "\ud800"], ids=["number", "list", "object", "long", "surrogate"]
)
async def test_cursor_that_cannot_be_sent_back_is_refused(cursor: object) -> None:
    server = Server()
    server.answers["tools/list"] = raw(json.dumps({"id": 2, "result": {"tools": [], "nextCursor": cursor}}))
    assert "cursor" in await failure(server)


def raw(text: str | bytes, *, status: int = 200, media_type: str = "application/json", **headers: str) -> Answer:
    return lambda _, _request: httpx.Response(status, content=text, headers={"Content-Type": media_type, **headers})


def unreachable(_message: Json, request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


def timeout(_message: Json, request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("", request=request)


STREAM = "text/event-stream"


@pytest.mark.parametrize("method", ["initialize", "tools/list"])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(unreachable, f"ConnectError while talking to {URL}: connection refused", id="no connection"),
        pytest.param(timeout, f"ReadTimeout while talking to {URL}", id="no answer in time"),
        pytest.param(
            raw("the server is down", status=503), "was answered with HTTP 503: the server is down", id="HTTP 503"
        ),
        pytest.param(raw("x", status=302, Location="http://elsewhere/"), "was answered with HTTP 302", id="redirect"),
        pytest.param(raw("", status=202), "was answered with HTTP 202", id="accepted without an answer"),
        pytest.param(raw(""), "is not a JSON-RPC message", id="empty body"),
        pytest.param(raw("<html>"), "is not a JSON-RPC message", id="HTML"),
        pytest.param(raw(b"\xff\xfe\x00"), "is not a JSON-RPC message", id="bytes that are no text"),
        pytest.param(raw("[1, 2]"), "is not a JSON-RPC message", id="a list"),
        pytest.param(raw("null"), "is not a JSON-RPC message", id="null"),
        pytest.param(raw("[" * 100_000), "is not a JSON-RPC message", id="deep nesting"),
        pytest.param(raw("9" * 5000), "is not a JSON-RPC message", id="a number of 5000 digits"),
        pytest.param(
            raw('{"error": {"code": -32601, "message": "no such method"}}'),
            "failed: no such method (code -32601)",
            id="JSON-RPC error",
        ),
        pytest.param(raw('{"error": "boom"}'), "failed: None (code None)", id="error without its shape"),
        pytest.param(
            raw('{"error": {"code": 1, "message": "a\\ud800b"}}'),
            "failed: a?b (code 1)",
            id="error with half a character",
        ),
        pytest.param(raw("", media_type=STREAM), "the stream ended before", id="stream that ends at once"),
        pytest.param(
            raw(': ping\n\ndata: {"method": "notifications/message"}\n\n', media_type=STREAM),
            "the stream ended before",
            id="stream with other messages",
        ),
        pytest.param(
            raw('data: {"id": 1, "method": "ping"}\n\n', media_type=STREAM),
            "the stream ended before",
            id="stream with a request of the same id",
        ),
        pytest.param(raw("data: garbage\n\n", media_type=STREAM), "is not a JSON-RPC message", id="stream of garbage"),
        pytest.param(
            raw('data: {"id": 1, "resu', media_type=STREAM), "the stream ended before", id="stream that ends early"
        ),
        pytest.param(raw(b"\x1f\x8b", **{"Content-Encoding": "gzip"}), "compressed", id="compressed body"),
        pytest.param(
            raw(b"\x1f\x8b", media_type=STREAM, **{"Content-Encoding": "gzip"}), "compressed", id="compressed stream"
        ),
        pytest.param(raw("{}", **{"Mcp-Session-Id": "a b"}), "session id", id="session id with a blank"),
        pytest.param(raw("{}", **{"Mcp-Session-Id": "x" * 2000}), "session id", id="endless session id"),
    ],
)
async def test_failure_names_the_step_and_the_reason(method: str, answer: Answer, why: str) -> None:
    server = Server()
    server.answers[method] = answer
    text = await failure(server)
    assert why in text
    assert method in text or URL in text or "answer" in text
    assert len(text) < 1000
    text.encode()


async def test_session_id_outside_of_ascii_is_refused() -> None:
    server = Server()
    server.answers["initialize"] = lambda message, _: httpx.Response(
        200, json={"id": message["id"], "result": {}}, headers=[(b"Mcp-Session-Id", b"\xe4")]
    )
    assert "session id" in await failure(server)


@pytest.mark.parametrize(
    "result", [None, {}, {"protocolVersion": 5}, {"protocolVersion": "a\r\nX-Evil: 1"}, {"protocolVersion": ""}]
)
async def test_answer_to_initialize_without_a_version_is_no_handshake(result: object) -> None:
    server = Server()
    server.answers["initialize"] = raw(json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}))
    assert await failure(server) == "initialize was answered without a protocolVersion"


@pytest.mark.parametrize("tools", [None, {}, "read", [1], [None], [["read"]]])
async def test_list_of_tools_that_is_none_is_refused(tools: object) -> None:
    server = Server()
    server.results["tools/list"] = {"tools": tools}
    assert await failure(server) == "tools/list was answered without a list of tools"


async def test_refused_notification_fails_the_handshake() -> None:
    server = Server()
    server.answers["notifications/initialized"] = raw("", status=400)
    assert await failure(server) == "notifications/initialized was answered with HTTP 400"


class Flood(httpx.AsyncByteStream):
    """A body without an end; counts what was taken from it."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.taken_bytes = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken_bytes += len(self.chunk)
            yield self.chunk

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("method", ["initialize", "tools/list"])
@pytest.mark.parametrize(
    ("media_type", "chunk", "status"),
    [
        pytest.param("application/json", b" " * 65536, 200, id="one body"),
        pytest.param("application/json", b"x" * 65536, 500, id="one error"),
        pytest.param(STREAM, b"x" * 65536, 200, id="one line"),
        pytest.param(STREAM, b"data: " + b"x" * 65536 + b"\n", 200, id="one event"),
        pytest.param(STREAM, b": ping\n\n" * 8192, 200, id="many comments"),
        pytest.param(STREAM, b'data: {"method":"ping"}\n\n' * 2700, 200, id="many events"),
    ],
)
async def test_endless_answer_is_cut(
    method: str, media_type: str, chunk: bytes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_bytes = 1 << 18
    monkeypatch.setattr("vsm_operator.ports.mcp.MAX_HANDSHAKE_BYTES", limit_bytes)
    server, flood = Server(), Flood(chunk)
    headers = {"Content-Type": media_type}
    server.answers[method] = lambda _, _request: httpx.Response(status, headers=headers, stream=flood)
    assert await failure(server) == f"the answers are larger than {limit_bytes} bytes together"
    assert flood.taken_bytes <= limit_bytes + len(chunk)
    assert flood.closed


@pytest.mark.parametrize("method", ["notifications/initialized", "DELETE"])
async def test_endless_answer_to_what_needs_none_is_not_read(method: str) -> None:
    server, flood = Server(session_id="s"), Flood(b"x" * 65536)
    server.answers[method] = lambda _, _request: httpx.Response(200, stream=flood)
    assert (await meet(server)).server_name == "memory"
    assert flood.taken_bytes == 0
    assert flood.closed


async def test_pages_that_are_small_alone_are_bounded_together() -> None:
    server = Server()

    def answer(message: Json, _request: httpx.Request) -> httpx.Response:
        page = {"tools": [{"name": "t", "description": "x" * (MAX_HANDSHAKE_BYTES // 10)}], "nextCursor": "1"}
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": message["id"], "result": page})

    server.answers["tools/list"] = answer
    assert "bytes together" in await failure(server)
    assert server.methods().count("tools/list") <= 10


async def test_words_of_a_server_are_short_and_storable() -> None:
    server = Server()
    hello = server.results["initialize"] | {"serverInfo": {"name": "x" * 9999, "version": "\ud800" * 9999}}
    server.answers["initialize"] = raw(json.dumps({"id": 1, "result": hello}))
    server.answers["tools/list"] = raw(
        json.dumps({"id": 2, "result": {"tools": [{"name": "\ud800" + "x" * 9999}, {}]}})
    )
    found = await meet(server)
    for text in (found.server_name, found.server_version, *found.tool_names):
        assert len(text) <= 200
        text.encode()
    assert len(found.tool_names) == 2


async def test_server_that_says_nothing_of_itself_is_still_a_server() -> None:
    server = Server()
    server.results["initialize"]["serverInfo"] = "memory"
    assert (await meet(server)).server_name == ""


async def test_nothing_of_the_transport_leaks_out_of_a_handshake() -> None:
    class Broken(httpx.HTTPError):
        pass

    def break_down(_message: Json, _request: httpx.Request) -> httpx.Response:
        raise Broken("")

    server = Server()
    server.answers["initialize"] = break_down
    assert await failure(server) == f"Broken while talking to {URL}"


async def test_session_of_a_command_line_may_receive_more_than_a_handshake() -> None:
    server = Server()
    text = "x" * (MAX_HANDSHAKE_BYTES + 1)
    server.answers["tools/call"] = lambda message, _: httpx.Response(
        200, json={"id": message["id"], "result": {"text": text}}
    )
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as client:
        session = Session(client, URL)
        await session.open()
        assert len((await session.request("tools/call", {}))["text"]) == len(text)
