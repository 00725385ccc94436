"""The official MCP client, as a program: JSON in on stdin, JSON out on stdout.

In: {"servers": [{"url", "calls": [[tool, arguments]...], "token"}], "mode"}. All servers are asked side by side, and
answered for in the same order; what one of them does wrong is its own "error".
"""

import asyncio
import json
import sys
import traceback
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

_READ_SECONDS = 60.0


async def main() -> None:
    request = json.load(sys.stdin)
    answers = await asyncio.gather(*(_ask(server, request.get("mode", "auto")) for server in request["servers"]))
    json.dump(answers, sys.stdout)


async def _ask(server: dict[str, Any], mode: str) -> dict[str, Any]:
    try:
        async with (
            httpx2.AsyncClient(headers=_authorization(server), timeout=_READ_SECONDS) as http,
            Client(
                streamable_http_client(server["url"], http_client=http), mode=mode, read_timeout_seconds=_READ_SECONDS
            ) as client,
        ):
            info = client.server_info
            return {
                "protocolVersion": client.protocol_version,
                "serverInfo": {"name": info.name, "version": info.version} if info else None,
                "tools": await _tool_names(client),
                "results": [await _call(client, tool, arguments) for tool, arguments in server.get("calls", [])],
            }
    except Exception:  # noqa: BLE001 - whatever it is, it belongs to this server's answer
        return {"error": traceback.format_exc()}


def _authorization(server: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {server['token']}"} if server.get("token") else {}


async def _tool_names(client: Client) -> list[str]:
    names: list[str] = []
    cursor = None
    while True:
        page = await client.list_tools(cursor=cursor)
        names += [tool.name for tool in page.tools]
        cursor = page.next_cursor
        if not cursor:
            return names


async def _call(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    texts = [part.text for part in result.content if part.type == "text"]
    return {"isError": bool(result.is_error), "text": "\n".join(texts), "structured": result.structured_content}


asyncio.run(main())
