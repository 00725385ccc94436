"""Streams that stay open: changes reach whoever asked for them, in both eras, across the deaths of the server."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from unit.bridge.rig import HEADERS, RawClient, Rig, call, eventually, modern, request, stdio_server, text_of

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
TOOLS_CHANGED = "notifications/tools/list_changed"
SECONDS = 20


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    try:
        yield rig.start(stdio_server("--resources")).ready()
    finally:
        rig.stop()


class Stream:
    """The messages of one event stream, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> Any:
        """None at the end of the stream."""
        async with asyncio.timeout(SECONDS):
            async for line in self._lines:
                if line.startswith("data: "):
                    return json.loads(line[6:])
            return None


@asynccontextmanager
async def get_stream(client: RawClient) -> AsyncIterator[Stream]:
    async with client._http.stream("GET", client._url, headers={"Accept": "text/event-stream"}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield Stream(response)


@asynccontextmanager
async def listening(client: RawClient, request_id: int | str = 1, **wishes: Any) -> AsyncIterator[Stream]:
    message, headers = modern("subscriptions/listen", {"notifications": wishes})
    message["id"] = request_id
    async with client._http.stream("POST", client._url, json=message, headers=headers) as response:
        assert response.status_code == 200
        yield Stream(response)


class TestLegacyStream:
    async def test_change_of_tools_reaches_it(self, rig: Rig) -> None:
        async with RawClient(rig) as client:
            await client.initialize()
            async with get_stream(client) as stream:
                await client.call("add", tool="new")
                assert (await stream.next())["method"] == TOOLS_CHANGED

    async def test_second_stream_takes_over_from_the_first(self, rig: Rig) -> None:
        async with RawClient(rig) as client:
            await client.initialize()
            async with get_stream(client) as first, get_stream(client) as second:
                assert await first.next() is None
                await client.call("add", tool="new")
                assert (await second.next())["method"] == TOOLS_CHANGED
            assert rig.admin("/readyz").status_code == 200

    async def test_each_session_has_its_own_stream(self, rig: Rig) -> None:
        async with RawClient(rig) as one, RawClient(rig) as two:
            await one.initialize()
            await two.initialize()
            async with get_stream(one) as first, get_stream(two) as second:
                await one.call("add", tool="new")
                assert (await first.next())["method"] == TOOLS_CHANGED
                assert (await second.next())["method"] == TOOLS_CHANGED

    async def test_death_of_the_server_does_not_end_it_and_is_told_as_a_change(self, rig: Rig) -> None:
        async with RawClient(rig) as client:
            await client.initialize()
            async with get_stream(client) as stream:
                await client.call("exit")
                methods = {(await stream.next())["method"] for _ in range(3)}
        assert methods == {TOOLS_CHANGED, *(f"notifications/{part}/list_changed" for part in ("prompts", "resources"))}

    async def test_client_that_does_not_take_event_streams_is_told_so(self, rig: Rig) -> None:
        async with RawClient(rig) as client:
            response = await client._http.get(client._url, headers={"Accept": "application/json"})
        assert response.status_code == 406

    async def test_ended_session_is_gone_with_its_stream(self, rig: Rig) -> None:
        async with RawClient(rig) as client:
            await client.initialize()
            async with get_stream(client) as stream:
                assert (await client._http.delete(client._url)).status_code == 204
                assert await stream.next() is None
            assert (await client.post(call("echo"))).status_code == 404
            assert (await client._http.delete(client._url)).status_code == 404
            assert (await client._http.get(client._url, headers={"Accept": "text/event-stream"})).status_code == 404

    async def test_end_of_the_bridge_ends_it(self, rig: Rig) -> None:
        assert rig.bridge is not None
        async with RawClient(rig) as client:
            await client.initialize()
            async with get_stream(client) as stream:
                rig.bridge.terminate()
                assert await stream.next() is None
        assert await asyncio.to_thread(rig.bridge.wait, SECONDS) == 0


class TestResources:
    async def test_update_reaches_subscribers_only(self, rig: Rig) -> None:
        async with RawClient(rig) as one, RawClient(rig) as two:
            for client in (one, two):
                await client.initialize()
            assert (await one.post(request("resources/subscribe", {"uri": "test://a"}))).json()["result"] == {}
            async with get_stream(one) as first, get_stream(two) as second:
                await two.call("touch", uri="test://a")
                await two.call("add", tool="new")
                message = await first.next()
                assert (message["method"], message["params"]["uri"]) == ("notifications/resources/updated", "test://a")
                assert (await second.next())["method"] == TOOLS_CHANGED

    async def test_server_is_asked_once_and_until_the_last_subscriber_is_gone(self, rig: Rig) -> None:
        async def subscribed() -> str:
            return text_of(await one.call("subscribed"))

        async with RawClient(rig) as one, RawClient(rig) as two:
            for client in (one, two):
                await client.initialize()
                await client.post(request("resources/subscribe", {"uri": "test://a"}))
            await one.post(request("resources/unsubscribe", {"uri": "test://a"}))
            assert await subscribed() == '["test://a"]'
            await two._http.delete(two._url)
            assert await subscribed() == "[]"

    async def test_subscription_survives_the_server(self, rig: Rig) -> None:
        async with RawClient(rig) as client:
            await client.initialize()
            await client.post(request("resources/subscribe", {"uri": "test://a"}))
            await client.call("exit")
            await eventually(lambda: rig.admin("/readyz").status_code == 200, what="ready again")
            assert text_of(await client.call("subscribed")) == '["test://a"]'

    async def test_one_session_can_subscribe_to_so_many_and_no_more(self, rig: Rig) -> None:
        async with RawClient(rig) as client:
            await client.initialize()
            for n in range(100):
                await client.post(request("resources/subscribe", {"uri": f"test://{n}"}))
            answer = (await client.post(request("resources/subscribe", {"uri": "test://100"}))).json()
            assert "at most 100" in answer["error"]["message"]
            again = (await client.post(request("resources/subscribe", {"uri": "test://5"}))).json()
            assert again["result"] == {}

    async def test_subscription_needs_a_session(self, rig: Rig) -> None:
        async with RawClient(rig) as client:
            response = await client.post(request("resources/subscribe", {"uri": "test://a"}))
        assert response.status_code == 400


class TestListen:
    async def test_begins_with_what_is_honoured_and_carries_its_own_id(self, rig: Rig) -> None:
        async with (
            RawClient(rig) as client,
            listening(client, "s", toolsListChanged=True, promptsListChanged=True) as stream,
        ):
            first = await stream.next()
            assert first["method"] == "notifications/subscriptions/acknowledged"
            assert first["params"] == {"_meta": {SUBSCRIPTION: "s"}, "notifications": {"toolsListChanged": True}}
            await client.call("add", tool="new")
            change = await stream.next()
        assert (change["method"], change["params"]["_meta"]) == (TOOLS_CHANGED, {SUBSCRIPTION: "s"})

    async def test_only_what_was_asked_for_comes(self, rig: Rig) -> None:
        async with RawClient(rig) as client, listening(client, resourceSubscriptions=["test://a"]) as stream:
            await stream.next()
            await client.call("add", tool="new")
            await client.call("touch", uri="test://b")
            await client.call("touch", uri="test://a")
            change = await stream.next()
        assert change["params"]["uri"] == "test://a"

    async def test_hanging_up_ends_the_subscription_at_the_server(self, rig: Rig) -> None:
        async with RawClient(rig) as client:
            async with listening(client, resourceSubscriptions=["test://a"]) as stream:
                await stream.next()
                assert text_of(await client.call("subscribed")) == '["test://a"]'
            await eventually(lambda: self._subscribed(rig) == "[]", what="the subscription's end")

    @staticmethod
    def _subscribed(rig: Rig) -> str:
        response = httpx.post(rig.url, json=call("subscribed"), headers=HEADERS, trust_env=False)
        return text_of(response.json())

    async def test_end_of_the_bridge_is_a_complete_answer(self, rig: Rig) -> None:
        assert rig.bridge is not None
        async with RawClient(rig) as client, listening(client, 7, toolsListChanged=True) as stream:
            await stream.next()
            rig.bridge.terminate()
            last = await stream.next()
            assert await stream.next() is None
        assert (last["id"], last["result"]["resultType"]) == (7, "complete")
        assert last["result"]["_meta"][SUBSCRIPTION] == 7

    @pytest.mark.parametrize("wishes", [None, [], {"resourceSubscriptions": "x"}, {"resourceSubscriptions": [1]}])
    async def test_malformed_filter_is_refused(self, rig: Rig, wishes: Any) -> None:
        message, headers = modern("subscriptions/listen", {"notifications": wishes})
        async with RawClient(rig) as client:
            response = await client.post(message, **headers)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)

    async def test_streams_come_and_go_without_leaving_anything(self, rig: Rig) -> None:
        assert rig.bridge is not None

        def descriptors() -> int:
            return len(list(Path(f"/proc/{rig.bridge.pid}/fd").iterdir()))  # type: ignore[union-attr]

        async with RawClient(rig) as client, listening(client, toolsListChanged=True) as kept:
            await kept.next()
            before = descriptors()
            for n in range(50):
                async with RawClient(rig) as visitor, listening(visitor, n, toolsListChanged=True) as stream:
                    await stream.next()
            await eventually(lambda: descriptors() <= before, what="descriptors as before")
            await client.call("add", tool="new")
            assert (await kept.next())["method"] == TOOLS_CHANGED
