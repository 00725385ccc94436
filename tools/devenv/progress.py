"""One line per step: seconds since the start, what is being done, how it ended and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

_TITLE_WIDTH = 44


@dataclass(slots=True)
class Step:
    """What the line says at its end; a step sets `outcome` when "done" says too little."""

    outcome: str = "done"


@dataclass(slots=True)
class Progress:
    """Writes the lines. A step's line is begun at once, so that a long one is seen to be at work."""

    out: TextIO
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _open: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def say(self, text: str) -> None:
        """A line of its own, below the open step if there is one."""
        if self._open:
            self.out.write("\n")
            self._open = False
        self.out.write(f"{self._stamp()} {text}\n")
        self.out.flush()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """The line of one step; "failed" when the block raises, which goes on to the caller."""
        begun = self.clock()
        step = Step()
        self.out.write(f"{self._stamp()} {title + ' ':.<{_TITLE_WIDTH}} ")
        self.out.flush()
        self._open = True
        try:
            yield step
        except BaseException:
            step.outcome = "failed"
            raise
        finally:
            took = f"{step.outcome}, {self.clock() - begun:.1f} s"
            self.out.write(f"{took}\n" if self._open else f"{self._stamp()} {title}: {took}\n")
            self.out.flush()
            self._open = False

    def _stamp(self) -> str:
        return f"[{self.clock() - self._started:6.1f} s]"
