"""A legacy MCP server on HTTP for tests: sessions, JSON for lists, event streams for calls. Argument: its port."""

import asyncio
import json
import secrets
import sys

import uvicorn

sessions: set[str] = set()
answers: dict[str, asyncio.Future] = {}
cancelled: list[object] = []
TOOLS = ["echo", "progress", "ask", "slow", "cancelled", "forget", "broken", "announce"]
announcements: list[asyncio.Queue] = []


def sse(message):
    return b"event: message\r\nid: 1\r\ndata: " + json.dumps(message).encode() + b"\r\n\r\n"


async def reply(send, status, body=b"", kind=b"application/json", extra=()):
    headers = [(b"content-type", kind), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return json.loads(body)


async def app(scope, receive, send):  # noqa: PLR0911
    headers = dict(scope["headers"])
    if scope["type"] == "http" and scope["method"] == "GET":
        return await stream(send)
    if scope["type"] != "http" or scope["method"] != "POST":
        return await reply(send, 405)
    message = await read(receive)
    if message.get("method") == "initialize":
        session = secrets.token_hex(8)
        sessions.add(session)
        result = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "http-fake", "version": "1"},
        }
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        return await reply(send, 200, body, extra=[(b"mcp-session-id", session.encode())])
    if message.get("method") == "server/discover":
        return await reply(send, 400, b"Bad Request", kind=b"text/plain")
    if headers.get(b"mcp-session-id", b"").decode() not in sessions:
        return await reply(send, 404)
    if headers.get(b"mcp-protocol-version") != b"2025-06-18":
        return await reply(send, 400)
    if "method" not in message:
        answers.pop(message["id"]).set_result(message)
        return await reply(send, 202)
    if "id" not in message:
        if message["method"] == "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
        return await reply(send, 202)
    if message["method"] == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": tools}}).encode()
        return await reply(send, 200, body)
    return await call(message, send)


async def stream(send):
    kind = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
    announcements.append(asyncio.Queue())
    while True:
        body = sse(await announcements[-1].get())
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def call(message, send):
    params = message["params"]
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
        }
    )

    async def say(said, *, more=True):
        await send({"type": "http.response.body", "body": sse(said), "more_body": more})

    text = json.dumps(params.get("arguments", {}))
    match params["name"]:
        case "progress":
            progress = {"progressToken": params["_meta"]["progressToken"], "progress": 1}
            await say({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
        case "ask":
            question = secrets.token_hex(4)
            answers[question] = asyncio.get_running_loop().create_future()
            waiting = answers[question]
            await say({"jsonrpc": "2.0", "id": question, "method": "sampling/createMessage", "params": {}})
            text = json.dumps(await waiting)
        case "slow":
            await asyncio.sleep(30)
        case "cancelled":
            text = str(len(cancelled))
        case "announce":
            for queue in announcements:
                queue.put_nowait({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed"})
        case "forget":
            sessions.clear()
        case "broken":
            await send({"type": "http.response.body", "body": b": bye\n\n"})
            return
    result = {"content": [{"type": "text", "text": text}]}
    await say({"jsonrpc": "2.0", "id": message["id"], "result": result}, more=False)


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", timeout_graceful_shutdown=0)
