"""What the tests of advisories share: entries in OSV's shape, subjects, and a registry on loopback in two dialects.

Names, ids and ranges are invented; nothing here describes a real package.
"""

import json
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vsm_operator.domain.packages import Ecosystem
from vsm_runtime.vetting.advisories.fetch import JsonSource
from vsm_runtime.vetting.advisories.port import Subject

TODAY = date(2026, 11, 23)
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
BULK = "/-/npm/v1/security/advisories/bulk"


def npm(name: str, version: str) -> Subject:
    return Subject.of(Ecosystem.NPM, name=name, version=version, purl=f"pkg:npm/{name}@{version}")


def pypi(name: str, version: str) -> Subject:
    return Subject.of(Ecosystem.PYPI, name=name, version=version, purl=f"pkg:pypi/{name}@{version}")


def entry(
    identifier: str = "GHSA-aaaa-bbbb-cccc",
    *,
    name: str = "left-thing",
    ecosystem: str = "npm",
    events: list[dict[str, str]] | None = None,
    versions: list[str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A well-formed OSV entry on one package; by default fixed in 1.2.0."""
    kind = "SEMVER" if ecosystem == "npm" else "ECOSYSTEM"
    turns = [{"introduced": "0"}, {"fixed": "1.2.0"}] if events is None else events
    affected: dict[str, Any] = {"package": {"ecosystem": ecosystem, "name": name}}
    if turns:
        affected["ranges"] = [{"type": kind, "events": turns}]
    if versions is not None:
        affected["versions"] = versions
    return {
        "schema_version": "1.7.0",
        "id": identifier,
        "modified": "2026-11-22T10:00:00.5Z",
        "summary": "It breaks",
        "affected": [affected],
    } | more


@dataclass(slots=True)
class Registry:
    """Answers by path; what is not listed is 404, and POST where only GET is served is 405, as read-only mirrors do."""

    url: str = ""
    replies: dict[tuple[str, str], Any] = field(default_factory=dict)
    """Method and path to: JSON, (status, JSON), bytes, or a function of the handler."""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def source(self, **options: Any) -> JsonSource:
        """A client of this registry that does not wait before it asks again."""
        return JsonSource(self.url, **({"sleep": lambda _: None} | options))

    def serve(self, method: str, path: str, reply: Any) -> None:
        self.replies[method, path] = reply

    def bulk(self, advisories: dict[str, list[dict[str, Any]]], *, canary: bool = True) -> None:
        known = {"minimist": [bulk_item("<0.2.4", url="GHSA-xvch-5gv4-984h")]} if canary else {}
        self.serve("POST", BULK, advisories | known)

    def release(self, name: str, version: str, vulnerabilities: list[dict[str, Any]], *, latest: bool = False) -> None:
        path = f"/pypi/{name}/json" if latest else f"/pypi/{name}/{version}/json"
        self.serve(
            "GET",
            path,
            {"info": {"name": name, "version": version}, "vulnerabilities": vulnerabilities, "releases": {"1": [{}]}},
        )


def bulk_item(vulnerable: str, *, url: str = "GHSA-aaaa-bbbb-cccc", **more: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "url": f"https://advisories.invalid/{url}",
        "title": "It breaks",
        "severity": "high",
        "vulnerable_versions": vulnerable,
        "cwe": ["CWE-79"],
        "cvss": {"score": 0, "vectorString": None},
    } | more


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what some tests are about."""


@contextmanager
def registry() -> Iterator[Registry]:
    served = Registry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer("GET", None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            self.answer("POST", json.loads(body))

        def answer(self, method: str, body: Any) -> None:
            with served.lock:
                served.requests.append((method, self.path, body))
                served.running += 1
                served.most_at_once = max(served.most_at_once, served.running)
            try:
                self.send(served.replies.get((method, self.path), 405 if method == "POST" else 404))
            except OSError:
                self.close_connection = True  # the client has had enough
            finally:
                with served.lock:
                    served.running -= 1

        def send(self, reply: Any) -> None:
            if callable(reply):
                reply(self)
                return
            status, content = (reply, b"") if isinstance(reply, int) else (200, reply)
            if isinstance(content, tuple):
                status, content = content
            payload = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            return

    server = _QuietServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def drip(handler: BaseHTTPRequestHandler) -> None:
    """An answer that never ends, one byte at a time."""
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    for _ in range(600):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.02)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    """A header that never ends; every read gets its byte in time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    handler.close_connection = True
    for _ in range(600):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.02)


def bomb(handler: BaseHTTPRequestHandler) -> None:
    """Some kilobytes that unpack to many megabytes."""
    body = _packed_blanks()
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@lru_cache(maxsize=1)
def _packed_blanks() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b" " * (1 << 20)) for _ in range(32)) + packer.flush()


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Promises more than it sends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"a":')
    handler.close_connection = True
