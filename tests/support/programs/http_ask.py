"""Single HTTP requests: JSON in on stdin, JSON out on stdout.

In: [{"url", "method", "headers", "json"}...], one after the other. Out: [{"code", "headers", "text"}...]. Code 0,
and the error as its text, when there was no answer.
"""

import json
import sys
from typing import Any

import httpx

_SECONDS = 20.0


def _ask(client: httpx.Client, request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = client.request(
            request.get("method", "GET"), request["url"], headers=request.get("headers"), json=request.get("json")
        )
    except httpx.HTTPError as error:
        return {"code": 0, "headers": {}, "text": f"{type(error).__name__}: {error}"}
    return {"code": answer.status_code, "headers": dict(answer.headers), "text": answer.text}


with httpx.Client(timeout=_SECONDS, trust_env=False) as client:
    json.dump([_ask(client, request) for request in json.load(sys.stdin)], sys.stdout)
