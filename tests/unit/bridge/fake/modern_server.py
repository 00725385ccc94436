"""A server of the official SDK, on stdio, or on HTTP with a port as its argument; the SDK speaks both eras."""

import sys
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from pydantic import Field

server = MCPServer("official", version="2.0")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@server.tool()
async def count(ctx: Context) -> str:
    """Reports progress twice."""
    await ctx.report_progress(1, 2)
    await ctx.report_progress(2, 2)
    return "counted"


@server.tool()
def region(name: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """On HTTP, the SDK refuses a call whose header does not repeat the argument."""
    return name


@server.tool()
async def trace(ctx: Context) -> str:
    """The trace context as it came: in the headers, on HTTP, and in _meta."""
    headers = ctx.headers or {}
    return f"{headers.get('traceparent', '')} {(ctx.request_context.meta or {}).get('traceparent', '')}".strip()


@server.tool()
async def grow(ctx: Context) -> str:
    """Adds a tool and says so."""
    server.add_tool(add, name="more")
    await ctx.notify_tools_changed()
    return "grown"


@server.resource("test://greeting")
def greeting() -> str:
    """A greeting."""
    return "hello"


if len(sys.argv) > 1:
    server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run(transport="stdio")
