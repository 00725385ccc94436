"""Log lines: JSON to stderr, bounded, and nothing of an untrusted text that could be taken for something else."""

import json
import logging
import re
import sys
import time

MAX_SHOWN = 300
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def shown(text: object, limit: int = MAX_SHOWN) -> str:
    """Untrusted text as one may print it: no escape sequences, no control or direction characters, bounded."""
    # Cut before the substitutions as well: their cost is that of the input.
    printable = _CONTROL.sub(" ", _ESCAPES.sub("", str(text)[: 4 * limit]))
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"


class Throttle:
    """At most so many lines in a period; the first line of the next period says how many were left out."""

    def __init__(self, *, lines: int, per_seconds: float) -> None:
        self._lines = lines
        self._per_seconds = per_seconds
        self._begun = float("-inf")
        self._said = 0

    def say(self, log: logging.Logger, level: int, template: str, text: str) -> None:
        """`text` is untrusted and replaces the one %s of the template."""
        now = time.monotonic()
        if now - self._begun >= self._per_seconds:
            if self._said > self._lines:
                log.log(level, "%d more lines like the last ones were left out", self._said - self._lines)
            self._begun, self._said = now, 0
        self._said += 1
        if self._said <= self._lines:
            log.log(level, template, shown(text))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix("vsm_runtime."),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # What any client can cause at will is below an error there.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.getLogger("httpx").setLevel(logging.WARNING)
