"""The server of the soak: legacy era on stdio, many calls at once, every answer carries its caller's nonce."""

import asyncio
import hashlib
import json
import sys
from typing import Any

Json = dict[str, Any]
NAMES = ("fast", "slow", "progress", "large", "hang", "pending")
running: dict[Any, "asyncio.Task[None]"] = {}


def send(message: Json) -> None:
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


async def run(name: str, arguments: Json, meta: Json) -> str:
    nonce: str = arguments.get("nonce", "")
    match name:
        case "slow" | "hang":
            await asyncio.sleep(arguments.get("seconds", 60.0))
        case "progress":
            for step in range(arguments["steps"]):
                params = {"progressToken": meta["progressToken"], "progress": step + 1, "message": nonce}
                send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
                await asyncio.sleep(0.002)
        case "large":
            digest = hashlib.sha256(arguments["payload"].encode()).hexdigest()
            return f"{nonce} {digest} " + nonce * (arguments["size"] // len(nonce))
        case "pending":
            return str(len(running) - 1)
    return nonce


async def serve(request_id: object, params: Json) -> None:
    text = await run(params["name"], params.get("arguments") or {}, params.get("_meta") or {})
    send({"jsonrpc": "2.0", "id": request_id, "result": {"content": [{"type": "text", "text": text}]}})


def answer(message: Json) -> None:
    method, request_id = message.get("method"), message.get("id")
    params: Json = message.get("params") or {}
    if method == "tools/call":
        task = running[request_id] = asyncio.get_running_loop().create_task(serve(request_id, params))
        task.add_done_callback(lambda _: running.pop(request_id))  # a call may be cancelled before its first step
    elif method == "notifications/cancelled":
        if params["requestId"] in running:
            running[params["requestId"]].cancel()
    elif method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}}
        send({"jsonrpc": "2.0", "id": request_id, "result": result | {"serverInfo": {"name": "soak", "version": "1"}}})
    elif method == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in NAMES]
        send({"jsonrpc": "2.0", "id": request_id, "result": {"tools": tools}})
    elif request_id is not None:
        error = {"code": -32601, "message": f"no {method}"}
        send({"jsonrpc": "2.0", "id": request_id, "error": error})


async def main() -> None:
    reader = asyncio.StreamReader(limit=16 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        answer(json.loads(line))


asyncio.run(main())
