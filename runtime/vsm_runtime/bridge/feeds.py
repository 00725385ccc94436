"""What clients hear without having asked just now: changes of lists and of resources, on a stream that stays open.

A feed never grows: of equal notifications one waits, so a reader that is slow learns that something changed, once.
Invariants: a feed gets only what its client asked for; what is published reaches every feed that wants it or waits in
it; the board's `wanted` is the union of its feeds.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.jsonrpc import Json

LIST_CHANGES: Final = {
    "toolsListChanged": ("notifications/tools/list_changed", "tools"),
    "promptsListChanged": ("notifications/prompts/list_changed", "prompts"),
    "resourcesListChanged": ("notifications/resources/list_changed", "resources"),
}
"""By the member of a subscription filter: the notification, and the capability under which a server promises it."""
ALL_LISTS: Final = frozenset(method for method, _ in LIST_CHANGES.values())
RESOURCE_UPDATED: Final = "notifications/resources/updated"
SUBSCRIPTION_KEY: Final = "io.modelcontextprotocol/subscriptionId"
MAX_URIS = 100
"""Of one client."""
MAX_FEEDS = 256
_MAX_QUESTIONS = 16


class Feed:
    """One client's stream. Single reader; a later reader takes the place of an earlier one."""

    def __init__(self, *, lists: frozenset[str], subscription_id: int | str | None = None) -> None:
        self.lists = lists
        self.uris: set[str] = set()
        self.ended = False
        """No more will come: the reader closes the stream in good order."""
        self._subscription_id = subscription_id
        self._changes: dict[tuple[str, object], Json] = {}
        self._questions: deque[Json] = deque()
        self._last_reader = 0
        self._reading = 0
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, method: str, params: Json) -> None:
        uri = params.get("uri")
        if method in self.lists or (method == RESOURCE_UPDATED and uri in self.uris):
            if self._subscription_id is not None:
                params = {**params, "_meta": {SUBSCRIPTION_KEY: self._subscription_id}}
            self._changes[method, uri] = jsonrpc.notification(method, params)
            self._wake()

    def ask(self, message: Json) -> bool:
        """A question of the server's. False if too many wait already."""
        if self.ended or len(self._questions) >= _MAX_QUESTIONS:
            return False
        self._questions.append(message)
        self._wake()
        return True

    def end(self) -> None:
        self.ended = True
        self._wake()

    # -- the reader's side

    def attach(self) -> int:
        """A reader's number; `is_current` says whether it still is the one."""
        self._last_reader += 1
        self._reading += 1
        self._wake()
        return self._last_reader

    def detach(self) -> None:
        """Once for each `attach`."""
        self._reading -= 1

    @property
    def is_read(self) -> bool:
        return self._reading > 0

    def is_current(self, reader: int) -> bool:
        return reader == self._last_reader and not self.ended

    def take(self) -> list[Json]:
        messages = [*self._questions, *self._changes.values()]
        self._questions.clear()
        self._changes.clear()
        return messages

    async def change(self, timeout_seconds: float) -> None:
        """Returns when there is something to take, when a later reader came, at the end, or when the time is over."""
        if self._changes or self._questions or self.ended:
            return
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(timeout_seconds, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()

    def wake(self) -> None:
        """Lets the reader look around: its client may have hung up."""
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            _wake(self._waiter)


class Board:
    """All feeds of one server."""

    def __init__(self) -> None:
        self._feeds: set[Feed] = set()
        self.on_change: Callable[[], None] = lambda: None
        """`wanted` may have changed."""

    @property
    def full(self) -> bool:
        return len(self._feeds) >= MAX_FEEDS

    def add(self, feed: Feed) -> None:
        self._feeds.add(feed)
        self.on_change()

    def remove(self, feed: Feed) -> None:
        self._feeds.discard(feed)
        self.on_change()

    def publish(self, method: str, params: Json) -> None:
        for feed in self._feeds:
            feed.offer(method, params)

    def publish_all(self) -> None:
        """A new server: whatever was known of the old one may be different now."""
        for feed in self._feeds:
            for method in feed.lists:
                feed.offer(method, {})
            for uri in feed.uris:
                feed.offer(RESOURCE_UPDATED, {"uri": uri})

    def wanted(self) -> tuple[frozenset[str], frozenset[str]]:
        """Notifications about lists, and URIs."""
        lists = frozenset[str]().union(*(feed.lists for feed in self._feeds))
        return lists, frozenset[str]().union(*(feed.uris for feed in self._feeds))

    def end(self) -> None:
        for feed in self._feeds:
            feed.end()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
