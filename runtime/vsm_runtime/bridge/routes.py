"""Who asked what: the table that lets many clients share one server. Pure; one table for one life of a server.

Every request to the server has an id of the bridge's own, which is also its progress token. Every request *of* the
server has an id of the bridge's own when it reaches a client: random, so that nobody else can answer it.

On stdio a server does not say which call made it ask or log something. It is routed only where there is no doubt:
when all calls in flight that could be the cause are of one client. Among calls of the same user, one that has been
waiting for an answer for a moment counts as no cause while there is another: a handler that asks, waits; what it asks
at the same time it writes at the same time.
"""

import secrets
from dataclasses import dataclass, field, replace
from typing import Protocol

from vsm_runtime.bridge.eras import ASKING_METHODS, Client
from vsm_runtime.bridge.jsonrpc import Json, id_key

QUIET_SECONDS = 0.02
"""After its last question a call may still be the cause of another one; then it waits."""


class Caller(Protocol):
    """Where the answer goes. Neither method waits, and neither raises."""

    @property
    def client(self) -> Client: ...

    def settle(self, response: Json) -> None:
        """The answer, with the id that the caller's request had. Comes at most once that matters."""

    def tell(self, message: Json) -> bool:
        """A notification or a request on the way to the answer. False if the caller has no room or no stream for it."""


@dataclass(slots=True, eq=False)
class Call:
    """One request that the server has not answered yet. Equal only to itself: an id may be taken over by another."""

    bridge_id: int
    method: str
    caller: Caller
    client_id: int | str
    progress_token: int | str | None
    params: Json | None = None
    """As the client sent them, kept only where the server may want to be called again."""
    rounds: int = 0
    """How often the server has been called again for it."""
    questions: dict[str, "Question"] = field(default_factory=dict)
    """By token: what the server asked this caller and was not told yet."""
    asked_at: float = 0.0
    """When the last of them came, by the event loop's clock."""
    answers: Json = field(default_factory=dict)
    """What the caller answered so far in this round."""
    state: object = None
    """What a modern server wants back with the answers."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request of the server's that a client is to answer."""

    client: Client
    method: str
    call: Call | None
    """None in a server of one client's own, which may ask without being called."""
    server_id: int | str | None
    """The legacy server's request; None in a round of a modern server."""
    key: str = ""
    """The modern server's name for it."""


class Routes:
    """The calls in flight and the questions that they raised."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._by_client: dict[tuple[str, str], Call] = {}
        self._questions: dict[str, Question] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, bridge_id: object) -> Call | None:
        if not isinstance(bridge_id, int) or isinstance(bridge_id, bool):
            return None
        return self._calls.get(bridge_id)

    def is_open(self, call: Call) -> bool:
        return self._calls.get(call.bridge_id) is call

    def open(
        self,
        caller: Caller,
        *,
        method: str,
        client_id: int | str,
        progress_token: int | str | None,
        params: Json | None = None,
    ) -> Call:
        call = Call(self._next_id(), method, caller, client_id, progress_token, params)
        self._enter(call)
        return call

    def renew(self, call: Call) -> None:
        """The same call, put to the server once more: a new id, since the old one is answered."""
        self._calls.pop(call.bridge_id, None)
        call.bridge_id = self._next_id()
        self._calls[call.bridge_id] = call

    def hand_over(
        self, call: Call, caller: Caller, *, client_id: int | str, progress_token: int | str | None = None
    ) -> Call:
        """The server goes on with the same request; from now on its answer belongs to somebody else."""
        self._leave(call)
        heir = Call(
            call.bridge_id, call.method, caller, client_id, progress_token, call.params, questions=call.questions
        )
        for token, question in list(heir.questions.items()):
            heir.questions[token] = self._questions[token] = replace(question, call=heir, client=caller.client)
        self._enter(heir)
        return heir

    def _enter(self, call: Call) -> None:
        self._calls[call.bridge_id] = call
        # A client that uses an id twice at once can cancel only the later one; both get their answers.
        self._by_client[call.caller.client.identity, id_key(call.client_id)] = call

    def _leave(self, call: Call) -> None:
        self._calls.pop(call.bridge_id, None)
        key = (call.caller.client.identity, id_key(call.client_id))
        if self._by_client.get(key) is call:
            del self._by_client[key]

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def close(self, bridge_id: object) -> Call | None:
        """The call is answered, cancelled or given up. None when it is not in flight: late answers go nowhere."""
        call = self.get(bridge_id)
        if call is None:
            return None
        self._leave(call)
        for token in call.questions:
            self._questions.pop(token, None)
        call.questions.clear()
        return call

    def close_all(self) -> list[Call]:
        calls = list(self._calls.values())
        for call in calls:
            self.close(call.bridge_id)
        return calls

    def in_progress(self, progress_token: object) -> Call | None:
        """The call that a progress notification is about, if its client asked for progress."""
        if not isinstance(progress_token, int) or isinstance(progress_token, bool):
            return None
        call = self._calls.get(progress_token)
        return call if call is not None and call.progress_token is not None else None

    def of_client(self, client: Client, client_id: object) -> Call | None:
        return self._by_client.get((client.identity, id_key(client_id)))

    def cause(self, related: int | None, *, now: float) -> Call | None:
        """Whose call a message of the server belongs to: the one the transport names, else the only candidate's."""
        if related is not None:
            return self._calls.get(related)
        possible = [call for call in self._calls.values() if call.method in ASKING_METHODS]
        working = [call for call in possible if not call.questions or now - call.asked_at < QUIET_SECONDS]
        candidates = working or possible
        if len({call.caller.client.identity for call in candidates}) != 1:
            return None
        cause = candidates[-1]
        strangers = any(call.caller.client.key != cause.caller.client.key for call in possible)
        return None if strangers else cause

    def ask(self, question: Question, *, now: float) -> str:
        """Registers a question; the returned token is its id towards the client."""
        token = f"q-{secrets.token_urlsafe(12)}"
        self._questions[token] = question
        if question.call is not None:
            question.call.questions[token] = question
            question.call.asked_at = now
        return token

    def answered(self, token: object, client: Client) -> Question | None:
        """Removes the question, if it was this client that it was put to."""
        question = self._questions.get(token) if isinstance(token, str) else None
        if question is None or question.client.identity != client.identity:
            return None
        self._forget(str(token), question)
        return question

    def withdrawn(self, server_id: object) -> tuple[str, Question] | None:
        """The server cancels a question of its own. Returns its token and what was asked of whom."""
        for token, question in self._questions.items():
            if question.server_id is not None and id_key(question.server_id) == id_key(server_id):
                self._forget(token, question)
                return token, question
        return None

    def open_questions(self) -> int:
        return len(self._questions)

    def _forget(self, token: str, question: Question) -> None:
        del self._questions[token]
        if question.call is not None:
            question.call.questions.pop(token, None)
