"""Whether the tools that a server lists are the ones that were admitted: one hash against another.

The admitted hash is a file that the operator writes, one line of `sha256:` and 64 hex digits; on a mounted ConfigMap
it changes by a swap of symlinks, so that its path is followed anew every time.

Invariants: a file always wins over what this process remembers; a file that is there and cannot be read or understood
admits nothing; once something counts as admitted, the file's going away admits nothing else.
"""

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_FILE_BYTES = 1024

Reason = Literal["", "ToolsChanged", "ToolsNotAdmitted"]
_Signature = tuple[int, ...] | None


class PinMode(StrEnum):
    """What it takes for a list of tools to be served."""

    OFF = "off"
    """Nothing."""
    FIRST_USE = "first-use"
    """That it is the admitted one; while nothing is admitted, the first one of this process is."""
    STRICT = "strict"
    """That it is the admitted one."""


@dataclass(frozen=True, slots=True)
class PinVerdict:
    """`reason` is empty exactly when `admitted`; `expected` is the admitted hash, if there is one."""

    admitted: bool
    expected: str | None
    reason: Reason = ""


class ToolPin:
    """Small reads from memory-backed mounts: none of them is worth a thread."""

    def __init__(self, mode: PinMode, path: Path | None) -> None:
        """ValueError without a path, unless the mode is off: nothing could ever be admitted."""
        if path is None and mode is not PinMode.OFF:
            raise ValueError(f"tool pin {mode.value} needs the path of the pin file")
        self._mode = mode
        self._path = path
        self._remembered: str | None = None
        self._signature: _Signature = None
        """Of the file as it was last read to its end."""

    def check(self, digest: str) -> PinVerdict:
        """Reads the file. Under first-use, an admitted `digest` is remembered. Never raises."""
        if self._mode is PinMode.OFF or self._path is None:
            return PinVerdict(admitted=True, expected=None)
        try:
            written = self._read(self._path)
        except (OSError, ValueError):
            return PinVerdict(admitted=False, expected=None, reason="ToolsNotAdmitted")
        if written is not None:
            self._remembered = written
        elif self._remembered is None and self._mode is PinMode.FIRST_USE and _DIGEST.fullmatch(digest):
            self._remembered = digest
        if self._mode is PinMode.STRICT and written is None:
            return PinVerdict(admitted=False, expected=None, reason="ToolsNotAdmitted")
        if self._remembered is None:
            return PinVerdict(admitted=False, expected=None, reason="ToolsNotAdmitted")
        if digest != self._remembered:
            return PinVerdict(admitted=False, expected=self._remembered, reason="ToolsChanged")
        return PinVerdict(admitted=True, expected=self._remembered)

    def changed_on_disk(self) -> bool:
        """Whether another `check` could say something else than the last one. One stat."""
        if self._mode is PinMode.OFF or self._path is None:
            return False
        try:
            signature: _Signature = _signature(self._path.stat())
        except OSError:
            signature = None
        return signature != self._signature

    def _read(self, path: Path) -> str | None:
        """None when there is no file. OSError when it cannot be read, ValueError when it holds no hash."""
        # Until it is read: what could not be may be readable now, without any trace in what stat tells.
        self._signature = None
        try:
            # Not blocking: whatever the path leads to, a pipe too, must not hold up the bridge.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            # Of the file that is open, not of the path, which may lead elsewhere by now.
            status = os.fstat(descriptor)
            content = os.read(descriptor, _MAX_FILE_BYTES)
        finally:
            os.close(descriptor)
        self._signature = _signature(status)
        text = content.decode().strip()
        if not _DIGEST.fullmatch(text):
            raise ValueError("not one line of sha256:<64 hex digits>")
        return text


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
