"""One request of a client on its way: a small mailbox between the hub, which never waits, and the HTTP response."""

import asyncio
import time
from collections import deque
from typing import Final, Protocol

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.eras import Client
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.metrics import Outcome
from vsm_runtime.bridge.routes import Call

MAX_WAITING_MESSAGES = 64
MAX_WAITING_BYTES = 256 << 10
_BY_CODE: Final[dict[int, Outcome]] = {
    jsonrpc.SERVER_DOWN: "server_gone",
    jsonrpc.TIMED_OUT: "timeout",
    jsonrpc.CANCELLED: "cancelled",
}


class Canceller(Protocol):
    """The hub, as far as one who gives up needs it."""

    def cancel(self, call: Call, *, reason: str, code: int) -> None: ...


class Exchange:
    """A Caller of the hub. Single reader: the task of the HTTP request."""

    __slots__ = (
        "_outcome",
        "_size_bytes",
        "_waiter",
        "abandoned",
        "answer_bytes",
        "begun",
        "client",
        "last_sign",
        "messages",
        "settled",
        "verdict",
    )

    def __init__(self, client: Client) -> None:
        self.client = client
        self.messages: deque[bytes] = deque()
        """Encoded, to be sent before the answer. A reader that is slow misses some; its answer it gets."""
        self.settled = False
        self.verdict: Outcome = "cancelled"
        """How it ended, once it is settled."""
        self.answer_bytes = 0
        self._outcome: Json | None = None
        self.abandoned = False
        """The client hung up."""
        self.begun = self.last_sign = time.monotonic()
        """`last_sign`: when the server last said something about this request: the request timeout counts from here."""
        self._size_bytes = 0
        self._waiter: asyncio.Future[None] | None = None

    # -- the hub's side

    def settle(self, response: Json) -> None:
        if not self.settled:
            self.settled = True
            self._outcome = response
            self.verdict = _verdict(response)
            self._wake()

    def tell(self, message: Json) -> bool:
        self.last_sign = time.monotonic()
        if self.settled or len(self.messages) >= MAX_WAITING_MESSAGES:
            return False
        try:
            data = jsonrpc.encode(message)
        except jsonrpc.Malformed:
            return False
        if self._size_bytes + len(data) > MAX_WAITING_BYTES:
            return False
        self._size_bytes += len(data)
        self.messages.append(data)
        self._wake()
        return True

    # -- the HTTP side

    def abandon(self) -> None:
        self.abandoned = True
        self._wake()

    def take(self) -> bytes:
        message = self.messages.popleft()
        self._size_bytes -= len(message)
        return message

    def take_outcome(self) -> Json:
        """Once, after `settled`. It is let go of here: what is being sent should not be held twice."""
        outcome, self._outcome = self._outcome, None
        assert outcome is not None  # noqa: S101 - the one reader takes it once
        return outcome

    async def change(self, timeout_seconds: float) -> None:
        """Returns when there is something new, or when the time is over."""
        if self.messages or self.settled or self.abandoned:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(timeout_seconds, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Unheard(Exchange):
    """For a call whose answer travels with others: what would precede it has no way to the client."""

    __slots__ = ()

    def tell(self, message: Json) -> bool:  # noqa: ARG002
        self.last_sign = time.monotonic()
        return False

    async def outcome_within(self, hub: Canceller, call: Call, timeout_seconds: float) -> None:
        """Waits for the answer; `settled` is true afterwards."""
        try:
            while not self.settled and (left := self.last_sign + timeout_seconds - time.monotonic()) > 0:
                await self.change(left)
        finally:
            why = f"the server gave no answer within {timeout_seconds:g} s"
            hub.cancel(call, reason=why, code=jsonrpc.TIMED_OUT)


def _verdict(response: Json) -> Outcome:
    error = response.get("error")
    if error is not None:
        return _BY_CODE.get(error["code"], "error")
    return "tool_error" if response["result"].get("isError") is True else "ok"
