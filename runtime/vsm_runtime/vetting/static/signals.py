"""What one look at one file may say: signals with a weight, in groups, and the vocabulary of capabilities.

A weight is the part of the doubt that the signal leaves standing against the file, 0 to 1; `scoring` joins them.
Signals of one group say the same thing twice and count once.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from vsm_operator.domain.vetting.model import Severity

MAX_SNIPPET_BYTES = 400


class Capability(StrEnum):
    """What code can reach. A capability is information, never a fault."""

    PROCESS = "process"
    NETWORK = "network"
    FILESYSTEM = "filesystem"
    ENVIRONMENT = "environment"
    DYNAMIC_CODE = "dynamic-code"
    NATIVE = "native"
    INSTALL_CODE = "install-code"


@dataclass(frozen=True, slots=True, order=True)
class Signal:
    """One observation in one file."""

    rule: str
    group: str
    weight: float
    summary: str
    line: int = 0
    snippet_sha256: str = ""
    facts: str = ""
    """Which parts of a chain this is: "collect", "send", "download", "execute", "encode"; space-separated."""
    install_weight: float = 0.0
    """Instead of `weight` where it is larger, if the file runs at installation."""


def snippet_hash(data: bytes) -> str:
    """Of the matched bytes without the white space around them: the text itself is hostile and is not passed on."""
    return hashlib.sha256(data[:MAX_SNIPPET_BYTES].strip()).hexdigest()


def severity_of(weight: float) -> Severity:
    """The words of the evidence model for a weight."""
    words: tuple[tuple[float, Severity], ...] = ((0.85, "critical"), (0.6, "high"), (0.3, "medium"), (0.1, "low"))
    for floor, word in words:
        if weight >= floor:
            return word
    return "info"
