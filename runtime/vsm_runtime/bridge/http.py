"""The public port: Streamable HTTP on one path, for clients of both eras. Reads requests, decides nothing about routes.

POST   a request is answered with JSON, or with an event stream from the first message that precedes the answer
       (or when the answer takes its time, so that no proxy loses patience); notifications and answers get 202
GET    405: there are no unsolicited messages yet; DELETE: 405, a session has nothing that could be ended
       (both as the specification allows)
"""

import secrets
from collections.abc import Mapping

from vsm_runtime.bridge import checks, jsonrpc, sessions
from vsm_runtime.bridge.asgi import (
    Budget,
    Disconnected,
    Headers,
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
from vsm_runtime.bridge.checks import Rejected
from vsm_runtime.bridge.eras import (
    ASSUMED_VERSION,
    LATEST_MODERN,
    LOG_LEVEL_KEY,
    Client,
    Era,
    Peer,
    discover_result,
    initialize_result,
    negotiate,
)
from vsm_runtime.bridge.exchange import Exchange
from vsm_runtime.bridge.hub import Hub, Refused
from vsm_runtime.bridge.jsonrpc import Json, Kind, kind_of, meta_of, params_of
from vsm_runtime.bridge.response import Response, http_status
from vsm_runtime.bridge.supervisor import Supervisor


class PublicApp:
    """ASGI application. Every request ends in exactly one answer, or in nothing when its client is gone."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        path: str,
        max_message_bytes: int,
        request_timeout_seconds: float,
        allowed_origins: frozenset[str],
    ) -> None:
        self._supervisor = supervisor
        self._hub: Hub = supervisor.hub
        self._path = path
        self._max_message_bytes = max_message_bytes
        self._request_timeout_seconds = request_timeout_seconds
        self._allowed_origins = allowed_origins
        self._budget = Budget(max(32 << 20, 2 * max_message_bytes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        memory = Reservation(self._budget)
        request = Request(receive, send, memory)
        try:
            headers = checks.fold(scope["headers"])
            checks.path(scope["path"], self._path)
            checks.origin(headers, self._allowed_origins)
            if scope["method"] != "POST":
                return await respond(send, 405, b"", [(b"allow", b"POST")])
            checks.content(headers)
            message, kind = await self._read(request, declared=headers.get("content-length"))
            if kind is Kind.REQUEST:
                request.id = message["id"]
            serve = self._modern if checks.is_modern(message, headers) else self._legacy
            await serve(request, message, kind, headers)
        except Rejected as refused:
            error = jsonrpc.error(request.id, refused.code, str(refused), refused.data)
            await respond_json(send, refused.status, error, _headers_of(refused.status))
        except Disconnected:
            # Nobody reads what we could say. uvicorn closes the connection of an answer that was begun.
            return None
        finally:
            memory.release()

    async def _read(self, request: Request, *, declared: str | None) -> tuple[Json, Kind]:
        try:
            body = await read_body(
                request.receive, declared=declared, limit_bytes=self._max_message_bytes, reservation=request.memory
            )
            message = jsonrpc.decode(body)
        except TooLarge:
            limit = f"a message may have at most {self._max_message_bytes} bytes"
            raise Rejected(413, jsonrpc.TOO_LARGE, limit) from None
        except NoMemory:
            raise Rejected(503, jsonrpc.BUSY, "too many large messages at once; try again") from None
        except jsonrpc.Malformed as error:
            raise Rejected(400, jsonrpc.PARSE_ERROR, f"Parse error: {error}") from None
        kind = kind_of(message)
        if kind is None or not isinstance(message, dict):
            why = "the body must be one JSON-RPC request, notification or response"
            raise Rejected(400, jsonrpc.INVALID_REQUEST, why)
        return message, kind

    def _server(self) -> Peer:
        """Raises Rejected while there is none."""
        peer = self._hub.peer
        if peer is None:
            raise self._unavailable()
        return peer

    def _unavailable(self) -> Rejected:
        status = self._supervisor.status
        data: Json = {"state": status.state.value}
        if status.last_failure is not None:
            data["reason"] = status.last_failure.reason.value
        return Rejected(503, jsonrpc.SERVER_DOWN, status.why_not_ready() or "the server has just ended", data)

    # -- eras

    async def _modern(self, request: Request, message: Json, kind: Kind, headers: Mapping[str, str]) -> None:
        if kind is Kind.NOTIFICATION:
            # None is defined for this direction; a client cancels by hanging up.
            return await respond(request.send, 202)
        if kind is Kind.RESPONSE:
            why = "a client of this version answers within its next request, not with a response"
            raise Rejected(400, jsonrpc.INVALID_REQUEST, why)
        checks.modern_request(message, headers)
        peer = self._server()
        if message["method"] == "server/discover":
            return await respond_json(request.send, 200, jsonrpc.result(request.id, discover_result(peer)))
        return await self._call(request, message, modern_client(message))

    async def _legacy(self, request: Request, message: Json, kind: Kind, headers: Mapping[str, str]) -> None:
        method = message.get("method")
        if method == "initialize" and kind is Kind.REQUEST:
            return await self._initialize(request, message)
        checks.legacy_version(headers)
        client = legacy_client(headers)
        if kind is Kind.RESPONSE and not self._hub.answer(client, message):
            raise Rejected(400, jsonrpc.INVALID_REQUEST, "nothing with this id was asked of this session")
        if method == "notifications/cancelled":
            self._hub.cancel_by_client(client, params_of(message).get("requestId"))
        if kind is not Kind.REQUEST:
            return await respond(request.send, 202)
        self._server()
        if method == "ping":
            return await respond_json(request.send, 200, jsonrpc.result(request.id, {}))
        return await self._call(request, message, client)

    async def _initialize(self, request: Request, message: Json) -> None:
        """Answered here, for each client on its own terms; the server was initialized once, when it started."""
        peer, params = self._server(), params_of(message)
        version = negotiate(params.get("protocolVersion"))
        session = sessions.begin(protocol_version=version, capabilities=params.get("capabilities"))
        answer = jsonrpc.result(request.id, initialize_result(peer, version))
        await respond_json(request.send, 200, answer, [(b"mcp-session-id", session.session_id.encode())])

    async def _call(self, request: Request, message: Json, client: Client) -> None:
        exchange = Exchange(client)
        try:
            call = self._hub.submit(exchange, message)
        except Refused as refused:
            if refused.code == jsonrpc.SERVER_DOWN:
                raise self._unavailable() from None
            status = http_status(refused.code, client)
            raise Rejected(max(status, refused.status), refused.code, str(refused)) from None
        await Response(self._hub, call, exchange, request, timeout_seconds=self._request_timeout_seconds).send()


def _headers_of(status: int) -> Headers:
    return [(b"retry-after", b"1")] if status == 503 else []


def modern_client(message: Json) -> Client:
    """Stateless: each request is a client of its own."""
    level = meta_of(message).get(LOG_LEVEL_KEY)
    return Client(
        Era.MODERN,
        LATEST_MODERN,
        identity=secrets.token_hex(8),
        log_level=level if isinstance(level, str) else None,
    )


def legacy_client(headers: Mapping[str, str]) -> Client:
    """Without a session, a request has nothing but itself. Raises Rejected for a session that cannot be one of ours."""
    session_id = headers.get("mcp-session-id")
    if session_id is None:
        version = headers.get("mcp-protocol-version", ASSUMED_VERSION)
        return Client(Era.LEGACY, version, identity=secrets.token_hex(8))
    session = sessions.resume(session_id)
    if session is None:
        raise Rejected(404, jsonrpc.INVALID_REQUEST, "there is no such session; initialize again")
    return Client(Era.LEGACY, session.protocol_version, identity=session.nonce, capabilities=session.capabilities)
