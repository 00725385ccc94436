"""A real launcher process, and a bridge that is only its sockets and pipes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).resolve().parents[3] / "runtime/vsm_runtime/launcher.py"
DEADLINE_SECONDS = 20.0


def python(program: str) -> list[str]:
    return [sys.executable, "-I", "-c", program]


def interpreter(directory: str) -> list[str]:
    """The command line with which the pods start an installed interpreter."""
    return [f"{directory}/ld.so", "--library-path", f"{directory}/lib", f"{directory}/python3", "-I"]


@dataclass
class Lease:
    """What a bridge holds of a child."""

    connection: socket.socket
    stdin: int
    stdout: int
    answer: dict[str, Any]

    def write(self, data: bytes) -> None:
        os.write(self.stdin, data)

    def read(self) -> bytes:
        return os.read(self.stdout, 65536)

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def hang_up(self) -> None:
        self.close_stdin()
        self.connection.close()
        if self.stdout >= 0:
            os.close(self.stdout)
            self.stdout = -1


@dataclass
class World:
    directory: Path
    interpreter: list[str] = field(default_factory=lambda: [sys.executable, "-I", str(LAUNCHER)])
    process: subprocess.Popen[bytes] | None = None
    leases: list[Lease] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    def start(self, argv: list[str], *options: str, **popen: Any) -> "World":
        """`popen` may bring a stderr of its own, or a user; `place` is the directory as the launcher sees it."""
        place = popen.pop("place", str(self.directory))
        sockets = ["--socket", f"{place}/s", "--control", f"{place}/c"]
        with (self.directory / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [*self.interpreter, *sockets, *options, "--", *argv],
                **{"stderr": stderr, "stdin": subprocess.DEVNULL, **popen},
            )
        return self

    def start_in_empty_root(self, installed: Path, argv: list[str]) -> "World":
        root = self.directory / "root"
        shutil.copytree(installed, root / "run/launcher", symlinks=True)
        (root / "run/sockets").mkdir()
        for name in "sc":
            (self.directory / name).symlink_to(root / "run/sockets" / name)
        self.interpreter = ["chroot", str(root), *interpreter("/run/launcher"), "/run/launcher/launcher.py"]
        return self.start(argv, place="/run/sockets")

    def lease(self, *, hello: bytes = b"\n", fds: int = 2) -> Lease:
        stdin_read, stdin_write = os.pipe()
        stdout_read, stdout_write = os.pipe()
        connection = self._connect("s")
        socket.send_fds(connection, [hello], [stdin_read, stdout_write][:fds])
        os.close(stdin_read)
        os.close(stdout_write)
        lease = Lease(connection, stdin_write, stdout_read, json.loads(connection.recv(4096)))
        self.leases.append(lease)
        return lease

    def control(self) -> Iterator[dict[str, Any]]:
        """One status now, and one for every change."""
        with self._connect("c").makefile() as lines:
            for line in lines:
                yield json.loads(line)

    def status(self) -> dict[str, Any]:
        return next(self.control())

    def exit(self) -> dict[str, Any]:
        """How the latest child ended, once it has."""
        return next(status["lastExit"] for status in self.control() if not status["running"] and status["starts"])

    def stderr(self) -> str:
        return (self.directory / "stderr").read_text(errors="replace")

    def _connect(self, name: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        self.connections.append(connection)
        connection.settimeout(DEADLINE_SECONDS)
        path = str(self.directory / name)
        self.until(lambda: connection.connect_ex(path) == 0, what=f"a listener at {name}: {self.stderr()}")
        return connection

    @staticmethod
    def until(condition: Callable[[], Any], *, what: str = "the condition") -> Any:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (value := condition()):
            assert time.monotonic() < deadline, f"{what} did not come true"
            time.sleep(0.005)
        return value

    def stop(self) -> None:
        for lease in self.leases:
            lease.hang_up()
        for connection in self.connections:
            connection.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
