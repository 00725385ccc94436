"""The two eras of MCP and what has to change on the way from one to the other. Pure.

legacy   2024-11-05 to 2025-11-25: initialize, a connection with state, requests in both directions
modern   2026-07-28: server/discover, every request carries its own envelope in `_meta`, the server never asks

A client of either era may talk to a server of either era. Both sides negotiate with the bridge, never with each other,
and are told only of capabilities that the bridge can carry; what cannot be carried is refused with an error.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from vsm_runtime.bridge.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, Json, error


class Era(Enum):
    """Which of the two protocols one side speaks."""

    LEGACY = "legacy"
    MODERN = "modern"


LEGACY_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS: Final = ("2026-07-28",)
LATEST_LEGACY: Final = LEGACY_VERSIONS[-1]
LATEST_MODERN: Final = MODERN_VERSIONS[-1]
ASSUMED_VERSION: Final = "2025-03-26"
"""Of a legacy request without the MCP-Protocol-Version header, as the specification says."""

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CLIENT_INFO_KEY: Final = "io.modelcontextprotocol/clientInfo"
CLIENT_CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
LOG_LEVEL_KEY: Final = "io.modelcontextprotocol/logLevel"
SERVER_INFO_KEY: Final = "io.modelcontextprotocol/serverInfo"
_ENVELOPE_KEYS: Final = frozenset({VERSION_KEY, CLIENT_INFO_KEY, CLIENT_CAPABILITIES_KEY, LOG_LEVEL_KEY})

_SHARED_METHODS: Final = frozenset(
    {
        "completion/complete",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "tools/call",
        "tools/list",
    }
)
FORWARDED: Final = {Era.LEGACY: _SHARED_METHODS | {"logging/setLevel"}, Era.MODERN: _SHARED_METHODS}
"""What of a client's reaches the server. Anything else is refused: a guard can only judge methods that it knows."""
_ONLY_LEGACY_SERVERS: Final = frozenset({"logging/setLevel"})
ASKING_METHODS: Final = frozenset({"completion/complete", "prompts/get", "resources/read", "tools/call"})
"""Those during which a server may ask its client something, or log on its behalf."""
_CACHEABLE: Final = _SHARED_METHODS - {"completion/complete", "prompts/get", "tools/call"}
_CAPABILITIES: Final = {
    Era.LEGACY: ("tools", "resources", "prompts", "completions", "logging"),
    Era.MODERN: ("tools", "resources", "prompts", "completions"),
}
_NEEDS_A_STREAM: Final = frozenset({"listChanged", "subscribe"})
"""Promises of unsolicited notifications: there is no stream yet on which they could be kept."""

_LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_LEGACY_RESOURCE_NOT_FOUND: Final = -32002
_INPUT_REQUIRED: Final = "input_required"

BRIDGE_INFO: Final[Json] = {"name": "vsm-bridge", "version": "0.1.0"}
CAPABILITIES_TOWARDS_SERVERS: Final[Json] = {"sampling": {}, "elicitation": {}}
"""Requests that can be routed to the one client whose call caused them. Roots are no such thing: they would let one
client redraw for all others what a shared server may touch."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The server, as it introduced itself."""

    era: Era
    protocol_version: str
    server_info: Json
    capabilities: Json
    instructions: str | None


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends a request, as far as the protocol tells."""

    era: Era
    protocol_version: str
    identity: str
    """Equal for requests of one session; unique for every request without one. Unguessable for others."""
    capabilities: frozenset[str] = frozenset()
    """Of `sampling` and `elicitation`, what a server may ask of this client."""
    log_level: str | None = None
    """Modern only: what the request opted in to."""


def negotiate(requested: object) -> str:
    """The version that an initialize request gets: its own if it is known, else the latest that has initialize."""
    return requested if isinstance(requested, str) and requested in LEGACY_VERSIONS else LATEST_LEGACY


def capabilities_for(peer: Peer, era: Era) -> Json:
    offered: Json = {}
    for name in _CAPABILITIES[era]:
        value = peer.capabilities.get(name)
        # A modern server has no logging/setLevel to offer.
        if isinstance(value, dict) and not (name == "logging" and peer.era is Era.MODERN):
            offered[name] = {key: flag for key, flag in value.items() if key not in _NEEDS_A_STREAM}
    return offered


def initialize_result(peer: Peer, requested: object) -> Json:
    return {
        "protocolVersion": negotiate(requested),
        "capabilities": capabilities_for(peer, Era.LEGACY),
        "serverInfo": peer.server_info,
        **({"instructions": peer.instructions} if peer.instructions else {}),
    }


def discover_result(peer: Peer) -> Json:
    return {
        "resultType": "complete",
        "supportedVersions": [*MODERN_VERSIONS, *reversed(LEGACY_VERSIONS)],
        "capabilities": capabilities_for(peer, Era.MODERN),
        **({"instructions": peer.instructions} if peer.instructions else {}),
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {SERVER_INFO_KEY: peer.server_info},
    }


def envelope(version: str = LATEST_MODERN) -> Json:
    """The `_meta` under which the bridge itself speaks to a modern server, for itself and for legacy clients."""
    return {VERSION_KEY: version, CLIENT_INFO_KEY: BRIDGE_INFO, CLIENT_CAPABILITIES_KEY: {}}


def can_forward(method: str, *, client: Client, peer: Peer) -> bool:
    return method in FORWARDED[client.era] and not (method in _ONLY_LEGACY_SERVERS and peer.era is Era.MODERN)


def params_for(peer: Peer, *, client: Client, params: Json, progress_token: int | None) -> Json:
    """What the server gets of a client's parameters: `_meta` as its era has it, progress under our token."""
    given = params.get("_meta")
    meta: Json = dict(given) if isinstance(given, dict) else {}
    meta.pop("progressToken", None)
    if peer.era is Era.LEGACY:
        for key in _ENVELOPE_KEYS:
            meta.pop(key, None)
    elif client.era is Era.LEGACY:
        meta |= envelope(peer.protocol_version)
    if progress_token is not None:
        meta["progressToken"] = progress_token
    rest = {key: value for key, value in params.items() if key != "_meta"}
    return {**rest, "_meta": meta} if meta else rest


def response_for(client: Client, *, peer: Peer, method: str, response: Json) -> Json:
    """A server's answer in the client's era. `response` has the client's id already; it may be changed."""
    if client.era is peer.era:
        return response
    if "error" in response:
        if client.era is Era.MODERN and response["error"].get("code") == _LEGACY_RESOURCE_NOT_FOUND:
            response["error"]["code"] = INVALID_PARAMS
        return response
    answer: Json = response["result"]
    if client.era is Era.MODERN:
        answer.setdefault("resultType", "complete")
        if method in _CACHEABLE:
            answer.setdefault("ttlMs", 0)
            answer.setdefault("cacheScope", "private")
        meta = answer.get("_meta")
        answer["_meta"] = {**(meta if isinstance(meta, dict) else {}), SERVER_INFO_KEY: peer.server_info}
        return response
    if answer.pop("resultType", None) == _INPUT_REQUIRED:
        return error(
            response["id"],
            INTERNAL_ERROR,
            f"the server asks for input in a way that a client of {client.protocol_version} cannot give",
        )
    answer.pop("ttlMs", None)
    answer.pop("cacheScope", None)
    return response


def wants_log(client: Client, level: object) -> bool:
    """Legacy clients set the level at the server; modern ones opt in with each request."""
    if client.era is Era.LEGACY:
        return True
    if client.log_level not in _LOG_LEVELS or level not in _LOG_LEVELS:
        return False
    return _LOG_LEVELS.index(str(level)) >= _LOG_LEVELS.index(client.log_level)
