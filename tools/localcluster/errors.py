"""
LocalClusterError         what failed, why, and the next command; the command line prints it without a traceback
├── PrerequisiteError          the host lacks something; nothing was started
├── BuildError           a binary could not be built; the cache holds no half of it
├── ComponentError       a part of the cluster did not become ready within its bound
└── CommandError         a helper program (ip, openssl, ctr, kubectl ...) failed
"""

from __future__ import annotations

from pathlib import Path

LOG_TAIL_LINES = 15
LOG_TAIL_BYTES = 16 * 1024


class LocalClusterError(Exception):
    """Anything that a person has to read. `next_step` is a command or a sentence, without a trailing newline."""

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step

    def explain(self) -> str:
        return f"{self}\nnext: {self.next_step}" if self.next_step else str(self)


class PrerequisiteError(LocalClusterError):
    """The host lacks a program, a device or a right."""


class BuildError(LocalClusterError):
    """`go build` failed, or no usable Go could be had."""


class CommandError(LocalClusterError):
    """A helper program exited with an error or took too long."""


class ComponentError(LocalClusterError):
    """A component did not become ready: carries the end of its log."""

    def __init__(self, component: str, problem: str, *, log: Path) -> None:
        super().__init__(
            f"{component}: {problem}", next_step=f"PYTHONPATH=tools python3 -m localcluster logs {component}"
        )
        self.component = component
        self.log = log

    def explain(self) -> str:
        lines = tail(self.log)
        shown = "\n".join(f"    {line}" for line in lines) if lines else "    (nothing)"
        return f"{self}\nlast lines of {self.log}:\n{shown}\nnext: {self.next_step}, then `up` again or `down`"


def tail(log: Path, *, lines: int = LOG_TAIL_LINES) -> list[str]:
    """The last lines of a log, bounded in bytes too; [] when there is none."""
    try:
        with log.open("rb") as stream:
            size_bytes = stream.seek(0, 2)
            stream.seek(max(0, size_bytes - LOG_TAIL_BYTES * max(1, lines // LOG_TAIL_LINES)))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]
