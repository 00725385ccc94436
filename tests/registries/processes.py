"""Starts a registry as a process on a free port of loopback, and ends it with everything that it started."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

_START_SECONDS = 60
_STOP_SECONDS = 10
_ATTEMPTS = 3


@contextmanager
def served(argv: Callable[[int], list[str]], *, ready: str, log: Path, home: Path) -> Iterator[str]:
    """Yields the origin once `ready`, a path, answers 200.

    A port that somebody else took between our look and the start ends the process: then another one is tried.
    """
    for _ in range(_ATTEMPTS):
        port = _free_port()
        process = _start(argv(port), log=log, home=home)
        try:
            if _answers(process, f"http://127.0.0.1:{port}{ready}"):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            _end(process)
    raise RuntimeError(f"{_ATTEMPTS} starts failed; the last lines: {log.read_text(errors='replace')[-2000:]}")


def environment(home: Path) -> dict[str, str]:
    """Little, and no proxies: neither a registry nor a client of these tests has business beyond loopback."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(argv: list[str], *, log: Path, home: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            argv, env=environment(home), cwd=home, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, trust_env=False, timeout=5).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
