"""A server with everything that the official conformance suite calls by name, on stdio or HTTP, in one era or both.

Usage: everything_server.py stdio-dual|stdio-legacy|http-dual|http-legacy

`stdio-dual` serves the era that the first request belongs to, `http-dual` both; `legacy` knows only the handshake. On
HTTP it listens on a free port of loopback and names its URL on stdout. What a tool does is the same in all.
"""

import asyncio
import socket
import sys
import warnings
from typing import Any

import mcp_types as types
import uvicorn
from asking import FIRST_MODERN, Client, settle
from everything_content import PROMPTS, TOOLS, list_resources, list_templates, read_resource, text
from everything_tools import bus, subscribed
from mcp import MCPError
from mcp.server.caching import CACHEABLE_METHODS, CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning
from starlette.responses import JSONResponse

# -- the protocol's handlers


async def list_tools(*_: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[definition for definition, _ in TOOLS.values()])


async def call_tool(context: ServerRequestContext, params: types.CallToolRequestParams) -> Any:
    if params.name not in TOOLS:
        raise MCPError(code=types.INVALID_PARAMS, message=f"there is no tool {params.name!r}")
    handler, client = TOOLS[params.name][1], Client(context, params)

    async def run() -> types.CallToolResult:
        try:
            return types.CallToolResult(content=await handler(client, params.arguments or {}))
        except RuntimeError as error:
            return types.CallToolResult(content=[text(str(error))], is_error=True)

    return await settle(run)


async def list_prompts(*_: Any) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=[definition for definition, _ in PROMPTS.values()])


async def get_prompt(context: ServerRequestContext, params: types.GetPromptRequestParams) -> Any:
    if params.name not in PROMPTS:
        raise MCPError(code=types.INVALID_PARAMS, message=f"there is no prompt {params.name!r}")
    handler, client = PROMPTS[params.name][1], Client(context, params)
    return await settle(lambda: handler(client, dict(params.arguments or {})))


async def subscribe(_: ServerRequestContext, params: types.SubscribeRequestParams) -> types.EmptyResult:
    subscribed.add(str(params.uri))
    return types.EmptyResult()


async def unsubscribe(_: ServerRequestContext, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
    subscribed.discard(str(params.uri))
    return types.EmptyResult()


async def complete(*_: Any) -> types.CompleteResult:
    return types.CompleteResult(completion=types.Completion(values=["paris"], total=1, has_more=False))


async def set_level(*_: Any) -> types.EmptyResult:
    return types.EmptyResult()


class Everything(Server):
    """Promises to announce changes, also in the handshake."""

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, **options: Any
    ) -> InitializationOptions:
        return super().create_initialization_options(
            notification_options or NotificationOptions(True, True, True), **options
        )


def make_server() -> Server:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        server = Everything(
            "everything",
            version="1.0",
            cache_hints=dict.fromkeys(CACHEABLE_METHODS, CacheHint(ttl_ms=1000, scope="public")),
            on_list_tools=list_tools,
            on_call_tool=call_tool,
            on_list_prompts=list_prompts,
            on_get_prompt=get_prompt,
            on_list_resources=list_resources,
            on_list_resource_templates=list_templates,
            on_read_resource=read_resource,
            on_subscribe_resource=subscribe,
            on_unsubscribe_resource=unsubscribe,
            on_subscriptions_listen=ListenHandler(bus),
            on_completion=complete,
            on_set_logging_level=set_level,
        )
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="everything"))
    return server


# -- how it is reached


class Events(EventStore):
    """Keeps every event of the native server, so that a client can come back for those that it missed."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        position = int(last_event_id)
        stream = self._events[position - 1][0]
        for number, (stream_id, message) in enumerate(self._events[position:], start=position + 1):
            if stream_id == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


async def on_stdio(server: Server, *, legacy: bool) -> None:
    async with stdio_server() as (read, write):
        options = server.create_initialization_options()
        if not legacy:
            await server.run(read, write, options)
            return
        async with server.lifespan(server) as state:
            await serve_loop(server, read, write, lifespan_state=state, init_options=options)


class HandshakeOnly:
    """Refuses requests of later revisions as a server does that was written before them."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and dict(scope["headers"]).get(b"mcp-protocol-version") == FIRST_MODERN.encode():
            error = {"code": types.INVALID_REQUEST, "message": "Bad Request: Unsupported protocol version"}
            response = JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status_code=400)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def on_http(server: Server, *, legacy: bool) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # before anybody is told where
    app: Any = server.streamable_http_app(event_store=Events(), retry_interval=100)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    # h11 trims the white space around header values, as a server must; httptools leaves it to the application.
    config = uvicorn.Config(HandshakeOnly(app) if legacy else app, http="h11", log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    transport, era = sys.argv[1].split("-")
    if transport == "http":
        on_http(make_server(), legacy=era == "legacy")
    else:
        asyncio.run(on_stdio(make_server(), legacy=era == "legacy"))
