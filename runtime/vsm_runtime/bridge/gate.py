"""The one place that decides whether a server's tools may be shown: the pin, for all servers of this bridge together.

Closed by the first listing that is not admitted, before anyone sees it, or by a pin on disk that no longer admits what
is being served; opened again when the pin admits what was observed.
"""

import asyncio
from collections.abc import Callable

from vsm_runtime.bridge.pin import PinVerdict, ToolPin
from vsm_runtime.bridge.status import Blocked, Reason

RECHECK_SECONDS = 2.0
"""The pin is a mounted file, and nobody tells when it changes."""


class NotAdmitted(Exception):  # noqa: N818
    """These tools must not be shown."""

    def __init__(self, blocked: Blocked) -> None:
        super().__init__(blocked.sentence)
        self.blocked = blocked


class Gate:
    """Judges hashes of tool lists."""

    def __init__(self, pin: ToolPin) -> None:
        self._pin = pin
        self._observed: str | None = None
        self._changed = asyncio.Event()
        self.blocked: Blocked | None = None
        self.on_close: list[Callable[[Blocked], None]] = []

    def judge(self, digest: str) -> None:
        """Raises NotAdmitted, after everybody has been told."""
        verdict = self._pin.check(digest)
        if self.blocked is None:
            self._observed = digest
        if not verdict.admitted:
            raise NotAdmitted(self._close(verdict, digest))
        if self.blocked is not None:
            raise NotAdmitted(self.blocked)

    async def opened(self) -> None:
        """Returns at once while open."""
        while self.blocked is not None:
            self._changed.clear()
            await self._changed.wait()

    async def watch(self) -> None:
        """Until cancelled: follows the pin on disk."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            if self._observed is None or not self._pin.changed_on_disk():
                continue
            verdict = self._pin.check(self._observed)
            if not verdict.admitted:
                self._close(verdict, self._observed)
            elif self.blocked is not None:
                self.blocked = None
                self._changed.set()

    def _close(self, verdict: PinVerdict, digest: str) -> Blocked:
        self._observed = digest
        self.blocked = blocked = Blocked(Reason(verdict.reason), verdict.expected, digest)
        for tell in list(self.on_close):
            tell(blocked)
        return blocked
