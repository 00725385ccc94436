"""A real launcher process, and a bridge that is only its sockets and pipes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).resolve().parents[3] / "runtime/vsm_runtime/launcher.py"
DEADLINE_SECONDS = 20.0


def python(program: str) -> list[str]:
    return [sys.executable, "-I", "-c", program]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants_of(pid: int) -> list[int]:
    """All below a process, zombies included."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = [pid]
    for above in found:
        found += [child for child, parent in parents.items() if parent == above]
    return found[1:]


def interpreter(directory: str) -> list[str]:
    """The command line with which the pods start an installed interpreter."""
    return [f"{directory}/ld.so", "--library-path", f"{directory}/lib", f"{directory}/python3", "-I"]


class Lines:
    """Lines of a connection, each when it is asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def next(self) -> dict[str, Any] | None:
        """None when the launcher let go."""
        try:
            line = self._file.readline()
        except ConnectionResetError:  # it let go with something of ours unread
            return None
        return json.loads(line) if line else None

    def close(self) -> None:
        self._file.close()


@dataclass
class Lease:
    """What a bridge holds of a child."""

    connection: socket.socket
    stdin: int
    stdout: int
    lines: Lines
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        return int(self.answer["pid"])

    def write(self, data: bytes) -> None:
        os.write(self.stdin, data)

    def read(self) -> bytes:
        return os.read(self.stdout, 65536)

    def exit(self) -> dict[str, Any]:
        """How the child ended, once it has; nothing comes after that."""
        told = self.lines.next()
        assert told is not None, "the launcher let go without a word"
        assert self.lines.next() is None
        return told["exit"]

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def let_go(self) -> None:
        """As a bridge does that still wants to hear how it ended. stdin stays open."""
        self.connection.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        self.close_stdin()
        self.lines.close()
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

    def start(self, argv: list[str], *options: str, **popen: Any) -> "World":
        """`popen` may bring a stderr of its own, or a user; `place` is the directory as the launcher sees it."""
        place = popen.pop("place", str(self.directory))
        sockets = ["--socket", f"{place}/s"]
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
        (self.directory / "s").symlink_to(root / "run/sockets/s")
        self.interpreter = ["chroot", str(root), *interpreter("/run/launcher"), "/run/launcher/launcher.py"]
        return self.start(argv, place="/run/sockets")

    def ask(self, *, hello: bytes = b"\n", fds: int = 2) -> Lease:
        """A lease that was asked for; its answer has not been read."""
        stdin_read, stdin_write = os.pipe()
        stdout_read, stdout_write = os.pipe()
        connection = self.connect()
        lease = Lease(connection, stdin_write, stdout_read, Lines(connection))
        self.leases.append(lease)
        try:
            socket.send_fds(connection, [hello], [stdin_read, stdout_write][:fds])
        finally:
            os.close(stdin_read)
            os.close(stdout_write)
        return lease

    def lease(self, *, hello: bytes = b"\n", fds: int = 2) -> Lease:
        lease = self.ask(hello=hello, fds=fds)
        answer = lease.lines.next()
        assert answer is not None, "the launcher let go without a word"
        lease.answer = answer
        return lease

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE_SECONDS)
        path = str(self.directory / "s")
        self.until(lambda: connection.connect_ex(path) == 0, what=f"a listener: {self.stderr()}")
        return connection

    def stderr(self) -> str:
        return (self.directory / "stderr").read_text(errors="replace")

    @staticmethod
    def until(condition: Callable[[], Any], *, what: str = "the condition") -> Any:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (value := condition()):
            assert time.monotonic() < deadline, f"{what} did not come true"
            time.sleep(0.005)
        return value

    def stop(self) -> None:
        for lease in self.leases:
            lease.vanish()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
