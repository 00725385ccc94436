"""Clients of 2024-11-05 to 2025-11-25: initialize, a session, a stream by GET, questions of the server on the way."""

import asyncio
import itertools
from collections.abc import Awaitable, Mapping
from dataclasses import replace

from vsm_runtime.bridge import checks, jsonrpc, sessions
from vsm_runtime.bridge.asgi import NoMemory, Reservation, respond, respond_json
from vsm_runtime.bridge.checks import Rejected
from vsm_runtime.bridge.desk import Desk, Visit
from vsm_runtime.bridge.eras import ASSUMED_VERSION, LOG_LEVELS, Client, Era, initialize_result, negotiate
from vsm_runtime.bridge.feeds import ALL_LISTS, Feed
from vsm_runtime.bridge.hub import ServerError
from vsm_runtime.bridge.jsonrpc import Json, Kind, kind_of, params_of
from vsm_runtime.bridge.link import LinkBusy
from vsm_runtime.bridge.response import encoded
from vsm_runtime.bridge.streams import serve_feed
from vsm_runtime.bridge.subscriptions import TooManySubscriptions, offered_by
from vsm_runtime.bridge.supervisor import Supervisor

MAX_BATCH = 32
"""Messages in one body, of which only 2025-03-26 knows."""
_BATCH_VERSION = "2025-03-26"


_numbers = itertools.count()
"""Of requests without a session. No session has an identity like these, so nobody can claim one."""


class LegacyEndpoint:
    """POST, GET and DELETE."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def post(self, visit: Visit, message: Json, kind: Kind) -> None:
        """Raises Rejected, Disconnected."""
        method = message.get("method")
        if method == "initialize" and kind is Kind.REQUEST:
            return await self._initialize(visit, message)
        checks.legacy_version(visit.headers)
        client, supervisor = self._resume(visit)
        if kind is not Kind.REQUEST:
            self._take(message, kind, client, supervisor)
            return await respond(visit.request.send, 202)
        self._desk.peer(supervisor)
        if method == "tools/list":
            return await self._desk.list_tools(visit, message, client, supervisor)
        if method == "ping":  # takes nothing of anybody's, and must not fail for a client's rate
            return await respond_json(visit.request.send, 200, jsonrpc.result(message["id"], {}))
        if method in _OWN:
            with self._desk.counted(visit, client.identity):
                answer = await self._own(message, client, supervisor)
            return await respond_json(visit.request.send, 200, jsonrpc.result(message["id"], answer))
        return await self._desk.call(visit, message, client, supervisor)

    async def batch(self, visit: Visit, messages: list[object]) -> None:
        """All answers in one body, in any order; progress on the way is lost. Raises Rejected, Disconnected."""
        checks.legacy_version(visit.headers)
        client, supervisor = self._resume(visit)
        if client.protocol_version != _BATCH_VERSION:
            why = f"a body holds one JSON-RPC message; only {_BATCH_VERSION} knows batches"
            raise Rejected(400, jsonrpc.INVALID_REQUEST, why)
        if not 0 < len(messages) <= MAX_BATCH:
            raise Rejected(400, jsonrpc.INVALID_REQUEST, f"a batch holds 1 to {MAX_BATCH} messages")
        requests: list[Json] = []
        for message in messages:
            kind = kind_of(message)
            if kind is None or not isinstance(message, dict) or message.get("method") == "initialize":
                raise Rejected(400, jsonrpc.INVALID_REQUEST, "a member of the batch is no message that may be in one")
            if kind is Kind.REQUEST:
                requests.append(message)
            else:
                self._take(message, kind, client, supervisor)
        if not requests:
            return await respond(visit.request.send, 202)
        self._desk.peer(supervisor)
        answers = _Answers(visit.request.memory)
        await asyncio.gather(
            *(answers.take(one["id"], self._answer(visit, one, client, supervisor)) for one in requests)
        )
        body = b"[" + b",".join(answers.bodies) + b"]"
        return await respond(visit.request.send, 200, body, [(b"content-type", b"application/json")])

    async def get(self, visit: Visit) -> None:
        """The session's stream of what nobody asked for just now. A second one takes over from the first."""
        if checks.names_modern_version(visit.headers):
            return await respond(visit.request.send, 405, b"", [(b"allow", b"POST")])
        checks.legacy_version(visit.headers)
        if not checks.accepts(visit.headers)[1]:
            raise Rejected(406, jsonrpc.INVALID_REQUEST, "Accept must list text/event-stream")
        client, supervisor = self._resume(visit)
        board = supervisor.hub.board
        if board.full:
            raise Rejected(503, jsonrpc.BUSY, "too many streams are open already; try again later")
        feed = self._desk.pool.sessions.of(client.identity).feed if client.lasting else Feed(lists=ALL_LISTS)
        with self._desk.counted(visit, client.identity):
            board.add(feed)
            try:
                return await serve_feed(visit.request, feed)
            finally:
                if not feed.uris and not feed.is_read:
                    board.remove(feed)

    async def delete(self, visit: Visit) -> None:
        """The client is done with its session."""
        if "mcp-session-id" not in visit.headers or checks.names_modern_version(visit.headers):
            return await respond(visit.request.send, 405, b"", [(b"allow", b"POST, GET")])
        client, _ = self._resume(visit)
        self._desk.pool.sessions.end(client.identity)
        self._desk.pool.end(client.identity)
        return await respond(visit.request.send, 204)

    # -- sessions

    async def _initialize(self, visit: Visit, message: Json) -> None:
        """Answered here, for each client on its own terms; a shared server was initialized once, when it started."""
        params = params_of(message)
        if not isinstance(params.get("protocolVersion"), str):
            raise Rejected(200, jsonrpc.INVALID_PARAMS, "params.protocolVersion must be a string")
        version = negotiate(params["protocolVersion"])
        session = sessions.begin(protocol_version=version, capabilities=params.get("capabilities"))
        client = session.client(visit.principal, key=visit.key)
        with self._desk.counted(visit, client.identity):
            supervisor = await self._desk.begin(visit, client.identity, client=client)
        try:
            peer = self._desk.peer(supervisor)
        except Rejected:
            self._desk.pool.end(client.identity)
            raise
        answer = jsonrpc.result(message["id"], initialize_result(peer, version))
        session_id = [(b"mcp-session-id", session.session_id.encode())]
        await respond_json(visit.request.send, 200, answer, session_id)

    def _resume(self, visit: Visit) -> tuple[Client, Supervisor]:
        """Raises Rejected for a session that cannot be one of ours, or that is over."""
        pool, client = self._desk.pool, legacy_client(visit.headers, visit.principal, visit.key)
        if client.lasting:
            supervisor = pool.find(client.identity)
            if supervisor is None or pool.sessions.is_ended(client.identity):
                raise no_session()
            state = pool.sessions.find(client.identity)
            if state is not None and state.log_level is not None:
                client = replace(client, log_level=state.log_level)
            return client, supervisor
        if pool.isolated:
            raise Rejected(400, jsonrpc.INVALID_REQUEST, "a session is needed here: initialize first")
        return client, pool.main

    # -- messages

    def _take(self, message: Json, kind: Kind, client: Client, supervisor: Supervisor) -> None:
        """A notification or an answer. Raises Rejected."""
        if kind is Kind.RESPONSE and not supervisor.hub.answer(client, message):
            raise Rejected(400, jsonrpc.INVALID_REQUEST, "nothing with this id was asked of this session")
        if message.get("method") == "notifications/cancelled":
            supervisor.hub.cancel_by_client(client, params_of(message).get("requestId"))

    async def _answer(self, visit: Visit, message: Json, client: Client, supervisor: Supervisor) -> Json:
        if message["method"] not in _OWN:
            return await self._desk.outcome(message, client, supervisor, visit)
        try:
            return jsonrpc.result(message["id"], await self._own(message, client, supervisor))
        except Rejected as refused:
            return jsonrpc.error(message["id"], refused.code, str(refused), refused.data)

    async def _own(self, message: Json, client: Client, supervisor: Supervisor) -> Json:
        """What the bridge itself answers. Raises Rejected."""
        method, params = message["method"], params_of(message)
        if method == "logging/setLevel":
            self._set_level(params.get("level"), client, supervisor)
        elif method != "ping":
            await self._subscribe(method, params.get("uri"), client, supervisor)
        return {}

    def _set_level(self, level: object, client: Client, supervisor: Supervisor) -> None:
        if not isinstance(self._desk.peer(supervisor).capabilities.get("logging"), dict):
            raise Rejected(200, jsonrpc.METHOD_NOT_FOUND, "Method not found: the server does not log")
        if level not in LOG_LEVELS:
            raise Rejected(200, jsonrpc.INVALID_PARAMS, f"params.level must be one of {', '.join(LOG_LEVELS)}")
        if client.lasting:
            self._desk.pool.sessions.of(client.identity).log_level = str(level)
        supervisor.hub.set_log_level(str(level))

    async def _subscribe(self, method: str, uri: object, client: Client, supervisor: Supervisor) -> None:
        if not offered_by(self._desk.peer(supervisor), "resources", "subscribe"):
            why = "Method not found: the server does not offer subscriptions to resources"
            raise Rejected(200, jsonrpc.METHOD_NOT_FOUND, why)
        if not isinstance(uri, str):
            raise Rejected(200, jsonrpc.INVALID_PARAMS, "params.uri must be a string")
        if not client.lasting:
            raise Rejected(400, jsonrpc.INVALID_REQUEST, "a subscription needs a session: initialize first")
        feed = self._desk.pool.sessions.of(client.identity).feed
        if method == "resources/unsubscribe":
            return supervisor.subscriptions.unsubscribe(feed, uri)
        try:
            await self._desk.in_time(supervisor.subscriptions.subscribe(feed, uri))
        except ServerError as error:
            raise Rejected(200, error.code, error.text) from None
        except TimeoutError:
            raise Rejected(200, jsonrpc.TIMED_OUT, "the server did not confirm the subscription in time") from None
        except (LinkBusy, TooManySubscriptions) as error:
            raise Rejected(200, jsonrpc.BUSY, str(error)) from None
        except ConnectionError:
            raise Rejected(503, jsonrpc.SERVER_DOWN, "the server ended before it answered") from None
        supervisor.hub.board.add(feed)
        return None


class _Answers:
    """Of one batch: kept encoded, and within the memory for large messages, however many come at once."""

    def __init__(self, memory: Reservation) -> None:
        self.bodies: list[bytes] = []
        self._memory = memory
        self._size_bytes = 0

    async def take(self, request_id: int | str, answer: Awaitable[Json]) -> None:
        body = encoded(await answer)
        try:
            self._memory.need(self._size_bytes + len(body))
        except NoMemory:
            body = jsonrpc.encode(jsonrpc.error(request_id, jsonrpc.BUSY, "too many large answers at once; try again"))
        self._size_bytes += len(body)
        self.bodies.append(body)


_OWN = frozenset({"logging/setLevel", "ping", "resources/subscribe", "resources/unsubscribe"})


def legacy_client(headers: Mapping[str, str], principal: str, key: str) -> Client:
    """Without a session, a request has nothing but itself. Raises Rejected for a session that cannot be one of ours."""
    session_id = headers.get("mcp-session-id")
    if session_id is None:
        version = headers.get("mcp-protocol-version", ASSUMED_VERSION)
        return Client(Era.LEGACY, version, identity=f"legacy {next(_numbers)}", principal=principal, key=key)
    session = sessions.resume(session_id)
    if session is None:
        raise no_session()
    return session.client(principal, key=key)


def no_session() -> Rejected:
    return Rejected(404, jsonrpc.INVALID_REQUEST, "there is no such session (any more); initialize again")
