"""What the launcher tells about the child: its control socket, read for as long as the bridge lives.

The launcher runs beside untrusted code, so everything it says is bounded and cleaned before it goes anywhere.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.link import Ending
from vsm_runtime.bridge.logs import shown

_log = logging.getLogger(__name__)
MAX_LINE_BYTES = 65536
MAX_TAIL_LINES = 40
MAX_TAIL_LINE_CHARS = 500
RECONNECT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class LauncherStatus:
    """One line of the control socket."""

    running: bool
    starts: int
    last_exit: Ending | None


def read_status(line: bytes) -> LauncherStatus | None:
    """None for a line that no launcher writes."""
    try:
        raw = jsonrpc.decode(line)
    except jsonrpc.Malformed:
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("running"), bool) or not _is_count(raw.get("starts")):
        return None
    exited = raw.get("lastExit")
    return LauncherStatus(raw["running"], raw["starts"], _ending(exited) if isinstance(exited, dict) else None)


def _ending(raw: dict[str, Any]) -> Ending:
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


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class ControlChannel:
    """Keeps the latest status at hand, and connects again whenever the launcher is started anew."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._changed = asyncio.Condition()
        self.latest: LauncherStatus | None = None
        """None while no launcher can be reached."""
        self.on_change: Callable[[LauncherStatus | None], None] = lambda _: None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_BYTES)
                try:
                    await self._follow(reader)
                finally:
                    writer.close()
            await self._set(None)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                _log.warning("the launcher wrote more than %d bytes in one line", MAX_LINE_BYTES)
                return
            if not line:
                return
            status = read_status(line)
            if status is None:
                _log.warning("the launcher wrote something that is no status: %s", shown(line[:400]))
                return
            await self._set(status)

    async def _set(self, status: LauncherStatus | None) -> None:
        if status == self.latest:
            return
        self.latest = status
        self.on_change(status)
        async with self._changed:
            self._changed.notify_all()

    async def reachable(self) -> None:
        """Waits for a first status: without one, nobody could say how a child ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.latest is not None)

    async def ending_of(self, start: int, *, timeout_seconds: float) -> Ending | None:
        """How the child with that number ended. None when the launcher does not say in time, or went away."""

        def over() -> bool:
            latest = self.latest
            return latest is None or latest.starts > start or (latest.starts == start and not latest.running)

        try:
            async with asyncio.timeout(timeout_seconds), self._changed:
                await self._changed.wait_for(over)
        except TimeoutError:
            return None
        if self.latest is None or self.latest.starts < start:
            return None
        return self.latest.last_exit
