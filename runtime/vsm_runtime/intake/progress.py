"""One line per step on stderr, for whoever watches the log of an intake."""

import sys


def say(message: str) -> None:
    """Unbuffered: a killed intake has said everything that it did."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()
