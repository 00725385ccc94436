"""What the launcher guarantees about a child: its pipes, its limits, its end, and what is told about it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unit.launcher.world import LAUNCHER, World, python

ECHO = ["cat"]
QUICK = ("--stdin-grace-seconds", "0.2", "--term-grace-seconds", "0.2")
STUBBORN = python(
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: print('TERM', file=sys.stderr, flush=True));"
    "print('ready', flush=True); [time.sleep(0.05) for _ in range(2000)]"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_child_talks_through_the_pipes_it_was_given(world: World) -> None:
    lease = world.start(ECHO).lease()
    assert lease.answer == {"pid": world.status()["pid"], "start": 1}
    lease.write(b"hello\n")
    assert lease.read() == b"hello\n"


def test_child_that_was_never_asked_for_does_not_run(world: World) -> None:
    assert world.start(ECHO).status() == {"running": False, "pid": 0, "starts": 0, "lastExit": None}


def test_every_change_is_told_to_those_who_listen(world: World) -> None:
    changes = world.start(ECHO).control()
    assert next(changes)["starts"] == 0
    lease = world.lease()
    assert next(changes)["running"] is True
    lease.close_stdin()
    told = next(changes)
    assert (told["running"], told["starts"], told["lastExit"]["code"]) == (False, 1, 0)


def test_second_child_is_refused_while_one_lives_and_welcome_afterwards(world: World) -> None:
    first = world.start(ECHO).lease()
    assert world.lease().answer == {"error": "the previous child has not gone yet"}
    first.hang_up()
    world.exit()
    assert world.lease().answer["start"] == 2


@pytest.mark.parametrize("fds", [0, 1])
def test_hello_without_both_descriptors_is_refused(world: World, fds: int) -> None:
    assert "two descriptors" in world.start(ECHO).lease(fds=fds).answer["error"]
    assert world.status()["starts"] == 0


@pytest.mark.parametrize(
    ("program", "code", "number"),
    [("raise SystemExit(7)", 7, None), ("import os; os.kill(os.getpid(), 9)", None, "SIGKILL")],
    ids=["exit", "signal"],
)
def test_exit_tells_code_or_signal(world: World, program: str, code: int | None, number: str | None) -> None:
    world.start(python(program)).lease()
    told = world.exit()
    assert (told["code"], told["signal"], told["oomKilled"]) == (code, number, False)
    assert told["at"].endswith("Z")


def test_last_lines_of_stderr_are_kept_and_all_is_passed_on(world: World) -> None:
    world.start(python("import sys; [print('line', i, file=sys.stderr) for i in range(5000)]")).lease()
    tail = world.exit()["stderrTail"]
    assert len(tail) == 40
    assert tail[-1] == "line 4999"
    assert world.stderr().count("\n") == 5000


def test_endless_line_on_stderr_is_bounded(world: World) -> None:
    world.start(python("import sys; sys.stderr.write('x' * 1_000_000)")).lease()
    assert sum(map(len, world.exit()["stderrTail"])) == 8192


def test_slow_log_does_not_hold_up_the_launcher(world: World) -> None:
    read, write = os.pipe()
    world.start(python("import sys\nwhile 1: sys.stderr.write('x' * 9999)"), stderr=write)
    os.close(write)
    world.lease()
    world.until(lambda: world.status()["running"])
    os.kill(world.status()["pid"], signal.SIGKILL)
    assert world.exit()["signal"] == "SIGKILL"
    os.close(read)


@pytest.mark.parametrize(
    ("argv", "words"),
    [(["/nowhere/absent"], "No such file or directory"), (["/etc/passwd"], "Permission denied")],
    ids=["absent", "not executable"],
)
def test_program_that_cannot_be_executed_is_an_exit_with_words(world: World, argv: list[str], words: str) -> None:
    world.start(argv).lease()
    told = world.exit()
    assert told["code"] == 127
    assert f"cannot execute '{argv[0]}': {words}" in told["stderrTail"][0]


def test_bridge_that_hangs_up_ends_a_child_that_listens(world: World) -> None:
    lease = world.start(ECHO).lease()
    lease.hang_up()
    assert world.exit()["code"] == 0


def test_bridge_that_hangs_up_ends_a_stubborn_child_step_by_step(world: World) -> None:
    lease = world.start(STUBBORN, *QUICK).lease()
    assert lease.read() == b"ready\n"
    begun = time.monotonic()
    lease.hang_up()
    told = world.exit()
    assert told["signal"] == "SIGKILL"
    assert told["stderrTail"] == ["TERM"]
    assert time.monotonic() - begun >= 0.4


def test_sigterm_takes_the_same_steps_and_leaves_no_sockets(world: World) -> None:
    lease = world.start(STUBBORN, *QUICK).lease()
    assert lease.read() == b"ready\n"
    assert world.process is not None
    world.process.terminate()
    assert world.process.wait(10) == 0
    assert not alive(lease.answer["pid"])
    assert sorted(path.name for path in world.directory.iterdir()) == ["stderr"]


def test_sigterm_without_a_child_ends_at_once(world: World) -> None:
    world.start(ECHO).status()
    assert world.process is not None
    world.process.terminate()
    assert world.process.wait(10) == 0


@pytest.mark.parametrize("session", [False, True], ids=["same group", "own session"])
def test_grandchildren_are_killed_before_the_end_is_told(world: World, session: bool) -> None:
    program = (
        f"import subprocess; print(subprocess.Popen(['sleep', '300'], start_new_session={session}).pid, flush=True)"
    )
    lease = world.start(python(program)).lease()
    grandchild = int(lease.read())
    world.exit()
    assert not alive(grandchild)


def test_orphans_are_reaped(world: World) -> None:
    orphan = "subprocess.run(['sh', '-c', 'sleep 0.01 & exit'])"
    program = f"import subprocess, sys; {orphan}; print('done', flush=True); sys.stdin.read()"
    lease = world.start(python(program)).lease()
    assert lease.read() == b"done\n"
    assert world.process is not None
    parent = world.process.pid

    def zombies() -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, ppid = path.read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(ppid) == parent and state == "Z":
                found.append(path.parent.name)
        return found

    world.until(lambda: not zombies())


def test_memory_kill_is_seen_in_the_counters_of_cgroup_v1(world: World) -> None:
    counter = world.directory / "memory/memory.oom_control"
    counter.parent.mkdir()
    counter.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    lease = world.start(ECHO, "--cgroup-root", str(world.directory)).lease()
    counter.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
    os.kill(lease.answer["pid"], signal.SIGKILL)
    assert world.exit()["oomKilled"] is True


def test_child_has_its_limits_a_session_of_its_own_and_default_signals(world: World) -> None:
    program = (
        "import os, resource as r; print(r.getrlimit(r.RLIMIT_NPROC), r.getrlimit(r.RLIMIT_CORE),"
        " os.getsid(0) == os.getpid(), len(os.listdir('/proc/self/fd')))"
    )
    # `cat` would show SIGPIPE as ignored, were it left so: Python itself ignores it again.
    lease = world.start(
        ["sh", "-c", f'grep SigIgn /proc/self/status; exec {sys.executable} -I -c "{program}"'], "--max-processes", "33"
    ).lease()
    output = b""
    while chunk := lease.read():
        output += chunk
    ignored = int(output.split(b"SigIgn:")[1].split(maxsplit=1)[0], 16)
    # Two numbers belong to the C library; nobody can set them.
    assert [number for number in signal.valid_signals() if ignored >> (number - 1) & 1] == []
    # stdin, stdout, stderr and the listing itself
    assert output.splitlines()[-1] == b"(33, 33) (0, 0) True 4"


@needs_root
def test_process_limit_holds(world: World) -> None:
    program = """
import os, time
started = 0
try:
    while started < 100:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        started += 1
except OSError as error:
    print(started, error.strerror, flush=True)
"""
    copy = world.directory / "launcher.py"
    copy.write_bytes(LAUNCHER.read_bytes())
    world.interpreter = ["/usr/bin/python3", "-I", str(copy)]
    argv = ["/usr/bin/python3", "-I", "-c", program]
    lease = world.start(argv, "--max-processes", "10", user=1_234_567, group=1_234_567, extra_groups=[]).lease()
    started, why = lease.read().decode().split(" ", 1)
    assert int(started) < 10
    assert "temporarily unavailable" in why


def test_unread_watchers_are_dropped_and_the_others_told(world: World) -> None:
    world.start(python("raise SystemExit(0)")).status()
    for _ in range(3):
        connection = socket.socket(socket.AF_UNIX)
        world.connections.append(connection)
        connection.connect(str(world.directory / "c"))
    world.lease()
    assert world.exit()["code"] == 0


def test_too_many_connections_are_turned_away_and_room_comes_back(world: World) -> None:
    world.start(ECHO).status()
    for _ in range(40):
        connection = socket.socket(socket.AF_UNIX)
        world.connections.append(connection)
        connection.connect(str(world.directory / "s"))
    for connection in world.connections:
        connection.close()
    world.until(lambda: "pid" in world.lease().answer)


def test_socket_of_an_earlier_launcher_is_replaced(world: World) -> None:
    with socket.socket(socket.AF_UNIX) as earlier:
        earlier.bind(str(world.directory / "s"))
    assert "pid" in world.start(ECHO).lease().answer
    assert (world.directory / "s").stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--socket, --control and a command"),
        (["--socket", "s", "--control", "c", "--"], "--socket, --control and a command"),
        (["--socket"], "takes one value"),
        (["--socket", "s", "--control", "c", "--max-processes", "many", "--", "x"], "--max-processes must be a number"),
        (["--sockets", "s", "--", "x"], "unknown option --sockets"),
        (["--socket", "/nowhere/s", "--control", "c", "--", "x"], "cannot listen on /nowhere/s"),
    ],
)
def test_command_line_that_cannot_work_is_refused_in_words(arguments: list[str], words: str) -> None:
    argv = [sys.executable, "-I", str(LAUNCHER), *arguments]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=20)
    assert done.returncode in (1, 2)
    assert words in done.stderr
