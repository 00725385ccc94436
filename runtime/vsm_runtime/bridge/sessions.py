"""Sessions of legacy clients. What a client said of itself is in the id; what it did since is in a bounded table.

    v1.<protocol version>.<letters for what it may be asked>.<128 random bits>

So a session costs nothing until it subscribes, listens or sets a log level, does not expire for want of memory, and
survives a restart of the bridge as well as of the server behind it. The id holds nothing but the client's own claims
about itself, which only affect that client; the random part makes it unguessable, and together with who the client
has proved to be it is what tells one client's requests from another's.
"""

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from vsm_runtime.bridge.eras import Client, Era, askable
from vsm_runtime.bridge.feeds import ALL_LISTS, Feed

MAX_STATES = 1024
MAX_ENDED = 4096
_LETTERS = {
    "sampling": "s",
    "sampling.tools": "t",
    "sampling.context": "c",
    "elicitation": "e",
    "elicitation.url": "u",
    "roots": "r",
}
_FORM = re.compile(r"v1\.([0-9]{4}-[0-9]{2}-[0-9]{2})\.([stceur]*)\.([A-Za-z0-9_-]{22})\Z")


@dataclass(frozen=True, slots=True)
class Session:
    """What a client said when it initialized."""

    protocol_version: str
    capabilities: frozenset[str]
    nonce: str

    @property
    def session_id(self) -> str:
        letters = "".join(letter for name, letter in _LETTERS.items() if name in self.capabilities)
        return f"v1.{self.protocol_version}.{letters}.{self.nonce}"

    def client(self, principal: str, *, key: str) -> Client:
        return Client(
            Era.LEGACY,
            self.protocol_version,
            identity=f"{self.nonce}/{principal}",
            capabilities=self.capabilities,
            lasting=True,
            principal=principal,
            key=key,
        )


def begin(*, protocol_version: str, capabilities: object) -> Session:
    return Session(protocol_version, askable(capabilities), secrets.token_urlsafe(16))


def resume(session_id: str) -> Session | None:
    """None for an id that no bridge has given out: the client has to initialize again."""
    match = _FORM.match(session_id)
    if match is None:
        return None
    return Session(match[1], frozenset(name for name, letter in _LETTERS.items() if letter in match[2]), match[3])


@dataclass(slots=True)
class SessionState:
    """What a session did since it began."""

    last_used: float
    feed: Feed = field(default_factory=lambda: Feed(lists=ALL_LISTS))
    log_level: str | None = None


class SessionTable:
    """By the client's identity; the session that did nothing for longest is forgotten first, and any after a while."""

    def __init__(self, on_forgotten: Callable[[Feed], None], *, idle_seconds: float) -> None:
        self._states: OrderedDict[str, SessionState] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._on_forgotten = on_forgotten
        self._idle_seconds = idle_seconds
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._states)

    def is_ended(self, identity: str) -> bool:
        return identity in self._ended

    def find(self, identity: str) -> SessionState | None:
        state = self._states.get(identity)
        if state is not None:
            state.last_used = asyncio.get_running_loop().time()
            self._states.move_to_end(identity)
        return state

    def of(self, identity: str) -> SessionState:
        """Found or made."""
        state = self.find(identity)
        if state is None:
            loop = asyncio.get_running_loop()
            state = self._states[identity] = SessionState(loop.time())
            if self._sweep is None:
                self._sweep = loop.call_later(self._idle_seconds, self._forget_idle)
            if len(self._states) > MAX_STATES:
                self._forget(next(iter(self._states)))
        return state

    def end(self, identity: str) -> None:
        """The client said that it is over: its id is good for nothing any more."""
        self._forget(identity)
        self._ended[identity] = None
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)

    def _forget_idle(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._idle_seconds
        # In the order of their last use, so the first that is young enough ends it.
        for identity, state in list(self._states.items()):
            if state.feed.is_read:
                continue
            if state.last_used > oldest:
                break
            self._forget(identity)
        self._sweep = loop.call_later(self._idle_seconds, self._forget_idle) if self._states else None

    def _forget(self, identity: str) -> None:
        state = self._states.pop(identity, None)
        if state is not None:
            state.feed.end()
            self._on_forgotten(state.feed)
