"""Joins the clients' calls with the one server behind the link. Knows messages, not how they travel.

Invariants: every call that was accepted is settled exactly once, by the server, by a cancellation or by the server's
end; nothing waits here; a server that is not open gets no message of a client.
"""

import asyncio
import logging
import reprlib
from collections.abc import Callable

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.eras import (
    INPUT_REQUIRED,
    LOG_LEVELS,
    ROUND_METHODS,
    SHARED_OFFER,
    Client,
    Era,
    Peer,
    can_forward,
    envelope,
    params_for,
    response_for,
    wants_log,
)
from vsm_runtime.bridge.feeds import ALL_LISTS, RESOURCE_UPDATED, SUBSCRIPTION_KEY, Board
from vsm_runtime.bridge.jsonrpc import Json, Kind, id_key, kind_of, meta_of, params_of
from vsm_runtime.bridge.link import Link, LinkBusy
from vsm_runtime.bridge.logs import Throttle, shown
from vsm_runtime.bridge.questions import Owner, Questions
from vsm_runtime.bridge.routes import Call, Caller, Routes

MAX_IN_FLIGHT = 256

_log = logging.getLogger(__name__)
_OWN = Client(Era.LEGACY, "", "the bridge itself")


class Refused(Exception):  # noqa: N818
    """A call that cannot be made now. `status` is the HTTP status that says so."""

    def __init__(self, code: int, message: str, *, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class ServerError(Exception):
    """The server answered a request of the bridge's own with an error."""

    def __init__(self, code: int, message: str, data: object) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.text = message
        self.data = data


class _OwnCall:
    """A request of the bridge itself."""

    client = _OWN

    def __init__(self, on_answer: Callable[[Json], None]) -> None:
        self._on_answer = on_answer

    def settle(self, response: Json) -> None:
        self._on_answer(response)

    def tell(self, message: Json) -> bool:  # noqa: ARG002
        return False


class Hub:
    """One for the life of the bridge; servers come and go behind it."""

    def __init__(
        self,
        *,
        on_end: Callable[[], None],
        on_tools_changed: Callable[[], None],
        owner: Owner | None = None,
    ) -> None:
        self.peer: Peer | None = None
        """Set exactly while clients may be served."""
        self.gone = asyncio.Event()
        self._link: Link | None = None
        self.routes = Routes()
        """Of this life of the server."""
        self._on_end = on_end
        self._on_tools_changed = on_tools_changed
        self._owner = owner
        self._questions = Questions(self, owner)
        self._log_level: str | None = None
        self.board = Board()
        """The streams that stay open, across the lives of the server."""
        self._noise = Throttle(lines=10, per_seconds=10.0)

    @property
    def offer(self) -> frozenset[str]:
        """What a legacy server may ask of its clients."""
        return SHARED_OFFER if self._owner is None else self._owner.client.capabilities

    @property
    def in_flight(self) -> int:
        return len(self.routes)

    # -- the supervisor's side

    def attach(self, link: Link) -> None:
        self._link = link

    def prepare(self) -> None:
        """Before a link is made: what it reports from now on is about the next server."""
        self.gone.clear()
        self.routes = Routes()

    def open(self, peer: Peer) -> None:
        """From now on clients are served, unless the server went away in this very moment."""
        if not self.gone.is_set():
            self.peer = peer
            level, self._log_level = self._log_level, None
            if level is not None:
                self.set_log_level(level)

    def on_gone(self) -> None:
        """Of the link: readiness falls here, in the very event that says so."""
        was_open = self.peer is not None
        self._end_calls("the server ended before it answered; it is being started again")
        if was_open:
            self._on_end()

    def detach(self, why: str) -> None:
        self._end_calls(why)
        self._link = None

    def _end_calls(self, why: str) -> None:
        self.peer = None
        self.gone.set()
        for call in self.routes.close_all():
            call.caller.settle(jsonrpc.error(call.client_id, jsonrpc.SERVER_DOWN, why))

    async def request(self, method: str, params: Json, *, era: Era) -> Json:
        """A request of the bridge's own; its result. Raises ServerError, LinkBusy, or ConnectionError if it is gone."""
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()

        def on_answer(response: Json) -> None:
            if not answer.done():  # whoever waited may have given up a moment ago
                answer.set_result(response)

        bridge_id = self._send_own(method, params, era=era, on_answer=on_answer)
        try:
            response = await answer
        finally:
            self.routes.close(bridge_id)
        if "error" in response:
            error = response["error"]
            if self.gone.is_set():
                raise ConnectionError(str(error["message"]))
            raise ServerError(error["code"], shown(error["message"], 300), error.get("data"))
        result: Json = response["result"]
        return result

    def post(
        self, method: str, params: Json, *, era: Era, on_end: Callable[[int, Json], None] = lambda *_: None
    ) -> int | None:
        """A request of the bridge's own that nobody waits for. None if it could not be sent."""
        bridge_id: int | None = None
        try:
            bridge_id = self._send_own(
                method, params, era=era, on_answer=lambda response: on_end(bridge_id or 0, response)
            )
        except (ConnectionError, LinkBusy, jsonrpc.Malformed) as error:
            _log.warning("%s was not sent to the server: %s", method, error)
        return bridge_id

    def withdraw(self, bridge_id: int) -> None:
        """What was posted is not wanted any more."""
        if self.routes.close(bridge_id) is not None and self._link is not None:
            self._link.cancel(bridge_id, "replaced")

    def _send_own(self, method: str, params: Json, *, era: Era, on_answer: Callable[[Json], None]) -> int:
        if self._link is None or self.gone.is_set():
            raise ConnectionError("the server is gone")
        call = self.routes.open(_OwnCall(on_answer), method=method, client_id=0, progress_token=None)
        if era is Era.MODERN:
            params = {**params, "_meta": envelope()}
        try:
            self._link.send(jsonrpc.request(call.bridge_id, method, params))
        except BaseException:
            self.routes.close(call.bridge_id)
            raise
        return call.bridge_id

    def notify(self, method: str) -> None:
        if self._link is not None:
            self._link.send(jsonrpc.notification(method))

    def set_log_level(self, level: str) -> None:
        """A legacy server has one level for all: the most talkative that any client wants; the rest is held back."""
        if (
            self.peer is None
            or self.peer.era is Era.MODERN
            or not isinstance(self.peer.capabilities.get("logging"), dict)
        ):
            return
        if self._log_level is not None and LOG_LEVELS.index(self._log_level) <= LOG_LEVELS.index(level):
            return
        self._log_level = level
        self.post("logging/setLevel", {"level": level}, era=Era.LEGACY)

    # -- the clients' side

    def submit(self, caller: Caller, message: Json) -> Call:
        """Sends a client's request on. Raises Refused; otherwise `caller` will be settled."""
        peer, client = self.peer, caller.client
        if peer is None or self._link is None:
            raise Refused(jsonrpc.SERVER_DOWN, "the server is not running", status=503)
        method, params = message["method"], params_of(message)
        if not can_forward(method):
            raise Refused(jsonrpc.METHOD_NOT_FOUND, f"Method not found: {shown(method, 100)}", status=200)
        if peer.era is Era.LEGACY and client.era is Era.MODERN:
            if "requestState" in params:
                return self._resume(caller, message)
            if client.log_level in LOG_LEVELS:
                self.set_log_level(str(client.log_level))
        if len(self.routes) >= MAX_IN_FLIGHT:
            raise Refused(jsonrpc.BUSY, f"{MAX_IN_FLIGHT} calls are in flight already", status=503)
        token = meta_of(message).get("progressToken")
        in_rounds = peer.era is Era.MODERN and client.era is Era.LEGACY and method in ROUND_METHODS
        call = self.routes.open(
            caller,
            method=method,
            client_id=message["id"],
            progress_token=token if jsonrpc.is_id(token) else None,
            params=params if in_rounds or client.era is not peer.era else None,
        )
        try:
            self.put_call(call, params, peer)
        except LinkBusy as error:
            self.routes.close(call.bridge_id)
            raise Refused(jsonrpc.BUSY, str(error), status=503) from None
        except jsonrpc.Malformed as error:
            self.routes.close(call.bridge_id)
            raise Refused(jsonrpc.INVALID_REQUEST, str(error), status=400) from None
        return call

    def _resume(self, caller: Caller, message: Json) -> Call:
        call = self._questions.resume(caller, message)
        if call is None:
            why = "this requestState is not known here, or not any more; call again without it"
            raise Refused(jsonrpc.INVALID_PARAMS, why, status=400)
        return call

    def put_call(self, call: Call, params: Json, peer: Peer, extra: Json | None = None) -> None:
        """Raises LinkBusy, Malformed."""
        assert self._link is not None  # noqa: S101 - the caller has seen it
        token = call.bridge_id if call.progress_token is not None else None
        sent = params_for(peer, client=call.caller.client, params=params, progress_token=token)
        self._link.send(jsonrpc.request(call.bridge_id, call.method, {**sent, **extra} if extra else sent))

    def cancel(self, call: Call, *, reason: str, code: int = jsonrpc.CANCELLED) -> None:
        """Harmless for a call that is settled already, or that is somebody else's by now."""
        if not self.routes.is_open(call):
            return
        self.routes.close(call.bridge_id)
        if self._link is not None:
            self._link.cancel(call.bridge_id, reason)
        call.caller.settle(jsonrpc.error(call.client_id, code, reason))

    def cancel_by_client(self, client: Client, request_id: object) -> None:
        call = self.routes.of_client(client, request_id)
        if call is not None:
            self.cancel(call, reason="cancelled by the client")

    def answer(self, client: Client, message: Json) -> bool:
        """A client answers what the server asked it. False when nothing of the kind was asked of this client."""
        return self._link is not None and self._questions.answer(client, message)

    # -- the server's side

    def on_message(self, message: object, related: int | None) -> None:
        kind = kind_of(message)
        if kind is None or not isinstance(message, dict):
            self.on_noise(message if isinstance(message, str) else reprlib.repr(message))
        elif kind is Kind.RESPONSE:
            self._on_response(message)
        elif kind is Kind.NOTIFICATION:
            self._on_notification(message, related)
        else:
            self._on_question(message, related)

    def on_noise(self, text: str) -> None:
        """Something on stdout that is no message: a banner, a stray print. Logged, a few lines at a time."""
        self._noise.say(_log, logging.WARNING, "the server wrote something that is no JSON-RPC message: %s", text)

    def on_unreadable(self, size_bytes: int, response_id: int | None) -> None:
        self._noise.say(_log, logging.WARNING, "a message of the server was dropped: %s", f"{size_bytes} bytes")
        call = self.routes.close(response_id)
        if call is not None:
            why = f"the server's answer of {size_bytes} bytes is larger or denser than this bridge lets through"
            call.caller.settle(jsonrpc.error(call.client_id, jsonrpc.TOO_LARGE, why))

    def _on_response(self, message: Json) -> None:
        call = self.routes.get(message.get("id"))
        if call is None:
            return None  # cancelled or timed out meanwhile
        client, peer = call.caller.client, self.peer
        if peer is not None and peer.era is Era.MODERN and client.era is Era.LEGACY and call.params is not None:
            answer = message.get("result")
            if answer is not None and answer.get("resultType") == INPUT_REQUIRED:
                return self._questions.next_round(call, answer)
        self.routes.close(call.bridge_id)
        response = {**message, "id": call.client_id}
        if peer is not None and client is not _OWN:
            response = response_for(client, peer=peer, method=call.method, response=response)
        call.caller.settle(response)
        return None

    def _on_notification(self, message: Json, related: int | None) -> None:
        method, params = message["method"], params_of(message)
        if method == "notifications/progress":
            call = self.routes.in_progress(params.get("progressToken"))
            if call is not None:
                call.caller.tell({**message, "params": {**params, "progressToken": call.progress_token}})
        elif method == "notifications/message":
            call = self.routes.cause(related, now=_now())
            if call is not None and wants_log(call.caller.client, params.get("level")):
                call.caller.tell(message)
        elif method == "notifications/elicitation/complete":
            call = self.routes.cause(related, now=_now())
            if call is not None and call.caller.client.era is Era.LEGACY:
                call.caller.tell(message)
        elif method == "notifications/cancelled":
            self._on_withdrawal(message)
        elif self.peer is not None and (method in ALL_LISTS or method == RESOURCE_UPDATED):
            if method == "notifications/tools/list_changed":
                self._on_tools_changed()  # whoever vouches for the tools passes it on
            else:
                meta = {k: v for k, v in meta_of(message).items() if k != SUBSCRIPTION_KEY}
                rest = {k: v for k, v in params.items() if k != "_meta"}
                self.board.publish(method, {**rest, "_meta": meta} if meta else rest)

    def _on_withdrawal(self, message: Json) -> None:
        """Of a question; or of a subscription, which a modern server ends so on stdio."""
        call = self.routes.get(params_of(message).get("requestId"))
        if call is not None and call.method == "subscriptions/listen":
            self.routes.close(call.bridge_id)
            call.caller.settle(jsonrpc.result(0, {}))
        else:
            self._questions.withdraw(message)

    def _on_question(self, message: Json, related: int | None) -> None:
        if message["method"] == "ping":
            self.send_quietly(jsonrpc.result(message["id"], {}))
            return
        refusal = self._questions.put(message, self.routes.cause(related, now=_now()))
        if refusal is not None:
            self.send_quietly(refusal)

    def send_quietly(self, message: Json) -> None:
        if self._link is None:
            return
        try:
            self._link.send(message)
        except (LinkBusy, jsonrpc.Malformed) as error:
            _log.warning("an answer to the server's request %s was dropped: %s", id_key(message.get("id"))[:80], error)


def _now() -> float:
    return asyncio.get_running_loop().time()
