"""One line per step with the seconds since the start: `[ 12.3s] kube-apiserver ready`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO, TypeVar

Found = TypeVar("Found")


class Progress:
    """Prints to `stream` at once, so that a watcher behind a pipe sees it too."""

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stdout
        self._clock = clock
        self._started_seconds = clock()

    @property
    def elapsed_seconds(self) -> float:
        return self._clock() - self._started_seconds

    def step(self, text: str) -> None:
        print(f"[{self.elapsed_seconds:6.1f}s] {text}", file=self._stream, flush=True)


def wait_until(
    probe: Callable[[], Found | None], *, timeout_seconds: float, interval_seconds: float = 0.05
) -> Found | None:
    """The first answer of `probe` that is true, or None when the time is up. Asks at least once."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = probe()
        if found or time.monotonic() >= deadline:
            return found or None
        time.sleep(interval_seconds)
        interval_seconds = min(0.5, interval_seconds * 1.3)
