"""A small server for clients that call, follow progress and change their minds. Standard library only; stdio.

Usage: patient_server.py legacy|modern: the handshake of 2025-11-25, or requests that carry everything with them. It can
also travel to a pod as an environment variable and be started with `python3 -c`.
"""

import json
import sys
import threading
import time

MODERN = sys.argv[1] == "modern"
VERSION = "2026-07-28" if MODERN else "2025-11-25"
INFO = {"name": "patient", "version": "1.0"}
LONGEST_SECONDS = 60

lock = threading.Lock()
cancelled: dict = {}
"""By request id: an event that is set when the client no longer wants the answer."""
ended: list = []
"""The tags of calls that ended because they were cancelled."""


def send(message):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def progress(params, step, total):
    token = params.get("_meta", {}).get("progressToken")
    if token is not None:
        told = {"progressToken": token, "progress": step, "total": total}
        send({"method": "notifications/progress", "params": told})


def add(_, params):
    return params["arguments"]["a"] + params["arguments"]["b"]


def count(_, params):
    for step in (1, 2, 3):
        progress(params, step, 3)
        time.sleep(0.02)
    return "counted"


def linger(request_id, params):
    """Until it is cancelled; says once that it has begun."""
    tag = params["arguments"]["tag"]
    print(f"begun: {tag}", file=sys.stderr, flush=True)
    progress(params, 1, 2)
    if not cancelled[request_id].wait(LONGEST_SECONDS):
        return "nobody cancelled"
    ended.append(tag)
    return None


def cancellations(_, params):
    return ended.count(params["arguments"]["tag"])


TOOLS = {"add": (add, ("a", "b")), "count": (count, ()), "linger": (linger, ("tag",))}
TOOLS["cancellations"] = (cancellations, ("tag",))


def listed(name, fields):
    kinds = {field: {"type": "string" if field == "tag" else "number"} for field in fields}
    schema = {"type": "object", "properties": kinds, "required": list(fields)}
    return {"name": name, "description": f"{name} something", "inputSchema": schema}


def result_of(request_id, method, params):
    if method == "initialize" and not MODERN:
        return {"protocolVersion": VERSION, "capabilities": {"tools": {}}, "serverInfo": INFO}
    if method == "server/discover" and MODERN:
        return {"supportedVersions": [VERSION], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "public"}
    if method == "ping" and not MODERN:
        return {}
    if method == "tools/list":
        hints = {"ttlMs": 0, "cacheScope": "public"} if MODERN else {}
        return {"tools": [listed(name, fields) for name, (_, fields) in TOOLS.items()], **hints}
    if method == "tools/call" and params.get("name") in TOOLS:
        value = TOOLS[params["name"]][0](request_id, params)
        return None if value is None else {"content": [{"type": "text", "text": str(value)}]}
    raise LookupError(method)


def serve(request_id, method, params):
    try:
        result = result_of(request_id, method, params)
        if result is None:  # cancelled: nobody waits for an answer
            return
        if MODERN:
            result = {"resultType": "complete", **result, "_meta": {"io.modelcontextprotocol/serverInfo": INFO}}
        send({"id": request_id, "result": result})
    except LookupError:
        send({"id": request_id, "error": {"code": -32601, "message": f"{method} is not known here"}})
    finally:
        cancelled.pop(request_id, None)


for line in sys.stdin:
    asked = json.loads(line)
    about = asked.get("params") or {}
    if asked.get("method") == "notifications/cancelled":
        event = cancelled.get(about.get("requestId"))
        if event is not None:
            event.set()
    elif "id" in asked and "method" in asked:
        cancelled[asked["id"]] = threading.Event()
        threading.Thread(target=serve, args=(asked["id"], asked["method"], about), daemon=True).start()
