"""The two eras of MCP and what has to change on the way from one to the other. Pure.

legacy   2024-11-05 to 2025-11-25: initialize, a connection with state, requests in both directions
modern   2026-07-28: server/discover, every request carries its own envelope in `_meta`, the server never asks

A client of either era may talk to a server of either era. Both sides negotiate with the bridge, never with each other,
and are told only of capabilities that the bridge can carry; what cannot be carried is refused with an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from vsm_runtime.bridge.jsonrpc import INVALID_PARAMS, MISSING_CAPABILITY, Json, result


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
FORWARDED: Final = _SHARED_METHODS - {"tools/list"}
"""What of a client's reaches the server as it is. What else there is the bridge answers itself or refuses: a guard can
only judge methods that it knows."""
ASKING_METHODS: Final = frozenset({"completion/complete", "prompts/get", "resources/read", "tools/call"})
"""Those during which a server may ask its client something, or log on its behalf."""
ROUND_METHODS: Final = frozenset({"prompts/get", "resources/read", "tools/call"})
"""Those that may take several rounds with a modern server: it answers input_required and is called again."""
_CACHEABLE: Final = _SHARED_METHODS - {"completion/complete", "prompts/get", "tools/call"}
_CAPABILITIES: Final = ("tools", "resources", "prompts", "completions", "logging")
"""What of a server's the bridge can carry, to clients of either era."""
LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_LEGACY_RESOURCE_NOT_FOUND: Final = -32002
_LEGACY_URL_ELICITATION: Final = -32042
INPUT_REQUIRED: Final = "input_required"
_ROUND_KEYS: Final = frozenset({"inputResponses", "requestState"})

BRIDGE_INFO: Final[Json] = {"name": "vsm-bridge", "version": "0.1.0"}
_ASKING: Final[Mapping[str, str]] = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
ASKABLE: Final = frozenset(
    {"sampling", "sampling.tools", "sampling.context", "elicitation", "elicitation.url", "roots"}
)
SHARED_OFFER: Final = ASKABLE - {"roots"}
"""What a legacy server that several clients share may ask of them. Roots are no such thing: such a server keeps them,
so that one client would redraw for all others what it may touch."""


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
    """Of ASKABLE, what a server may ask of this client."""
    log_level: str | None = None
    """What the request or the session opted in to; None: whatever the server sends, in a legacy session."""
    lasting: bool = False
    """It has a session: more requests of the same identity will come."""
    principal: str = ""
    """Who it has proved to be; empty where clients need not prove anything."""
    key: str = ""
    """Whom limits go by: the principal, else the address."""


def askable(capabilities: object) -> frozenset[str]:
    """What a client's declared capabilities let a server ask."""
    declared = capabilities if isinstance(capabilities, Mapping) else {}
    found = {name for name in ("sampling", "elicitation", "roots") if isinstance(declared.get(name), Mapping)}
    if "sampling" in found:
        found |= {f"sampling.{part}" for part in ("tools", "context") if part in declared["sampling"]}
    if "elicitation" in found and "url" in declared["elicitation"]:
        found.add("elicitation.url")
        if "form" not in declared["elicitation"]:
            found.remove("elicitation")
    return frozenset(found)


def capabilities_of(flags: frozenset[str]) -> Json:
    """The inverse of `askable`."""
    capabilities: Json = {}
    if "sampling" in flags:
        capabilities["sampling"] = {part: {} for part in ("tools", "context") if f"sampling.{part}" in flags}
    if {"elicitation", "elicitation.url"} & flags:
        # Before 2025-11-25 there was only the form mode, and it had no name.
        modes: Json = {"form": {}} if "elicitation" in flags else {}
        capabilities["elicitation"] = {**modes, "url": {}} if "elicitation.url" in flags else {}
    if "roots" in flags:
        capabilities["roots"] = {}
    return capabilities


def needed_to_ask(method: str, params: Json) -> str | None:
    """The flag that a client must have for this question; None for a question that no client knows."""
    flag = _ASKING.get(method)
    if flag == "elicitation" and params.get("mode") == "url":
        return "elicitation.url"
    if flag == "sampling" and "tools" in params:
        return "sampling.tools"
    return flag


def negotiate(requested: object) -> str:
    """The version that an initialize request gets: its own if it is known, else the latest that has initialize."""
    return requested if isinstance(requested, str) and requested in LEGACY_VERSIONS else LATEST_LEGACY


def capabilities_for(peer: Peer) -> Json:
    return {name: value for name in _CAPABILITIES if isinstance(value := peer.capabilities.get(name), dict)}


def initialize_result(peer: Peer, requested: object) -> Json:
    return {
        "protocolVersion": negotiate(requested),
        "capabilities": capabilities_for(peer),
        "serverInfo": peer.server_info,
        **({"instructions": peer.instructions} if peer.instructions else {}),
    }


def discover_result(peer: Peer) -> Json:
    return {
        "resultType": "complete",
        "supportedVersions": [*MODERN_VERSIONS, *reversed(LEGACY_VERSIONS)],
        "capabilities": capabilities_for(peer),
        **({"instructions": peer.instructions} if peer.instructions else {}),
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {SERVER_INFO_KEY: peer.server_info},
    }


def envelope(version: str = LATEST_MODERN, *, client: Client | None = None) -> Json:
    """The `_meta` under which the bridge speaks to a modern server: for a legacy client, or for itself.

    For itself it claims all capabilities: a list of tools must not depend on who happened to ask for it.
    """
    meta: Json = {
        VERSION_KEY: version,
        CLIENT_INFO_KEY: BRIDGE_INFO,
        CLIENT_CAPABILITIES_KEY: capabilities_of(ASKABLE if client is None else client.capabilities),
    }
    if client is not None and client.log_level is not None:
        meta[LOG_LEVEL_KEY] = client.log_level
    return meta


def can_forward(method: str) -> bool:
    return method in FORWARDED


def params_for(peer: Peer, *, client: Client, params: Json, progress_token: int | None) -> Json:
    """What the server gets of a client's parameters: `_meta` as its era has it, progress under our token."""
    given = params.get("_meta")
    meta: Json = dict(given) if isinstance(given, dict) else {}
    meta.pop("progressToken", None)
    if peer.era is Era.LEGACY:
        for key in _ENVELOPE_KEYS:
            meta.pop(key, None)
    elif client.era is Era.LEGACY:
        meta |= envelope(peer.protocol_version, client=client)
    if progress_token is not None:
        meta["progressToken"] = progress_token
    # Rounds are a matter of modern clients and modern servers; with any other pair they are ours.
    kept = () if peer.era is client.era is Era.MODERN else _ROUND_KEYS
    rest = {key: value for key, value in params.items() if key != "_meta" and key not in kept}
    return {**rest, "_meta": meta} if meta else rest


def response_for(client: Client, *, peer: Peer, method: str, response: Json) -> Json:
    """A server's answer in the client's era. `response` has the client's id already; it may be changed."""
    if client.era is peer.era:
        return response
    if "error" in response:
        return _modern_error(response, client=client, peer=peer) if client.era is Era.MODERN else response
    answer: Json = response["result"]
    if client.era is Era.MODERN:
        complete(answer, peer=peer, method=method)
    else:
        for key in ("resultType", "ttlMs", "cacheScope"):
            answer.pop(key, None)
    return response


def _modern_error(response: Json, *, client: Client, peer: Peer) -> Json:
    """Codes that only the legacy era knows say the same in the modern one."""
    error: Json = response["error"]
    if error["code"] == _LEGACY_RESOURCE_NOT_FOUND:
        error["code"] = INVALID_PARAMS
    elif error["code"] == _LEGACY_URL_ELICITATION:
        data = error.get("data")
        wanted = data.get("elicitations") if isinstance(data, dict) else None
        if "elicitation.url" in client.capabilities and isinstance(wanted, list) and wanted:
            # Its answer is of no use to the server: the call is simply made again once the person has been there.
            requests = {str(n): {"method": "elicitation/create", "params": one} for n, one in enumerate(wanted)}
            answer: Json = {"resultType": INPUT_REQUIRED, "inputRequests": requests}
            return result(response["id"], complete(answer, peer=peer, method="tools/call"))
        error["code"] = MISSING_CAPABILITY
        error["data"] = {"requiredCapabilities": {"elicitation": {"url": {}}}}
    return response


def complete(answer: Json, *, peer: Peer, method: str) -> Json:
    """Adds what a modern client expects of every result."""
    answer.setdefault("resultType", "complete")
    if method in _CACHEABLE:
        answer.setdefault("ttlMs", 0)
        answer.setdefault("cacheScope", "private")
    meta = answer.get("_meta")
    answer["_meta"] = {**(meta if isinstance(meta, dict) else {}), SERVER_INFO_KEY: peer.server_info}
    return answer


def wants_log(client: Client, level: object) -> bool:
    """Modern clients opt in with each request; legacy ones may set a level for their session, and get all without."""
    if client.log_level is None:
        return client.era is Era.LEGACY
    if client.log_level not in LOG_LEVELS or level not in LOG_LEVELS:
        return False
    return LOG_LEVELS.index(str(level)) >= LOG_LEVELS.index(client.log_level)
