"""The streams that stay open: GET of a legacy session, subscriptions/listen of a modern client."""

import asyncio

from vsm_runtime.bridge import jsonrpc, sse
from vsm_runtime.bridge.asgi import Receive, Request, begin, hung_up, write
from vsm_runtime.bridge.feeds import Feed
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.response import STREAM_HEADERS

KEEPALIVE_SECONDS = 15.0


class _Presence:
    """Whether the client is still there."""

    def __init__(self) -> None:
        self.left = False


async def serve_feed(request: Request, feed: Feed, *, first: Json | None = None, last: Json | None = None) -> None:
    """Until the client hangs up, another stream of the same client takes over, or the feed ends.

    `first` opens the stream, `last` closes it when it is we who end it. Raises Disconnected.
    """
    reader, presence = feed.attach(), _Presence()
    watcher = asyncio.create_task(_watch(request.receive, feed, presence))
    try:
        await begin(request.send, 200, STREAM_HEADERS)
        await write(request.send, sse.KEEPALIVE if first is None else sse.event(jsonrpc.encode(first)), more=True)
        while feed.is_current(reader) and not presence.left:
            messages = feed.take()
            for message in messages:
                await write(request.send, sse.event(jsonrpc.encode(message)), more=True)
            await feed.change(KEEPALIVE_SECONDS)
            if not messages and not presence.left:
                await write(request.send, sse.KEEPALIVE, more=True)
    finally:
        watcher.cancel()
        feed.detach()
    if not presence.left:
        ending = sse.event(jsonrpc.encode(last)) if last is not None and feed.ended else b""
        await write(request.send, ending, more=False)


async def _watch(receive: Receive, feed: Feed, presence: _Presence) -> None:
    await hung_up(receive)
    presence.left = True
    feed.wake()
