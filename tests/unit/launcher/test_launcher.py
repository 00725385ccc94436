"""What the launcher guarantees about a child: its pipes, its limits, its end, and what is told about it."""

import os
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from unit.launcher.world import LAUNCHER, World, alive, descendants_of, python

ECHO = ["cat"]
QUICK = ("--stdin-grace-seconds", "0.2", "--term-grace-seconds", "0.2")
STUBBORN = python(
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: print('TERM', file=sys.stderr, flush=True));"
    "print('ready', flush=True); [time.sleep(0.05) for _ in range(2000)]"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


def test_child_talks_through_the_pipes_it_was_given(world: World) -> None:
    lease = world.start(ECHO).lease()
    assert lease.answer == {"pid": lease.pid, "start": 1}
    assert alive(lease.pid)
    lease.write(b"hello\n")
    assert lease.read() == b"hello\n"


def test_child_that_was_never_asked_for_does_not_run(world: World) -> None:
    world.start(ECHO).connect().close()
    assert descendants_of(world.pid) == []


def test_second_child_is_refused_while_one_lives_and_welcome_afterwards(world: World) -> None:
    first = world.start(ECHO).lease()
    assert world.lease().answer == {"error": "the previous child has not gone yet", "busy": True}
    first.close_stdin()
    first.exit()
    assert world.lease().answer["start"] == 2


@pytest.mark.parametrize("fds", [0, 1])
def test_hello_without_both_descriptors_is_refused(world: World, fds: int) -> None:
    refused = world.start(ECHO).lease(fds=fds)
    assert "two descriptors" in refused.answer["error"]
    assert refused.lines.next() is None
    assert world.lease().answer["start"] == 1


@pytest.mark.parametrize(
    ("program", "code", "number"),
    [("raise SystemExit(7)", 7, None), ("import os; os.kill(os.getpid(), 9)", None, "SIGKILL")],
    ids=["exit", "signal"],
)
def test_exit_tells_code_or_signal(world: World, program: str, code: int | None, number: str | None) -> None:
    told = world.start(python(program)).lease().exit()
    assert (told["code"], told["signal"], told["oomKilled"]) == (code, number, False)
    assert told["at"].endswith("Z")


def test_last_lines_of_stderr_are_kept_and_all_is_passed_on(world: World) -> None:
    lease = world.start(python("import sys; [print('line', i, file=sys.stderr) for i in range(5000)]")).lease()
    tail = lease.exit()["stderrTail"]
    assert len(tail) == 40
    assert tail[-1] == "line 4999"
    assert world.stderr().count("\n") == 5000


def test_endless_line_on_stderr_is_bounded(world: World) -> None:
    lease = world.start(python("import sys; sys.stderr.write('x' * 1_000_000)")).lease()
    assert sum(map(len, lease.exit()["stderrTail"])) == 8192
    assert world.stderr() == "x" * 1_000_000


def test_slow_log_does_not_hold_up_the_launcher(world: World) -> None:
    read, write = os.pipe()
    world.start(python("import sys\nwhile 1: sys.stderr.write('x' * 9999)"), stderr=write)
    os.close(write)
    lease = world.lease()
    os.kill(lease.pid, signal.SIGKILL)
    assert lease.exit()["signal"] == "SIGKILL"
    os.close(read)


def test_slow_log_makes_the_child_wait_and_misses_no_line(world: World) -> None:
    read, write = os.pipe()
    program = "import os; [os.write(2, b'%09d\\n' % i) for i in range(50_000)]; os.write(1, b'said'); os.read(0, 1)"
    lease = world.start(python(program), stderr=write).lease()
    os.close(write)
    assert not select.select([lease.stdout], [], [], 0.5)[0]
    log = b""
    while len(log) < 500_000:
        log += os.read(read, 65536)
    assert log.split() == [b"%09d" % i for i in range(50_000)]
    assert alive(lease.pid)
    os.close(read)


def test_child_that_closes_its_stderr_costs_nothing(world: World) -> None:
    lease = world.start(["sh", "-c", "exec 2>&-; echo closed; sleep 0.5"]).lease()
    assert lease.read() == b"closed\n"
    cpu_seconds = world.cpu_seconds()
    assert lease.exit()["code"] == 0
    assert world.cpu_seconds() - cpu_seconds < 0.1


def test_flood_of_words_into_a_fast_log_does_not_hold_up_the_launcher(world: World) -> None:
    flood = python("import os\nwhile 1: os.write(2, b'x' * 65536)")
    lease = world.start(flood, *QUICK, stderr=subprocess.DEVNULL).lease()
    assert "error" in world.lease().answer
    lease.let_go()
    assert lease.exit()["signal"] == "SIGTERM"


@pytest.mark.parametrize(
    ("argv", "words"),
    [(["/nowhere/absent"], "No such file or directory"), (["/etc/passwd"], "Permission denied")],
    ids=["absent", "not executable"],
)
def test_program_that_cannot_be_executed_is_an_exit_with_words(world: World, argv: list[str], words: str) -> None:
    told = world.start(argv).lease().exit()
    assert told["code"] == 127
    assert f"cannot execute '{argv[0]}': {words}" in told["stderrTail"][0]


def test_bridge_that_lets_go_ends_a_child_that_listens_and_hears_of_it(world: World) -> None:
    lease = world.start(ECHO).lease()
    lease.close_stdin()
    lease.let_go()
    assert lease.exit()["code"] == 0


def test_bridge_that_vanishes_ends_the_child_and_not_the_launcher(world: World) -> None:
    world.start(ECHO).lease().vanish()
    world.until(lambda: not descendants_of(world.pid))
    assert "pid" in world.lease().answer


def test_bridge_that_vanishes_before_the_answer_leaves_no_child(world: World) -> None:
    world.start(ECHO)
    for _ in range(20):
        world.ask().vanish()
    world.until(lambda: "pid" in world.lease().answer)
    assert len(descendants_of(world.pid)) == 1


def test_child_whose_time_is_up_at_once_is_ended(world: World) -> None:
    world.start(STUBBORN, "--stdin-grace-seconds", "0", "--term-grace-seconds", "0")
    for _ in range(30):
        world.ask().vanish()
        world.until(lambda: not descendants_of(world.pid))


def test_bridge_that_lets_go_ends_a_stubborn_child_step_by_step_without_busy_waiting(world: World) -> None:
    lease = world.start(STUBBORN, "--stdin-grace-seconds", "0.5", "--term-grace-seconds", "0.5").lease()
    assert lease.read() == b"ready\n"
    begun, cpu_seconds = time.monotonic(), world.cpu_seconds()
    lease.let_go()
    told = lease.exit()
    assert told["signal"] == "SIGKILL"
    assert told["stderrTail"] == ["TERM"]
    assert time.monotonic() - begun >= 1
    assert world.cpu_seconds() - cpu_seconds < 0.1


def test_record_waits_for_a_bridge_that_does_not_read_and_holds_up_nobody(world: World) -> None:
    # The worst that JSON makes of a tail: six characters for each byte that is no text.
    lease = world.start(python("import os; os.write(2, b'\\xff' * 9000)")).ask()
    world.until(lambda: "pid" in world.lease().answer)
    lease.answer = lease.lines.next() or {}
    assert lease.exit()["stderrTail"] == ["\N{REPLACEMENT CHARACTER}" * 8192]


def test_sigterm_takes_the_same_steps_and_leaves_no_sockets(world: World) -> None:
    lease = world.start(STUBBORN, *QUICK).lease()
    assert lease.read() == b"ready\n"
    assert world.process is not None
    world.process.terminate()
    assert lease.exit()["signal"] == "SIGKILL"
    assert world.process.wait(10) == 0
    assert not alive(lease.pid)
    assert sorted(path.name for path in world.directory.iterdir()) == ["stderr"]


def test_sigterm_without_a_child_ends_at_once(world: World) -> None:
    world.start(ECHO).connect().close()
    assert world.process is not None
    world.process.terminate()
    assert world.process.wait(10) == 0


def test_memory_kill_is_seen_in_the_counters_of_cgroup_v1(world: World) -> None:
    counter = world.directory / "memory/memory.oom_control"
    counter.parent.mkdir()
    counter.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    lease = world.start(ECHO, "--cgroup-root", str(world.directory)).lease()
    counter.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
    os.kill(lease.pid, signal.SIGKILL)
    assert lease.exit()["oomKilled"] is True


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


def test_too_many_connections_are_turned_away_and_room_comes_back(world: World) -> None:
    world.start(ECHO)
    connections = [world.connect() for _ in range(40)]
    # Sixteen may wait for their hello; the others are let go of at once, long before a hello is overdue.
    begun = time.monotonic()
    world.until(lambda: len(select.select(connections, [], [], 0)[0]) == 24)
    assert time.monotonic() - begun < 3
    for connection in connections:
        connection.close()

    def served() -> bool:
        try:
            return "pid" in (world.ask().lines.next() or {})
        except BrokenPipeError:
            return False

    world.until(served)


def test_refused_and_broken_hellos_leave_no_descriptor_behind(world: World) -> None:
    world.start(ECHO).lease()
    before = world.descriptors()
    for _ in range(30):
        for fds in (0, 1, 2):
            assert "error" in world.lease(fds=fds).answer
        world.connect().close()
    world.until(lambda: world.descriptors() == before, what="as many descriptors as before")


def test_socket_of_an_earlier_launcher_is_replaced(world: World) -> None:
    with socket.socket(socket.AF_UNIX) as earlier:
        earlier.bind(str(world.directory / "s"))
    assert "pid" in world.start(ECHO).lease().answer
    assert (world.directory / "s").stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--socket and a command"),
        (["--socket", "s", "--"], "--socket and a command"),
        (["--socket"], "takes one value"),
        (["--socket", "s", "--max-processes", "many", "--", "x"], "--max-processes must be a number"),
        (["--socket", "s", "--max-children", "0", "--", "x"], "--max-children must be from 1 to 256"),
        (["--sockets", "s", "--", "x"], "unknown option --sockets"),
        (["--socket", "/nowhere/s", "--", "x"], "cannot listen on /nowhere/s"),
    ],
)
def test_command_line_that_cannot_work_is_refused_in_words(arguments: list[str], words: str) -> None:
    argv = [sys.executable, "-I", str(LAUNCHER), *arguments]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=20)
    assert done.returncode in (1, 2)
    assert words in done.stderr
