"""A handshake-era child on stdio that asks late: a question of one call while another call is in flight.

`ask` asks and waits. `answer` asks once more on behalf of the call of `ask`, and says what came of that: over stdio a
question does not name its call.
"""

import json
import sys

LATER = "later"


def send(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def ask(request_id, message):
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    params = {"message": message, "requestedSchema": schema}
    send({"id": request_id, "method": "elicitation/create", "params": params})


waiting = None
for line in sys.stdin:
    asked = json.loads(line)
    method, request_id = asked.get("method"), asked.get("id")
    if method == "initialize":
        info = {"name": "asks-for-another", "version": "1.0"}
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        send({"id": request_id, "result": result})
    elif method == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("ask", "answer")]
        send({"id": request_id, "result": {"tools": tools}})
    elif method == "tools/call" and asked["params"]["name"] == "ask":
        ask("first", "the first question of ask")
    elif method == "tools/call":
        waiting = request_id
        ask(LATER, "a secret of ask")
    elif method is None and request_id == LATER:
        text = "refused" if "error" in asked else "answered"
        send({"id": waiting, "result": {"content": [{"type": "text", "text": text}]}})
    elif method is not None and request_id is not None:
        send({"id": request_id, "error": {"code": -32601, "message": "not known here"}})
