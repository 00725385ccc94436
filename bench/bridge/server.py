"""The server that is measured: a real package, installed by npm into a scratch folder, direct and bridged."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGE = "@modelcontextprotocol/server-memory"
VERSION = "2026.8.31"
ROOT = Path(__file__).resolve().parents[2]
HEADERS = (
    "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    "Accept: application/json, text/event-stream\r\nContent-Length: {size}\r\n\r\n"
)
_PORTS = re.compile(r"listening on ports (\d+) and (\d+)")


def install(scratch: Path) -> list[str]:
    """The argument vector that starts the server."""
    target = scratch / "server"
    target.mkdir()
    (target / "package.json").write_text("{}")
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", f"{PACKAGE}@{VERSION}"],
        cwd=target,
        check=True,
        timeout=300,
    )
    return ["node", str(target / "node_modules" / PACKAGE / "dist/index.js")]


def tool_call(request_id: int) -> bytes:
    params = {"name": "search_nodes", "arguments": {"query": "nothing"}}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}).encode()


class Direct:
    """The same server over bare pipes: what every local client has."""

    def __init__(self, argv: list[str], scratch: Path) -> None:
        environment = {**os.environ, "MEMORY_FILE_PATH": str(scratch / "direct.jsonl")}
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self._ids = itertools.count(1)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        self._exchange(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).encode())
        self._write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    def call(self) -> None:
        self._exchange(tool_call(next(self._ids)))

    def storm(self, *, callers: int, calls: int) -> list[float]:
        """Always `callers` calls in flight; seconds of each."""
        begun: dict[int, float] = {}
        latencies = []

        def begin() -> None:
            request_id = next(self._ids)
            begun[request_id] = time.perf_counter()
            self._write(tool_call(request_id))

        for _ in range(callers):
            begin()
        for done in range(calls):
            answer = json.loads(self._stdout.readline())
            latencies.append(time.perf_counter() - begun.pop(answer["id"]))
            if done + callers < calls:
                begin()
        return latencies

    def close(self) -> None:
        self._stdin.close()
        self.process.wait(10)

    def _exchange(self, message: bytes) -> None:
        self._write(message)
        assert b'"result"' in self._stdout.readline()

    def _write(self, message: bytes) -> None:
        self._stdin.write(message + b"\n")
        self._stdin.flush()


class Bridged:
    """Launcher and bridge as in a pod, on loopback."""

    def __init__(self, argv: list[str], scratch: Path) -> None:
        run = Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
        environment = {**os.environ, "MEMORY_FILE_PATH": str(scratch / "bridged.jsonl")}
        sockets = {"SOCKET": str(run / "server.sock"), "CONTROL": str(run / "control.sock")}
        launcher = [sys.executable, "-I", str(ROOT / "runtime/vsm_runtime/launcher.py")]
        launcher += ["--socket", sockets["SOCKET"], "--control", sockets["CONTROL"], "--", *argv]
        with (run / "launcher.log").open("wb") as log:
            self.launcher = subprocess.Popen(launcher, stderr=log, env=environment)
        settings = {**sockets, "HOST": "127.0.0.1", "PORT": "0", "ADMIN_PORT": "0"}
        environment = {f"VSM_BRIDGE_{name}": value for name, value in settings.items()}
        environment |= {"PYTHONPATH": f"{ROOT}/operator:{ROOT}/runtime", "PATH": os.environ["PATH"]}
        log_path = run / "bridge.log"
        begun = time.perf_counter()
        with log_path.open("wb") as log:
            self.bridge = subprocess.Popen([sys.executable, "-m", "vsm_runtime.bridge"], stderr=log, env=environment)
        self.port = self._wait_for(log_path, _PORTS)
        self._wait_for(log_path, re.compile(r"(ready):"))
        self.ready_seconds = time.perf_counter() - begun

    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self.bridge.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.bridge.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        for process in (self.bridge, self.launcher):
            process.send_signal(signal.SIGTERM)
        for process in (self.bridge, self.launcher):
            process.wait(20)

    def _wait_for(self, log: Path, pattern: re.Pattern[str]) -> int:
        deadline = time.monotonic() + 30
        while (match := pattern.search(log.read_text())) is None:
            if self.bridge.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the bridge did not start:\n{log.read_text()}")
            time.sleep(0.01)
        return int(match[1]) if match[1].isdigit() else 0
