"""What a failed answer of the API server means for us: status code and metav1.Status in, one of `errors` out."""

from collections.abc import Mapping
from typing import Any

from vsm_operator.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidSpec,
    OperatorError,
    ServerError,
    Unreachable,
)

MAX_MESSAGE_LENGTH = 600
_DEFAULT_PAUSE_SECONDS = 1.0


def error_for(code: int, status: Mapping[str, Any], *, what: str) -> OperatorError:
    """`what` is verb and object, for the message. Codes that only reads may see (404) are the caller's business."""
    said = str(status.get("message") or f"HTTP {code}")
    message = f"{what}: {said}"[:MAX_MESSAGE_LENGTH]
    reason = status.get("reason")
    if code == 409 and reason == "AlreadyExists":
        return AlreadyExists(message)
    if code in {404, 409, 410, 412} or _is_terminating(status):
        return Conflict(message)
    if code == 401:
        return Unreachable(f"{what}: the API server refuses our credentials, also after reading them again")
    if code == 403:
        return Forbidden("Forbidden", message)
    if code >= 500 or code == 408:
        return ServerError(message)
    return InvalidSpec("InvalidSpec", message)


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Seconds; a date or nonsense counts as absent, since the API server sends numbers."""
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdigit() else _DEFAULT_PAUSE_SECONDS


def _is_terminating(status: Mapping[str, Any]) -> bool:
    """403 while a namespace is being deleted: the object that we work for goes away as well."""
    causes = (status.get("details") or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
