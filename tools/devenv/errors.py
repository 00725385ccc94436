"""What goes wrong here is for the person at the terminal: what failed, why, what to do next. No traceback is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_SHOWN_LINES = 25


class DevenvError(Exception):
    """A step cannot be done; the message says what to do about it."""


class CommandError(DevenvError):
    """A program ended with an error or did not end in time."""

    def __init__(self, argv: Sequence[str], *, outcome: str, output: str, log: Path | None = None) -> None:
        self.argv = tuple(argv)
        self.output = output
        lines = output.strip().splitlines()
        shown = "\n".join(f"    {line}" for line in lines[-_SHOWN_LINES:])
        more = f"\n  everything it said: {log}" if log is not None and len(lines) > _SHOWN_LINES else ""
        super().__init__(f"{shown_command(argv)}: {outcome}\n{shown}{more}")


def shown_command(argv: Sequence[str], *, max_characters: int = 160) -> str:
    """The command for a message: one line, cut when it is long."""
    text = " ".join(argv)
    return text if len(text) <= max_characters else f"{text[: max_characters - 1]}…"
