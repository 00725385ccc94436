"""/healthz, /readyz and /metrics, served by a thread of their own: a busy event loop cannot hide behind silence.

/healthz  503 when the process should be restarted: the event loop is stuck, or a worker is
/readyz   503 until the Store is filled and while shutting down; a standby is ready as well
Probes read plain attributes and never wait. At most MAX_CLIENTS connections are served, each for a few seconds.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from vsm_operator.runtime.clock import Clock

MAX_CLIENTS = 16
CLIENT_SECONDS = 5.0
HEARTBEAT_SECONDS = 1.0
STUCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """`trouble` returns what is wrong, or nothing."""

    name: str
    trouble: Callable[[], str]


class Heartbeat:
    """The event loop's sign of life."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beat_at = clock.monotonic()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._beat_at = self._clock.monotonic()
            await self._clock.sleep(HEARTBEAT_SECONDS)

    def lag_seconds(self) -> float:
        """Beyond the heartbeat's own pace; readable from any thread."""
        return max(0.0, self._clock.monotonic() - self._beat_at - HEARTBEAT_SECONDS)

    def trouble(self) -> str:
        lag = self.lag_seconds()
        return f"the event loop has not answered for {lag:.0f} s" if lag > STUCK_SECONDS else ""


class HealthServer:
    """`start` binds and returns; `stop` ends the thread."""

    def __init__(
        self, *, port: int, registry: CollectorRegistry, live: Sequence[Check], ready: Sequence[Check], host: str = ""
    ) -> None:
        """`port` 0 takes a free one. An empty `host` means every address, IPv6 included."""
        self._address = host, port
        self._registry = registry
        self._live = live
        self._ready = ready
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self._server.server_address[1]) if self._server else self._address[1]

    def start(self) -> None:
        """Errors: OSError when the port is taken."""
        self._server = _Server(self._address, self._answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="health", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        if self._server and self._thread:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()
            self._thread.join()
            self._server = None

    def _answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        match path.partition("?")[0]:
            case "/healthz":
                return _verdict(self._live)
            case "/readyz":
                return _verdict(self._ready)
            case "/metrics":
                return HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)
            case _:
                return HTTPStatus.NOT_FOUND, "text/plain", b"/healthz, /readyz or /metrics\n"


def _verdict(checks: Iterable[Check]) -> tuple[HTTPStatus, str, bytes]:
    troubles = [f"{check.name}: {trouble}" for check in checks if (trouble := check.trouble())]
    status = HTTPStatus.SERVICE_UNAVAILABLE if troubles else HTTPStatus.OK
    return status, "text/plain; charset=utf-8", "\n".join([*troubles, ""] if troubles else ["ok", ""]).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = MAX_CLIENTS

    def __init__(self, address: tuple[str, int], answer: Callable[[str], tuple[HTTPStatus, str, bytes]]) -> None:
        self.answer = answer
        self._places = threading.BoundedSemaphore(MAX_CLIENTS)
        dual = not address[0] and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if dual else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    server: _Server

    def do_GET(self) -> None:
        status, media_type, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Probes come every few seconds."""
