"""The launcher in an image that has nothing: no libc, no shell, no interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unit.launcher.world import LAUNCHER, World, interpreter

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change the root directory")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("installed")
    done = subprocess.run(
        [sys.executable, "-I", str(LAUNCHER), "--install-to", str(directory)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"in {directory}" in done.stdout
    return directory


def test_installed_copy_is_complete_and_readable_for_everyone(installed: Path) -> None:
    assert {"ld.so", "lib", "python3", "launcher.py"} == {path.name for path in installed.iterdir()}
    for path in installed.rglob("*"):
        assert path.stat().st_mode & 0o004, path
        assert not path.stat().st_mode & 0o022 or path.is_dir(), path
    assert sum(path.stat().st_size for path in installed.rglob("*") if path.is_file()) < 60 << 20


def test_installing_twice_is_harmless(installed: Path) -> None:
    subprocess.run([sys.executable, "-I", str(LAUNCHER), "--install-to", str(installed)], check=True, timeout=60)


@needs_root
def test_installed_launcher_runs_a_child_in_an_empty_root(installed: Path, world: World) -> None:
    echo = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"
    world.start_in_empty_root(installed, [*interpreter("/run/launcher"), "-c", echo])
    lease = world.lease()
    lease.write(b"hello\n")
    assert lease.read() == b"HELLO\n"
    lease.close_stdin()
    assert lease.exit()["code"] == 0


@needs_root
def test_absent_program_in_an_empty_root_is_told_in_words(installed: Path, world: World) -> None:
    told = world.start_in_empty_root(installed, ["sh"]).lease().exit()
    assert told["code"] == 127
    assert "cannot execute 'sh'" in told["stderrTail"][0]
