"""npm and PyPI registries on loopback for synthetic packages, in the full dialect and in that of a plain mirror.

The full npm dialect answers GET /name and GET /name/version with everything; the mirror knows whole packages only, in
few keys. The full index speaks JSON with absolute URLs; the mirror HTML with relative ones. Both log what was asked.
"""

import hashlib
import html
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from unit.intake.kit import Member, file, npm_tarball, sri


@dataclass
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass
class LoopbackServer:
    """Serves `answer(path)` on a port of its own until the block ends."""

    asked: list[str] = field(default_factory=list)
    failing: int = 0
    """Status for every request, while it is not 0."""
    _server: ThreadingHTTPServer = field(init=False)

    def answer(self, path: str) -> Answer | None:
        raise NotImplementedError

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = unquote(self.path.partition("?")[0])
                outer.asked.append(path)
                found = Answer(outer.failing, b"") if outer.failing else outer.answer(path)
                found = found or Answer(404, b"{}")
                self.send_response(found.status)
                self.send_header("content-type", found.content_type)
                self.send_header("content-length", str(len(found.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(found.body)

            do_HEAD = do_GET  # noqa: N815 - uv asks for sizes first

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class NpmServer(LoopbackServer):
    """Packages by name and version."""

    mirror: bool = False
    manifests: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    tarballs: dict[str, bytes] = field(default_factory=dict)

    def publish(
        self,
        name: str,
        version: str = "1.0.0",
        *,
        members: Sequence[Member] = (file("package/index.js", b"module.exports = 1\n"),),
        tarball: bytes | None = None,
        dist: Mapping[str, Any] | None = None,
        **manifest: Any,
    ) -> None:
        """`tarball` replaces the honest archive, `dist` entries the honest hashes; None as a value removes one."""
        document = {"name": name, "version": version, "license": "MIT"} | manifest
        data = tarball if tarball is not None else npm_tarball(document, *members)
        path = f"/{name}/-/{name.rsplit('/', 1)[-1]}-{version}.tgz"
        self.tarballs[path] = data
        honest = {"integrity": sri(data), "shasum": hashlib.sha1(data).hexdigest()}  # noqa: S324 - npm's field
        entry = document | {"dist": {k: v for k, v in (honest | dict(dist or {})).items() if v is not None}}
        entry["dist"].setdefault("tarball", path)
        self.manifests.setdefault(name, {})[version] = entry

    def answer(self, path: str) -> Answer | None:
        if path in self.tarballs:
            return Answer(200, self.tarballs[path], "application/octet-stream")
        name, _, version = path[1:].rpartition("/")
        if not self.mirror and name in self.manifests and version in self.manifests[name]:
            return self._json(self._complete(name, version))
        if path[1:] not in self.manifests:
            return None
        versions = {version: self._complete(path[1:], version) for version in self.manifests[path[1:]]}
        latest = list(versions)[-1]
        return self._json({"_id": path[1:], "name": path[1:], "dist-tags": {"latest": latest}, "versions": versions})

    def _complete(self, name: str, version: str) -> dict[str, Any]:
        entry = self.manifests[name][version]
        dist = entry["dist"]
        if dist["tarball"].startswith("/"):
            dist = dist | {"tarball": f"{self.origin}{dist['tarball']}"}
        more: dict[str, Any] = (
            {} if self.mirror else {"maintainers": [{"name": "someone"}], "funding": "x", "_npmUser": {}}
        )
        return entry | {"dist": dist} | more

    @staticmethod
    def _json(document: Mapping[str, Any]) -> Answer:
        return Answer(200, json.dumps(document).encode())


@dataclass
class PypiServer(LoopbackServer):
    """Files by project."""

    mirror: bool = False
    files: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    @property
    def index(self) -> str:
        return f"{self.origin}/simple"

    def publish(self, path: Path, **more: Any) -> None:
        """`more` goes into the file's entry: yanked, hashes, requires-python."""
        data = path.read_bytes()
        project = path.name.split("-")[0].replace("_", "-").lower()
        entry = {"filename": path.name, "hashes": {"sha256": hashlib.sha256(data).hexdigest()}, "yanked": False} | more
        self.files.setdefault(project, {})[path.name] = entry
        self.contents[f"/files/{path.name}"] = data

    def answer(self, path: str) -> Answer | None:
        if path in self.contents:
            return Answer(200, self.contents[path], "application/octet-stream")
        project = path.removeprefix("/simple/").rstrip("/")
        if not path.startswith("/simple/") or project not in self.files:
            return None
        if self.mirror:
            anchors = "".join(self._anchor(entry) for entry in self.files[project].values())
            return Answer(200, f"<!DOCTYPE html><html><body>{anchors}</body></html>".encode(), "text/html")
        rows = [entry | {"url": f"{self.origin}/files/{name}"} for name, entry in self.files[project].items()]
        document = {"meta": {"api-version": "1.1"}, "name": project, "files": rows}
        return Answer(200, json.dumps(document).encode(), "application/vnd.pypi.simple.v1+json")

    @staticmethod
    def _anchor(entry: Mapping[str, Any]) -> str:
        fragment = "".join(f"#{name}={value}" for name, value in entry["hashes"].items())
        yanked = ' data-yanked=""' if entry["yanked"] else ""
        return f'<a href="../../files/{html.escape(entry["filename"])}{fragment}"{yanked}>{entry["filename"]}</a><br>'
