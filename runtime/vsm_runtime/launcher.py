"""Starts untrusted children and keeps order around them. Standard library only, one file, Python 3.9 or later.

    bridge ──(server.sock: one byte, the child's stdin and stdout as descriptors)──► launcher ──fork, exec──► child
    bridge ◄──(the same connection, at once: {"pid", "start"} or {"error", "busy"?})─┤
    bridge ◄──(the same connection, when all is over: {"exit": {…}}, then closed)────┘

The child gets two pipes that the bridge made: each end is a description of its own, as under every other MCP host, so
that a non-blocking stdin does not make stdout non-blocking, and no byte of the conversation passes through here.

Invariants: one connection is one child, and its lease. When the bridge lets go of it (closes it, or only its sending
side, and then still hears how the child ended), or we are told to end, the child has STDIN_GRACE_SECONDS to leave,
then SIGTERM, TERM_GRACE_SECONDS, then SIGKILL. Each child leads a session of its own and carries our mark in its
environment; when it is gone, everything it left behind is killed before its place is free again and before its end is
told: its session, and every orphan that is neither in the session of a living child nor carries its mark. Nothing here
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
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs memory as well
    from collections.abc import Callable
    from typing import NoReturn

STDIN_GRACE_SECONDS = 5.0
TERM_GRACE_SECONDS = 5.0
SWEEP_SECONDS = 2.0
"""How long what a dead child left behind may take to disappear before its end is told regardless."""
SWEEP_PAUSE_SECONDS = 0.02
HELLO_SECONDS = 5.0
"""How long a new connection may take to pass its descriptors."""

TAIL_LINES = 40
TAIL_BYTES = 8192
FORWARD_BYTES = 65536
"""What the children wrote to stderr and waits for a slow log: beyond this they wait as well."""
READ_BYTES = 16384
MAX_PIPE_READS = 64
"""How much a dead child's stderr can still hold: the largest pipe that Linux lets a user make."""
PARTIAL_LINE_BYTES = 4096
MAX_ARRIVALS = 16
MAX_CHILDREN = 256
MAX_ENVIRONMENT_BYTES = 1 << 18

MARK = "VSM_LAUNCHER_CHILD"
"""Variable in every child's environment: its number. A process that took it away counts as nobody's."""
NOT_EXECUTED = 127
USAGE = (
    "launcher.py --socket PATH [--max-children N] [--max-processes N] -- ARGV...   or   launcher.py --install-to DIR"
)


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
        self.max_children = int(self._number(given.pop("--max-children", "1"), "--max-children"))
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
        if not 1 <= self.max_children <= MAX_CHILDREN:
            raise ValueError(f"--max-children must be from 1 to {MAX_CHILDREN}")
        if not self.install_to and not (self.socket and self.argv):
            raise ValueError(f"--socket and a command after -- are needed; usage: {USAGE}")

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


def leftovers(dead: set[int], living: dict[int, int]) -> list[int]:
    """Processes that the dead children left behind; none are known where there is no /proc.

    `living`: process id to number. A dead one's id may have been given to a living one since, which then wins.
    """
    me = os.getpid()
    found = []
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if not name.isdigit() or int(name) in living:
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent, _, session = file.read().rpartition(b")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if state == b"Z" or int(session) in living:
            continue
        orphan = int(parent) == me and not (living and marked_by(int(name)) in living.values())
        if orphan or int(session) in dead:
            found.append(int(name))
    return found


def marked_by(pid: int) -> int:
    """The number of the child whose mark a process carries; 0 for none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = (b"\0" + file.read(MAX_ENVIRONMENT_BYTES)).partition(b"\0" + MARK.encode() + b"=")[2]
        return int(found.partition(b"\0")[0])
    except (OSError, ValueError):
        return 0


def execute(argv: list[str], *, number: int, stdin: int, stdout: int, stderr: int, max_processes: int) -> NoReturn:
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
        for one in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(one, signal.SIG_DFL)
        os.environ[MARK] = str(number)
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

    def __init__(self, number: int, pid: int, *, lease: socket.socket, stderr: int, oom_kills: int) -> None:
        self.number = number
        self.pid = pid
        self.lease = lease
        self.leased = True
        """Until the bridge lets go. The connection stays: its other direction still takes how it ended."""
        self.stderr = stderr
        self.stderr_open = True
        self.partial_line = b""
        self.oom_kills_before = oom_kills
        self.tail = Tail()
        self.wait_status: int | None = None
        """Set when the process itself is gone; then what it left behind is swept up."""
        self.next_signal: signal.Signals | None = None
        self.killed = False
        self.deadline = float("inf")
        """When `next_signal` is due; after the death of the process, when the sweep gives up."""

    def kill_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except PermissionError:
            return
        except ProcessLookupError:
            if self.wait_status is None:  # it has not made its session yet
                os.kill(self.pid, number)

    @property
    def died_of_sigkill(self) -> bool:
        return (
            self.wait_status is not None
            and os.WIFSIGNALED(self.wait_status)
            and os.WTERMSIG(self.wait_status) == signal.SIGKILL
        )


class Launcher:
    """The poll loop."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._children: dict[int, Child] = {}
        """By number, from start until their end is told: a process id may come back while one is swept up."""
        self._starts = 0
        self._ending = False
        self._arrivals: dict[int, tuple[socket.socket, float]] = {}
        self._forward = b""
        self._oom_kills_told = 0
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._server = listen(options.socket)

    def run(self) -> None:
        """Until SIGTERM or SIGINT, and then until the children are gone."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        adopt_orphans()
        while not self._ending or self._children:
            for handle, event in self._poll():
                handle(event)
            self._reap()
            if self._ending:
                for child in self._children.values():
                    self._wind_down(child)
            self._check_time()
        self._flush_forward()
        self._server.close()
        unlink_socket(self._options.socket)

    # -- events

    def _poll(self) -> list[tuple[Callable[[int], object], int]]:
        """What happened, and who handles it. A handler closes no descriptor but its own: others may be in the list."""
        poll = select.poll()
        handlers: dict[int, Callable[[int], object]] = {}

        def when(fd: int, handle: Callable[[int], object], events: int = select.POLLIN) -> None:
            poll.register(fd, events)
            handlers[fd] = handle

        when(self._wake_read, self._wake)
        if not self._ending:
            when(self._server.fileno(), self._accept)
        for fd in self._arrivals:
            when(fd, partial(self._greet, fd))
        for child in self._children.values():
            if child.leased:
                when(child.lease.fileno(), partial(self._listen_to, child))
            if child.stderr_open and len(self._forward) < FORWARD_BYTES:
                when(child.stderr, partial(self._read_stderr, child))
        if self._forward:
            when(2, self._log_moved, select.POLLOUT)
        wait_seconds = self._nearest_deadline() - time.monotonic()
        events = poll.poll(None if wait_seconds == float("inf") else max(0.0, wait_seconds) * 1000 + 1)
        return [(handlers[fd], event) for fd, event in events]

    def _nearest_deadline(self) -> float:
        # A dead child's leftovers do not all announce their end to us.
        soon = time.monotonic() + SWEEP_PAUSE_SECONDS
        until = [deadline for _, deadline in self._arrivals.values()]
        until += [
            min(one.deadline, soon) if one.wait_status is not None else one.deadline for one in self._children.values()
        ]
        return min(until, default=float("inf"))

    def _wake(self, _: int) -> None:
        drain(self._wake_read)

    def _accept(self, _: int) -> None:
        try:
            connection, _address = self._server.accept()
        except OSError:
            return
        connection.setblocking(False)
        if len(self._arrivals) >= MAX_ARRIVALS:
            connection.close()
        else:
            self._arrivals[connection.fileno()] = (connection, time.monotonic() + HELLO_SECONDS)

    def _listen_to(self, child: Child, _: int) -> None:
        if hung_up(child.lease):
            child.leased = False
            self._wind_down(child)

    # -- a child's life

    def _greet(self, fd: int, _: int) -> None:
        """A connection said hello: start a child for it, or tell it why not."""
        connection = self._arrivals.pop(fd)[0]
        try:
            hello, fds = socket.recv_fds(connection, 64, 4)[:2]
        except OSError:
            hello, fds = b"", []
        for passed in fds:
            # Asking for it with MSG_CMSG_CLOEXEC does not help: recv_fds ignores its flags.
            os.set_inheritable(passed, False)
        answer: dict[str, object]
        if self._ending:
            answer = {"error": "the launcher is ending"}
        elif not hello or len(fds) != 2:
            answer = {"error": "send one byte together with two descriptors: the child's stdin and its stdout"}
        elif len(self._children) < self._options.max_children:
            answer = self._start(connection, stdin=fds[0], stdout=fds[1])
        elif self._options.max_children == 1:
            answer = {"error": "the previous child has not gone yet", "busy": True}
        else:
            answer = {"error": f"{len(self._children)} children are there already, no more are allowed", "busy": True}
        for passed in fds:
            os.close(passed)
        send_line(connection, answer)
        if "error" in answer:
            connection.close()

    def _start(self, connection: socket.socket, *, stdin: int, stdout: int) -> dict[str, object]:
        """Returns what the bridge is told."""
        oom_kills = read_oom_kills(self._options.cgroup_root)
        try:
            stderr, stderr_write = os.pipe()
        except OSError as error:
            return {"error": f"cannot make a pipe: {error.strerror}"}
        os.set_blocking(stderr, False)
        try:
            pid = os.fork()
        except OSError as error:
            os.close(stderr)
            os.close(stderr_write)
            return {"error": f"cannot fork: {error.strerror}"}
        if pid == 0:
            execute(
                self._options.argv,
                number=self._starts + 1,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr_write,
                max_processes=int(self._options.max_processes),
            )
        os.close(stderr_write)
        self._starts += 1
        self._children[self._starts] = Child(self._starts, pid, lease=connection, stderr=stderr, oom_kills=oom_kills)
        return {"pid": pid, "start": self._starts}

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
        for child in self._children.values():
            if child.wait_status is None and child.next_signal is not None and now >= child.deadline:
                child.kill_group(child.next_signal)
                child.killed = child.next_signal == signal.SIGKILL
                child.next_signal = signal.SIGKILL
                child.deadline = float("inf") if child.killed else now + self._options.term_grace_seconds
        self._sweep(now)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children.values():
                if pid == child.pid and child.wait_status is None:
                    child.wait_status = status
                    child.deadline = time.monotonic() + SWEEP_SECONDS
                    child.kill_group(signal.SIGKILL)

    def _sweep(self, now: float) -> None:
        """Kills what dead children left; once nothing is left, tells how they ended."""
        dead = [child for child in self._children.values() if child.wait_status is not None]
        if not dead:
            return
        living = {child.pid: child.number for child in self._children.values() if child.wait_status is None}
        left = leftovers({child.pid for child in dead}, living)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        for child in dead:
            if not left or now >= child.deadline:
                self._bury(child)

    def _bury(self, child: Child) -> None:
        self._forward = self._forward[-FORWARD_BYTES // 2 :]  # the last words matter more than a log that is slow
        for _ in range(MAX_PIPE_READS):
            if not child.stderr_open or not self._read_stderr(child):
                break
        self._forward = (self._forward + child.partial_line)[-FORWARD_BYTES:]
        self._flush_forward()
        os.close(child.stderr)
        # The connection's buffer is empty but for our hello, and holds far more than a record; a bridge that is gone,
        # or whose kernel is short of memory, has to do without.
        send_line(child.lease, {"exit": exit_record(child, oom_killed=self._was_oom_killed(child))})
        child.lease.close()
        del self._children[child.number]

    def _was_oom_killed(self, child: Child) -> bool:
        """The kernel counts for the container: with others beside it, a kill is this child's only if it shows."""
        before = max(child.oom_kills_before, self._oom_kills_told)
        if read_oom_kills(self._options.cgroup_root) <= before:
            return False
        if len(self._children) > 1 and (child.killed or not child.died_of_sigkill):
            return False
        self._oom_kills_told = before + 1
        return True

    # -- stderr

    def _read_stderr(self, child: Child, _: int = 0) -> bool:
        """One piece of it, so that nobody's flood holds up the loop. False when there is nothing to read now."""
        try:
            data = os.read(child.stderr, READ_BYTES)
        except BlockingIOError:
            return False
        child.stderr_open = bool(data)
        child.tail.add(data)
        # Lines of several children do not mix in the log, unless they are very long.
        data = child.partial_line + data
        cut = data.rfind(b"\n") + 1
        if child.stderr_open and len(data) - cut < PARTIAL_LINE_BYTES:
            data, child.partial_line = data[:cut], data[cut:]
        else:
            child.partial_line = b""
        self._forward = (self._forward + data)[-2 * FORWARD_BYTES :]
        self._flush_forward()
        return child.stderr_open

    def _log_moved(self, event: int) -> None:
        self._flush_forward(broken=bool(event & (select.POLLERR | select.POLLNVAL)))

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


def exit_record(child: Child, *, oom_killed: bool) -> dict[str, object]:
    """What is told of an end: exactly one of code and signal is set."""
    status = child.wait_status or 0
    name = None
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in set(signal.Signals) else f"SIG{number}"
    return {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": name,
        "oomKilled": oom_killed,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "stderrTail": child.tail.lines(),
    }


def listen(path: str) -> socket.socket:
    """A socket that the group may connect to; one that an earlier launcher left is replaced."""
    unlink_socket(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o660)
    listener.listen(64)
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
        sys.stderr.write(f"launcher: cannot listen on {options.socket}: {error}\n")
        return 1
    launcher.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
