"""What a bridge says of the server behind it, asked at the pod: the only witness of a server that is not ready, and the
only one that sees all its tools."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from vsm_operator.domain.text import storable

MAX_STATUS_BYTES = 256 << 10


MAX_TOOL_NAMES = 250
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blocked:
    """The server runs, and its tools are not the admitted ones."""

    reason: str
    """ToolsChanged or ToolsNotAdmitted."""
    expected: str
    """The admitted hash; empty when nothing is admitted."""
    observed: str


@dataclass(frozen=True, slots=True)
class BridgeStatus:
    """The part of /status that says what a server is, and why it does not answer."""

    state: str
    """starting, ready, backoff or blocked."""
    restarts: int
    consecutive_failures: int
    reason: str = ""
    """Of the last failure: Exited, HandshakeTimeout, HandshakeError, OOMKilled, ConnectFailed; empty if none."""
    message: str = ""
    stderr_tail: tuple[str, ...] = ()
    protocol_version: str = ""
    server_name: str = ""
    server_version: str = ""
    tools_hash: str = ""
    """Over all tools, filtered ones too; empty before the first list."""
    tools_count: int = 0
    tool_names: tuple[str, ...] = ()
    """At most MAX_TOOL_NAMES."""
    blocked: Blocked | None = None


async def bridge_status(client: httpx.AsyncClient, url: str) -> BridgeStatus | None:
    """None when the bridge cannot be asked: then the pod's own state is all there is."""
    try:
        async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            if "Content-Encoding" in response.headers:
                return None  # a small answer could become a very large one
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_STATUS_BYTES:
                    return None
        raw = json.loads(body)
        return _read(raw) if isinstance(raw, Mapping) else None
    except (httpx.HTTPError, httpx.StreamError, ValueError, RecursionError):
        return None


def _read(raw: Mapping[str, Any]) -> BridgeStatus | None:
    failure, info, tools = (_mapping(raw.get(name)) for name in ("lastFailure", "serverInfo", "tools"))
    try:
        return BridgeStatus(
            state=storable(raw["state"], max_length=40),
            restarts=int(raw.get("restarts", 0)),
            consecutive_failures=int(raw.get("consecutiveFailures", 0)),
            reason=storable(failure.get("reason", ""), max_length=40),
            message=storable(failure.get("message", ""), max_length=1000),
            stderr_tail=_texts(failure.get("stderrTail"), last=40, max_length=500),
            protocol_version=storable(raw.get("protocolVersion") or "", max_length=40),
            server_name=storable(info.get("name", ""), max_length=200),
            server_version=storable(info.get("version", ""), max_length=200),
            tools_hash=_hash(tools.get("hash")),
            tools_count=max(0, int(tools.get("count", 0))),
            tool_names=_texts(tools.get("names"), last=MAX_TOOL_NAMES, max_length=200),
            blocked=_blocked(raw.get("blocked")),
        )
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _blocked(raw: Any) -> Blocked | None:
    found = _mapping(raw)
    if not found:
        return None
    reason = found.get("reason")
    return Blocked(
        # A reason is for scripts: what a newer bridge may call it, the server does not serve.
        reason="ToolsNotAdmitted" if reason == "ToolsNotAdmitted" else "ToolsChanged",
        expected=_hash(found.get("expected")),
        observed=_hash(found.get("observed")),
    )


def _hash(value: Any) -> str:
    """Empty for what is none: it ends up in commands that people copy."""
    return value if isinstance(value, str) and _HASH.fullmatch(value) else ""


def _texts(value: Any, *, last: int, max_length: int) -> tuple[str, ...]:
    return tuple(storable(line, max_length=max_length) for line in value[-last:]) if isinstance(value, list) else ()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
