"""Calls that wait for their client: how a legacy server's questions become the rounds of a modern client. Pure but for
its timers.

A legacy server asks in the middle of a call and waits; a modern client gets input_required as the answer to its call
and calls again with what was asked for. In between the call is parked: the server still works on it, nobody waits.
Invariants: a ticket is good for one return, within PARKED_SECONDS, for the same call of the same client; whatever the
server says meanwhile waits for that return; the number of parked calls is bounded.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.eras import INPUT_REQUIRED, Client, Peer, complete
from vsm_runtime.bridge.jsonrpc import Json, params_of
from vsm_runtime.bridge.routes import Call, Caller

PARKED_SECONDS = 600.0
"""A person may have to answer."""
MAX_PARKED = 64
MAX_QUESTIONS = 16
"""Open at once in one call."""


class Parked:
    """A Caller in place of the client that is away, or about to be sent away."""

    def __init__(self, caller: Caller, fingerprint: str) -> None:
        self.client = caller.client
        self.away: Caller | None = caller
        """Until it has been told to go; then None."""
        self.fingerprint = fingerprint
        self.call: Call | None = None
        self.requests: Json = {}
        """By the question's token: what the client is asked."""
        self.outcome: Json | None = None
        """The answer came, or the server went, before the client was back."""

    def settle(self, response: Json) -> None:
        self.outcome = self.outcome or response
        self.go_on()

    def go_on(self) -> None:
        """If the client is still there, it gets what there is at once."""
        if self.away is not None and self.outcome is not None:
            self.away.settle(self.outcome)

    def tell(self, message: Json) -> bool:
        return self.away.tell(message) if self.away is not None else False


class Parking:
    """The parked calls of one server, by ticket."""

    def __init__(self, on_expired: Callable[[Call], None]) -> None:
        self._on_expired = on_expired
        self._spaces: dict[str, tuple[Parked, asyncio.TimerHandle]] = {}

    @property
    def full(self) -> bool:
        return len(self._spaces) >= MAX_PARKED

    def enter(self, parked: Parked) -> str:
        """Returns the ticket: unguessable, so that it may travel through the client as requestState."""
        ticket = secrets.token_urlsafe(24)
        timer = asyncio.get_running_loop().call_later(PARKED_SECONDS, self._expire, ticket)
        self._spaces[ticket] = parked, timer
        return ticket

    def leave(self, ticket: object, *, client: Client, message: Json) -> Parked | None:
        """None for a ticket that is unknown, used, expired, of another client or of another call."""
        space = self._spaces.get(ticket) if isinstance(ticket, str) else None
        if (
            space is None
            or space[0].client.principal != client.principal
            or space[0].fingerprint != fingerprint(message)
        ):
            return None
        parked, timer = self._spaces.pop(str(ticket))
        timer.cancel()
        return parked

    def _expire(self, ticket: str) -> None:
        space = self._spaces.pop(ticket, None)
        if space is not None and space[0].call is not None and space[0].outcome is None:
            self._on_expired(space[0].call)


def fingerprint(message: Json) -> str:
    """Equal for a call and its return with answers."""
    params = {k: v for k, v in params_of(message).items() if k not in ("_meta", "inputResponses", "requestState")}
    text = json.dumps([message["method"], params], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def input_required(request_id: int | str, *, peer: Peer, requests: Json, ticket: str) -> Json:
    """The answer that sends a modern client away to find out."""
    answer: Json = {"resultType": INPUT_REQUIRED, "inputRequests": dict(requests), "requestState": ticket}
    return jsonrpc.result(request_id, complete(answer, peer=peer, method="tools/call"))
