"""What a server asks in the middle of a call: sampling, elicitation, roots. Whose question it is, how it gets there.

server   client
legacy   legacy   the question goes out on the stream of the call that caused it, the answer comes by a POST
legacy   modern   the call is answered with input_required and parked; the client calls again with the answers
modern   legacy   the server answers input_required; its requests become questions, then it is called again
modern   modern   nothing to do here: both mean the same

Invariants: a question reaches only the client whose call caused it, and only if that client offers to answer its
kind; an answer is taken from nobody else; every question is answered to the server, or its call is over.
"""

import asyncio
from typing import Protocol

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.eras import Client, Era, Peer, capabilities_of, needed_to_ask
from vsm_runtime.bridge.jsonrpc import Json, meta_of, params_of
from vsm_runtime.bridge.link import LinkBusy
from vsm_runtime.bridge.logs import shown
from vsm_runtime.bridge.rounds import MAX_QUESTIONS, Parked, Parking, fingerprint, input_required
from vsm_runtime.bridge.routes import QUIET_SECONDS, Call, Caller, Question, Routes

MAX_ROUNDS = 16
"""How often a modern server may ask for more input in one call of a legacy client."""
MAX_OPEN = 256
GATHER_SECONDS = QUIET_SECONDS
"""A legacy server that asks several things writes them one after the other; a modern client gets them together."""


class Owner(Protocol):
    """The one client of a server that is its own."""

    @property
    def client(self) -> Client: ...

    def tell(self, message: Json) -> bool:
        """A question outside of any call. False if it cannot reach the client."""


class Middle(Protocol):
    """The hub, as far as questions need it."""

    @property
    def peer(self) -> Peer | None: ...

    @property
    def routes(self) -> Routes: ...

    def send_quietly(self, message: Json) -> None: ...

    def put_call(self, call: Call, params: Json, peer: Peer, extra: Json | None = None) -> None:
        """Raises LinkBusy, Malformed."""

    def cancel(self, call: Call, *, reason: str) -> None: ...


class Questions:
    """Of one server, across its lives."""

    def __init__(self, hub: Middle, owner: Owner | None) -> None:
        self._hub = hub
        self._owner = owner
        self._parking = Parking(self._abandon)

    def put(self, message: Json, call: Call | None) -> Json | None:
        """Puts a server's question to the client that it belongs to. Returns the refusal when that cannot be."""
        method, server_id = message["method"], message["id"]
        flag = needed_to_ask(method, params_of(message))
        if flag is None:
            return jsonrpc.error(server_id, jsonrpc.METHOD_NOT_FOUND, f"Method not found: {method[:100]}")
        asker = call.caller if call is not None else self._owner
        if asker is None:
            why = "several clients are being served at once, or none, and nothing says whose call this belongs to"
        elif flag not in asker.client.capabilities:
            why = f"the client whose call this belongs to does not offer {flag}"
            if asker.client.era is Era.MODERN:
                # A server that passes this on gives its client what the specification wants.
                missing: Json = {"requiredCapabilities": capabilities_of(frozenset({flag.partition(".")[0], flag}))}
                return jsonrpc.error(server_id, jsonrpc.MISSING_CAPABILITY, why, missing)
        elif self._hub.routes.open_questions() >= MAX_OPEN:
            why = "too many questions wait for an answer already"
        else:
            question = Question(asker.client, method, call, server_id)
            why = (
                self._park(call, question, message)
                if call and _is_modern(call)
                else self._tell(asker, question, message)
            )
        return jsonrpc.error(server_id, jsonrpc.METHOD_NOT_FOUND, why) if why else None

    def _tell(self, asker: Caller | Owner, question: Question, message: Json) -> str:
        token = self._hub.routes.ask(question, now=_now())
        if asker.tell({**message, "id": token}):
            return ""
        self._hub.routes.answered(token, asker.client)
        return "the client whose call this belongs to cannot be reached before its answer"

    def answer(self, client: Client, message: Json) -> bool:
        """False when nothing of the kind was asked of this client."""
        question = self._hub.routes.answered(message.get("id"), client)
        if question is None:
            return False
        if question.server_id is not None:
            self._hub.send_quietly({**message, "id": question.server_id})
        elif question.call is not None:
            self._collect(question.call, question, message)
        return True

    def withdraw(self, message: Json) -> None:
        """The server does not want to know any more."""
        params = params_of(message)
        withdrawn = self._hub.routes.withdrawn(params.get("requestId"))
        if withdrawn is None:
            return
        token, question = withdrawn
        asked = question.call.caller if question.call is not None else self._owner
        if isinstance(asked, Parked):
            asked.requests.pop(token, None)
        if asked is not None:
            asked.tell({**message, "params": {**params, "requestId": token}})

    # -- a modern client and a legacy server

    def _park(self, call: Call, question: Question, message: Json) -> str:
        """Takes the call over from its client. Returns why that cannot be, or nothing."""
        parked = call.caller
        if not isinstance(parked, Parked):
            if self._parking.full:
                return "too many calls wait for their clients already"
            parked = Parked(call.caller, fingerprint({"method": call.method, "params": call.params or {}}))
            parked.call = self._hub.routes.hand_over(call, parked, client_id=call.client_id)
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._send_away, parked)
        elif len(parked.requests) >= MAX_QUESTIONS:
            return "the client has been asked too much already"
        params = {key: value for key, value in params_of(message).items() if key != "_meta"}
        asked = Question(question.client, question.method, parked.call, question.server_id)
        parked.requests[self._hub.routes.ask(asked, now=_now())] = {"method": question.method, "params": params}
        return ""

    def _send_away(self, parked: Parked) -> None:
        """Tells the client what it is asked; until it is back, the call is nobody's."""
        peer, caller, call = self._hub.peer, parked.away, parked.call
        if caller is None or call is None:
            return
        if parked.outcome is not None or peer is None or not parked.requests:
            # Answered, ended or withdrawn within the moment: there is nothing to send anybody away for.
            parked.go_on()
            return
        parked.away = None
        ticket = self._parking.enter(parked)
        caller.settle(input_required(call.client_id, peer=peer, requests=parked.requests, ticket=ticket))

    def resume(self, caller: Caller, message: Json) -> Call | None:
        """The client is back. None when nobody is waiting for it."""
        params = params_of(message)
        parked = self._parking.leave(params.get("requestState"), client=caller.client, message=message)
        if parked is None or parked.call is None:
            return None
        if parked.outcome is not None or not self._hub.routes.is_open(parked.call):
            lost = jsonrpc.error(0, jsonrpc.SERVER_DOWN, "the server ended before it answered")
            caller.settle({**(parked.outcome or lost), "id": message["id"]})
            return parked.call
        token = meta_of(message).get("progressToken")
        call = self._hub.routes.hand_over(
            parked.call, caller, client_id=message["id"], progress_token=token if jsonrpc.is_id(token) else None
        )
        given = params.get("inputResponses")
        for key in list(call.questions):
            answer = given.get(key) if isinstance(given, dict) else None
            if isinstance(answer, dict):
                self.answer(caller.client, jsonrpc.result(key, answer))
        if call.questions:
            again = Parked(caller, parked.fingerprint)
            again.requests = {key: parked.requests[key] for key in call.questions}
            again.call = self._hub.routes.hand_over(call, again, client_id=message["id"])
            self._send_away(again)
        return call

    def _abandon(self, call: Call) -> None:
        self._hub.cancel(call, reason="the client did not come back with what it was asked for")

    # -- a legacy client and a modern server

    def next_round(self, call: Call, answer: Json) -> None:
        """The server wants input before it answers: its requests go to the client as questions."""
        requests = answer.get("inputRequests", {})
        why = _why_not(call, requests)
        if why:
            return self._fail(call, f"the server asks for input that cannot be had: {why}")
        routes = self._hub.routes
        routes.renew(call)
        call.rounds, call.state, call.answers = call.rounds + 1, answer.get("requestState"), {}
        for key, asked in requests.items():
            token = routes.ask(Question(call.caller.client, asked["method"], call, None, key), now=_now())
            if not call.caller.tell(jsonrpc.request(token, asked["method"], asked.get("params") or {})):
                return self._fail(call, "the client cannot be asked before its answer")
        if not requests:
            self._call_again(call)
        return None

    def _collect(self, call: Call, question: Question, message: Json) -> None:
        if "error" not in message:
            call.answers[question.key] = message["result"]
        elif question.method == "elicitation/create":
            call.answers[question.key] = {"action": "cancel"}
        else:
            why = shown(message["error"]["message"], 200)
            return self._fail(call, f"the client answered {question.method} with an error: {why}")
        if not call.questions:
            self._call_again(call)
        return None

    def _call_again(self, call: Call) -> None:
        peer = self._hub.peer
        if peer is None:
            return
        state = {"requestState": call.state} if call.state is not None else {}
        answers = {"inputResponses": call.answers} if call.answers else {}
        try:
            self._hub.put_call(call, call.params or {}, peer, {**answers, **state})
        except (LinkBusy, jsonrpc.Malformed) as error:
            self._fail(call, str(error))

    def _fail(self, call: Call, why: str) -> None:
        self._hub.routes.close(call.bridge_id)
        call.caller.settle(jsonrpc.error(call.client_id, jsonrpc.INTERNAL_ERROR, why))


def _is_modern(call: Call) -> bool:
    return call.caller.client.era is Era.MODERN


def _why_not(call: Call, requests: object) -> str:
    """Why a modern server's input requests cannot be put to this client; empty if they can."""
    if call.rounds >= MAX_ROUNDS:
        return f"it has asked {MAX_ROUNDS} times"
    if not isinstance(requests, dict) or len(requests) > MAX_QUESTIONS:
        return f"inputRequests must be an object with at most {MAX_QUESTIONS} members"
    for asked in requests.values():
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            return "an input request has no method"
        if not isinstance(asked.get("params", {}), dict | None):
            return "the parameters of an input request are no object"
        flag = needed_to_ask(asked["method"], asked.get("params") or {})
        if flag is None or flag not in call.caller.client.capabilities:
            return f"the client does not offer {flag or shown(asked['method'], 100)}"
    return ""


def _now() -> float:
    return asyncio.get_running_loop().time()
