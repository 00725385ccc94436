"""What the kernel says about a tree of processes. Linux only, as everything here."""

import contextlib
import os
import signal
import time
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def tree(*roots: int) -> list[int]:
    """The processes and all of their descendants that live."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) and fields[0] != "Z":
            parents[int(entry.name)] = int(fields[1])
    found = [root for root in roots if root in parents]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid and child not in found]
    return found


def leaf(pids: list[int], program: Path) -> int:
    """The process that runs `program` itself, and not its name in somebody's arguments. Raises LookupError."""
    for pid in pids:
        with contextlib.suppress(OSError):
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if len(argv) > 1 and argv[1] == str(program).encode():
                return pid
    raise LookupError(f"nothing runs {program}")


def rss_mib(*pids: int) -> float:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return total / (1 << 20)


def cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def end(*roots: int, grace_seconds: float = 5.0) -> None:
    """SIGTERM for the roots, then SIGKILL for all that was below them."""
    pids = tree(*roots)
    _signal(list(roots), signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(_stat(pid) and _stat(pid)[0] != "Z" for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal(pids, signal.SIGKILL)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _stat(pid: int) -> list[str]:
    """The fields after the name; [] when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
