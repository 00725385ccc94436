"""The bridges that are compared: how each is started, and which of its processes is the bridge."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.bridge import processes
from bench.bridge.install import Installed
from bench.bridge.load import free_port

ROOT = Path(__file__).resolve().parents[2]
OURS = "vsm"
DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Side:
    """One way to reach the server over HTTP."""

    name: str
    commands: Callable[[int, Path], list[list[str]]]
    """The processes to start for a port and a scratch folder; the last is the bridge."""
    has_sessions: bool = True
    seconds_per_call: float = 0.0
    """A bridge that takes this long for each call is measured in fewer calls."""


@dataclass(frozen=True, slots=True)
class Running:
    """One start of a bridge."""

    port: int
    roots: tuple[int, ...]

    @property
    def bridge(self) -> int:
        return self.roots[-1]

    def tree(self) -> list[int]:
        return processes.tree(*self.roots)


def sides(installed: Installed, *, also: Sequence[Path] = ()) -> list[Side]:
    """`also`: other checkouts, whose bridge is to be compared with this one's."""
    server, node = installed.server_argv, str(installed.node)

    def ours(root: Path) -> Callable[[int, Path], list[list[str]]]:
        return lambda port, scratch: _ours(root, server, port=port, scratch=scratch)

    def supergateway(*flags: str) -> Callable[[int, Path], list[list[str]]]:
        options = ["--outputTransport", "streamableHttp", "--logLevel", "none", *flags]
        program = [node, str(installed.supergateway), "--stdio", " ".join(server), *options]
        return lambda port, _: [[*program, "--port", str(port)]]

    def mcp_proxy(port: int, _: Path) -> list[list[str]]:
        options = ["--pass-environment", "--log-level", "ERROR", "--port", str(port)]
        return [[str(installed.mcp_proxy), *options, "--", *server]]

    def mcp_proxy_node(port: int, _: Path) -> list[list[str]]:
        options = ["--host", "127.0.0.1", "--server", "stream", "--port", str(port)]
        return [[node, str(installed.mcp_proxy_node), *options, "--", *server]]

    return [
        Side(OURS, ours(ROOT)),
        *(Side(str(root), ours(root.resolve())) for root in also),
        Side("supergateway stateful", supergateway("--stateful")),
        Side("supergateway stateless", supergateway(), has_sessions=False, seconds_per_call=0.2),
        Side("mcp-proxy (PyPI)", mcp_proxy),
        Side("mcp-proxy (npm)", mcp_proxy_node),
    ]


def _ours(root: Path, server: list[str], *, port: int, scratch: Path) -> list[list[str]]:
    run = tempfile.mkdtemp(prefix="run-", dir=scratch)
    program = root / "runtime/vsm_runtime/launcher.py"
    launcher = [sys.executable, "-I", str(program), "--socket", f"{run}/server.sock"]
    settings = {"SOCKET": f"{run}/server.sock", "HOST": "127.0.0.1", "PORT": str(port), "ADMIN_PORT": "0"}
    environment = [f"VSM_BRIDGE_{name}={value}" for name, value in settings.items()]
    environment.append(f"PYTHONPATH={root}/operator:{root}/runtime")
    return [[*launcher, "--", *server], ["env", *environment, sys.executable, "-m", "vsm_runtime.bridge"]]


@contextmanager
def started(side: Side, scratch: Path) -> Iterator[Running]:
    """Its processes run; whether it answers is for the caller to find out."""
    port = free_port()
    environment = {**os.environ, "MEMORY_FILE_PATH": str(scratch / "memory.jsonl")}
    running = []
    log = scratch / f"{side.name.replace('/', '-')}.log"
    try:
        for argv in side.commands(port, scratch):
            with log.open("ab") as output:
                running.append(
                    subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
                )
        yield Running(port, tuple(process.pid for process in running))
    except OSError as error:
        raise RuntimeError(f"{side.name}: {error}; its log ends with\n{log.read_text()[-2000:]}") from error
    finally:
        processes.end(*(process.pid for process in running))
        for process in running:
            process.wait()
