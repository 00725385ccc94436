"""A server is subscribed to what its clients want, no more, in its own era and in each of its lives."""

from typing import Any

import pytest

from unit.bridge.test_questions import FakeLink
from vsm_runtime.bridge import subscriptions
from vsm_runtime.bridge.eras import Era, Peer
from vsm_runtime.bridge.feeds import RESOURCE_UPDATED, Feed
from vsm_runtime.bridge.hub import Hub
from vsm_runtime.bridge.jsonrpc import Json, error, result
from vsm_runtime.bridge.subscriptions import Subscriptions

PROMPTS = "notifications/prompts/list_changed"
CAPABILITIES: Json = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
}


class Setup:
    def __init__(self, era: Era, capabilities: Json | None = None) -> None:
        self.hub = Hub(on_end=lambda: None, on_tools_changed=lambda: None)
        self.subscriptions = Subscriptions(self.hub)
        self.peer = Peer(era, "v", {}, CAPABILITIES if capabilities is None else capabilities, None)
        self.link = FakeLink()
        self.live()

    def live(self) -> None:
        """A new life of the server."""
        self.link = FakeLink()
        self.hub.prepare()
        self.hub.attach(self.link)  # type: ignore[arg-type]
        self.hub.open(self.peer)
        self.subscriptions.opened()

    def sent(self) -> list[tuple[str, Any]]:
        """What the server was asked: the method, and what it is about."""
        found = []
        for message in self.link.sent:
            params = message["params"]
            found.append((message["method"], params.get("uri") or params.get("notifications")))
        return found

    def feed(self, *uris: str, lists: frozenset[str] = frozenset()) -> Feed:
        feed = Feed(lists=lists)
        feed.uris.update(uris)
        self.hub.board.add(feed)
        return feed


async def test_modern_server_always_tells_of_its_tools_and_of_nothing_else_unasked() -> None:
    assert Setup(Era.MODERN).sent() == [("subscriptions/listen", {"toolsListChanged": True})]
    assert Setup(Era.MODERN, {"tools": {}}).sent() == []
    assert Setup(Era.LEGACY).sent() == []


async def test_wishes_become_one_subscription_that_replaces_the_former() -> None:
    setup = Setup(Era.MODERN)
    setup.feed("test://a", lists=frozenset({PROMPTS}))
    former, latest = setup.link.sent
    assert latest["params"]["notifications"] == {
        "toolsListChanged": True,
        "promptsListChanged": True,
        "resourceSubscriptions": ["test://a"],
    }
    assert setup.link.cancelled == [former["id"]]
    setup.feed("test://a")
    assert len(setup.link.sent) == 2


async def test_legacy_server_is_asked_for_each_resource_once() -> None:
    setup = Setup(Era.LEGACY)
    one, _two = setup.feed("test://a"), setup.feed("test://a", "test://b")
    setup.hub.board.remove(one)
    assert setup.sent() == [("resources/subscribe", "test://a"), ("resources/subscribe", "test://b")]
    setup.subscriptions.unsubscribe(_two, "test://b")
    assert setup.sent()[-1] == ("resources/unsubscribe", "test://b")


@pytest.mark.parametrize("era", list(Era))
async def test_next_life_begins_with_everything_that_is_wanted(era: Era) -> None:
    setup = Setup(era)
    setup.feed("test://a")
    before = setup.sent()[-1]
    setup.live()
    assert setup.sent() == [before]


async def test_updates_come_without_the_servers_own_subscription_id() -> None:
    setup = Setup(Era.MODERN)
    feed = setup.feed("test://a")
    meta = {"io.modelcontextprotocol/subscriptionId": setup.link.sent[-1]["id"], "x": 1}
    message = {"jsonrpc": "2.0", "method": RESOURCE_UPDATED, "params": {"uri": "test://a", "_meta": meta}}
    setup.hub.on_message(message, None)
    assert feed.take()[0]["params"] == {"uri": "test://a", "_meta": {"x": 1}}


@pytest.mark.parametrize("how", ["answer", "cancellation"])
async def test_subscription_that_the_server_ends_is_taken_again_later(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []

    class Loop:
        def call_later(self, seconds: float, callback: Any) -> Any:
            delays.append(seconds)
            callback()
            return type("Timer", (), {"cancel": lambda _: None})()

    monkeypatch.setattr(subscriptions.asyncio, "get_running_loop", Loop)
    setup = Setup(Era.MODERN)
    for _ in range(3):
        request_id = setup.link.sent[-1]["id"]
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}
        setup.hub.on_message(result(request_id, {}) if how == "answer" else cancelled, None)
    assert [method for method, _ in setup.sent()] == ["subscriptions/listen"] * 4
    assert delays == [1, 2, 4]


async def test_server_that_refuses_is_not_asked_again_for_the_same() -> None:
    setup = Setup(Era.MODERN)
    setup.hub.on_message(error(setup.link.sent[-1]["id"], -32601, "no"), None)
    assert len(setup.link.sent) == 1
    setup.feed("test://a")
    assert len(setup.link.sent) == 2
