"""Server-sent events: one JSON-RPC message an event, both ways (WHATWG HTML, "Server-sent events")."""

from collections.abc import Iterator

KEEPALIVE = b": keepalive\n\n"


class EventTooLarge(ValueError):  # noqa: N818
    """An event grew over the limit."""


def event(message: bytes) -> bytes:
    """`message` is one line of JSON, so one data field is enough."""
    return b"event: message\ndata: " + message + b"\n\n"


class EventParser:
    """Data of message events out of chunks; other events, ids and retry times are of no use here."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._name = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Raises EventTooLarge."""
        self._buffer += chunk
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            if line:
                self._field(line)
            elif (complete := self._dispatch()) is not None:
                yield complete
        if len(self._buffer) + self._size > self._max_bytes:
            raise EventTooLarge(f"an event is larger than {self._max_bytes} bytes")

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._name = value

    def _dispatch(self) -> bytes | None:
        data, name = b"\n".join(self._data), self._name
        self._data, self._size, self._name = [], 0, b""
        return data if data and name in (b"", b"message") else None
