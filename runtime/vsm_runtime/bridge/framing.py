"""Lines out of chunks, with a bound: a line that is too long is dropped as it arrives, never collected."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_EDGE_BYTES = 512
_ID_FIRST = re.compile(rb'^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,')
_ID_LAST = re.compile(rb'[,}]\s*"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


@dataclass(frozen=True, slots=True)
class Oversized:
    """A line that was longer than the limit."""

    size_bytes: int
    response_id: int | None
    """Whose answer it was, when its first or last bytes say so: every known implementation writes the id there."""


class LineSplitter:
    """Feed it what was read; it keeps at most one line, and of a line over the limit only both ends."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()
        """The present line; only its head and its tail once it is over the limit."""
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes | Oversized]:
        """The lines that `chunk` completes, without their ends; blank ones are left out."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            if not self._size_bytes and end - start <= self._max_bytes:
                line = chunk[start:end]  # the usual case: a whole line in one chunk
                if line.strip():
                    yield line
            else:
                self._append(chunk[start:end])
                yield from self._finish()
            start = end + 1
        if start < len(chunk):
            self._append(chunk[start:] if start else chunk)

    def _append(self, part: bytes) -> None:
        self._line += part
        self._size_bytes += len(part)
        if self._size_bytes > self._max_bytes and len(self._line) > 2 * _EDGE_BYTES:
            self._line = self._line[:_EDGE_BYTES] + self._line[-_EDGE_BYTES:]

    def _finish(self) -> Iterator[bytes | Oversized]:
        line, size_bytes = bytes(self._line), self._size_bytes
        self._line, self._size_bytes = bytearray(), 0
        if size_bytes > self._max_bytes:
            yield Oversized(size_bytes, response_id(line))
        elif line.strip():
            yield line


def response_id(edges: bytes) -> int | None:
    """Whose answer an unreadable line was, as far as its ends tell."""
    head, tail = edges[:_EDGE_BYTES], edges[-_EDGE_BYTES:]
    match = _ID_FIRST.search(head) or _ID_LAST.search(tail)
    # A message with a method is a request or a notification of the server, not an answer.
    return int(match[1]) if match and b'"method"' not in head[:64] else None
