"""Which server a client talks to: the one that all share, or one of its own.

Isolated, every session of a legacy client has a server process for itself, and every modern client, which has no
session, one for as long as it keeps coming. The number of processes is bounded, and so are their idle and their whole
lifetime. One more server always runs: readiness, the list of tools for people and the pin come from that one.

Invariants: what has ended counts until its process is gone, so that never more run than may; a server that has not
served yet lasts only as long as somebody waits for it; when `run` returns, nothing is left and nothing begins any more.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from vsm_runtime.bridge.eras import Client
from vsm_runtime.bridge.feeds import Feed
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.questions import Owner
from vsm_runtime.bridge.sessions import SessionTable
from vsm_runtime.bridge.supervisor import Supervisor

_log = logging.getLogger(__name__)
EVICTABLE_AFTER_SECONDS = 30.0
"""A session that is idle for less is not sacrificed for a new one."""


class NoRoom(Exception):  # noqa: N818
    """As many servers run as may, and each is in use."""


class _SessionOwner:
    """The one client of an isolated server, reached by its stream outside of calls."""

    def __init__(self, client: Client, sessions: SessionTable) -> None:
        self.client = client
        self._sessions = sessions

    def tell(self, message: Json) -> bool:
        # Asked for each time: the table may have forgotten a session that was silent, and made it a new feed since.
        identity = self.client.identity
        return not self._sessions.is_ended(identity) and self._sessions.of(identity).feed.ask(message)


@dataclass(slots=True, eq=False)
class Own:
    """A server of one client's own."""

    supervisor: Supervisor
    task: asyncio.Task[None]
    begun: float
    last_used: float
    users: int = 0


class Pool:
    """The servers of this bridge. `main` is the one that is always there."""

    def __init__(
        self,
        make: Callable[[Owner | None], Supervisor],
        *,
        isolated: bool,
        max_sessions: int,
        idle_seconds: float,
        max_seconds: float,
        evictable_after_seconds: float = EVICTABLE_AFTER_SECONDS,
    ) -> None:
        self.main = make(None)
        self.isolated = isolated
        self.max_sessions = max_sessions
        self.sessions = SessionTable(self._on_forgotten, idle_seconds=idle_seconds)
        self._make = make
        self._idle_seconds = idle_seconds
        self._max_seconds = max_seconds
        self._evictable_after_seconds = evictable_after_seconds
        self._own: dict[str, Own] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._over = False

    def __len__(self) -> int:
        """Servers of clients' own."""
        return len(self._own)

    @property
    def in_flight(self) -> int:
        return sum(supervisor.hub.in_flight for supervisor in self._all())

    def find(self, key: str) -> Supervisor | None:
        """The server of this client, if it has one; it counts as used now.

        `key` is the client's identity, or its principal when modern.
        """
        if not self.isolated:
            return self.main
        own = self._own.get(key)
        if own is None:
            return None
        own.last_used = asyncio.get_running_loop().time()
        return own.supervisor

    async def begin(self, key: str, *, client: Client | None) -> Supervisor:
        """Found or made, and waited for until it serves or its first start has failed. Raises NoRoom.

        `client`: the legacy client whose session it is.
        """
        if not self.isolated:
            return self.main
        while self.find(key) is None and len(self._own) + len(self._ending) >= self.max_sessions:
            if not self._ending:
                self._evict()
            await asyncio.wait(self._ending, return_when=asyncio.FIRST_COMPLETED)
        own = self._own.get(key) or self._start(key, client)
        supervisor = own.supervisor
        if not supervisor.tried.is_set():
            own.users += 1
            try:
                await supervisor.tried.wait()
            finally:
                self.leave(own)
                if not supervisor.ready and not own.users and self._own.get(key) is own:
                    self.end(key)
        return supervisor

    def enter(self, key: str) -> "Own | None":
        """While a client waits for its server or listens to it, that server is not idle; until `leave`."""
        own = self._own.get(key)
        if own is not None:
            own.users += 1
        return own

    def leave(self, own: "Own | None") -> None:
        if own is not None:
            own.users -= 1
            own.last_used = asyncio.get_running_loop().time()

    def end(self, key: str, why: str = "the session is over") -> None:
        """Its calls and streams are over at once, its process as soon as it leaves."""
        own = self._own.pop(key, None)
        if own is None:
            return
        own.supervisor.hub.detach(why)
        own.supervisor.hub.board.end()
        self.sessions.end(key)
        own.task.cancel()
        self._ending.add(own.task)

    async def run(self) -> None:
        """Until cancelled; then every server has been told to leave, all at the same time, and has left."""
        parts = [asyncio.create_task(self.main.run()), asyncio.create_task(self._expire())]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._over = True
            for key in list(self._own):
                self.end(key, "the bridge is shutting down")
            for part in parts:
                part.cancel()
            outcomes = await asyncio.gather(*parts, *self._ending, return_exceptions=True)
        raise next(error for error in outcomes if isinstance(error, Exception))

    def end_streams(self) -> None:
        for supervisor in self._all():
            supervisor.hub.board.end()

    def _all(self) -> list[Supervisor]:
        return [self.main, *(own.supervisor for own in self._own.values())]

    def _on_forgotten(self, feed: Feed) -> None:
        for supervisor in self._all():
            supervisor.hub.board.remove(feed)

    def _start(self, key: str, client: Client | None) -> Own:
        """Raises NoRoom."""
        if self._over:
            raise NoRoom("the bridge is shutting down")
        supervisor = self._make(None if client is None else _SessionOwner(client, self.sessions))
        now = asyncio.get_running_loop().time()
        own = self._own[key] = Own(supervisor, asyncio.create_task(supervisor.run()), begun=now, last_used=now)
        own.task.add_done_callback(lambda task: self._on_done(key, own, task))
        return own

    def _on_done(self, key: str, own: Own, task: asyncio.Task[None]) -> None:
        if self._own.get(key) is own:
            # We did not cancel it. A mistake of ours must not cost the other sessions anything.
            error = None if task.cancelled() else task.exception()
            _log.error("a session ended: its supervisor failed", exc_info=error)
            self.end(key)
        self._ending.discard(task)
        own.supervisor.tried.set()

    def _evict(self) -> None:
        """Makes room by ending the session that has been idle for longest. Raises NoRoom."""
        now = asyncio.get_running_loop().time()
        idle = [(own.last_used, key) for key, own in self._own.items() if not own.users]
        if not idle or now - min(idle)[0] < self._evictable_after_seconds:
            raise NoRoom(f"{self.max_sessions} sessions have a server of their own already; end one, or try later")
        _log.info("the session that was idle for longest gives way to a new one")
        self.end(min(idle)[1])

    def _deadline(self, own: Own) -> float:
        idle_ends = own.last_used + self._idle_seconds
        whole_ends = own.begun + self._max_seconds
        return whole_ends if own.users else min(idle_ends, whole_ends)

    async def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            for key, own in list(self._own.items()):
                if self._deadline(own) <= now:
                    worn_out = own.begun + self._max_seconds <= now
                    why = "it has lasted as long as it may" if worn_out else "it was idle for too long"
                    _log.info("a session ended: %s", why)
                    self.end(key, f"the session is over: {why}")
            # Whatever begins or falls idle meanwhile is not due sooner than that.
            nearest = min((self._deadline(own) - now for own in self._own.values()), default=self._max_seconds)
            await asyncio.sleep(min(nearest, self._idle_seconds, self._max_seconds))
