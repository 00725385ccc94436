"""uvicorn, bounded: two listeners in one event loop, with limits that it leaves open itself, and fewer writes.

Every wait for a client has its end: for a head, for a body, for room to write. The timers of these waits are set only
when something is late to come, since most requests are there in one piece.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vsm_runtime.bridge.asgi import App

MAX_HEAD_BYTES = 64 << 10
HEAD_SECONDS = 30.0
"""From connecting, or from the first byte of a further request, until all headers are there."""
BODY_SECONDS = 30.0
"""How long a client may take to send the body of a request."""
WRITE_SECONDS = 60.0
"""How long a client may take to make room for the next piece of its answer."""
KEEP_ALIVE_SECONDS = 75
MAX_CONNECTIONS = 512
DRAIN_SECONDS = 10
_GATHERED_BYTES = 16 << 10


class Gathering:
    """A transport that writes once in a turn of the loop what comes in pieces: uvicorn's head and body of an answer."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)
        self._size_bytes += len(data)
        if self._size_bytes > _GATHERED_BYTES:  # so that the transport can say when it is enough
            self.flush()

    def flush(self) -> None:
        if self._pieces:
            pieces, self._pieces, self._size_bytes = self._pieces, [], 0
            if not self._transport.is_closing():  # the client may be gone since
                self._transport.write(b"".join(pieces))

    def close(self) -> None:
        self.flush()
        self._transport.close()


class BoundedHttp(HttpToolsProtocol):
    """Refuses heads that are too large, ends what does not end, and reads past a wish for another protocol."""

    _gathering: Gathering
    _head_bytes = 0
    _in_head = True
    _in_body = False
    _unparsed_bytes = 0
    """Of a body that the parser leaves alone, since its request asks for another protocol, as Java's clients do."""
    _late: asyncio.TimerHandle | None = None
    """Set while a head or a body is on its way."""
    _no_room: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._gathering = Gathering(transport, self.loop)
        super().connection_made(self._gathering)  # type: ignore[arg-type]
        self._late = self.loop.call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_in_time()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._no_room = self.loop.call_later(WRITE_SECONDS, self._gathering.abort)

    def resume_writing(self) -> None:
        if self._no_room is not None:
            self._no_room.cancel()
            self._no_room = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        # Counted across chunks only: one chunk is bounded by the transport.
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("Request head too large.")
            return
        self._head_bytes += len(data)
        if self._unparsed_bytes:
            data = self._read_unparsed(data)
        if data:
            self._unset_keepalive_if_required()
            self._parse(data)
        if self._late is None and (self._in_head or self._in_body) and not self.transport.is_closing():
            seconds = HEAD_SECONDS if self._in_head else BODY_SECONDS
            self._late = self.loop.call_later(seconds, self.transport.close)

    def _parse(self, data: bytes) -> None:
        """What the base class does, but for its deaf ear to whatever follows an Upgrade header."""
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                except httptools.HttpParserUpgrade as upgrade:  # every server may ignore the wish
                    data = self._read_unparsed(data[upgrade.args[0] :])
                else:
                    return
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _read_unparsed(self, data: bytes) -> bytes:
        """Returns what follows the body."""
        body, rest = data[: self._unparsed_bytes], data[self._unparsed_bytes :]
        if body:
            self._unparsed_bytes -= len(body)
            self.on_body(body)
            if not self._unparsed_bytes:
                self.on_message_complete()
        return rest

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._is_in_time()
        self._in_body = True
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self._unparsed_bytes = next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def on_message_complete(self) -> None:
        if self._unparsed_bytes:
            return
        self._is_in_time()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._gathering.flush()
        super().on_response_complete()

    def _is_in_time(self) -> None:
        self._in_head = self._in_body = False
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server(uvicorn.Server):
    """Signals are the composition root's business: there are two servers in this process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Raises OSError, with the address in its text."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, accepted sockets have it too, and asyncio turns Nagle off: 40 ms a call otherwise.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def server(app: App, *, max_connections: int = MAX_CONNECTIONS) -> Server:
    return Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            http=BoundedHttp,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=max_connections,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
