"""Questions, log messages and announcements reach the client, and its answers the tool, whatever era each side is of.

Every case also runs against the fixture without a bridge: the outcome has to be the same.
"""

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.subscriptions import PromptsListChanged, ResourceUpdated, ToolsListChanged

from conformance import clients, servers

DEADLINE_SECONDS = 10.0
"""For things that take milliseconds."""
WATCHED = "test://watched-resource"
ASKING = {
    "test_sampling": ({"prompt": "Say something"}, "the model says: heard: Say something"),
    "test_elicitation": ({"message": "Well?"}, 'action=accept, content={"response": "Ada"}'),
    "test_streaming_elicitation": ({}, 'action=accept, content={"name": "Ada"}'),
    "test_input_required_result_list_roots": ({}, "roots: ['file:///home/ada']"),
    "test_input_required_result_multiple_inputs": ({}, "answered: ['client_roots', 'greeting', 'user_name']"),
    "test_input_required_result_multi_round": ({}, "{'name': 'Ada'} and {'color': 'Ada'}"),
    "test_input_required_result_request_state": ({}, "state-ok: accept"),
}
"""Arguments, and what the tool makes of the answers of the Python client below."""
FROM_TYPESCRIPT = {
    "test_sampling": "the model says: from TypeScript",
    "test_elicitation": 'action=accept, content={"response": "from TypeScript"}',
    "test_streaming_elicitation": 'action=accept, content={"name": "from TypeScript"}',
    "test_input_required_result_list_roots": "roots: ['file:///typescript']",
    "test_input_required_result_multiple_inputs": "answered: ['client_roots', 'greeting', 'user_name']",
    "test_input_required_result_multi_round": "{'name': 'from TypeScript'} and {'color': 'from TypeScript'}",
    "test_input_required_result_request_state": "state-ok: accept",
}
"""The same of those of support/node/connect.mjs."""


@pytest.fixture(scope="module", params=["native", *servers.CHILDREN])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def url(place: str) -> Iterator[str]:
    with ExitStack() as stack:
        if place == "native":
            yield stack.enter_context(servers.native())
        else:
            yield stack.enter_context(servers.bridged(place)).url


@pytest.fixture(params=["legacy", "auto"], ids=["legacy client", "modern client"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def willing() -> dict[str, Any]:
    """A client that answers all that it is asked."""
    return {"sampling_callback": _sample, "elicitation_callback": _elicit, "list_roots_callback": _roots}


async def _sample(_: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    (message,) = params.messages
    content = types.TextContent(type="text", text=f"heard: {message.content.text}")  # type: ignore[union-attr]
    return types.CreateMessageResult(role="assistant", content=content, model="m")


async def _elicit(_: Any, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content=dict.fromkeys(params.requested_schema["properties"], "Ada"))


async def _roots(_: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada")])


@pytest.mark.parametrize("tool", ASKING)
async def test_a_tool_gets_the_clients_answers(url: str, mode: str, willing: dict[str, Any], tool: str) -> None:
    arguments, want = ASKING[tool]
    async with Client(url, mode=mode, **willing) as client:
        result = await client.call_tool(tool, arguments)
    assert result.content[0].text == want


@pytest.mark.parametrize(
    ("client", "era"), [("typescript-1", "legacy"), ("typescript-2", "legacy"), ("typescript-2", "modern")]
)
def test_a_tool_gets_the_answers_of_a_typescript_client(url: str, client: str, era: str) -> None:
    arguments = {tool: arguments for tool, (arguments, _) in ASKING.items()}
    assert clients.asked(client, url, arguments, era=era) == FROM_TYPESCRIPT


async def test_a_prompt_gets_the_clients_answer(url: str, mode: str, willing: dict[str, Any]) -> None:
    async with Client(url, mode=mode, **willing) as client:
        result = await client.get_prompt("test_input_required_result_prompt", {})
    assert result.messages[0].content.text == "context: {'context': 'Ada'}"


async def test_no_client_is_asked_for_the_call_of_another(
    url: str, place: str, mode: str, willing: dict[str, Any]
) -> None:
    """A handshake-era child does not say which call its question belongs to, so with several it may be refused."""

    async def ask(name: str) -> set[str]:
        async def sample(*_: Any) -> types.CreateMessageResult:
            content = types.TextContent(type="text", text=name)
            return types.CreateMessageResult(role="assistant", content=content, model="m")

        async with Client(url, mode=mode, **{**willing, "sampling_callback": sample}) as client:
            return {await _sampled(client) for _ in range(3)}

    heard = await asyncio.gather(*map(ask, "abcd"))
    for name, answers in zip("abcd", heard, strict=True):
        assert answers <= {f"the model says: {name}", "refused"}
    if place != "legacy":
        assert "refused" not in set().union(*heard)


async def _sampled(client: Client) -> str:
    try:
        return str((await client.call_tool("test_sampling", {"prompt": "Who?"})).content[0].text)
    except MCPError:
        return "refused"


async def test_a_client_that_declines_is_believed(url: str, mode: str, willing: dict[str, Any]) -> None:
    async def decline(*_: Any) -> types.ElicitResult:
        return types.ElicitResult(action="decline")

    async with Client(url, mode=mode, **{**willing, "elicitation_callback": decline}) as client:
        result = await client.call_tool("test_elicitation", {"message": "Well?"})
    assert result.content[0].text == "action=decline, content=null"


async def test_log_messages_arrive_in_their_order(url: str, mode: str) -> None:
    lines: list[Any] = []
    complete = asyncio.Event()

    async def collect(params: types.LoggingMessageNotificationParams) -> None:
        lines.append(params.data)
        if len(lines) == 3:
            complete.set()

    async with Client(url, mode=mode, logging_callback=collect, log_level="info") as client:
        if mode == "legacy":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MCPDeprecationWarning)
                await client.set_logging_level("info")
        await client.call_tool("test_tool_with_logging", {})
        await asyncio.wait_for(complete.wait(), DEADLINE_SECONDS)
    assert lines == ["begun", "half way", "done"]


async def test_a_client_that_wants_no_log_messages_gets_none(url: str) -> None:
    lines: list[Any] = []

    async def collect(params: types.LoggingMessageNotificationParams) -> None:
        lines.append(params.data)

    async with Client(url, mode="auto", logging_callback=collect) as client:
        await client.call_tool("test_tool_with_logging", {})
        await client.call_tool("test_simple_text", {})
    assert lines == []


@pytest.mark.parametrize(
    ("trigger", "event", "notification"),
    [
        ("test_trigger_tool_change", ToolsListChanged(), "notifications/tools/list_changed"),
        ("test_trigger_prompt_change", PromptsListChanged(), "notifications/prompts/list_changed"),
        ("touch_watched_resource", ResourceUpdated(uri=WATCHED), "notifications/resources/updated"),
    ],
)
async def test_what_the_server_announces_reaches_who_listens(
    url: str, mode: str, trigger: str, event: Any, notification: str
) -> None:
    if mode == "legacy":
        await _watch_as_legacy(url, trigger, notification)
        return
    async with (
        Client(url, mode=mode) as client,
        client.listen(tools_list_changed=True, prompts_list_changed=True, resource_subscriptions=[WATCHED]) as stream,
    ):
        await client.call_tool(trigger, {})
        assert await asyncio.wait_for(anext(stream), DEADLINE_SECONDS) == event


async def _watch_as_legacy(url: str, trigger: str, notification: str) -> None:
    seen = asyncio.Event()

    async def look_at(message: Any) -> None:
        if message.method == notification:
            seen.set()

    async with Client(url, mode="legacy", message_handler=look_at) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            await client.subscribe_resource(WATCHED)
        async with asyncio.timeout(DEADLINE_SECONDS):
            # Again and again: the client does not say when its standing stream is open.
            while not seen.is_set():
                await client.call_tool(trigger, {})
