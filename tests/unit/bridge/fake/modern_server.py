"""A server of the official SDK, on stdio, or on HTTP with a port as its argument; the SDK speaks both eras."""

import sys

from mcp.server.mcpserver import Context, MCPServer

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


@server.resource("test://greeting")
def greeting() -> str:
    """A greeting."""
    return "hello"


if len(sys.argv) > 1:
    server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run(transport="stdio")
