"""A small HTTP server on a port of loopback: what the test registries in the public dialects are made of.

It answers what its `answer` function says, remembers what was asked, and knows HEAD and byte ranges, which uv wants.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote

JSON_TYPE = "application/json"
_MAX_BODY_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded and without the query; names of `headers` are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Loopback:
    """Serves until the block ends; `origin` is known inside of it only."""

    answer: Callable[[Request], Answer]
    asked: list[str] = field(default_factory=list)
    """Method and path of every request, in order of arrival."""
    failing: int = 0
    """Status of every answer, while it is not 0."""
    trouble: Callable[[Request], Answer | None] | None = None
    """Answers in place of `answer` where it does not give None: garbled JSON, a delay, a status for some paths."""
    _server: ThreadingHTTPServer = field(init=False)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(outer: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            request = self._request()
            outer.asked.append(request.line)
            other = Answer(outer.failing) if outer.failing else outer.trouble(request) if outer.trouble else None
            self._send(other or outer.answer(request), wanted=request.headers.get("range", ""))

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the names that the base class calls

        def _request(self) -> Request:
            path, _, query = self.path.partition("?")
            size = min(int(self.headers.get("content-length") or 0), _MAX_BODY_BYTES)
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Request(self.command, unquote(path), query, headers, self.rfile.read(size))

        def _send(self, answer: Answer, *, wanted: str) -> None:
            status, body, more = answer.status, answer.body, dict(answer.headers)
            span = _span(wanted, len(body)) if status == 200 else None
            if span is not None:
                status, more["content-range"] = 206, f"bytes {span[0]}-{span[1]}/{len(body)}"
                body = body[span[0] : span[1] + 1]
            self.send_response(status)
            self.send_header("content-type", answer.content_type)
            self.send_header("content-length", str(len(body)))
            if status in {200, 206}:
                self.send_header("accept-ranges", "bytes")
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return None

    return Handler


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a header such as "bytes=0-99" or "bytes=-100"; None is the whole."""
    unit, _, text = wanted.partition("=")
    first, dash, last = text.partition("-")
    if unit != "bytes" or not dash or not (first or last).isdigit():
        return None
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last) if last.isdigit() else size - 1, size - 1)
