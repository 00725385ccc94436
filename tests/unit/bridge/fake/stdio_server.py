"""A small MCP server on stdio for tests: legacy era, standard library only, misbehaves on request.

Arguments: --silent-to=METHOD, --noisy, --crash-at-start, --ignore-eof, --unknown=silent|dies, --page=N, --version=V,
--more-tools=FILE (names, read anew for every list, so that tools change without a word and stay changed), --resources
(subscriptions; the tool `touch` changes a resource, `subscribed` tells which are subscribed to), --starts-when=FILE
(is there), --asks=METHOD (once it is initialized, and again with the tool `later`, each time outside of any call; the
tool `heard` waits for the next answer and returns it).
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

VERSION = "2025-11-25"
options = dict(argument.removeprefix("--").partition("=")[::2] for argument in sys.argv[1:])
lock = threading.Lock()
answers: dict[object, dict] = {}
cancelled: set[object] = set()
changed = threading.Condition()
ended_tags: list[str] = []
stop_reading = threading.Event()
subscribed: set[str] = set()
heard: list[dict] = []


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


class Call:
    """What a tool may want to know of its call."""

    def __init__(self, request_id, params):
        self.id = request_id
        self.arguments = params.get("arguments") or {}
        self.meta = params.get("_meta") or {}


def echo(call):
    return text(call.arguments)


def pid(_):
    return text(str(os.getpid()))


def slow(call):
    """Until it is cancelled."""
    tag = call.arguments.get("tag", "")
    sys.stderr.write(f"slow begins {tag}\n")
    sys.stderr.flush()
    with changed:
        changed.wait_for(lambda: call.id in cancelled, timeout=30)
        ended_tags.append(tag)
    return text("cancelled")


def count_cancelled(call):
    with changed:
        return text(str(ended_tags.count(call.arguments.get("tag", ""))))


def progress(call):
    for step in range(call.arguments.get("steps", 3)):
        params = {"progressToken": call.meta.get("progressToken"), "progress": step + 1, "total": 3}
        send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    return text("done")


def ask_client(call):
    """Asks for sampling, or for whatever `method` says, and returns the client's answer."""
    params = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 10}
    return text(ask(call.arguments.get("method", "sampling/createMessage"), params))


def flood(call):
    return text("x" * call.arguments["size"])


def values(call):
    return {"content": [], "structuredContent": {"values": [0] * call.arguments["count"]}}


def spawn(call):
    child = subprocess.Popen(["sleep", "300"], start_new_session=bool(call.arguments.get("session")))
    return text(str(child.pid))


def noise(call):
    with lock:
        sys.stdout.write(call.arguments["line"] + "\n")
    return text("made noise")


def meta(call):
    return text(call.meta)


def log(_):
    send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "a line"}})
    return text("logged")


def add_tool(call):
    """Without a name, it only says that something changed."""
    if "tool" in call.arguments:
        TOOLS[call.arguments["tool"]] = echo
    send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    return text("added")


def touch(call):
    uri = call.arguments["uri"]
    if uri in subscribed:
        send({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}})
    return text("touched")


def tell_subscribed(_):
    return text(sorted(subscribed))


def ask_outside(method):
    answer = ask(method, {"messages": [], "maxTokens": 1} if method == "sampling/createMessage" else {})
    with changed:
        heard.append(answer)
        changed.notify_all()


def ask_later(call):
    """Answers its call at once, so that what it asks then belongs to none. Its second answer goes nowhere."""
    send({"jsonrpc": "2.0", "id": call.id, "result": text("later")})
    ask_outside(call.arguments["method"])
    return text("")


def tell_heard(_):
    with changed:
        changed.wait_for(lambda: heard, timeout=30)
        return text(heard.pop(0))


def deaf(_):
    """Reads nothing any more."""
    stop_reading.set()
    return text("deaf")


def leave(call):
    sys.stderr.write("last words\n")
    sys.stderr.flush()
    os._exit(call.arguments.get("code", 3))


TOOLS = {
    "echo": echo,
    "pid": pid,
    "slow": slow,
    "cancelled": count_cancelled,
    "progress": progress,
    "ask": ask_client,
    "flood": flood,
    "values": values,
    "spawn": spawn,
    "noise": noise,
    "meta": meta,
    "log": log,
    "add": add_tool,
    "touch": touch,
    "subscribed": tell_subscribed,
    "deaf": deaf,
    "exit": leave,
}
if "asks" in options:
    TOOLS |= {"later": ask_later, "heard": tell_heard}


def more_tools():
    if "more-tools" not in options:
        return {}
    return dict.fromkeys(Path(options["more-tools"]).read_text().split(), echo)


def tool(name):
    return {"name": name, "description": f"does {name}", "inputSchema": {"type": "object"}}


def answer(method, request_id, params):  # noqa: PLR0911
    if method == "initialize":
        resources = {"resources": {"subscribe": True, "listChanged": True}} if "resources" in options else {}
        return {
            "protocolVersion": options.get("version", VERSION),
            "capabilities": {"tools": {"listChanged": True}, "logging": {}, "tasks": {}, **resources},
            "serverInfo": {"name": "fake", "version": "1.0"},
            "instructions": "use with care",
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        size = int(options.get("page", "1000"))
        start = int(params.get("cursor", "0"))
        names = [*TOOLS, *more_tools()]
        page = {"tools": [tool(name) for name in names[start : start + size]]}
        return page | ({"nextCursor": str(start + size)} if start + size < len(names) else {})
    if method == "logging/setLevel":
        return {}
    if method in ("resources/subscribe", "resources/unsubscribe") and "resources" in options:
        (subscribed.add if method == "resources/subscribe" else subscribed.discard)(params["uri"])
        return {}
    if method == "tools/call":
        return (TOOLS | more_tools())[params["name"]](Call(request_id, params))
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
    while "starts-when" in options and not Path(options["starts-when"]).exists():
        time.sleep(0.01)
    if "noisy" in options:
        sys.stdout.write('Welcome to my server!\n\n[1, 2]\nnull\n{"jsonrpc": "1.0"}\n')
        sys.stdout.flush()
    for line in sys.stdin:
        if stop_reading.is_set():
            time.sleep(300)
        message = json.loads(line)
        if message.get("method") == "notifications/initialized" and "asks" in options:
            threading.Thread(target=ask_outside, args=(options["asks"],), daemon=True).start()
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
