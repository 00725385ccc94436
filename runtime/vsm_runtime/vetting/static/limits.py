"""How much work one artefact may cause. Whatever exceeds a bound becomes a finding; nothing is skipped in silence."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one scan."""

    max_total_bytes: int = 512 * MEBIBYTE
    """Unpacked bytes of the whole artefact."""
    max_file_bytes: int = 32 * MEBIBYTE
    """A longer file is reported and only its beginning is read."""
    max_entries: int = 50_000
    max_depth: int = 48
    """Directories below each other."""
    max_seconds: float = 120.0
    file_seconds: int = 10
    """For the pattern matcher, for one window of one file."""
    max_parse_bytes: int = 384 * 1024
    """A longer source file is matched in windows but not parsed."""
    window_bytes: int = 4 * MEBIBYTE
    window_overlap_bytes: int = 16 * 1024
    max_findings: int = 500
    """The heaviest are kept; a note says how many were left out."""
    max_findings_per_rule_and_file: int = 3


class OutOfTime(Exception):  # noqa: N818 - a verdict on the input
    """The scan as a whole took longer than it may."""


@dataclass(slots=True)
class Deadline:
    """The one place of the scan that knows a clock."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = self.clock() + self.seconds

    def check(self) -> None:
        """Raises OutOfTime when the end has passed."""
        if self.clock() > self._end:
            raise OutOfTime(f"after {self.seconds:g} seconds")
