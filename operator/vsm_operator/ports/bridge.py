"""What a bridge says of the server behind it, asked at the pod: the only witness of a server that is not ready."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

MAX_STATUS_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class BridgeStatus:
    """The part of /status that says why a server does not answer."""

    state: str
    """starting, ready or backoff."""
    restarts: int
    consecutive_failures: int
    reason: str = ""
    """Of the last failure: Exited, HandshakeTimeout, HandshakeError, OOMKilled, ConnectFailed; empty if none."""
    message: str = ""
    stderr_tail: tuple[str, ...] = ()


async def bridge_status(client: httpx.AsyncClient, url: str) -> BridgeStatus | None:
    """None when the bridge cannot be asked: then the pod's own state is all there is."""
    try:
        async with client.stream("GET", url) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_STATUS_BYTES:
                    return None
            raw = httpx.Response(response.status_code, content=bytes(body)).json()
    except (httpx.HTTPError, ValueError):
        return None
    return _read(raw) if isinstance(raw, Mapping) else None


def _read(raw: Mapping[str, Any]) -> BridgeStatus | None:
    failure = raw.get("lastFailure")
    failure = failure if isinstance(failure, Mapping) else {}
    tail = failure.get("stderrTail")
    try:
        return BridgeStatus(
            state=str(raw["state"]),
            restarts=int(raw.get("restarts", 0)),
            consecutive_failures=int(raw.get("consecutiveFailures", 0)),
            reason=str(failure.get("reason", "")),
            message=str(failure.get("message", ""))[:1000],
            stderr_tail=tuple(str(line)[:500] for line in tail[-40:]) if isinstance(tail, list) else (),
        )
    except (KeyError, ValueError, TypeError):
        return None
