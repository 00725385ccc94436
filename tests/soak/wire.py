"""Just enough HTTP over asyncio streams to hang up at any moment. One connection, one request at a time."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

ANSWER_SECONDS = 20.0
"""Of calls that take milliseconds: reached only when an answer is lost."""


class Broken(Exception):  # noqa: N818
    """The other side closed before its answer was whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    messages: list[dict[str, Any]]


class Wire:
    """Connects when it is first needed, and again after every end of a connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, message: dict[str, Any], headers: dict[str, str], *, method: str = "POST") -> Answer:
        """Raises Broken, and TimeoutError for an answer that is lost."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await self.connected()
                writer.write(_request(message, headers, method))
                await writer.drain()
                return await _answer(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            if isinstance(error, TimeoutError):
                raise
            self.hang_up()
            raise Broken(f"{type(error).__name__}: {error}") from error
        except asyncio.CancelledError:
            self.hang_up()
            raise

    def hang_up(self) -> None:
        """Without a goodbye, whatever is on its way."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams[1].close()
            self._streams = None

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams


def _request(message: dict[str, Any], headers: dict[str, str], method: str) -> bytes:
    body = json.dumps(message).encode()
    lines = [f"{method} /mcp HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += ["Content-Type: application/json", "Accept: application/json, text/event-stream"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    text = body.decode()
    if headers.get("content-type", "").startswith("text/event-stream"):
        messages = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    else:
        messages = [json.loads(text)] if text.startswith("{") else []
    return Answer(int(head[0].split()[1]), headers, messages)
