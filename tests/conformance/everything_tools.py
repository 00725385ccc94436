"""The tools of the fixture: those that the suite calls by name, and one that touches a resource."""

import asyncio
import json
import warnings
from typing import Any

import mcp_types as types
from asking import Client, elicitation, missing_capability, roots, sampling
from everything_content import WATCHED, WAV, Content, embedded, image, text, tool
from mcp import MCPError
from mcp.server.subscriptions import InMemorySubscriptionBus, PromptsListChanged, ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPDeprecationWarning

NAME = {"name": {"type": "string"}}
PAUSE_SECONDS = 0.02
"""Between two messages of one call, so that they are not one write."""

bus = InMemorySubscriptionBus()
"""To the listeners of the modern era."""
subscribed: set[str] = set()
"""Resources that a client of the handshake era watches."""


# -- tools that answer at once


@tool("test_simple_text")
async def tool_simple_text(*_: Any) -> Content:
    """Some text."""
    return [text("Nothing but text.")]


@tool("test_image_content")
async def tool_image_content(*_: Any) -> Content:
    """A picture."""
    return [image()]


@tool("test_audio_content")
async def tool_audio_content(*_: Any) -> Content:
    """A sound."""
    return [types.AudioContent(type="audio", data=WAV, mime_type="audio/wav")]


@tool("test_embedded_resource")
async def tool_embedded_resource(*_: Any) -> Content:
    """A resource within the answer."""
    return [embedded("test://embedded-resource", "Text of a resource that came along.")]


@tool("test_multiple_content_types")
async def tool_multiple_content_types(*_: Any) -> Content:
    """Several kinds of content."""
    return [text("Three parts:"), image(), embedded("test://mixed-content-resource", "{}", "application/json")]


@tool("test_error_handling")
async def tool_error_handling(*_: Any) -> Content:
    """Fails, always."""
    raise RuntimeError("this tool fails on purpose")


@tool("test_x_mcp_header", region={"x-mcp-header": "Region"})
async def tool_x_mcp_header(_: Client, arguments: dict[str, Any]) -> Content:
    """Its argument is also in a header."""
    return [text(f"region: {arguments.get('region', 'none')}")]


@tool(
    "json_schema_2020_12_tool",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def tool_json_schema_2020_12_tool(*_: Any) -> Content:
    """A schema that uses more than the basic words."""
    return [text("accepted")]


@tool("greet")
async def tool_greet(*_: Any) -> Content:
    """Answers at once, also when a task is asked for: this server does not offer that extension."""
    return [text("Good day.")]


@tool("slow_compute")
async def tool_slow_compute(*_: Any) -> Content:
    """Is not slow: without tasks nobody should wait."""
    return [text("42")]


# -- tools that say something meanwhile


@tool("test_tool_with_progress")
async def tool_tool_with_progress(client: Client, _: dict[str, Any]) -> Content:
    """Three steps of progress."""
    for step in (0, 50, 100):
        await client.context.session.report_progress(step, 100, f"{step} of 100")
        await asyncio.sleep(PAUSE_SECONDS)
    return [text(f"token: {(client.context.meta or {}).get('progress_token')}")]


async def _log(client: Client, *lines: str) -> None:
    for line in lines:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            await client.context.session.send_log_message("info", line, related_request_id=client.context.request_id)
        await asyncio.sleep(PAUSE_SECONDS)


@tool("test_tool_with_logging")
async def tool_tool_with_logging(client: Client, _: dict[str, Any]) -> Content:
    """Three log messages."""
    await _log(client, "begun", "half way", "done")
    return [text("logged three times")]


@tool("test_logging_tool")
async def tool_logging_tool(client: Client, _: dict[str, Any]) -> Content:
    """One log message, for those who want one."""
    await _log(client, "only for those who asked")
    return [text("logged, if that was wanted")]


@tool("test_reconnection")
async def tool_reconnection(client: Client, _: dict[str, Any]) -> Content:
    """Drops the stream that it answers on, and carries on."""
    await _log(client, "before")
    if client.context.close_sse_stream is not None:
        await client.context.close_sse_stream()
    await asyncio.sleep(0.2)
    await _log(client, "after")
    return [text("still here")]


@tool("test_trigger_tool_change")
async def tool_trigger_tool_change(client: Client, _: dict[str, Any]) -> Content:
    """Says that the list of tools has changed."""
    await bus.publish(ToolsListChanged())
    if not client.modern:
        await client.context.session.send_tool_list_changed()
    return [text("said")]


@tool("test_trigger_prompt_change")
async def tool_trigger_prompt_change(client: Client, _: dict[str, Any]) -> Content:
    """Says that the list of prompts has changed."""
    await bus.publish(PromptsListChanged())
    if not client.modern:
        await client.context.session.send_prompt_list_changed()
    return [text("said")]


@tool("touch_watched_resource")
async def tool_touch_watched_resource(client: Client, _: dict[str, Any]) -> Content:
    """Says that the watched resource has changed, to those who watch it."""
    await bus.publish(ResourceUpdated(uri=WATCHED))
    if not client.modern and WATCHED in subscribed:
        await client.context.session.send_resource_updated(WATCHED)
    return [text("said")]


# -- tools that ask


def _said(answer: dict[str, Any]) -> Content:
    return [text(f"action={answer['action']}, content={json.dumps(answer.get('content'))}")]


@tool("test_sampling", prompt={})
async def tool_sampling(client: Client, arguments: dict[str, Any]) -> Content:
    """Asks the client's model."""
    answer = (await client.ask({"model": sampling(arguments["prompt"])}))["model"]
    return [text(f"the model says: {answer['content']['text']}")]


@tool("test_elicitation", message={})
async def tool_elicitation(client: Client, arguments: dict[str, Any]) -> Content:
    """Asks the user."""
    question = elicitation(arguments["message"], {"response": {"type": "string", "description": "the answer"}})
    return _said((await client.ask({"user": question}))["user"])


@tool("test_streaming_elicitation")
async def tool_streaming_elicitation(client: Client, _: dict[str, Any]) -> Content:
    """Reports progress, then asks the user."""
    await client.context.session.report_progress(1, 2)
    return _said((await client.ask({"user": elicitation("Who is there?", NAME)}))["user"])


@tool("test_elicitation_sep1034_defaults")
async def tool_elicitation_sep1034_defaults(client: Client, _: dict[str, Any]) -> Content:
    """Asks with a default for each primitive type."""
    fields = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return _said((await client.ask({"user": elicitation("About you", fields)}))["user"])


@tool("test_elicitation_sep1330_enums")
async def tool_elicitation_sep1330_enums(client: Client, _: dict[str, Any]) -> Content:
    """Asks with each way to write a choice."""
    plain, titled = ["red", "green"], [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]
    fields = {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": plain, "enumNames": ["Red", "Green"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return _said((await client.ask({"user": elicitation("Choose", fields)}))["user"])


@tool("test_missing_capability")
async def tool_missing_capability(client: Client, _: dict[str, Any]) -> Content:
    """Needs a client that can sample."""
    if client.modern and client.capabilities.sampling is None:
        raise missing_capability("sampling")
    if not client.modern:
        await client.ask({"model": sampling("Are you there?")})
    return [text("the client can sample")]


@tool("test_input_required_result_elicitation")
async def tool_input_required_result_elicitation(client: Client, _: dict[str, Any]) -> Content:
    """Asks for a name."""
    return _said((await client.ask({"user_name": elicitation("What is your name?", NAME)}))["user_name"])


@tool("test_input_required_result_sampling")
async def tool_input_required_result_sampling(client: Client, _: dict[str, Any]) -> Content:
    """Asks the client's model for a capital."""
    answers = await client.ask({"capital_question": sampling("What is the capital of France?")})
    return [text(f"the model says: {answers['capital_question']['content']['text']}")]


@tool("test_input_required_result_list_roots")
async def tool_input_required_result_list_roots(client: Client, _: dict[str, Any]) -> Content:
    """Asks for the client's roots."""
    listed = (await client.ask({"client_roots": roots()}))["client_roots"]["roots"]
    return [text(f"roots: {[str(root['uri']) for root in listed]}")]


@tool("test_input_required_result_request_state")
async def tool_input_required_result_request_state(client: Client, _: dict[str, Any]) -> Content:
    """Asks, and wants its state back."""
    answers = await client.ask({"confirm": elicitation("Shall I?", {"ok": {"type": "boolean"}})}, stateful=True)
    if client.modern and client.state is None:
        raise MCPError(code=types.INVALID_PARAMS, message="the answer came without the state that belongs to it")
    return [text(f"state-ok: {answers['confirm']['action']}")]


@tool("test_input_required_result_tampered_state")
async def tool_input_required_result_tampered_state(client: Client, _: dict[str, Any]) -> Content:
    """Asks, and refuses a state that it did not issue."""
    answers = await client.ask({"confirm": elicitation("Shall I?", {"ok": {"type": "boolean"}})}, stateful=True)
    return [text(f"state-ok: {answers['confirm']['action']}")]


@tool("test_input_required_result_multiple_inputs")
async def tool_input_required_result_multiple_inputs(client: Client, _: dict[str, Any]) -> Content:
    """Asks three things at once."""
    questions = {
        "user_name": elicitation("What is your name?", NAME),
        "greeting": sampling("Greet somebody."),
        "client_roots": roots(),
    }
    return [text(f"answered: {sorted(await client.ask(questions, stateful=True))}")]


@tool("test_input_required_result_multi_round")
async def tool_input_required_result_multi_round(client: Client, _: dict[str, Any]) -> Content:
    """Asks twice, one after the other."""
    name = (await client.ask({"step1": elicitation("Your name?", NAME)}, stateful=True))["step1"]
    colour = (await client.ask({"step2": elicitation("And your colour?", {"color": {"type": "string"}})}))["step2"]
    return [text(f"{name.get('content')} and {colour.get('content')}")]


@tool("test_input_required_result_capabilities")
async def tool_input_required_result_capabilities(client: Client, _: dict[str, Any]) -> Content:
    """Asks only what the client can answer."""
    offered = {"sample": sampling("Say hello."), "ask": elicitation("What is your name?", NAME)}
    able = {"sample": client.capabilities.sampling, "ask": client.capabilities.elicitation}
    answers = await client.ask({k: q for k, q in offered.items() if able[k] is not None}, stateful=True, tolerant=True)
    return [text(f"answered: {sorted(answers)}")]
