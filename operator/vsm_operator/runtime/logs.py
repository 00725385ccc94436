"""Logs: one JSON object per line, with the key, generation and reconcile id of whatever is being reconciled.

Secrets do not get here on purpose; `redacted` is the second line of defence. It masks values that were announced with
`Redactor.hide`, whatever looks like a bearer token or an API key, and fields whose name says secret.
"""

import json
import logging
import re
import sys
import traceback
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from vsm_operator.kube.kinds import Key

MASK = "***"
MAX_TEXT_LENGTH = 4000
_MIN_SECRET_LENGTH = 6
_TOKEN = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # JSON Web Token
    r"|\bsk-[A-Za-z0-9_-]{16,}"
    r"|(?i:\b(?:bearer|basic) )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # credentials in a URL
)
_SECRET_FIELD = re.compile(r"(?i)password|passwd|token|secret_?value|api_?key|authorization|htpasswd|credential")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, slots=True)
class Reconciling:
    """What the current task works on."""

    key: Key
    generation: int
    reconcile_id: str
    """Ties the lines of one pass together."""


reconciling: ContextVar[Reconciling | None] = ContextVar("reconciling", default=None)


class Redactor:
    """Values that must not be seen. Bounded by whoever announces them: credentials, a handful."""

    def __init__(self) -> None:
        self._hidden: set[str] = set()

    def hide(self, value: str) -> None:
        """Short values are left alone: masking every "a" would help nobody."""
        if len(value) >= _MIN_SECRET_LENGTH:
            self._hidden.add(value)

    def redacted(self, text: str) -> str:
        for value in self._hidden:
            text = text.replace(value, MASK)
        return _TOKEN.sub(MASK, text)


class JsonFormatter(logging.Formatter):
    """Fields: ts, level, logger, msg; key, generation, reconcile_id while reconciling; whatever `extra` brought."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._redactor = redactor or Redactor()

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "msg": self._clean(record.getMessage()),
        }
        context = reconciling.get()
        if context is not None:
            line |= {
                "key": str(context.key),
                "generation": context.generation,
                "reconcile_id": context.reconcile_id,
            }
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = MASK if _SECRET_FIELD.search(name) else self._clean(value)
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = self._clean("".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(line)  # ASCII: whatever a server printed, no stream refuses it

    def _clean(self, value: Any) -> Any:
        if isinstance(value, bool | int | float) or value is None:
            return value
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        return self._redactor.redacted(str(value))[:MAX_TEXT_LENGTH]


def configure(level: str, *, redactor: Redactor | None = None, stream: TextIO = sys.stderr) -> None:
    """Once, at start. kopf and httpx say at INFO what our own lines and metrics say better."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(redactor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("kopf", "httpx", "httpcore", "asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
