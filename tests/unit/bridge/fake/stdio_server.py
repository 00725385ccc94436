"""A small MCP server on stdio for tests: legacy era, standard library only, misbehaves on request.

Tools: echo, pid, slow (waits for a cancellation), progress, ask (sampling), flood (a huge answer), spawn (a grandchild),
noise, log, exit. Arguments: --silent-to=METHOD, --noisy, --crash-at-start, --ignore-eof, --unknown=silent, --page=N.
"""

import json
import os
import subprocess
import sys
import threading
import time

VERSION = "2025-11-25"
options = dict(argument.removeprefix("--").partition("=")[::2] for argument in sys.argv[1:])
lock = threading.Lock()
answers: dict[object, dict] = {}
cancelled: set[object] = set()
changed = threading.Condition()


def send(message):
    with lock:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def text(value):
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def ask(method, params):
    request_id = f"ask-{time.monotonic_ns()}"
    send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
    with changed:
        changed.wait_for(lambda: request_id in answers, timeout=30)
        return answers.pop(request_id)


def call(request_id, name, arguments, meta):
    if name == "echo":
        return text(arguments)
    if name == "pid":
        return text(str(os.getpid()))
    if name == "slow":
        sys.stderr.write("slow begins\n")
        sys.stderr.flush()
        with changed:
            changed.wait_for(lambda: request_id in cancelled, timeout=30)
        return text("cancelled")
    if name == "cancelled":
        return text(sorted(str(c) for c in cancelled))
    if name == "progress":
        for step in range(arguments.get("steps", 3)):
            params = {"progressToken": meta.get("progressToken"), "progress": step + 1, "total": 3}
            send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        return text("done")
    if name == "ask":
        params = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 10}
        return text(ask(arguments.get("method", "sampling/createMessage"), params))
    if name == "flood":
        return text("x" * arguments["size"])
    if name == "values":
        return {"content": [], "structuredContent": {"values": [0] * arguments["count"]}}
    if name == "spawn":
        child = subprocess.Popen(["sleep", "300"], start_new_session=bool(arguments.get("session")))
        return text(str(child.pid))
    if name == "noise":
        sys.stdout.write(arguments["text"] + "\n")
        return text("made noise")
    if name == "log":
        params = {"level": "info", "data": "a line"}
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": params})
        return text("logged")
    if name == "more":
        TOOLS.append(arguments["name"])
        send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return text("more")
    if name == "exit":
        sys.stderr.write("last words\n")
        sys.stderr.flush()
        os._exit(arguments.get("code", 3))
    raise KeyError(name)


TOOLS = ["echo", "pid", "slow", "cancelled", "progress", "ask", "flood", "values", "spawn", "noise", "log", "exit"]
if options.get("tools"):
    TOOLS = [*TOOLS, *(f"tool{i}" for i in range(int(options["tools"])))]


def tool(name):
    return {"name": name, "description": f"does {name}", "inputSchema": {"type": "object"}}


def answer(method, request_id, params):
    if method == "initialize":
        return {
            "protocolVersion": options.get("version", VERSION),
            "capabilities": {"tools": {"listChanged": True}, "logging": {}, "tasks": {}},
            "serverInfo": {"name": "fake", "version": "1.0"},
            "instructions": "use with care",
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        size = int(options.get("page", "1000"))
        start = int(params.get("cursor", "0"))
        page = {"tools": [tool(name) for name in TOOLS[start : start + size]]}
        return page | ({"nextCursor": str(start + size)} if start + size < len(TOOLS) else {})
    if method == "logging/setLevel":
        return {}
    if method == "tools/call":
        return call(request_id, params["name"], params.get("arguments") or {}, params.get("_meta") or {})
    return None


def serve(message):
    method, request_id, params = message.get("method"), message.get("id"), message.get("params") or {}
    if options.get("silent-to") == method:
        return
    try:
        result = answer(method, request_id, params)
    except KeyError as error:
        send({"jsonrpc": "2.0", "id": request_id, "error": {"code": -32602, "message": f"unknown tool {error}"}})
        return
    if result is None:
        if options.get("unknown") == "dies":
            os._exit(9)
        if options.get("unknown") != "silent":
            send({"jsonrpc": "2.0", "id": request_id, "error": {"code": -32601, "message": f"no {method}"}})
    else:
        send({"jsonrpc": "2.0", "id": request_id, "result": result})


def main():
    if "crash-at-start" in options:
        sys.stderr.write("Traceback (most recent call last):\nModuleNotFoundError: No module named 'absent'\n")
        sys.exit(1)
    if "noisy" in options:
        sys.stdout.write("Welcome to my server!\n\n[1, 2]\nnull\n{\"jsonrpc\": \"1.0\"}\n")
        sys.stdout.flush()
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "notifications/cancelled":
            with changed:
                cancelled.add(message["params"]["requestId"])
                changed.notify_all()
        elif "method" in message and "id" in message:
            threading.Thread(target=serve, args=(message,), daemon=True).start()
        elif "id" in message:
            with changed:
                answers[message["id"]] = message
                changed.notify_all()
    if "ignore-eof" in options:
        time.sleep(300)


main()
