"""Log lines: JSON to stderr, bounded, and nothing of an untrusted text that could be taken for something else."""

import json
import logging
import re
import sys
import time

MAX_SHOWN = 300
MAX_NAME_SHOWN = 128
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

_calls = logging.getLogger("vsm_runtime.bridge.calls")


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


def call_line(
    *,
    method: str,
    tool: str | None,
    client: str,
    outcome: str,
    seconds: float,
    bytes_in: int,
    bytes_out: int,
    traceparent: object = None,
) -> None:
    """One line per call, at DEBUG; else nothing is made of it.

    `client` is the name that authentication gave, never a session id: who knows one can use the session.
    """
    if not _calls.isEnabledFor(logging.DEBUG):
        return
    fields = {
        "method": shown(method, MAX_NAME_SHOWN),
        "tool": None if tool is None else shown(tool, MAX_NAME_SHOWN),
        "client": shown(client, MAX_NAME_SHOWN),
        "outcome": outcome,
        "ms": round(seconds * 1000, 3),
        "bytesIn": bytes_in,
        "bytesOut": bytes_out,
        "traceparent": shown(traceparent, MAX_NAME_SHOWN) if isinstance(traceparent, str) else None,
    }
    _calls.debug("call", extra={"fields": fields})


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix("vsm_runtime."),
            "message": record.getMessage(),
        }
        # By `extra`; what is above cannot be replaced by it.
        entry = {**entry, **getattr(record, "fields", {}), **entry}
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
