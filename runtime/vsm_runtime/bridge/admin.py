"""The admin port: what the kubelet, a scraper and the operator ask. Not reachable for clients.

GET   /livez /readyz /status /metrics   open to whoever reaches the port
GET   /admin/status                     status, with the server's last lines of stderr
POST  /admin/egress                     {"targets": [...]} -> {"results": [...]}, see `egress`
POST  /admin/drain                      -> {"inFlight": n}: no new calls, then as long as those in flight take, bounded

Invariants: under /admin nothing is read, or said of what there is, before the token was found good; every refusal is
logged, without the token; bodies are bounded, and so is what runs at once.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from vsm_runtime.bridge import egress, jsonrpc
from vsm_runtime.bridge.asgi import (
    Budget,
    Disconnected,
    Headers,
    NoMemory,
    Receive,
    Reservation,
    Scope,
    Send,
    TooLarge,
    read_body,
    respond,
    respond_json,
)
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.logs import Throttle

MAX_BODY_BYTES = 64 << 10
_TEXT: Headers = [(b"content-type", b"text/plain; charset=utf-8")]
_log = logging.getLogger(__name__)


class ServedStatus(Protocol):
    def to_json(self) -> Json: ...

    def why_not_ready(self) -> str:
        """One sentence for people; empty when ready."""


class Served(Protocol):
    """What is behind the public port, as far as this one tells of it."""

    @property
    def ready(self) -> bool: ...

    @property
    def status(self) -> ServedStatus: ...

    async def drain(self, seconds: float) -> int:
        """Refuses new calls from now on and waits for those in flight; returns how many there still are."""


class Rendering(Protocol):
    def render(self) -> tuple[str, bytes]:
        """Content type and body."""


class _Refused(Exception):  # noqa: N818
    """An answer that is an error, for people to read."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


_Answer = Callable[[Receive, Send], Awaitable[None]]


class AdminApp:
    """ASGI application."""

    def __init__(
        self,
        served: Served,
        *,
        metrics: Rendering,
        admin_token_sha256: str = "",
        drain_seconds: float = 10.0,
    ) -> None:
        """Without the hash of a token, /admin refuses everybody."""
        self._served = served
        self._metrics = metrics
        self._admin_token_sha256 = admin_token_sha256
        self._drain_seconds = drain_seconds
        self._budget = Budget(1 << 20)
        self._probing = asyncio.Lock()
        self._refusals = Throttle(lines=10, per_seconds=10.0)
        self._open: dict[str, _Answer] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/status": self._status,
            "/metrics": self._show_metrics,
        }
        self._guarded: dict[str, tuple[str, _Answer]] = {
            "/admin/status": ("GET", self._admin_status),
            "/admin/egress": ("POST", self._egress),
            "/admin/drain": ("POST", self._drain),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        try:
            if path == "/admin" or path.startswith("/admin/"):
                await self._admin(scope, receive, send)
            elif path not in self._open:
                await respond(send, 404, b"not found\n", _TEXT)
            elif method not in ("GET", "HEAD"):
                await respond(send, 405, b"only GET\n", [*_TEXT, (b"allow", b"GET, HEAD")])
            else:
                await self._open[path](receive, send)
        except _Refused as refused:
            await respond_json(send, refused.status, {"error": str(refused)}, refused.headers)
        except Disconnected:
            return

    # -- open

    async def _livez(self, _: Receive, send: Send) -> None:
        await respond(send, 200, b"ok\n", _TEXT)

    async def _readyz(self, _: Receive, send: Send) -> None:
        if self._served.ready:
            await respond(send, 200, b"ok\n", _TEXT)
        else:
            await respond(send, 503, self._served.status.why_not_ready().encode() + b"\n", _TEXT)

    async def _status(self, _: Receive, send: Send) -> None:
        await respond_json(send, 200, self._served.status.to_json())

    async def _show_metrics(self, _: Receive, send: Send) -> None:
        content_type, body = self._metrics.render()
        await respond(send, 200, body, [(b"content-type", content_type.encode())])

    # -- guarded

    async def _admin(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._authorize(scope)
        known = self._guarded.get(scope["path"])
        if known is None:
            raise _Refused(404, "there is nothing here; known are " + ", ".join(self._guarded))
        method, answer = known
        if scope["method"] != method:
            raise _Refused(405, f"{scope['path']} wants {method}", [(b"allow", method.encode())])
        await answer(receive, send)

    def _authorize(self, scope: Scope) -> None:
        given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        if not self._admin_token_sha256:
            self._refuse(scope, 403, "this bridge was given no admin token; VSM_BRIDGE_ADMIN_TOKEN_SHA256 is empty")
        if scheme.lower() != b"bearer" or not token:
            self._refuse(scope, 401, "/admin wants the operator's token: Authorization: Bearer TOKEN")
        # Of the hashes: hex digits of equal length, whatever was sent.
        if not hmac.compare_digest(hashlib.sha256(token.strip()).hexdigest(), self._admin_token_sha256):
            self._refuse(scope, 403, "this is not the admin token of this server")

    def _refuse(self, scope: Scope, status: int, why: str) -> None:
        who = (scope.get("client") or ("somebody",))[0]
        text = f"{scope['method']} {scope['path']} from {who}, {status}: {why}"
        self._refusals.say(_log, logging.WARNING, "refused: %s", text)
        raise _Refused(status, why, [(b"www-authenticate", b"Bearer")] if status == 401 else None)

    async def _admin_status(self, _: Receive, send: Send) -> None:
        status = self._served.status.to_json()
        failure = status.get("lastFailure")
        tail = failure.get("stderrTail") if isinstance(failure, dict) else None
        await respond_json(send, 200, {**status, "stderrTail": tail if isinstance(tail, list) else []})

    async def _egress(self, receive: Receive, send: Send) -> None:
        try:
            targets = egress.parse(await self._read(receive))
        except egress.InvalidTargets as error:
            raise _Refused(400, str(error)) from None
        if self._probing.locked():
            raise _Refused(429, "another probe is running; try again", [(b"retry-after", b"3")])
        async with self._probing:
            try:
                results = await egress.probe(targets)
            except egress.ProbeFailed as error:
                raise _Refused(503, str(error), [(b"retry-after", b"3")]) from None
        await respond_json(send, 200, {"results": results})

    async def _drain(self, _: Receive, send: Send) -> None:
        _log.info("draining for up to %g s, as the operator asks", self._drain_seconds)
        await respond_json(send, 200, {"inFlight": await self._served.drain(self._drain_seconds)})

    async def _read(self, receive: Receive) -> object:
        """Raises _Refused, Disconnected."""
        memory = Reservation(self._budget)
        try:
            body = await read_body(receive, declared=None, limit_bytes=MAX_BODY_BYTES, reservation=memory)
            return jsonrpc.decode(body)
        except TooLarge:
            raise _Refused(413, f"a body may have at most {MAX_BODY_BYTES} bytes") from None
        except NoMemory:
            raise _Refused(503, "too many bodies at once; try again", [(b"retry-after", b"1")]) from None
        except jsonrpc.Malformed as error:
            raise _Refused(400, f"the body is not usable JSON: {error}") from None
        finally:
            memory.release()
