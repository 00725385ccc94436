"""The connection to the launcher that keeps one child alive: its start comes first on it, its end last.

The launcher runs beside untrusted code, so everything it says is bounded and cleaned before it goes anywhere; what it
should not have said counts as silence.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.link import ConnectFailed, Ending
from vsm_runtime.bridge.logs import shown

_log = logging.getLogger(__name__)
MAX_LINE_BYTES = 65536
MAX_TAIL_LINES = 40
MAX_TAIL_LINE_CHARS = 500


class LauncherBusy(ConnectFailed):
    """No child can be started before one has gone."""


class Lease(asyncio.Protocol):
    """Held from the moment the pipes were sent."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.on_gone: Callable[[], None] = lambda: None
        """Called when the child's end is known, or the launcher let go; at most once."""
        self._line = b""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] = loop.create_future()
        self._ending: asyncio.Future[Ending | None] = loop.create_future()

    async def started(self, *, timeout_seconds: float) -> None:
        """Raises ConnectFailed when the launcher does not start a child."""
        try:
            async with asyncio.timeout(timeout_seconds):
                line = await self._answer
        except TimeoutError:
            line = b""
        answer = _object(line)
        if not isinstance(answer.get("start"), int):
            failure = LauncherBusy if answer.get("busy") is True else ConnectFailed
            raise failure(f"the launcher did not start the server: {_words(answer) or 'it gave no answer'}")

    @property
    def over(self) -> bool:
        return self._ending.done()

    def let_go(self) -> None:
        """Tells the launcher to end the child; it still says how that went."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    async def ending(self, *, timeout_seconds: float) -> Ending | None:
        """How the child ended. None when the launcher does not say in time, or went away."""
        await asyncio.wait([self._ending], timeout=timeout_seconds)
        return self._ending.result() if self._ending.done() else None

    def drop(self) -> None:
        """Nobody listens any more. Harmless when repeated."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._on_line(line)
        if len(self._line) > MAX_LINE_BYTES:
            _log.warning("the launcher wrote more than %d bytes in one line", MAX_LINE_BYTES)
            self.drop()

    def _on_line(self, line: bytes) -> None:
        if not self._answer.done():
            self._answer.set_result(line)
        elif not self.over:
            ending = read_ending(line)
            if ending is None:
                _log.warning("the launcher wrote something that is no end of a server: %s", shown(line[:400]))
            self._finish(ending)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self._answer.done():
            self._answer.set_result(b"")
        if not self.over:
            self._finish(None)

    def _finish(self, ending: Ending | None) -> None:
        self._ending.set_result(ending)
        self.on_gone()


def read_ending(line: bytes) -> Ending | None:
    """None for a line that no launcher writes."""
    raw = _object(line).get("exit")
    if not isinstance(raw, dict):
        return None
    code, signal = raw.get("code"), raw.get("signal")
    code = code if _is_count(code) else None
    signal = shown(signal, 20) if isinstance(signal, str) else None
    oom_killed = raw.get("oomKilled") is True
    tail = raw.get("stderrTail")
    lines = [line for line in tail if isinstance(line, str)] if isinstance(tail, list) else []
    if oom_killed:
        message = "killed for exceeding its memory limit"
    elif signal:
        message = f"killed by {signal}"
    else:
        message = f"exited with code {code}"
    return Ending(
        message,
        exit_code=code,
        signal=signal,
        oom_killed=oom_killed,
        stderr_tail=tuple(shown(line, MAX_TAIL_LINE_CHARS) for line in lines[-MAX_TAIL_LINES:]),
    )


def _object(line: bytes) -> dict[str, Any]:
    try:
        raw = jsonrpc.decode(line)
    except jsonrpc.Malformed:
        return {}
    return raw if isinstance(raw, dict) else {}


def _words(answer: dict[str, Any]) -> str:
    error = answer.get("error")
    return shown(error) if isinstance(error, str) else ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
