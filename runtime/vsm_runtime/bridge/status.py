"""What the bridge knows of its server, for /status and /readyz: enough to tell a person why it is not ready. Pure."""

import time
from dataclasses import dataclass, field
from enum import StrEnum

from vsm_runtime.bridge.eras import Peer
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.link import Ending
from vsm_runtime.bridge.toolbook import ToolBook

MAX_LISTED_TOOLS = 250
"""Names in /status; the count and the hash are always of all."""


class State(StrEnum):
    """Where the server is in its life."""

    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    BLOCKED = "blocked"
    """It runs no more: its tools are not those that were admitted."""


class Reason(StrEnum):
    """Why a life of the server ended, or never began."""

    CONNECT_FAILED = "ConnectFailed"
    """There was no launcher, or nothing listened upstream."""
    EXITED = "Exited"
    """The process ended, with whatever code."""
    OOM_KILLED = "OOMKilled"
    """It was killed for its memory limit."""
    HANDSHAKE_TIMEOUT = "HandshakeTimeout"
    """It ran, and did not complete the handshake and tools/list in time."""
    HANDSHAKE_ERROR = "HandshakeError"
    """It answered the handshake with an error or with something else than MCP."""
    TOOLS_CHANGED = "ToolsChanged"
    """It offers other tools than those that were admitted."""
    TOOLS_NOT_ADMITTED = "ToolsNotAdmitted"
    """Nobody has admitted its tools yet, and that is asked for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of one life."""

    reason: Reason
    message: str
    ending: Ending
    at: float

    def to_json(self) -> Json:
        return {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.at)),
            "reason": self.reason.value,
            "message": self.message,
            "exitCode": self.ending.exit_code,
            "signal": self.ending.signal,
            "stderrTail": list(self.ending.stderr_tail),
        }


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a server that could run may not."""

    reason: Reason
    expected: str | None
    observed: str

    def to_json(self) -> Json:
        return {"reason": self.reason.value, "expected": self.expected, "observed": self.observed}

    @property
    def sentence(self) -> str:
        if self.reason is Reason.TOOLS_NOT_ADMITTED:
            return f"nobody has admitted its tools yet ({self.observed})"
        return f"its tools are not those that were admitted: {self.expected} was, {self.observed} is"


@dataclass(slots=True)
class Status:
    """Written by the supervisor only."""

    state: State = State.STARTING
    peer: Peer | None = None
    """As it last introduced itself; kept while it is down."""
    tools: ToolBook | None = None
    """As last seen, admitted or not."""
    blocked: Blocked | None = None
    restarts: int = 0
    consecutive_failures: int = 0
    last_failure: Failure | None = None
    retry_seconds: float = field(default=0.0)
    """In state backoff: the whole delay before the next start."""

    def why_not_ready(self) -> str:
        """One sentence for people; empty when the server is ready."""
        if self.state is State.READY:
            return ""
        if self.blocked is not None:
            return f"the server is stopped: {self.blocked.sentence}"
        if self.last_failure is None:
            return "the server is starting"
        what = f"{self.last_failure.reason.value}: {self.last_failure.message}"
        if self.state is State.BACKOFF:
            return f"the server is down ({what}); it is started again after {self.retry_seconds:g} s"
        return f"the server is starting again ({what})"

    def to_json(self) -> Json:
        peer, tools = self.peer, self.tools
        info = peer.server_info if peer else {}
        return {
            "state": self.state.value,
            "protocolVersion": peer.protocol_version if peer else None,
            "serverInfo": {"name": info["name"], "version": info["version"]} if peer else None,
            "tools": {
                "count": len(tools.names),
                "names": list(tools.names[:MAX_LISTED_TOOLS]),
                "hash": tools.digest,
            }
            if tools
            else None,
            "restarts": self.restarts,
            "consecutiveFailures": self.consecutive_failures,
            "blocked": self.blocked.to_json() if self.blocked else None,
            "lastFailure": self.last_failure.to_json() if self.last_failure else None,
        }
