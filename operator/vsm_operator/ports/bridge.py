"""What a bridge says of the server behind it, asked at the pod: the only witness of a server that is not ready."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from vsm_operator.domain.text import storable

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
    failure = raw.get("lastFailure")
    failure = failure if isinstance(failure, Mapping) else {}
    tail = failure.get("stderrTail")
    try:
        return BridgeStatus(
            state=storable(raw["state"], max_length=40),
            restarts=int(raw.get("restarts", 0)),
            consecutive_failures=int(raw.get("consecutiveFailures", 0)),
            reason=storable(failure.get("reason", ""), max_length=40),
            message=storable(failure.get("message", ""), max_length=1000),
            stderr_tail=tuple(storable(line, max_length=500) for line in tail[-40:]) if isinstance(tail, list) else (),
        )
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
