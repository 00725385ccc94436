"""Keeps the server subscribed to what the board's feeds want, in the server's own era, across its restarts.

legacy   resources/subscribe and unsubscribe for each URI; list changes come unasked
modern   one subscriptions/listen that names everything; a new one replaces it when the wishes change
"""

import asyncio

from vsm_runtime.bridge.eras import Era, Peer
from vsm_runtime.bridge.feeds import LIST_CHANGES, MAX_URIS, Board, Feed
from vsm_runtime.bridge.hub import Hub
from vsm_runtime.bridge.jsonrpc import Json

LISTEN_AGAIN_SECONDS = 1.0
"""After the server ended a subscription of its own accord; doubled each time it does, up to a minute."""
LONGEST_PAUSE_SECONDS = 60.0


class TooManySubscriptions(Exception):  # noqa: N818
    """The text names the bound."""


def offered_by(peer: Peer, part: str, promise: str) -> bool:
    capability = peer.capabilities.get(part)
    return isinstance(capability, dict) and capability.get(promise) is True


class Subscriptions:
    """One for each server; survives its lives."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._board: Board = hub.board
        self._board.on_change = self._refresh
        self._uris: set[str] = set()
        """What a legacy server has been asked for in this life."""
        self._listening: int | None = None
        self._filter: Json = {}
        self._again: asyncio.TimerHandle | None = None
        self._pause_seconds = LISTEN_AGAIN_SECONDS

    def opened(self) -> None:
        """A new life begins: nothing of the old one's subscriptions is left."""
        self._uris, self._listening, self._filter = set(), None, {}
        self._pause_seconds = LISTEN_AGAIN_SECONDS
        self._refresh()

    async def subscribe(self, feed: Feed, uri: str) -> None:
        """For a legacy client. Raises TooManySubscriptions, and what Hub.request raises."""
        peer = self._hub.peer
        if peer is None:
            raise ConnectionError("the server is not running")
        if len(feed.uris) >= MAX_URIS and uri not in feed.uris:
            raise TooManySubscriptions(f"a session may subscribe to at most {MAX_URIS} resources")
        if peer.era is Era.LEGACY and uri not in self._uris:
            await self._hub.request("resources/subscribe", {"uri": uri}, era=Era.LEGACY)
            self._uris.add(uri)
        feed.uris.add(uri)
        self._refresh()

    def unsubscribe(self, feed: Feed, uri: str) -> None:
        feed.uris.discard(uri)
        self._refresh()

    def _refresh(self) -> None:
        peer = self._hub.peer
        if peer is None:
            return
        lists, uris = self._board.wanted()
        if peer.era is Era.LEGACY:
            for uri in uris - self._uris:
                self._hub.post("resources/subscribe", {"uri": uri}, era=Era.LEGACY)
            for uri in self._uris - uris:
                self._hub.post("resources/unsubscribe", {"uri": uri}, era=Era.LEGACY)
            self._uris = set(uris)
        else:
            self._listen(peer, lists, uris)

    def _listen(self, peer: Peer, lists: frozenset[str], uris: frozenset[str]) -> None:
        wanted: Json = {
            member: True
            for member, (method, part) in LIST_CHANGES.items()
            # That its tools changed the bridge wants to know in any case: it vouches for them.
            if offered_by(peer, part, "listChanged") and (method in lists or part == "tools")
        }
        if uris and offered_by(peer, "resources", "subscribe"):
            wanted["resourceSubscriptions"] = sorted(uris)
        if wanted == self._filter:
            return
        former, self._filter = self._listening, wanted
        self._listening = None
        if wanted:
            self._listening = self._hub.post(
                "subscriptions/listen", {"notifications": wanted}, era=Era.MODERN, on_end=self._ended
            )
        if former is not None:
            self._hub.withdraw(former)

    def _ended(self, bridge_id: int, response: Json) -> None:
        if bridge_id != self._listening or self._hub.peer is None or "error" in response:
            return  # a server that refuses is not asked again before the wishes change
        self._listening, self._filter = None, {}
        if self._again is not None:
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(self._pause_seconds, self._refresh)
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
