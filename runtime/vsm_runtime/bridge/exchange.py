"""One request of a client on its way: a small mailbox between the hub, which never waits, and the HTTP response."""

import asyncio
from collections import deque

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.eras import Client
from vsm_runtime.bridge.jsonrpc import Json

MAX_WAITING_MESSAGES = 64
MAX_WAITING_BYTES = 256 << 10


class Exchange:
    """A Caller of the hub. Single reader: the task of the HTTP request."""

    __slots__ = (
        "_outcome",
        "_size_bytes",
        "_waiter",
        "abandoned",
        "begun",
        "client",
        "last_sign",
        "messages",
        "settled",
    )

    def __init__(self, client: Client) -> None:
        self.client = client
        self.messages: deque[bytes] = deque()
        """Encoded, to be sent before the answer. A reader that is slow misses some; its answer it gets."""
        self.settled = False
        self._outcome: Json | None = None
        self.abandoned = False
        """The client hung up."""
        self.begun = self.last_sign = asyncio.get_running_loop().time()
        """`last_sign`: when the server last said something about this request: the request timeout counts from here."""
        self._size_bytes = 0
        self._waiter: asyncio.Future[None] | None = None

    # -- the hub's side

    def settle(self, response: Json) -> None:
        if not self.settled:
            self.settled = True
            self._outcome = response
            self._wake()

    def tell(self, message: Json) -> bool:
        loop = asyncio.get_running_loop()
        self.last_sign = loop.time()
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
