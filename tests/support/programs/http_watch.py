"""Posts one message again and again and prints every change of the HTTP status: {"at", "code", "body"} a line.

argv[1]: {"url", "message", "every_seconds", "timeout_seconds", "last": code that ends it once `after` was seen}.
"""

import json
import sys
import time
import urllib.error
import urllib.request

request = json.loads(sys.argv[1])
deadline = time.monotonic() + request["timeout_seconds"]
headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
data = json.dumps(request["message"]).encode()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
seen: list[int] = []
while time.monotonic() < deadline:
    try:
        with opener.open(urllib.request.Request(request["url"], data, headers), timeout=10) as response:  # noqa: S310
            code, body = response.status, response.read(4096)
    except urllib.error.HTTPError as error:
        with error:
            code, body = error.code, error.read(4096)
    except OSError as error:
        code, body = 0, str(error).encode()
    if not seen or seen[-1] != code:
        seen.append(code)
        print(json.dumps({"at": time.time(), "code": code, "body": body.decode(errors="replace")}), flush=True)
    if code == request["last"] and request["after"] in seen:
        break
    time.sleep(request["every_seconds"])
