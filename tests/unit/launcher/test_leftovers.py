"""What a child leaves behind: forks, daemons, orphans, whatever they do to get away."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from unit.launcher.world import Lease, World, alive, descendants_of, python

LEAVER = """
import os, signal, sys

def left(steps):
    read, write = os.pipe()
    if os.fork() == 0:
        environment = dict(os.environ)
        for step in steps.split():
            if step == "setsid":
                os.setsid()
            elif step == "fork" and os.fork():
                os._exit(0)
            elif step == "deaf":
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
            elif step == "unmarked":
                environment = {}
        os.write(write, b"%d" % os.getpid())
        os.execve("/bin/sleep", ["sleep", "300"], environment)
    return os.read(read, 99).decode()

print(*map(left, sys.argv[1:]), flush=True)
sys.stdin.read()
"""
SHAPES = [
    pytest.param("", id="fork"),
    pytest.param("deaf", id="fork that ignores signals"),
    pytest.param("setsid", id="own session"),
    pytest.param("fork", id="double fork"),
    pytest.param("setsid fork", id="daemon"),
    pytest.param("fork setsid fork deaf", id="thorough daemon"),
    pytest.param("setsid fork setsid fork unmarked deaf", id="daemon without our mark"),
]


def leaver(*steps: str) -> list[str]:
    return [*python(LEAVER), *steps]


def left_by(lease: Lease) -> list[int]:
    pids = [int(pid) for pid in lease.read().split()]
    assert pids
    assert all(map(alive, pids))
    return pids


@pytest.mark.parametrize("steps", SHAPES)
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda lease: lease.close_stdin(), id="leaves"),
        pytest.param(lambda lease: os.kill(lease.pid, signal.SIGKILL), id="is killed"),
    ],
)
def test_what_a_child_left_is_gone_when_its_end_is_told(world: World, steps: str, end: Callable[[Lease], None]) -> None:
    lease = world.start(leaver(steps, steps)).lease()
    pids = left_by(lease)
    end(lease)
    lease.exit()
    assert not any(map(alive, pids))
    assert lease.read() == b""  # they held stdout open


def test_end_is_told_at_once_although_something_holds_stdout_open(world: World) -> None:
    lease = world.start(leaver(*[parameter.values[0] for parameter in SHAPES])).lease()
    left_by(lease)
    begun = time.monotonic()
    os.kill(lease.pid, signal.SIGKILL)
    lease.exit()
    assert time.monotonic() - begun < 0.5


@pytest.mark.parametrize("steps", [*SHAPES[:-1], pytest.param("fork unmarked", id="in its session, without our mark")])
def test_what_a_living_sibling_started_is_left_alone(world: World, steps: str) -> None:
    world.start(leaver(steps), "--max-children", "2")
    lives, dies = world.lease(), world.lease()
    kept, swept = left_by(lives), left_by(dies)
    dies.close_stdin()
    dies.exit()
    assert alive(lives.pid)
    assert all(map(alive, kept))
    assert not any(map(alive, swept))
    lives.close_stdin()
    lives.exit()
    assert not any(map(alive, kept))


def test_orphan_that_took_our_mark_away_goes_with_the_first_child_that_dies(world: World) -> None:
    """Nobody can tell whose it was; what is left alone for ever would be a leak."""
    world.start(leaver("setsid fork unmarked"), "--max-children", "2")
    lives, dies = world.lease(), world.lease()
    unmarked = left_by(lives)
    dies.vanish()
    world.until(lambda: not any(map(alive, unmarked)))
    assert alive(lives.pid)


def test_orphans_are_reaped_while_the_child_lives(world: World) -> None:
    orphans = "[subprocess.run(['sh', '-c', 'sleep 0.01 & exit']) for _ in range(20)]"
    program = f"import subprocess, sys; {orphans}; print('done', flush=True); sys.stdin.read()"
    lease = world.start(python(program)).lease()
    assert lease.read() == b"done\n"
    world.until(lambda: descendants_of(world.pid) == [lease.pid])


def test_daemon_that_never_keeps_its_process_id_is_swept_and_does_not_hold_the_place(world: World) -> None:
    program = """
import os, sys, time
if os.fork() == 0:
    print("ready", flush=True)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        os.setsid()
        if os.fork():
            os._exit(0)
    os._exit(0)
sys.stdin.read()
"""
    lease = world.start(python(program)).lease()
    assert lease.read() == b"ready\n"
    begun = time.monotonic()
    lease.close_stdin()
    assert lease.exit()["code"] == 0
    assert time.monotonic() - begun < 5
    assert "pid" in world.lease().answer
