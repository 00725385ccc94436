"""What the fixture offers: the registers of tools and prompts, the prompts and resources, and their contents."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from asking import Client, elicitation
from mcp import MCPError
from mcp.server.context import ServerRequestContext

# One pixel, and a header without samples: the smallest of their kind.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAV = base64.b64encode(
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"
    b"\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"
).decode()
WATCHED = "test://watched-resource"

Content = list[Any]
Handler = Callable[[Client, dict[str, Any]], Awaitable[Any]]
TOOLS: dict[str, tuple[types.Tool, Handler]] = {}
PROMPTS: dict[str, tuple[types.Prompt, Handler]] = {}


def text(value: str) -> types.TextContent:
    return types.TextContent(type="text", text=value)


def image() -> types.ImageContent:
    return types.ImageContent(type="image", data=PNG, mime_type="image/png")


def embedded(uri: str, value: str, mime_type: str = "text/plain") -> types.EmbeddedResource:
    resource = types.TextResourceContents(uri=uri, mime_type=mime_type, text=value)
    return types.EmbeddedResource(type="resource", resource=resource)


def tool(name: str, schema: dict[str, Any] | None = None, **properties: Any) -> Callable[[Handler], Handler]:
    """The function's docstring is the tool's description; `properties` are strings, required but for `region`."""
    fields = {field: {"type": "string", **extra} for field, extra in properties.items()}
    shape = schema or {"type": "object", "properties": fields, "required": [n for n in fields if n != "region"]}

    def register(handler: Handler) -> Handler:
        TOOLS[name] = (types.Tool(name=name, description=handler.__doc__, input_schema=shape), handler)
        return handler

    return register


def prompt(name: str, *arguments: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        listed = [types.PromptArgument(name=each, description=each, required=True) for each in arguments]
        PROMPTS[name] = (types.Prompt(name=name, description=handler.__doc__, arguments=listed), handler)
        return handler

    return register


# -- prompts


def user(*content: Any) -> types.GetPromptResult:
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=part) for part in content])


@prompt("test_simple_prompt")
async def prompt_simple_prompt(*_: Any) -> types.GetPromptResult:
    """Some text."""
    return user(text("A prompt without arguments."))


@prompt("test_prompt_with_arguments", "arg1", "arg2")
async def prompt_prompt_with_arguments(_: Client, arguments: dict[str, Any]) -> types.GetPromptResult:
    """Text with two arguments."""
    return user(text(f"arg1={arguments['arg1']} and arg2={arguments['arg2']}"))


@prompt("test_prompt_with_embedded_resource", "resourceUri")
async def prompt_prompt_with_embedded_resource(_: Client, arguments: dict[str, Any]) -> types.GetPromptResult:
    """A resource and text."""
    return user(embedded(arguments["resourceUri"], "Text of that resource."), text("Please read it."))


@prompt("test_prompt_with_image")
async def prompt_prompt_with_image(*_: Any) -> types.GetPromptResult:
    """A picture and text."""
    return user(image(), text("What does it show?"))


@prompt("test_input_required_result_prompt")
async def prompt_input_required_result_prompt(client: Client, _: dict[str, Any]) -> types.GetPromptResult:
    """Asks before it answers."""
    answers = await client.ask({"user_context": elicitation("In which context?", {"context": {"type": "string"}})})
    return user(text(f"context: {answers['user_context'].get('content')}"))


# -- resources


async def list_resources(*_: Any) -> types.ListResourcesResult:
    listed = {"test://static-text": "text/plain", "test://static-binary": "image/png", WATCHED: "text/plain"}
    return types.ListResourcesResult(
        resources=[
            types.Resource(uri=uri, name=uri.removeprefix("test://"), description="A resource.", mime_type=mime_type)
            for uri, mime_type in listed.items()
        ]
    )


async def list_templates(*_: Any) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(
        uri_template="test://template/{id}/data", name="template", description="By id.", mime_type="application/json"
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(_: ServerRequestContext, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(params.uri)
    contents: types.TextResourceContents | types.BlobResourceContents
    if uri == "test://static-binary":
        contents = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    elif uri in ("test://static-text", WATCHED):
        contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text="Text that stays as it is.")
    elif uri.startswith("test://template/") and uri.endswith("/data"):
        body = json.dumps({"id": uri.split("/")[3], "templateTest": True})
        contents = types.TextResourceContents(uri=uri, mime_type="application/json", text=body)
    else:
        raise MCPError(code=types.INVALID_PARAMS, message="there is no such resource", data={"uri": uri})
    return types.ReadResourceResult(contents=[contents])
