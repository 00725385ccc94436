"""uvicorn as we bound it: what goes over the wire for each way in which a client can be slow, odd or gone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from unit.bridge.rig import DEADLINE_SECONDS
from vsm_runtime.bridge import serving
from vsm_runtime.bridge.asgi import respond
from vsm_runtime.bridge.serving import Gathering

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
App = Callable[[Any, Any, Any], Awaitable[None]]
Start = Callable[[App], Awaitable["Client"]]


class FakeTransport:
    """Remembers what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    abort = pause_reading = resume_reading = close

    def get_extra_info(self, _: str) -> None:
        return None


def gathering() -> tuple[Gathering, FakeTransport]:
    transport = FakeTransport()
    return Gathering(transport, asyncio.get_running_loop()), transport  # type: ignore[arg-type]


class TestGathering:
    async def test_pieces_of_one_turn_leave_as_one(self) -> None:
        gathered, transport = gathering()
        gathered.write(b"head ")
        gathered.write(b"body")
        assert transport.written == []
        await asyncio.sleep(0)
        assert transport.written == [b"head body"]

    async def test_much_leaves_at_once_so_that_the_transport_can_say_stop(self) -> None:
        gathered, transport = gathering()
        gathered.write(b"x" * 65536)
        assert [len(piece) for piece in transport.written] == [65536]

    async def test_closing_sends_what_is_there(self) -> None:
        gathered, transport = gathering()
        gathered.write(b"last words")
        gathered.close()
        await asyncio.sleep(0)
        assert transport.written == [b"last words"]

    async def test_nothing_is_written_to_a_client_that_left_meanwhile(self) -> None:
        gathered, transport = gathering()
        gathered.write(b"too late")
        transport.close()
        await asyncio.sleep(0)
        assert transport.written == []


class Client:
    """A connection to an application of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def says(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.01)  # so that they arrive as pieces; when they do not, the test is only easier

    async def hears(self, end: bytes = b"") -> bytes:
        """Up to `end`, or all until the connection ends."""
        waiting = self._reader.readuntil(end) if end else self._reader.read()
        return await asyncio.wait_for(waiting, DEADLINE_SECONDS)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running: list[tuple[serving.Server, asyncio.Task[None]]] = []
    clients: list[Client] = []

    async def start(app: App) -> Client:
        listener = serving.listen("127.0.0.1", 0)
        server = serving.server(app)
        running.append((server, asyncio.create_task(server.serve([listener]))))
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])))
        return clients[-1]

    yield start
    for client in clients:
        client.writer.transport.abort()
    for server, task in running:
        server.should_exit = True
        await asyncio.wait_for(task, DEADLINE_SECONDS)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await respond(send, 200, f"<{scope['method']} {scope['path']} {body.decode()}>".encode())


@pytest.mark.parametrize("cut", [0, 1, 5], ids=["in one piece", "body apart", "body in pieces"])
async def test_body_of_a_request_that_wishes_for_another_protocol_is_read(start: Start, cut: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 7\r\n\r\n"
    client = await start(echo)
    await client.says(*([head, b"abcdefg"[:cut], b"abcdefg"[cut:] + GET % 2] if cut else [head + b"abcdefg" + GET % 2]))
    assert (await client.hears(b">")).endswith(b"<POST / abcdefg>")
    assert (await client.hears(b">")).endswith(b"<GET /2 >")


async def test_wish_for_another_protocol_without_a_body_is_ignored(start: Start) -> None:
    client = await start(echo)
    await client.says(b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", GET % 2)
    assert (await client.hears(b">")).endswith(b"<GET /1 >")
    assert (await client.hears(b">")).endswith(b"<GET /2 >")


async def test_pipelined_requests_are_answered_in_their_order(start: Start) -> None:
    client = await start(echo)
    await client.says(GET % 1 + POST % (3, b"abc") + GET % 2)
    answers = [await client.hears(b">") for _ in range(3)]
    assert [answer.rpartition(b"<")[2] for answer in answers] == [b"GET /1 >", b"POST / abc>", b"GET /2 >"]


async def test_answer_before_the_body_leaves_the_connection_usable(start: Start) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            await respond(send, 413, b"<too large>")
        else:
            await echo(scope, receive, send)

    client = await start(app)
    await client.says(POST % (300_000, b"x" * 10), b"x" * 299_990, GET % 2)
    assert (await client.hears(b">")).endswith(b"<too large>")
    assert (await client.hears(b">")).endswith(b"<GET /2 >")


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(b"\x16\x03\x01\x02\x00", id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", id="two lengths"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", id="two other lengths"),
    ],
)
async def test_what_is_no_http_is_refused_and_ends_the_connection(start: Start, what: bytes) -> None:
    client = await start(echo)
    await client.says(what)
    assert (await client.hears()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("deadline", "pieces"),
    [
        pytest.param("HEAD_SECONDS", [], id="silence"),
        pytest.param("HEAD_SECONDS", [b"GET / HT"], id="first head"),
        pytest.param("HEAD_SECONDS", [GET % 1, b"GET / HT"], id="further head"),
        pytest.param("BODY_SECONDS", [POST % (10, b"x")], id="body"),
        pytest.param("BODY_SECONDS", [GET % 1, POST % (10, b"x")], id="further body"),
        pytest.param(
            "BODY_SECONDS",
            [b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 7\r\n\r\nx"],
            id="body after an upgrade",
        ),
    ],
)
async def test_client_that_does_not_go_on_is_hung_up_on(
    start: Start, monkeypatch: pytest.MonkeyPatch, deadline: str, pieces: list[bytes]
) -> None:
    monkeypatch.setattr(serving, deadline, 0.1)
    client = await start(echo)
    await client.says(*pieces)
    assert (await client.hears()).count(b"HTTP/1.1 200") == len(pieces[:-1])


async def test_deadlines_of_a_request_do_not_reach_its_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.1)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)
        await echo(scope, receive, send)

    client = await start(slow)
    await client.says(POST % (3, b"ab"), b"c")
    assert (await client.hears(b">")).endswith(b"<POST / abc>")


async def test_client_that_makes_no_room_is_hung_up_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "WRITE_SECONDS", 0.1)
    ended = asyncio.Event()

    async def flood(_: Any, __: Any, send: Any) -> None:
        try:
            await respond(send, 200, b"x" * (32 << 20))
        finally:
            ended.set()

    client = await start(flood)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.says(GET % 1)
    await asyncio.wait_for(ended.wait(), DEADLINE_SECONDS)


async def test_client_that_makes_room_in_time_gets_all_of_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "WRITE_SECONDS", 5.0)

    async def flood(_: Any, __: Any, send: Any) -> None:
        await respond(send, 200, b"x" * (8 << 20) + b">")

    client = await start(flood)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.says(GET % 1)
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    head = await client.hears(b"\r\n\r\n")
    assert b"200" in head
    body = await asyncio.wait_for(client._reader.readexactly((8 << 20) + 1), DEADLINE_SECONDS)
    assert body.endswith(b"x>")
