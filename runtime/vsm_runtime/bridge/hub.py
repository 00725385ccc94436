"""Joins the clients' calls with the one server behind the link. Knows messages, not how they travel.

Invariants: every call that was accepted is settled exactly once, by the server, by a cancellation or by the server's
end; nothing waits here; a server that is not open gets no message of a client.
"""

import asyncio
import logging
import reprlib
from collections.abc import Callable

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.eras import Client, Era, Peer, can_forward, envelope, params_for, response_for, wants_log
from vsm_runtime.bridge.jsonrpc import Json, Kind, id_key, kind_of, meta_of, params_of
from vsm_runtime.bridge.link import Link, LinkBusy
from vsm_runtime.bridge.logs import Throttle, shown
from vsm_runtime.bridge.routes import Call, Caller, Routes

MAX_IN_FLIGHT = 256

_log = logging.getLogger(__name__)
_ROUTABLE = {"sampling/createMessage": "sampling", "elicitation/create": "elicitation"}
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
        self.data = data


class _OwnCall:
    """A request of the bridge itself, for the handshake."""

    def __init__(self) -> None:
        self.client = _OWN
        self.answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()

    def settle(self, response: Json) -> None:
        if not self.answer.done():
            self.answer.set_result(response)

    def tell(self, message: Json) -> bool:  # noqa: ARG002
        return False


class Hub:
    """One for the life of the bridge; servers come and go behind it."""

    def __init__(self, *, on_end: Callable[[], None], on_tools_changed: Callable[[], None]) -> None:
        self.peer: Peer | None = None
        """Set exactly while clients may be served."""
        self.gone = asyncio.Event()
        self._link: Link | None = None
        self._routes = Routes()
        self._on_end = on_end
        self._on_tools_changed = on_tools_changed
        self._noise = Throttle(lines=10, per_seconds=10.0)

    # -- the supervisor's side

    def attach(self, link: Link) -> None:
        self._link = link

    def prepare(self) -> None:
        """Before a link is made: what it reports from now on is about the next server."""
        self.gone.clear()
        self._routes = Routes()

    def open(self, peer: Peer) -> None:
        """From now on clients are served, unless the server went away in this very moment."""
        if not self.gone.is_set():
            self.peer = peer

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
        for call in self._routes.close_all():
            call.caller.settle(jsonrpc.error(call.client_id, jsonrpc.SERVER_DOWN, why))

    async def request(self, method: str, params: Json, *, era: Era) -> Json:
        """A request of the bridge's own; its result. Raises ServerError, LinkBusy, or ConnectionError if it is gone."""
        if self._link is None or self.gone.is_set():
            raise ConnectionError("the server is gone")
        caller = _OwnCall()
        call = self._routes.open(caller, method=method, client_id=0, progress_token=None)
        if era is Era.MODERN:
            params = {**params, "_meta": envelope()}
        try:
            self._link.send(jsonrpc.request(call.bridge_id, method, params))
            response = await caller.answer
        finally:
            self._routes.close(call.bridge_id)
        if "error" in response:
            error = response["error"]
            if self.gone.is_set():
                raise ConnectionError(str(error["message"]))
            raise ServerError(error["code"], shown(error["message"], 300), error.get("data"))
        result: Json = response["result"]
        return result

    def notify(self, method: str) -> None:
        if self._link is not None:
            self._link.send(jsonrpc.notification(method))

    # -- the clients' side

    def submit(self, caller: Caller, message: Json) -> Call:
        """Sends a client's request on. Raises Refused; otherwise `caller` will be settled."""
        peer, link = self.peer, self._link
        if peer is None or link is None:
            raise Refused(jsonrpc.SERVER_DOWN, "the server is not running", status=503)
        method: str = message["method"]
        if not can_forward(method, client=caller.client, peer=peer):
            raise Refused(jsonrpc.METHOD_NOT_FOUND, f"Method not found: {shown(method, 100)}", status=200)
        if len(self._routes) >= MAX_IN_FLIGHT:
            raise Refused(jsonrpc.BUSY, f"{MAX_IN_FLIGHT} calls are in flight already", status=503)
        token = meta_of(message).get("progressToken")
        wants_progress = jsonrpc.is_id(token)
        call = self._routes.open(
            caller, method=method, client_id=message["id"], progress_token=token if wants_progress else None
        )
        params = params_for(
            peer,
            client=caller.client,
            params=params_of(message),
            progress_token=call.bridge_id if wants_progress else None,
        )
        try:
            link.send(jsonrpc.request(call.bridge_id, method, params))
        except LinkBusy as error:
            self._routes.close(call.bridge_id)
            raise Refused(jsonrpc.BUSY, str(error), status=503) from None
        except jsonrpc.Malformed as error:
            self._routes.close(call.bridge_id)
            raise Refused(jsonrpc.INVALID_REQUEST, str(error), status=400) from None
        return call

    def cancel(self, call: Call, *, reason: str, code: int = jsonrpc.CANCELLED) -> None:
        """Harmless for a call that is settled already."""
        if self._routes.close(call.bridge_id) is None:
            return
        if self._link is not None:
            self._link.cancel(call.bridge_id, reason)
        call.caller.settle(jsonrpc.error(call.client_id, code, reason))

    def cancel_by_client(self, client: Client, request_id: object) -> None:
        call = self._routes.of_client(client, request_id)
        if call is not None:
            self.cancel(call, reason="cancelled by the client")

    def answer(self, client: Client, message: Json) -> bool:
        """A client answers what the server asked it. False when nothing of the kind was asked of this client."""
        question = self._routes.answered(message.get("id"), client)
        if question is None or self._link is None:
            return False
        self._send_quietly({**message, "id": question.server_id})
        return True

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
        call = self._routes.close(response_id)
        if call is not None:
            why = f"the server's answer of {size_bytes} bytes is larger or denser than this bridge lets through"
            call.caller.settle(jsonrpc.error(call.client_id, jsonrpc.TOO_LARGE, why))

    def _on_response(self, message: Json) -> None:
        call = self._routes.close(message.get("id"))
        if call is None:
            return  # cancelled or timed out meanwhile
        response = {**message, "id": call.client_id}
        peer = self.peer
        if peer is not None and call.caller.client is not _OWN:
            response = response_for(call.caller.client, peer=peer, method=call.method, response=response)
        call.caller.settle(response)

    def _on_notification(self, message: Json, related: int | None) -> None:
        method, params = message["method"], params_of(message)
        if method == "notifications/progress":
            call = self._routes.in_progress(params.get("progressToken"))
            if call is not None:
                call.caller.tell({**message, "params": {**params, "progressToken": call.progress_token}})
        elif method == "notifications/cancelled":
            withdrawn = self._routes.withdrawn(params.get("requestId"))
            if withdrawn is not None:
                token, call = withdrawn
                call.caller.tell({**message, "params": {**params, "requestId": token}})
        elif method == "notifications/message":
            call = self._routes.cause(related)
            if call is not None and wants_log(call.caller.client, params.get("level")):
                call.caller.tell(message)
        elif method == "notifications/tools/list_changed" and self.peer is not None:
            self._on_tools_changed()

    def _on_question(self, message: Json, related: int | None) -> None:
        method, server_id = message["method"], message["id"]
        if method == "ping":
            self._send_quietly(jsonrpc.result(server_id, {}))
            return
        capability = _ROUTABLE.get(method)
        if capability is None:
            self._send_quietly(jsonrpc.error(server_id, jsonrpc.METHOD_NOT_FOUND, f"Method not found: {method[:100]}"))
            return
        call = self._routes.cause(related)
        if call is None:
            why = "several clients are being served at once, and nothing says whose call this belongs to"
        elif capability not in call.caller.client.capabilities:
            why = f"the client whose call this belongs to does not offer {capability}"
        else:
            token = self._routes.ask(call, server_id)
            if call.caller.tell({**message, "id": token}):
                return
            self._routes.answered(token, call.caller.client)
            why = "the client whose call this belongs to cannot be reached before its answer"
        self._send_quietly(jsonrpc.error(server_id, jsonrpc.METHOD_NOT_FOUND, why))

    def _send_quietly(self, message: Json) -> None:
        if self._link is None:
            return
        try:
            self._link.send(message)
        except (LinkBusy, jsonrpc.Malformed) as error:
            _log.warning("an answer to the server's request %s was dropped: %s", id_key(message.get("id"))[:80], error)
