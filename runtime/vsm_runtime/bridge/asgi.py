"""The little of ASGI that two small applications need: answers, bodies with a bound, and a budget for memory."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.jsonrpc import Json

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_PIECE_BYTES = 64 << 10
JSON_HEADERS: Headers = [(b"content-type", b"application/json")]


class TooLarge(Exception):  # noqa: N818
    """A body over the limit, declared or real."""


class NoMemory(Exception):  # noqa: N818
    """The budget for bodies and answers of all clients together is used up."""


class Disconnected(Exception):  # noqa: N818
    """The client hung up, or was late and was hung up on."""


class Budget:
    """Bytes that the bodies and answers of all clients may hold at once."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes


class Reservation:
    """One request's part of the budget, given back as a whole. The small change of most requests is not counted."""

    FREE_BYTES = 64 << 10
    __slots__ = ("_budget", "_held_bytes")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held_bytes = 0

    def need(self, size_bytes: int) -> None:
        """At least so much in all. Raises NoMemory."""
        missing = size_bytes - self._held_bytes
        if size_bytes <= self.FREE_BYTES or missing <= 0:
            return
        if missing > self._budget.left_bytes:
            raise NoMemory
        self._budget.left_bytes -= missing
        self._held_bytes = size_bytes

    def release(self) -> None:
        self._budget.left_bytes += self._held_bytes
        self._held_bytes = 0


class Request:
    """What answering one request takes."""

    __slots__ = ("id", "memory", "receive", "send")

    def __init__(self, receive: Receive, send: Send, memory: Reservation) -> None:
        self.receive = receive
        self.send = send
        self.memory = memory
        self.id: int | str | None = None
        """The JSON-RPC id, once it is known."""


async def read_body(receive: Receive, *, declared: str | None, limit_bytes: int, reservation: Reservation) -> bytes:
    """Raises TooLarge, NoMemory, Disconnected."""
    size = int(declared[:20]) if declared is not None and declared.isascii() and declared.isdigit() else 0
    if size > limit_bytes:
        raise TooLarge
    reservation.need(size)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        body: bytes = message.get("body", b"")
        size += len(body)
        if size > limit_bytes:
            raise TooLarge
        reservation.need(size)
        if not message.get("more_body", False):
            return b"".join((*pieces, body)) if pieces else body
        pieces.append(body)


async def hung_up(receive: Receive) -> None:
    """Returns when the client is gone; its request has been read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def begin(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def write(send: Send, data: bytes, *, more: bool) -> None:
    """In pieces, so that what a slow client has not taken yet stays ours to count and to drop."""
    for start in range(0, len(data), _PIECE_BYTES) if len(data) > _PIECE_BYTES else (0,):
        piece = data[start : start + _PIECE_BYTES]
        last = start + _PIECE_BYTES >= len(data)
        await send({"type": "http.response.body", "body": piece, "more_body": more or not last})


async def respond(send: Send, status: int, body: bytes = b"", headers: Headers | None = None) -> None:
    """A whole answer. Raises Disconnected."""
    length = (b"content-length", str(len(body)).encode())
    await begin(send, status, [*(headers or []), length])
    await write(send, body, more=False)


async def respond_json(send: Send, status: int, message: Json, headers: Headers | None = None) -> None:
    await respond(send, status, jsonrpc.encode(message), [*JSON_HEADERS, *(headers or [])])
