"""uvicorn, bounded: two listeners in one event loop, with limits that it leaves open itself."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vsm_runtime.bridge.asgi import App

MAX_HEAD_BYTES = 64 << 10
HEAD_SECONDS = 30.0
"""From connecting, or from the first byte of a further request, until all headers are there."""
KEEP_ALIVE_SECONDS = 75
MAX_CONNECTIONS = 512
DRAIN_SECONDS = 10


class BoundedHttp(HttpToolsProtocol):
    """Refuses heads that are too large or that do not end."""

    _head_bytes = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # Counted across chunks only: one chunk is bounded by the transport.
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("Request head too large.")
            return
        self._head_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._head_is_complete()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._in_head, self._head_bytes = True, 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_is_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


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
