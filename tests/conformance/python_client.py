"""The official Python client with patient_server.py: python_client.py URL legacy|modern TAG; JSON on stdout.

It lists, calls, follows progress, cancels, and sees that the server has heard of it.
"""

import asyncio
import json
import sys
import time
from typing import Any

import anyio
from mcp import Client

WAIT_SECONDS = 10.0


async def main(url: str, era: str, tag: str) -> dict[str, Any]:
    async with Client(url, mode="legacy" if era == "legacy" else "auto") as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        total = await _text(client, "add", {"a": 2, "b": 3})
        seen: list[float] = []
        await client.call_tool("count", {}, progress_callback=_collect(seen))
        refused = await _begin_and_cancel(client, tag)
        deadline, cancellations = time.monotonic() + WAIT_SECONDS, "0"
        while cancellations == "0" and time.monotonic() < deadline:
            cancellations = await _text(client, "cancellations", {"tag": tag})
        info = client.server_info
        return {
            "protocolVersion": client.protocol_version,
            "server": {"name": info.name, "version": info.version} if info else None,
            "tools": tools,
            "sum": total,
            "progress": seen,
            "refused": refused,
            "cancellations": cancellations,
        }


def _collect(seen: list[float]) -> Any:
    async def on_progress(step: float, *_: Any) -> None:
        seen.append(step)

    return on_progress


async def _begin_and_cancel(client: Client, tag: str) -> str:
    with anyio.CancelScope() as scope:

        async def on_progress(*_: Any) -> None:
            scope.cancel()

        await client.call_tool("linger", {"tag": tag}, progress_callback=on_progress)
    return "cancelled" if scope.cancelled_caught else "answered"


async def _text(client: Client, name: str, arguments: dict[str, Any]) -> str:
    (part,) = (await client.call_tool(name, arguments)).content
    return str(part.text)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
