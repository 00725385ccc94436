"""
OperatorError
├── Transient              backoff and again; the user is told only if it lasts
│   ├── Conflict           409, or 404 on a write: the object moved, the next pass reads it fresh
│   │   └── AlreadyExists  a create met an object of that name
│   ├── Throttled          429: retry_after_seconds, for every worker and not just this key
│   ├── ServerError        5xx, or an answer that makes no sense
│   ├── Unreachable        no answer: a write may or may not have happened
│   ├── NotServed          404 on a collection: its CustomResourceDefinition is not installed (yet)
│   └── Fenced             we may no longer be the leader: nothing was sent
└── Terminal               becomes a condition (reason, message); no timer brings it back, only a change does
    ├── InvalidSpec        422, or a spec that cannot be rendered
    ├── NotConfigured      the operator lacks a setting that the spec needs: a start with it looks again
    ├── NameTaken          an object of the child's name exists and is not ours: we never take it over
    └── Forbidden          403: also again every few minutes, since RBAC is repaired elsewhere

Raised low (kube/, resources/), translated to a Result once (runtime/controller.py). "Not found" on a read is None,
not an error. No httpx or pydantic exception leaves its layer: test_transport_errors_do_not_leak holds that line.
"""


class OperatorError(Exception):
    """Everything that this program raises on purpose. The message is for people: what failed, on which object, why."""


class Transient(OperatorError):  # noqa: N818 - reads better in `except Transient`
    """The same call may work later, without anybody changing anything."""


class Conflict(Transient):
    """The object is not what we thought it was: changed, replaced or gone."""


class AlreadyExists(Conflict):
    """Somebody, possibly ourselves before a lost answer, created an object of that name."""


class Throttled(Transient):
    """The API server asks everybody to slow down."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """From Retry-After; 1.0 when the header is absent."""


class ServerError(Transient):
    """The API server failed, or answered with something that cannot be read."""


class Unreachable(Transient):
    """No answer, or our credentials were refused. Whether a write happened is unknown; writes are idempotent."""


class NotServed(Transient):
    """The API server does not know this kind."""


class Fenced(Transient):
    """Another replica may hold the lease; the write was withheld."""


class Terminal(OperatorError):  # noqa: N818
    """Trying again cannot help until something changes. `reason` and `message` become a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """CamelCase, stable: scripts match on it."""
        self.message = message
        """What to do next, for people."""


class InvalidSpec(Terminal):
    """What the user asked for cannot be done as written."""


class NotConfigured(Terminal):
    """The spec is in order, and the operator has not been told what it takes; whoever installed it can mend that."""


class NameTaken(Terminal):
    """A child's name is used by an object that we did not make."""


class Forbidden(Terminal):
    """The API server refuses: a missing role, a quota, or an admission policy."""
