"""The admin port: what the kubelet and the operator ask. Not reachable for clients."""

from vsm_runtime.bridge.asgi import Receive, Scope, Send, respond, respond_json
from vsm_runtime.bridge.supervisor import Supervisor

_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


class AdminApp:
    """GET /livez, /readyz and /status."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        path, method = scope["path"], scope["method"]
        if path not in ("/livez", "/readyz", "/status"):
            await respond(send, 404, b"not found\n", _TEXT)
        elif method not in ("GET", "HEAD"):
            await respond(send, 405, b"only GET\n", [*_TEXT, (b"allow", b"GET, HEAD")])
        elif path == "/livez":
            await respond(send, 200, b"ok\n", _TEXT)
        elif path == "/status":
            await respond_json(send, 200, self._supervisor.status.to_json())
        elif self._supervisor.ready:
            await respond(send, 200, b"ok\n", _TEXT)
        else:
            await respond(send, 503, self._supervisor.status.why_not_ready().encode() + b"\n", _TEXT)
