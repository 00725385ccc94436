"""A real launcher and a real bridge, each its own process, with a server behind them; asked over loopback only."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]
FAKE = Path(__file__).with_name("fake")
DEADLINE_SECONDS = 20.0
"""For things that take milliseconds: reached only when something is broken."""
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
MODERN = "2026-07-28"
_PORTS = re.compile(r"listening on ports (\d+) and (\d+)")


def stdio_server(*arguments: str) -> list[str]:
    return [sys.executable, "-I", str(FAKE / "stdio_server.py"), *arguments]


def until(condition: Callable[[], Any], *, what: str = "the condition", seconds: float = DEADLINE_SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true in {seconds} s"
        time.sleep(0.005)
    return value


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(parent: int) -> list[int]:
    """The living ones, the oldest first."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append((int(fields[19]), int(path.parent.name)))  # clock ticks at its start, process id
    return [pid for _, pid in sorted(found)]


@dataclass
class Rig:
    """Starts what it is asked for and ends all of it."""

    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rig-")))
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    port: int = 0
    admin_port: int = 0
    launcher: subprocess.Popen[bytes] | None = None
    bridge: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str], *, bridge: Mapping[str, str] | None = None, launcher: str = "") -> "Rig":
        self.start_launcher(command, *launcher.split())
        return self.start_bridge(**(bridge or {}))

    def start_launcher(self, command: list[str], *options: str) -> None:
        argv = [sys.executable, "-I", str(ROOT / "runtime/vsm_runtime/launcher.py")]
        argv += ["--socket", str(self.directory / "server.sock")]
        argv += options or ("--stdin-grace-seconds", "0.5", "--term-grace-seconds", "0.5")
        self.launcher = self._spawn([*argv, "--", *command], "launcher.log")

    def start_bridge(self, **settings: str) -> "Rig":
        environment = {
            "SOCKET": str(self.directory / "server.sock"),
            "HOST": "127.0.0.1",
            "PORT": "0",
            "ADMIN_PORT": "0",
            **settings,
        }
        self.bridge = self._spawn(
            [sys.executable, "-m", "vsm_runtime.bridge"],
            "bridge.log",
            PYTHONPATH=f"{ROOT}/operator:{ROOT}/runtime",
            **{f"VSM_BRIDGE_{name}": value for name, value in environment.items()},
        )
        ports = until(
            lambda: _PORTS.search(self.log("bridge")) or self._died(), what=f"listening: {self.log('bridge')}"
        )
        self.port, self.admin_port = int(ports[1]), int(ports[2])
        return self

    def _died(self) -> None:
        assert self.bridge is not None
        assert self.bridge.poll() is None, self.log("bridge")

    def _spawn(self, argv: list[str], log: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.directory / log).open("wb") as output:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **environment}
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in reversed(self.processes):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- what it says

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def admin(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.admin_port}{path}", timeout=DEADLINE_SECONDS, trust_env=False)

    def status(self) -> dict[str, Any]:
        return self.admin("/status").json()

    def ready(self) -> "Rig":
        until(lambda: self.admin("/readyz").status_code == 200, what=f"ready: {self.status()}")
        return self

    def failure(self) -> dict[str, Any]:
        """The last one, once how it ended is known."""
        return until(self._known_failure, what="a failure")

    def _known_failure(self) -> dict[str, Any] | None:
        failure = self.status()["lastFailure"]
        return failure if failure and failure["message"] != "the server has just ended" else None

    def children(self) -> list[int]:
        """The launcher's, the oldest first: those that it started, and orphans that it inherited."""
        assert self.launcher is not None
        return children_of(self.launcher.pid)

    def child_pid(self) -> int:
        """The oldest one's; 0 while there is none."""
        return next(iter(self.children()), 0)

    def rss_bytes(self) -> int:
        assert self.bridge is not None
        return int(Path(f"/proc/{self.bridge.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class RawClient:
    """A client that says exactly what it is told to, one session each."""

    def __init__(self, rig: Rig, **headers: str) -> None:
        self._url = rig.url
        self._http = httpx.AsyncClient(timeout=DEADLINE_SECONDS, trust_env=False, headers={**HEADERS, **headers})

    async def __aenter__(self) -> "RawClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def initialize(self, *, capabilities: dict[str, Any] | None = None, version: str = "2025-11-25") -> Any:
        params = {
            "protocolVersion": version,
            "capabilities": capabilities or {},
            "clientInfo": {"name": "t", "version": "0"},
        }
        response = await self.post(request("initialize", params))
        self._http.headers["Mcp-Session-Id"] = response.headers["mcp-session-id"]
        return response.json()

    async def post(self, message: object, **headers: str) -> httpx.Response:
        content = message if isinstance(message, bytes) else json.dumps(message).encode()
        return await self._http.post(self._url, content=content, headers=headers)

    async def call(self, name: str, *, request_id: int | str = 1, **arguments: Any) -> Any:
        """The JSON-RPC answer of a tool call, whether it came alone or at the end of a stream."""
        return answer_of(await self.post(call(name, request_id=request_id, **arguments)))

    def stream(self, message: object) -> Any:
        return self._http.stream("POST", self._url, json=message)


def request(method: str, params: dict[str, Any] | None = None, *, request_id: int | str = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}


def call(
    name: str, *, request_id: int | str = 1, meta: dict[str, Any] | None = None, **arguments: Any
) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments, **({"_meta": meta} if meta else {})}
    return request("tools/call", params, request_id=request_id)


def modern(method: str, params: dict[str, Any] | None = None, **meta: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """A well-formed request of 2026-07-28 and its headers."""
    envelope = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        **meta,
    }
    params = {**(params or {}), "_meta": envelope}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    return request(method, params), headers


def messages_of(response: httpx.Response) -> list[Any]:
    if response.headers["content-type"].startswith("text/event-stream"):
        return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    return [response.json()]


def answer_of(response: httpx.Response) -> Any:
    return messages_of(response)[-1]


def text_of(answer: Any) -> str:
    return answer["result"]["content"][0]["text"]


async def eventually(condition: Callable[[], Any], *, what: str = "the condition") -> Any:
    """`until`, without holding up the event loop."""
    return await asyncio.to_thread(until, condition, what=what)
