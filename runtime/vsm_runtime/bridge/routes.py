"""Who asked what: the table that lets many clients share one server. Pure; one table for one life of a server.

Every request to the server has an id of the bridge's own, which is also its progress token. Every request *of* the
server has an id of the bridge's own when it reaches a client: random, so that nobody else can answer it.

On stdio a server does not say which call made it ask or log something. It is routed only where there is no doubt:
when all calls in flight that could be the cause are of one client.
"""

import secrets
from dataclasses import dataclass, field
from typing import Protocol

from vsm_runtime.bridge.eras import ASKING_METHODS, Client
from vsm_runtime.bridge.jsonrpc import Json, id_key


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
    """One request that the server has not answered yet."""

    bridge_id: int
    method: str
    caller: Caller
    client_id: int | str
    progress_token: int | str | None
    questions: set[str] = field(default_factory=set)
    """Tokens of what the server asked this caller meanwhile."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request of the server's that a client is to answer."""

    server_id: int | str
    call: Call


class Routes:
    """The calls in flight and the questions that they raised."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._by_client: dict[tuple[str, str], Call] = {}
        self._questions: dict[str, Question] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._calls)

    def open(self, caller: Caller, *, method: str, client_id: int | str, progress_token: int | str | None) -> Call:
        self._last_id += 1
        call = Call(self._last_id, method, caller, client_id, progress_token)
        self._calls[call.bridge_id] = call
        # A client that uses an id twice at once can cancel only the later one; both get their answers.
        self._by_client[caller.client.identity, id_key(client_id)] = call
        return call

    def close(self, bridge_id: object) -> Call | None:
        """The call is answered, cancelled or given up. None when it is not in flight: late answers go nowhere."""
        if not isinstance(bridge_id, int) or isinstance(bridge_id, bool):
            return None
        call = self._calls.pop(bridge_id, None)
        if call is None:
            return None
        key = (call.caller.client.identity, id_key(call.client_id))
        if self._by_client.get(key) is call:
            del self._by_client[key]
        for token in call.questions:
            self._questions.pop(token, None)
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

    def cause(self, related: int | None) -> Call | None:
        """Whose call a message of the server belongs to: the one the transport names, else the only candidate's."""
        if related is not None:
            return self._calls.get(related)
        candidates = [call for call in self._calls.values() if call.method in ASKING_METHODS]
        if len({call.caller.client.identity for call in candidates}) != 1:
            return None
        return candidates[-1]

    def ask(self, call: Call, server_id: int | str) -> str:
        """Registers a question; the returned token is its id towards the client."""
        token = f"q-{secrets.token_urlsafe(12)}"
        self._questions[token] = Question(server_id, call)
        call.questions.add(token)
        return token

    def answered(self, token: object, client: Client) -> Question | None:
        """Removes the question, if it was this client that it was put to."""
        question = self._questions.get(token) if isinstance(token, str) else None
        if question is None or question.call.caller.client.identity != client.identity:
            return None
        del self._questions[str(token)]
        question.call.questions.discard(str(token))
        return question

    def withdrawn(self, server_id: object) -> tuple[str, Call] | None:
        """The server cancels a question of its own. Returns its token and whom it was put to."""
        for token, question in self._questions.items():
            if id_key(question.server_id) == id_key(server_id):
                del self._questions[token]
                question.call.questions.discard(token)
                return token, question.call
        return None
