"""How long to wait before the next attempt: 1 s, doubled by each failure, at most 60 s; 60 s of health reset it.

The first failure of a server that had been serving is not waited for at all: its clients are.
"""

from dataclasses import dataclass

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
HEALTHY_SECONDS = 60.0
SERVING_SECONDS = 10.0
"""From here on a first failure is an accident, not a server that cannot start."""


@dataclass(slots=True)
class Backoff:
    """Pure: it is told how long the server was well and never looks at a clock."""

    failures: int = 0
    """In a row."""

    def after(self, healthy_seconds: float) -> float:
        """Counts one more failure and returns the delay before the next attempt, in seconds."""
        if healthy_seconds >= HEALTHY_SECONDS:
            self.failures = 0
        self.failures += 1
        if self.failures == 1 and healthy_seconds >= SERVING_SECONDS:
            return 0.0
        return min(FIRST_SECONDS * 2.0 ** min(self.failures - 1, 10), LONGEST_SECONDS)
