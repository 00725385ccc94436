"""What the hub and the supervisor need of a connection to a server, whichever transport it is."""

from dataclasses import dataclass, field
from typing import Protocol

from vsm_runtime.bridge.jsonrpc import Json


class ConnectFailed(Exception):  # noqa: N818
    """There is no server to talk to; the text says what was tried and what answered."""


class LinkBusy(Exception):  # noqa: N818
    """The server does not read what it was sent already; nothing of this message was sent."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a server ended, as far as anyone saw. Everything in it is untrusted text within bounds."""

    message: str
    exit_code: int | None = None
    signal: str | None = None
    oom_killed: bool = False
    stderr_tail: tuple[str, ...] = field(default=())


class Receiver(Protocol):
    """The hub, as a link sees it."""

    def on_message(self, message: object, related: int | None) -> None:
        """One decoded JSON value. `related`: id of the call in whose answer it came, where the transport tells."""

    def on_unreadable(self, size_bytes: int, response_id: int | None) -> None:
        """An answer that is too large or too dense was dropped."""

    def on_gone(self) -> None:
        """The server cannot answer any more. Comes once, and at once."""


class Link(Protocol):
    """A connection, from the moment it stands until `close`."""

    def send(self, message: Json) -> None:
        """Queues one message. Raises LinkBusy."""

    def cancel(self, request_id: int, reason: str) -> None:
        """The answer to this request is not wanted any more. Never raises."""

    async def close(self) -> Ending:
        """Ends the server's life, where that is ours to end, and says how it went. Bounded in time."""


class Connector(Protocol):
    """Makes links."""

    async def connect(self, receiver: Receiver) -> Link:
        """Raises ConnectFailed. Cancellable."""
