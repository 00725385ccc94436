"""The public port: Streamable HTTP on one path, for clients of both eras. Reads requests; the endpoints answer them.

POST   a request is answered with JSON, or with an event stream from the first message that precedes the answer
       (or when the answer takes its time, so that no proxy loses patience); notifications and answers get 202
GET    a legacy session's stream; DELETE: its end
"""

from collections.abc import Mapping

from vsm_runtime.bridge import checks, jsonrpc
from vsm_runtime.bridge.asgi import (
    Budget,
    Disconnected,
    NoMemory,
    Receive,
    Request,
    Reservation,
    Scope,
    Send,
    TooLarge,
    read_body,
    respond,
    respond_json,
)
from vsm_runtime.bridge.auth import Authenticator, Refusal
from vsm_runtime.bridge.checks import Rejected
from vsm_runtime.bridge.desk import Desk, Visit
from vsm_runtime.bridge.jsonrpc import Kind, kind_of
from vsm_runtime.bridge.legacy import LegacyEndpoint
from vsm_runtime.bridge.metrics import Metrics
from vsm_runtime.bridge.modern import ModernEndpoint

_CHALLENGE = [(b"www-authenticate", b"Bearer")]


class PublicApp:
    """ASGI application. Every request ends in exactly one answer, or in nothing when its client is gone."""

    def __init__(
        self,
        desk: Desk,
        *,
        authenticator: Authenticator,
        metrics: Metrics,
        path: str,
        max_message_bytes: int,
        allowed_origins: frozenset[str],
    ) -> None:
        self._modern = ModernEndpoint(desk)
        self._legacy = LegacyEndpoint(desk)
        self._authenticator = authenticator
        self._metrics = metrics
        self._path = path
        self._max_message_bytes = max_message_bytes
        self._allowed_origins = allowed_origins
        self._budget = Budget(max(32 << 20, 2 * max_message_bytes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        memory = Reservation(self._budget)
        request = Request(receive, send, memory)
        try:
            headers = checks.fold(scope["headers"])
            checks.path(scope["path"], self._path)
            checks.origin(headers, self._allowed_origins)
            principal = await self._identify(headers)
            visit = Visit(request, headers, principal=principal, key=principal or _address(scope))
            method = scope["method"]
            if method == "POST":
                await self._post(visit)
            elif method == "GET":
                await self._legacy.get(visit)
            elif method == "DELETE":
                await self._legacy.delete(visit)
            else:
                await respond(send, 405, b"", [(b"allow", b"POST, GET, DELETE")])
        except Rejected as refused:
            error = jsonrpc.error(request.id, refused.code, str(refused), refused.data)
            headers_out = refused.headers or ([(b"retry-after", b"1")] if refused.status == 503 else [])
            await respond_json(send, refused.status, error, headers_out)
        except Disconnected:
            return  # nobody reads what we could say; uvicorn closes the connection of an answer that was begun
        finally:
            memory.release()

    async def _identify(self, headers: Mapping[str, str]) -> str:
        """Before anything of the body is read. Raises Rejected."""
        try:
            return await self._authenticator.identify(headers)
        except Refusal as refusal:
            self._metrics.refused("auth")
            challenge = _CHALLENGE if refusal.status == 401 else None
            raise Rejected(refusal.status, jsonrpc.INVALID_REQUEST, str(refusal), headers=challenge) from None

    async def _post(self, visit: Visit) -> None:
        request, headers = visit.request, visit.headers
        checks.content(headers)
        message = await self._read(visit, declared=headers.get("content-length"))
        if isinstance(message, list):
            return await self._legacy.batch(visit, message)
        kind = kind_of(message)
        if kind is None or not isinstance(message, dict):
            why = "the body must be one JSON-RPC request, notification or response"
            raise Rejected(400, jsonrpc.INVALID_REQUEST, why)
        if kind is Kind.REQUEST:
            request.id = message["id"]
        endpoint = self._modern if checks.is_modern(message, headers) else self._legacy
        return await endpoint.post(visit, message, kind)

    async def _read(self, visit: Visit, *, declared: str | None) -> object:
        request = visit.request
        try:
            body = await read_body(
                request.receive, declared=declared, limit_bytes=self._max_message_bytes, reservation=request.memory
            )
            visit.body_bytes = len(body)
            self._metrics.bytes("in", len(body))
            return jsonrpc.decode(body)
        except TooLarge:
            limit = f"a message may have at most {self._max_message_bytes} bytes"
            raise Rejected(413, jsonrpc.TOO_LARGE, limit) from None
        except NoMemory:
            raise Rejected(503, jsonrpc.BUSY, "too many large messages at once; try again") from None
        except jsonrpc.Malformed as error:
            raise Rejected(400, jsonrpc.PARSE_ERROR, f"Parse error: {error}") from None


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"
