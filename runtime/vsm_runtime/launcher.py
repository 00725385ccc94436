"""Starts one untrusted child at a time and keeps order around it. Standard library only, one file, Python 3.9 or later.

    bridge ──(server.sock: one byte, the child's stdin and stdout as descriptors)──► launcher ──fork, exec──► child
    bridge ◄──(server.sock: {"pid", "start"} or {"error"}; then held open)──────────┤
    anyone ◄──(control.sock: one JSON line now, one at every change)────────────────┘

The child gets two pipes that the bridge made: each end is a description of its own, as under every other MCP host, so
that a non-blocking stdin does not make stdout non-blocking, and no byte of the conversation passes through here.

Invariants: at most one child lives, in a session of its own; when it is gone, everything it left behind is killed
before the next one may start; the connection on server.sock is a lease, and when the bridge lets go of it (or we are
told to end), the child has STDIN_GRACE_SECONDS to leave, then SIGTERM, TERM_GRACE_SECONDS, then SIGKILL. Nothing here
waits: one poll loop owns all descriptors, and all buffers are bounded.

`--install-to DIR` brings this file and an interpreter into DIR for images that have none; see launcher_install.py.
"""

# pathlib would cost memory that is counted as the server's.
# ruff: noqa: PTH101, PTH108, PTH118, PTH120, PTH123, PTH208
from __future__ import annotations

import errno
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs memory as well
    from typing import NoReturn

STDIN_GRACE_SECONDS = 5.0
TERM_GRACE_SECONDS = 5.0
SWEEP_SECONDS = 2.0
"""How long what a dead child left behind may take to disappear before a new child may start regardless."""
HELLO_SECONDS = 5.0
"""How long a new connection may take to pass its descriptors."""

TAIL_LINES = 40
TAIL_BYTES = 8192
FORWARD_BYTES = 65536
"""The child's stderr that waits for a slow log: beyond this the child waits as well."""
MAX_CONNECTIONS = 16

NOT_EXECUTED = 127
USAGE = "launcher.py --socket PATH --control PATH [--max-processes N] -- ARGV...   or   launcher.py --install-to DIR"


class Tail:
    """The last lines of a stream of bytes, however long its lines are."""

    def __init__(self) -> None:
        self._kept = b""

    def add(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-TAIL_BYTES:]

    def lines(self) -> list[str]:
        text = self._kept.decode("utf-8", "replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-TAIL_LINES:]


class Options:
    """The command line. Raises ValueError with a sentence for the person who wrote it."""

    def __init__(self, arguments: list[str]) -> None:
        head, self.argv = arguments, []
        if "--" in arguments:
            cut = arguments.index("--")
            head, self.argv = arguments[:cut], arguments[cut + 1 :]
        if len(head) % 2:
            raise ValueError(f"every option takes one value; usage: {USAGE}")
        given = dict(zip(head[::2], head[1::2]))  # noqa: B905 - Python 3.9; the length is even
        self.install_to = given.pop("--install-to", "")
        self.socket = given.pop("--socket", "")
        self.control = given.pop("--control", "")
        self.max_processes = self._number(given.pop("--max-processes", "0"), "--max-processes")
        self.stdin_grace_seconds = self._number(
            given.pop("--stdin-grace-seconds", str(STDIN_GRACE_SECONDS)), "--stdin-grace-seconds"
        )
        self.term_grace_seconds = self._number(
            given.pop("--term-grace-seconds", str(TERM_GRACE_SECONDS)), "--term-grace-seconds"
        )
        self.cgroup_root = given.pop("--cgroup-root", "/sys/fs/cgroup")
        if given:
            raise ValueError(f"unknown option {next(iter(given))}; usage: {USAGE}")
        if not self.install_to and not (self.socket and self.control and self.argv):
            raise ValueError(f"--socket, --control and a command after -- are needed; usage: {USAGE}")

    @staticmethod
    def _number(text: str, name: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e9:
            raise ValueError(f"{name} must be a number, zero or more, not {text!r}")
        return number


def read_oom_kills(cgroup_root: str) -> int:
    """How often the kernel killed in this container for memory; 0 where nothing says so (cgroup v2, then v1)."""
    for name in ("memory.events", "memory/memory.oom_control"):
        try:
            with open(os.path.join(cgroup_root, name)) as lines:
                for line in lines:
                    key, _, value = line.partition(" ")
                    if key == "oom_kill":
                        return int(value)
        except (OSError, ValueError):
            continue
    return 0


def descendants_of(parent: int) -> list[int]:
    """Direct children of a process, orphans that it inherited included. None are known where there is no /proc."""
    found = []
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != b"Z":
            found.append(int(name))
    return found


def execute(argv: list[str], *, stdin: int, stdout: int, stderr: int, max_processes: int) -> NoReturn:
    """In the forked child: become the server, or say why not and exit. Never returns."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if max_processes:
            hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            limit = max_processes if hard == resource.RLIM_INFINITY else min(max_processes, hard)
            resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
        for target, source in enumerate((stdin, stdout, stderr)):
            os.dup2(source, target)
        # An exec keeps what is ignored: by Python (two of them), and by whoever started us (nohup, a job in a shell).
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is the point
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.ENOENT:
            why += f" (PATH is {os.environ.get('PATH', '')!r}, and the interpreter it names must exist as well)"
        os.write(2, f"launcher: cannot execute {argv[0]!r}: {why}\n".encode())
    except BaseException as error:  # noqa: BLE001 - this process must not return into the launcher's loop
        os.write(2, f"launcher: cannot execute {argv[0]!r}: {error!r}\n".encode())
    finally:
        os._exit(NOT_EXECUTED)


class Child:
    """One life of the server process and of everything that it starts."""

    def __init__(self, pid: int, *, lease: socket.socket, stderr: int, oom_kills: int) -> None:
        self.pid = pid
        self.lease: socket.socket | None = lease
        self.stderr = stderr
        self.stderr_open = True
        self.oom_kills_before = oom_kills
        self.tail = Tail()
        self.wait_status: int | None = None
        """Set when the process itself is gone; then what it left behind is swept up."""
        self.next_signal: signal.Signals | None = None
        self.deadline = float("inf")
        """When `next_signal` is due; after the death of the process, when the sweep gives up."""

    def kill_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return


class Launcher:
    """The poll loop."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._child: Child | None = None
        self._starts = 0
        self._last_exit: dict[str, object] | None = None
        self._ending = False
        self._watchers: dict[int, socket.socket] = {}
        self._arrivals: dict[int, tuple[socket.socket, float]] = {}
        self._forward = b""
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._server = listen(options.socket)
        self._control = listen(options.control)

    def run(self) -> None:
        """Until SIGTERM or SIGINT, and then until the child is gone."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        adopt_orphans()
        while not self._ending or self._child is not None:
            for fd, event in self._poll():
                self._handle(fd, event)
            self._reap()
            if self._ending and self._child is not None:
                self._wind_down(self._child)
            self._check_time()
        self._flush_forward()
        for listener in (self._server, self._control):
            listener.close()
        for path in (self._options.socket, self._options.control):
            unlink_socket(path)

    # -- events

    def _poll(self) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if not self._ending:
            poll.register(self._server, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        for fd in (*self._watchers, *self._arrivals):
            poll.register(fd, select.POLLIN)
        child = self._child
        if child is not None:
            if child.lease is not None:
                poll.register(child.lease, select.POLLIN)
            if child.stderr_open and len(self._forward) < FORWARD_BYTES:
                poll.register(child.stderr, select.POLLIN)
        if self._forward:
            poll.register(2, select.POLLOUT)
        now = time.monotonic()
        until = [deadline for _, deadline in self._arrivals.values()]
        if child is not None:
            # A dead child's leftovers do not all announce their end to us.
            until.append(min(child.deadline, now + 0.02) if child.wait_status is not None else child.deadline)
        nearest = min(until, default=float("inf"))
        return poll.poll(None if nearest == float("inf") else max(0.0, nearest - now) * 1000 + 1)

    def _handle(self, fd: int, event: int) -> None:
        child = self._child
        if fd == self._wake_read:
            drain(fd)
        elif fd == self._server.fileno():
            connection = self._accept(self._server)
            if connection is not None:
                self._arrivals[connection.fileno()] = (connection, time.monotonic() + HELLO_SECONDS)
        elif fd == self._control.fileno():
            self._watch(self._accept(self._control))
        elif fd in self._watchers:
            if not hung_up(self._watchers[fd]):
                return
            self._watchers.pop(fd).close()
        elif fd in self._arrivals:
            self._greet(self._arrivals.pop(fd)[0])
        elif fd == 2:
            self._flush_forward(broken=bool(event & (select.POLLERR | select.POLLNVAL)))
        elif child is not None and child.lease is not None and fd == child.lease.fileno():
            if hung_up(child.lease):
                child.lease.close()
                child.lease = None
                self._wind_down(child)
        elif child is not None and fd == child.stderr:
            self._read_stderr(child)

    def _accept(self, listener: socket.socket) -> socket.socket | None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return None
        connection.setblocking(False)
        if len(self._watchers) + len(self._arrivals) >= MAX_CONNECTIONS:
            connection.close()
            return None
        return connection

    def _watch(self, connection: socket.socket | None) -> None:
        if connection is None:
            return
        if send_line(connection, self.status()):
            self._watchers[connection.fileno()] = connection
        else:
            connection.close()

    def _tell(self) -> None:
        for fd, watcher in list(self._watchers.items()):
            if not send_line(watcher, self.status()):
                self._watchers.pop(fd).close()

    # -- the child's life

    def _greet(self, connection: socket.socket) -> None:
        """A connection said hello: start a child for it, or tell it why not."""
        try:
            hello, fds, _, _ = socket.recv_fds(connection, 64, 4)
        except OSError:
            hello, fds = b"", []
        for fd in fds:
            # Asking for it with MSG_CMSG_CLOEXEC does not help: recv_fds ignores its flags.
            os.set_inheritable(fd, False)
        refusal = ""
        if self._child is not None or self._ending:
            refusal = "the launcher is ending" if self._ending else "the previous child has not gone yet"
        elif not hello or len(fds) != 2:
            refusal = "send one byte together with two descriptors: the child's stdin and its stdout"
        if refusal:
            send_line(connection, {"error": refusal})
            connection.close()
        else:
            self._start(connection, fds[0], fds[1])
        for fd in fds:
            os.close(fd)

    def _start(self, connection: socket.socket, stdin: int, stdout: int) -> None:
        stderr, stderr_write = os.pipe()
        os.set_blocking(stderr, False)
        oom_kills = read_oom_kills(self._options.cgroup_root)
        try:
            pid = os.fork()
        except OSError as error:
            send_line(connection, {"error": f"cannot fork: {error.strerror}"})
            connection.close()
            os.close(stderr)
            return
        finally:
            if "pid" not in locals() or pid != 0:
                os.close(stderr_write)
        if pid == 0:
            execute(
                self._options.argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr_write,
                max_processes=int(self._options.max_processes),
            )
        self._starts += 1
        self._child = Child(pid, lease=connection, stderr=stderr, oom_kills=oom_kills)
        send_line(connection, {"pid": pid, "start": self._starts})
        self._tell()

    def _wind_down(self, child: Child) -> None:
        """The bridge hung up, or we are to end and it is about to: it closes stdin, the rest follows with time."""
        if child.wait_status is None and child.next_signal is None:
            child.next_signal = signal.SIGTERM
            child.deadline = time.monotonic() + self._options.stdin_grace_seconds

    def _end(self, *_: object) -> None:
        # A signal handler runs between any two bytecodes: it may set a flag, the loop does the rest.
        self._ending = True

    def _check_time(self) -> None:
        now = time.monotonic()
        for fd, (connection, deadline) in list(self._arrivals.items()):
            if now >= deadline:
                del self._arrivals[fd]
                connection.close()
        child = self._child
        if child is None:
            return
        if child.wait_status is not None:
            self._sweep(child, last_call=now >= child.deadline)
        elif now >= child.deadline and child.next_signal is not None:
            child.kill_group(child.next_signal)
            last = child.next_signal == signal.SIGKILL
            child.next_signal = signal.SIGKILL
            child.deadline = float("inf") if last else now + self._options.term_grace_seconds

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._child is not None and pid == self._child.pid:
                self._child.wait_status = status
                self._child.deadline = time.monotonic() + SWEEP_SECONDS
                self._child.kill_group(signal.SIGKILL)

    def _sweep(self, child: Child, *, last_call: bool) -> None:
        """Kills what the dead child left; once nothing is left, tells how the child ended."""
        left = descendants_of(os.getpid())
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        if left and not last_call:
            return
        self._forward = self._forward[-FORWARD_BYTES // 2 :]  # the last words matter more than a log that is slow
        self._read_stderr(child)
        if child.lease is not None:
            child.lease.close()
        os.close(child.stderr)
        self._last_exit = exit_record(child, oom_kills=read_oom_kills(self._options.cgroup_root))
        self._child = None
        self._tell()

    # -- stderr

    def _read_stderr(self, child: Child) -> None:
        if not child.stderr_open:
            return
        while len(self._forward) < FORWARD_BYTES:
            try:
                data = os.read(child.stderr, 16384)
            except BlockingIOError:
                return
            if not data:
                child.stderr_open = False
                return
            child.tail.add(data)
            self._forward += data
            self._flush_forward()

    def _flush_forward(self, *, broken: bool = False) -> None:
        # A pipe takes at most PIPE_BUF without blocking once it says that it is writable.
        while self._forward and not broken and writable(2):
            try:
                self._forward = self._forward[os.write(2, self._forward[:4096]) :]
            except BlockingIOError:
                return
            except OSError:
                broken = True
        if broken:
            self._forward = b""

    def status(self) -> dict[str, object]:
        child = self._child
        return {
            "running": child is not None,
            "pid": child.pid if child is not None else 0,
            "starts": self._starts,
            "lastExit": self._last_exit,
        }


def exit_record(child: Child, *, oom_kills: int) -> dict[str, object]:
    """The shape of `lastExit`: exactly one of code and signal is set."""
    status = child.wait_status or 0
    name = None
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in set(signal.Signals) else f"SIG{number}"
    return {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": name,
        "oomKilled": oom_kills > child.oom_kills_before,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "stderrTail": child.tail.lines(),
    }


def listen(path: str) -> socket.socket:
    """A socket that the group may connect to; one that an earlier launcher left is replaced."""
    unlink_socket(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o660)
    listener.listen(8)
    listener.setblocking(False)
    return listener


def unlink_socket(path: str) -> None:
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        return


def send_line(connection: socket.socket, message: dict[str, object]) -> bool:
    """False when the peer does not read, or is gone: it is not worth waiting for."""
    line = json.dumps(message).encode() + b"\n"
    try:
        return connection.send(line) == len(line)
    except OSError:
        return False


def hung_up(connection: socket.socket) -> bool:
    try:
        return not connection.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True


def drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return


def writable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


def adopt_orphans() -> None:
    """As process 1 of a container we inherit orphans anyway; anywhere else the kernel has to be asked."""
    if os.getpid() == 1:
        return
    try:
        import ctypes  # noqa: PLC0415 - absent from minimal interpreters

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    except (ImportError, OSError, AttributeError):
        return


def main(arguments: list[str]) -> int:
    try:
        options = Options(arguments)
    except ValueError as error:
        sys.stderr.write(f"launcher: {error}\n")
        return 2
    if options.install_to:
        import runpy  # noqa: PLC0415

        here = os.path.dirname(os.path.realpath(__file__))
        installer = runpy.run_path(os.path.join(here, "launcher_install.py"))
        installer["install"](options.install_to)
        return 0
    try:
        launcher = Launcher(options)
    except OSError as error:
        sys.stderr.write(f"launcher: cannot listen on {options.socket} and {options.control}: {error}\n")
        return 1
    launcher.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
