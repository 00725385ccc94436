import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import processes

IGNORES_SIGTERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('armed', flush=True); signal.pause()"
)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(["sleep", "600"], text=True) as process:
        yield process
        process.kill()


def test_a_process_that_is_no_longer_ours_is_left_alone(sleeper: subprocess.Popen[str]) -> None:
    """What a recycled process id looks like: it lives, but the second look finds it outside our group."""
    assert processes.end(sleeper.pid, still_ours=lambda _: False, grace_seconds=0)

    assert sleeper.poll() is None


def test_a_process_of_ours_is_ended(sleeper: subprocess.Popen[str]) -> None:
    assert processes.end(sleeper.pid, still_ours=lambda pid: pid == sleeper.pid, grace_seconds=5)

    assert sleeper.wait(timeout=10) == -signal.SIGTERM


def test_a_process_that_ignores_the_request_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", IGNORES_SIGTERM], stdout=subprocess.PIPE, text=True) as stubborn:
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == "armed\n"

        assert processes.end(stubborn.pid, still_ours=lambda _: True, grace_seconds=0.05)

        assert stubborn.wait(timeout=10) == -signal.SIGKILL


def test_ending_a_process_that_is_gone_succeeds() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    assert processes.end(gone.pid, still_ours=lambda _: pytest.fail("it is gone"), grace_seconds=0)


def test_the_program_of_a_running_process_is_its_executables_name(sleeper: subprocess.Popen[str]) -> None:
    expected = Path(f"/proc/{sleeper.pid}/exe").resolve().name  # "sleep", or the multi-call program behind it

    assert processes.program_of(sleeper.pid) == expected


def test_an_executable_replaced_on_disk_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "exe").symlink_to("/run/node/addons/pause (deleted)")

    assert processes.program_of(7, proc=tmp_path) == "pause"
    assert processes.program_of(8, proc=tmp_path) == ""


def test_a_group_is_searched_by_program_so_that_helpers_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    own = processes.program_of(os.getpid())

    assert processes.find(tmp_path, program=own) == os.getpid()
    assert processes.find(tmp_path, program="containerd") is None


def test_a_group_that_empties_itself_has_nothing_left(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("")

    assert processes.end_all(tmp_path, timeout_seconds=0) == []
