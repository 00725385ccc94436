"""Where the requests of both eras come together: who asks, whether it may, which server answers, what counts."""

import asyncio
import math
import time
from collections.abc import Coroutine, Mapping

from vsm_runtime.bridge import checks, jsonrpc, logs, trace
from vsm_runtime.bridge.asgi import JSON_HEADERS, Disconnected, Headers, NoMemory, Request, hung_up, respond
from vsm_runtime.bridge.checks import Rejected
from vsm_runtime.bridge.eras import Client, Era, Peer, complete
from vsm_runtime.bridge.exchange import Exchange, Unheard
from vsm_runtime.bridge.gate import NotAdmitted
from vsm_runtime.bridge.handshake import HandshakeFailed
from vsm_runtime.bridge.hub import Refused
from vsm_runtime.bridge.jsonrpc import Json, meta_of, params_of
from vsm_runtime.bridge.limits import Limited, Limits
from vsm_runtime.bridge.link import LinkBusy
from vsm_runtime.bridge.logs import shown
from vsm_runtime.bridge.metrics import Metrics, Outcome
from vsm_runtime.bridge.pool import NoRoom, Own, Pool
from vsm_runtime.bridge.response import Response, http_status
from vsm_runtime.bridge.routes import Call
from vsm_runtime.bridge.supervisor import Supervisor
from vsm_runtime.bridge.toolfilter import ToolFilter


class Visit:
    """One HTTP request: what answering it takes, and who sent it."""

    __slots__ = ("body_bytes", "headers", "key", "principal", "request")

    def __init__(self, request: Request, headers: Mapping[str, str], *, principal: str, key: str) -> None:
        self.request = request
        self.headers = headers
        self.principal = principal
        """Who it has proved to be, where that is asked for."""
        self.key = key
        """Whom limits go by: the principal, else the address."""
        self.body_bytes = 0


class Desk:
    """Shared by the endpoints of both eras."""

    def __init__(
        self,
        pool: Pool,
        *,
        tool_filter: ToolFilter,
        limits: Limits,
        metrics: Metrics,
        request_timeout_seconds: float,
        start_timeout_seconds: float,
    ) -> None:
        self.pool = pool
        self.draining = False
        self._tool_filter = tool_filter
        self._limits = limits
        self._metrics = metrics
        self._request_timeout_seconds = request_timeout_seconds
        self._start_timeout_seconds = start_timeout_seconds

    # -- servers

    def peer(self, supervisor: Supervisor) -> Peer:
        """Raises Rejected while there is none."""
        peer = supervisor.hub.peer
        if peer is None:
            raise unavailable(supervisor)
        return peer

    def running(self, key: str) -> Supervisor | None:
        """The server for this client, if there is nothing to wait for."""
        found = self.pool.find(key)
        return found if found is not None and (found.tried.is_set() or not self.pool.isolated) else None

    async def begin(self, visit: Visit, key: str, *, client: Client | None = None) -> Supervisor:
        """The server for this client; a new one is waited for, as long as the client does. Raises Rejected."""
        if self.draining:
            raise Rejected(503, jsonrpc.SERVER_DOWN, "the server is being shut down; try again")
        if not self.pool.isolated:
            return self.pool.main
        self.peer(self.pool.main)
        starting = asyncio.create_task(self.pool.begin(key, client=client))
        leaving = asyncio.create_task(hung_up(visit.request.receive))
        try:
            await asyncio.wait(
                (starting, leaving), timeout=self._start_timeout_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if starting.done():
                return starting.result()
        except NoRoom as error:
            raise self._refused(503, jsonrpc.BUSY, str(error), "sessions") from None
        finally:
            starting.cancel()  # a server that nobody waits for any more is ended
            leaving.cancel()
            await asyncio.gather(starting, leaving, return_exceptions=True)
        if leaving.done() and not leaving.cancelled():
            raise Disconnected
        why = f"a server for this client was not ready within {self._start_timeout_seconds:g} s; try again"
        raise self._refused(503, jsonrpc.BUSY, why, "sessions")

    # -- calls

    async def call(self, visit: Visit, message: Json, client: Client, supervisor: Supervisor) -> None:
        """Sends a request to the server and its answer to the client. Raises Rejected, Disconnected."""
        tool = self._tool_of(message, client, supervisor, visit.headers)
        message = traced(message, visit.headers)
        exchange, begun = Exchange(client), time.monotonic()
        outcome: Outcome = "refused"
        with self.counted(visit, own_key(client, visit)):
            try:
                call = self._submit(exchange, message, supervisor)
                response = Response(
                    supervisor.hub, call, exchange, visit.request, timeout_seconds=self._request_timeout_seconds
                )
                outcome = "cancelled"
                await response.send()
                outcome = exchange.verdict
            finally:
                self._note(visit, message, outcome, tool=tool, begun=begun, bytes_out=exchange.answer_bytes)

    async def outcome(self, message: Json, client: Client, supervisor: Supervisor, visit: Visit) -> Json:
        """The answer as a value, for a batch."""
        try:
            if message["method"] == "tools/list":
                return jsonrpc.result(message["id"], await self.tools(message, client, supervisor))
            tool = self._tool_of(message, client, supervisor, visit.headers)
            message = traced(message, visit.headers)
            exchange, begun = Unheard(client), time.monotonic()
            with self.counted(visit, own_key(client, visit)):
                call = self._submit(exchange, message, supervisor)
                await exchange.outcome_within(supervisor.hub, call, self._request_timeout_seconds)
            self._note(visit, message, exchange.verdict, tool=tool, begun=begun)
            return exchange.take_outcome()
        except Rejected as refused:
            return jsonrpc.error(message["id"], refused.code, str(refused), refused.data)

    def _note(
        self, visit: Visit, message: Json, outcome: Outcome, *, tool: str | None, begun: float, bytes_out: int = 0
    ) -> None:
        """A call is over: it is counted, and at level DEBUG it has its line."""
        method, seconds = message["method"], time.monotonic() - begun
        self._metrics.observe_call(method, tool, outcome, seconds)
        self._metrics.bytes("out", bytes_out)
        logs.call_line(
            method=method,
            tool=tool,
            client=visit.key,
            outcome=outcome,
            seconds=seconds,
            bytes_in=visit.body_bytes,
            bytes_out=bytes_out,
            traceparent=meta_of(message).get("traceparent"),
        )

    def _submit(self, exchange: Exchange, message: Json, supervisor: Supervisor) -> Call:
        try:
            return supervisor.hub.submit(exchange, message)
        except Refused as refused:
            if refused.code == jsonrpc.SERVER_DOWN:
                raise unavailable(supervisor) from None
            status = max(http_status(refused.code, exchange.client), refused.status)
            raise self._refused(status, refused.code, str(refused), "busy") from None

    def counted(self, visit: Visit, key: str) -> "_Counted":
        """A context within the limits of this client, whose server is in use. Raises Rejected when it is entered."""
        return _Counted(self, visit, key)

    def enter(self, visit: Visit) -> None:
        """Raises Rejected; otherwise `leave` must follow."""
        if self.draining:
            raise Rejected(503, jsonrpc.SERVER_DOWN, "the server is being shut down; try again")
        try:
            self._limits.enter(visit.key)
        except Limited as error:
            wait = [(b"retry-after", str(math.ceil(error.retry_after_seconds)).encode())]
            raise self._refused(429, jsonrpc.BUSY, str(error), "limit", wait) from None
        self._metrics.in_flight.inc()

    def leave(self, visit: Visit) -> None:
        self._metrics.in_flight.dec()
        self._limits.leave(visit.key)

    def _refused(self, status: int, code: int, why: str, reason: str, headers: Headers | None = None) -> Rejected:
        self._metrics.refused(reason)
        return Rejected(status, code, why, headers=headers)

    # -- tools

    def _tool_of(self, message: Json, client: Client, supervisor: Supervisor, headers: Mapping[str, str]) -> str | None:
        """The tool that is called, if any. Raises Rejected for one that may not be."""
        if message["method"] != "tools/call":
            return None
        params, book = params_of(message), supervisor.status.tools
        name = params.get("name")
        if not isinstance(name, str):
            raise Rejected(400 if client.era is Era.MODERN else 200, jsonrpc.INVALID_PARAMS, "params.name is missing")
        if self._tool_filter.active and (book is None or name not in book.visible):
            # The same words for a tool that is hidden and for one that does not exist. A server may be lenient with
            # names, so only what it listed may pass.
            status = http_status(jsonrpc.INVALID_PARAMS, client)
            raise self._refused(status, jsonrpc.INVALID_PARAMS, f"Unknown tool: {shown(name, 200)}", "filter")
        if client.era is Era.MODERN and book is not None and (mirrors := book.mirrors.get(name)):
            checks.mirrors(mirrors, params.get("arguments"), headers)
        return name

    async def tools(self, message: Json, client: Client, supervisor: Supervisor) -> Json:
        """The result of tools/list: fetched, judged and filtered now. Raises Rejected."""
        if params_of(message).get("cursor") is not None:
            status = http_status(jsonrpc.INVALID_PARAMS, client)
            raise Rejected(status, jsonrpc.INVALID_PARAMS, "this cursor is not known: the list comes in one piece")
        peer = self.peer(supervisor)
        try:
            listing = await supervisor.list_tools()
        except (NotAdmitted, ConnectionError):
            raise unavailable(supervisor) from None
        except TimeoutError:
            raise Rejected(200, jsonrpc.TIMED_OUT, "the server did not list its tools in time") from None
        except (HandshakeFailed, LinkBusy, jsonrpc.Malformed) as error:
            raise Rejected(200, jsonrpc.INTERNAL_ERROR, shown(error)) from None
        answer: Json = {"tools": listing.tools}
        if client.era is Era.MODERN:
            answer |= {"ttlMs": listing.ttl_ms, "cacheScope": listing.cache_scope}
            complete(answer, peer=peer, method="tools/list")
        return answer

    async def list_tools(self, visit: Visit, message: Json, client: Client, supervisor: Supervisor) -> None:
        """Raises Rejected, Disconnected."""
        begun, size_bytes = time.monotonic(), 0
        message = traced(message, visit.headers)
        outcome: Outcome = "error"
        with self.counted(visit, own_key(client, visit)):
            try:
                body = jsonrpc.encode(jsonrpc.result(message["id"], await self.tools(message, client, supervisor)))
                visit.request.memory.release()
                visit.request.memory.need(len(body))
                size_bytes = len(body)
                await respond(visit.request.send, 200, body, JSON_HEADERS)
                outcome = "ok"
            except NoMemory:
                raise Rejected(503, jsonrpc.BUSY, "too many large answers at once; try again") from None
            except Disconnected:
                outcome = "cancelled"
                raise
            finally:
                self._note(visit, message, outcome, tool=None, begun=begun, bytes_out=size_bytes)

    async def in_time(self, work: Coroutine[object, object, None]) -> None:
        """Awaits a request of the bridge's own on behalf of a client. Raises TimeoutError."""
        async with asyncio.timeout(self._request_timeout_seconds):
            await work


class _Counted:
    """One request within its client's limits, and its server in use for so long."""

    __slots__ = ("_desk", "_key", "_own", "_visit")

    def __init__(self, desk: Desk, visit: Visit, key: str) -> None:
        self._desk = desk
        self._visit = visit
        self._key = key
        self._own: Own | None = None

    def __enter__(self) -> None:
        self._desk.enter(self._visit)
        self._own = self._desk.pool.enter(self._key)

    def __exit__(self, *_: object) -> None:
        self._desk.pool.leave(self._own)
        self._desk.leave(self._visit)


def own_key(client: Client, visit: Visit) -> str:
    """Whose server it is, where clients have one of their own: a session's, or a modern client's."""
    return client.identity if client.era is Era.LEGACY else f"modern/{visit.key}"


def unavailable(supervisor: Supervisor) -> Rejected:
    status = supervisor.status
    data: Json = {"state": status.state.value}
    if status.blocked is not None:
        data["reason"] = status.blocked.reason.value
    elif status.last_failure is not None:
        data["reason"] = status.last_failure.reason.value
    return Rejected(503, jsonrpc.SERVER_DOWN, status.why_not_ready() or "the server has just ended", data)


def traced(message: Json, headers: Mapping[str, str]) -> Json:
    """The message with the trace context of its headers, where it has none of its own."""
    if "traceparent" not in headers and "baggage" not in headers:
        return message
    params = params_of(message)
    given = params.get("_meta")
    meta = trace.merge(given if isinstance(given, dict) else {}, headers)
    return {**message, "params": {**params, "_meta": meta}} if meta else message
