"""Several children at once: room for so many, each with its own lease, ladder, words and end."""

import os
import random
import select
import signal
import socket
import time

import pytest

from unit.launcher.world import Lease, World, alive, descendants_of, python

ECHO = ["cat"]
FOUR = ("--max-children", "4", "--stdin-grace-seconds", "0.3", "--term-grace-seconds", "0.3")
STUBBORN = python(
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: print('TERM', file=sys.stderr, flush=True))\n"
    "print('ready', flush=True)\n"
    "while 1: time.sleep(0.05)"
)
MESSY = [
    "sh",
    "-c",
    "sleep 300 & setsid sleep 300 & sh -c 'setsid sleep 300 & exit'; echo words >&2; echo ready; exec cat",
]


def test_children_have_pipes_and_numbers_of_their_own(world: World) -> None:
    leases = [world.start(ECHO, *FOUR).lease(), *(world.lease() for _ in range(3))]
    assert [lease.answer["start"] for lease in leases] == [1, 2, 3, 4]
    for number, lease in enumerate(leases):
        lease.write(b"%d\n" % number)
    assert [lease.read() for lease in leases] == [b"0\n", b"1\n", b"2\n", b"3\n"]


def test_one_too_many_is_refused_and_a_death_makes_room(world: World) -> None:
    leases = [world.start(ECHO, *FOUR).lease(), *(world.lease() for _ in range(3))]
    assert "4 children are there already" in world.lease().answer["error"]
    leases[2].close_stdin()
    leases[2].exit()
    assert world.lease().answer["start"] == 5
    assert [alive(lease.pid) for lease in leases] == [True, True, False, True]


def test_every_end_is_told_on_its_own_lease_with_its_own_words(world: World) -> None:
    program = python("import sys; n = int(sys.stdin.readline()); print('I am', n, file=sys.stderr); sys.exit(n)")
    leases = [world.start(program, *FOUR).lease(), *(world.lease() for _ in range(3))]
    for number in (3, 1, 0, 2):
        leases[number].write(b"%d\n" % number)
    told = [lease.exit() for lease in leases]
    assert [one["code"] for one in told] == [0, 1, 2, 3]
    assert [one["stderrTail"] for one in told] == [[f"I am {number}"] for number in range(4)]


def test_ladders_run_side_by_side_and_spare_who_is_still_wanted(world: World) -> None:
    leases = [world.start(STUBBORN, *FOUR).lease(), *(world.lease() for _ in range(3))]
    for lease in leases:
        assert lease.read() == b"ready\n"
    begun = time.monotonic()
    for lease in leases[1:]:
        lease.let_go()
    assert [(told["signal"], told["stderrTail"]) for told in map(Lease.exit, leases[1:])] == [("SIGKILL", ["TERM"])] * 3
    assert 0.6 <= time.monotonic() - begun < 3
    assert alive(leases[0].pid)
    leases[0].let_go()
    # The only SIGTERM that it ever got is its own: its ladder began now.
    assert leases[0].exit()["stderrTail"] == ["TERM"]


def test_sigterm_ends_all_of_them(world: World) -> None:
    leases = [world.start(STUBBORN, *FOUR).lease(), *(world.lease() for _ in range(3))]
    for lease in leases:
        assert lease.read() == b"ready\n"
    assert world.process is not None
    world.process.terminate()
    assert [lease.exit()["signal"] for lease in leases] == ["SIGKILL"] * 4
    assert world.process.wait(10) == 0
    assert not any(alive(lease.pid) for lease in leases)


def test_lines_of_several_children_do_not_mix_in_the_log(world: World) -> None:
    program = python(
        "import os, sys\n"
        "letter = os.read(0, 1)\n"
        "for _ in range(300):\n"
        "    for piece in (letter * 700, letter * 700, letter * 700 + b'\\n'): os.write(2, piece)"
    )
    leases = [world.start(program, *FOUR).lease(), *(world.lease() for _ in range(3))]
    for letter, lease in zip(b"abcd", leases, strict=True):
        lease.write(bytes([letter]))
    for lease in leases:
        lease.exit()
    lines = world.stderr().splitlines()
    assert sorted(lines) == sorted(letter * 2100 for letter in "abcd" for _ in range(300))


def test_words_of_a_child_are_kept_while_another_floods_a_slow_log(world: World) -> None:
    read, write = os.pipe()
    program = python(
        "import os, sys\n"
        "if sys.stdin.readline() == 'flood\\n':\n"
        "    while 1: os.write(2, b'x' * 65536)\n"
        "os.write(2, b'last words\\n')"
    )
    world.start(program, *FOUR, stderr=write)
    loud, quiet = world.lease(), world.lease()
    loud.write(b"flood\n")
    # Nobody reads the log: it fills up, and then the launcher's own buffer.
    world.until(lambda: not select.select([], [write], [], 0)[1])
    quiet.write(b"speak\n")
    assert quiet.exit()["stderrTail"] == ["last words"]
    assert alive(loud.pid)
    os.close(read)
    os.close(write)


def test_memory_kill_is_blamed_on_the_child_that_it_hit(world: World) -> None:
    counter = world.directory / "memory.events"
    counter.write_text("oom_kill 4\n")
    world.start(ECHO, *FOUR, "--cgroup-root", str(world.directory))
    hit, killed, leaves, alone = (world.lease() for _ in range(4))
    counter.write_text("oom_kill 5\n")
    leaves.close_stdin()
    assert leaves.exit()["oomKilled"] is False
    os.kill(hit.pid, signal.SIGKILL)
    assert hit.exit()["oomKilled"] is True
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.exit()["oomKilled"] is False
    # It was a process of its own that was killed, and nobody else is there to blame.
    counter.write_text("oom_kill 6\n")
    alone.close_stdin()
    assert alone.exit()["oomKilled"] is True


def test_child_that_we_had_to_kill_was_not_killed_for_memory(world: World) -> None:
    counter = world.directory / "memory.events"
    counter.write_text("oom_kill 4\n")
    leases = [world.start(STUBBORN, *FOUR, "--cgroup-root", str(world.directory)).lease(), world.lease()]
    counter.write_text("oom_kill 5\n")  # some process of one of them
    leases[1].let_go()
    told = leases[1].exit()
    assert (told["signal"], told["oomKilled"]) == ("SIGKILL", False)


@pytest.mark.parametrize("seed", range(3))
def test_hundreds_of_starts_and_ends_leave_no_process_and_no_descriptor_behind(world: World, seed: int) -> None:
    """Four at a time, ended in every way there is, at any moment from before the answer to long after it."""
    chance = random.Random(seed)  # noqa: S311
    world.start(MESSY, "--max-children", "4", "--stdin-grace-seconds", "0.05", "--term-grace-seconds", "0.05")
    first = world.lease()
    first.close_stdin()
    first.exit()
    first.vanish()
    before = world.descriptors()
    for _ in range(50):
        leases = [world.ask() for _ in range(4)]
        chance.shuffle(leases)
        heard = [lease for lease in leases if end(lease, chance)]
        for lease in heard:
            told = lease.exit()
            assert (told["code"] is None) != (told["signal"] is None)
            assert not alive(lease.pid)
            lease.vanish()
        world.leases.clear()
        world.until(lambda: not descendants_of(world.pid), what="no process left")
        world.until(lambda: world.descriptors() == before, what="as many descriptors as before")
    assert "Traceback" not in world.stderr()


def end(lease: Lease, chance: random.Random) -> bool:
    """One way of many. Whether there will be something to hear."""
    way = chance.choice(["vanish unheard", "vanish", "vanish in the middle", "let go", "kill", "close", "all"])
    if way == "vanish unheard":
        lease.vanish()
        return False
    answer = lease.lines.next()
    assert answer is not None
    lease.answer = answer
    if chance.random() < 0.5:
        assert lease.read() == b"ready\n"
    if way.startswith("vanish"):
        if way == "vanish in the middle":
            lease.connection.shutdown(socket.SHUT_WR)
            os.kill(lease.pid, signal.SIGKILL)
        lease.vanish()
        return False
    if way in ("kill", "all"):
        os.kill(lease.pid, signal.SIGKILL)
    if way in ("let go", "all"):
        lease.let_go()
    if way in ("close", "all"):
        lease.close_stdin()
    return True
