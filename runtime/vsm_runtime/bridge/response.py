"""How the answer to one call travels back: as JSON when it comes alone, as an event stream when something precedes it.

A stream also begins when the answer takes its time, so that no proxy on the way loses patience. A client that hangs up
cancels its call at the server and nothing else; a server that says nothing for too long loses the call.
"""

import asyncio
import time

from vsm_runtime.bridge import checks, jsonrpc, sse
from vsm_runtime.bridge.asgi import (
    Disconnected,
    Headers,
    NoMemory,
    Receive,
    Request,
    begin,
    hung_up,
    respond,
    write,
)
from vsm_runtime.bridge.eras import Client, Era
from vsm_runtime.bridge.exchange import Exchange
from vsm_runtime.bridge.hub import Hub
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.routes import Call

KEEPALIVE_SECONDS = 10.0
QUESTION_SECONDS = 600.0
"""While the server waits for its client's answer: a person may have to give it."""
LONGEST_CALL_SECONDS = 3600.0
"""However much progress it reports."""
WATCH_AFTER_SECONDS = 0.05
"""Most calls are answered before it would pay to watch whether the client is still there."""
STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_JSON_HEADERS: Headers = [(b"content-type", b"application/json")]


def http_status(code: int, client: Client) -> int:
    """Of an error that is the whole answer. Legacy clients look for errors in the body of a 200."""
    if code == jsonrpc.SERVER_DOWN:
        return 503
    return checks.HTTP_STATUS.get(code, 200) if client.era is Era.MODERN else 200


class Response:
    """One use. The call is settled when `send` returns or raises, by whatever way."""

    def __init__(self, hub: Hub, call: Call, exchange: Exchange, request: Request, *, timeout_seconds: float) -> None:
        self._hub = hub
        self._call = call
        self._exchange = exchange
        self._request = request
        self._timeout_seconds = timeout_seconds

    async def send(self) -> None:
        """Raises Disconnected."""
        exchange = self._exchange
        watcher: asyncio.Task[None] | None = None
        try:
            await exchange.change(WATCH_AFTER_SECONDS)
            if not exchange.settled:
                watcher = asyncio.create_task(_watch(self._request.receive, exchange))
                await self._wait()
            if exchange.messages or not exchange.settled:
                await self._stream()
            else:
                await self._answer()
        finally:
            if watcher is not None:
                watcher.cancel()
            # A settled call is not touched by this; one whose client is gone is cancelled at the server.
            self._hub.cancel(self._call, reason="the client hung up")

    async def _wait(self) -> None:
        """Until there is something to send, or it is time to show that we are alive. Raises Disconnected."""
        exchange = self._exchange
        await exchange.change(max(0.0, min(self._seconds_left(), KEEPALIVE_SECONDS)))
        if exchange.abandoned:
            raise Disconnected
        if not exchange.settled and not exchange.messages and self._seconds_left() <= 0:
            why = f"the server gave no answer within {self._timeout_seconds:g} s"
            self._hub.cancel(self._call, reason=why, code=jsonrpc.TIMED_OUT)

    def _seconds_left(self) -> float:
        patience = max(self._timeout_seconds, QUESTION_SECONDS) if self._call.questions else self._timeout_seconds
        silence_ends = self._exchange.last_sign + patience
        return min(silence_ends, self._exchange.begun + LONGEST_CALL_SECONDS) - time.monotonic()

    async def _answer(self) -> None:
        status, body = self._take()
        await respond(self._request.send, status, body, _JSON_HEADERS)

    def _take(self) -> tuple[int, bytes]:
        """Status and body of the answer, which counts as memory until it is sent."""
        outcome = self._exchange.take_outcome()
        status = http_status(outcome["error"]["code"], self._exchange.client) if "error" in outcome else 200
        body, memory = encoded(outcome), self._request.memory
        self._exchange.answer_bytes = len(body)
        memory.release()
        try:
            memory.need(len(body))
        except NoMemory:
            busy = jsonrpc.error(outcome["id"], jsonrpc.BUSY, "too many large answers at once; try again")
            return 503, jsonrpc.encode(busy)
        return status, body

    async def _stream(self) -> None:
        send, exchange = self._request.send, self._exchange
        await begin(send, 200, STREAM_HEADERS)
        while True:
            if not exchange.messages and not exchange.settled:
                await write(send, sse.KEEPALIVE, more=True)
            while exchange.messages:
                await write(send, sse.event(exchange.take()), more=True)
            if exchange.settled:
                _, body = self._take()
                await write(send, sse.event(body), more=False)
                return
            await self._wait()


async def _watch(receive: Receive, exchange: Exchange) -> None:
    """The body is read, so the only thing that can still come is that the client hangs up."""
    await hung_up(receive)
    exchange.abandon()


def encoded(outcome: Json) -> bytes:
    try:
        return jsonrpc.encode(outcome)
    except jsonrpc.Malformed as error:
        why = f"the server's answer cannot be written as JSON: {error}"
        return jsonrpc.encode(jsonrpc.error(outcome["id"], jsonrpc.INTERNAL_ERROR, why))
