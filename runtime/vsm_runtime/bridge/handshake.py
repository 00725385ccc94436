"""Getting to know a server, once in each of its lives: which era, who it is, which tools it offers."""

import asyncio

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.eras import (
    BRIDGE_INFO,
    LATEST_LEGACY,
    LEGACY_VERSIONS,
    MODERN_VERSIONS,
    SERVER_INFO_KEY,
    Era,
    Peer,
    capabilities_of,
)
from vsm_runtime.bridge.hub import Hub, ServerError
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.logs import shown
from vsm_runtime.bridge.toolbook import Listing

PROBE_SECONDS = 3.0
"""At most, for a server that does not answer what it does not know; it may just be starting, and loses nothing: what
it was sent waits for it."""
MAX_TOOL_PAGES = 100
MAX_TOOLS = 5000


class HandshakeFailed(Exception):  # noqa: N818
    """The server answered, but not as an MCP server does."""


async def introduce(hub: Hub, *, probe_seconds: float) -> Peer:
    """server/discover first, then initialize. Raises HandshakeFailed, ConnectionError. The caller bounds the time."""
    if probe_seconds > 0:
        peer = await _discover(hub, min(probe_seconds, PROBE_SECONDS))
        if peer is not None:
            return peer
    try:
        return await _initialize(hub)
    except ServerError as error:
        if error.code == jsonrpc.UNSUPPORTED_VERSION:
            # A slow modern server that answered the probe after all, but too late for us.
            peer = await _discover(hub, PROBE_SECONDS)
            if peer is not None:
                return peer
        raise HandshakeFailed(f"initialize was answered with an error: {error}") from error


async def _discover(hub: Hub, seconds: float) -> Peer | None:
    try:
        async with asyncio.timeout(seconds):
            found = await hub.request("server/discover", {}, era=Era.MODERN)
    except (ServerError, TimeoutError):
        return None
    offered = found.get("supportedVersions")
    version = next((v for v in reversed(MODERN_VERSIONS) if isinstance(offered, list) and v in offered), None)
    if version is None:
        return None
    meta = found.get("_meta")
    return _peer(Era.MODERN, version, found, meta.get(SERVER_INFO_KEY) if isinstance(meta, dict) else None)


async def _initialize(hub: Hub) -> Peer:
    params = {
        "protocolVersion": LATEST_LEGACY,
        "capabilities": capabilities_of(hub.offer),
        "clientInfo": BRIDGE_INFO,
    }
    answer = await hub.request("initialize", params, era=Era.LEGACY)
    version = answer.get("protocolVersion")
    if version not in LEGACY_VERSIONS:
        raise HandshakeFailed(f"the server speaks protocol version {shown(version, 40)!r}, which is not known here")
    hub.notify("notifications/initialized")
    return _peer(Era.LEGACY, str(version), answer, answer.get("serverInfo"))


def _peer(era: Era, version: str, answer: Json, info: object) -> Peer:
    capabilities, instructions = answer.get("capabilities"), answer.get("instructions")
    info = info if isinstance(info, dict) else {}
    return Peer(
        era=era,
        protocol_version=version,
        # Both are required by the schema of either era; a server that omits them is still served.
        server_info={**info, "name": shown(info.get("name", ""), 200), "version": shown(info.get("version", ""), 200)},
        capabilities=capabilities if isinstance(capabilities, dict) else {},
        instructions=instructions if isinstance(instructions, str) else None,
    )


async def list_tools(hub: Hub, peer: Peer) -> Listing:
    """All pages. Raises HandshakeFailed, ConnectionError, LinkBusy."""
    tools: list[Json] = []
    cursor: object = None
    if not isinstance(peer.capabilities.get("tools"), dict):
        return Listing(tools)
    for _ in range(MAX_TOOL_PAGES):
        try:
            page = await hub.request("tools/list", {"cursor": cursor} if cursor else {}, era=peer.era)
        except ServerError as error:
            raise HandshakeFailed(f"tools/list was answered with an error: {error}") from error
        listed = page.get("tools")
        if not isinstance(listed, list) or not all(_is_tool(tool) for tool in listed):
            raise HandshakeFailed("tools/list was answered without a list of named tools")
        tools += listed
        if len(tools) > MAX_TOOLS:
            raise HandshakeFailed(f"the server lists more than {MAX_TOOLS} tools")
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str) or not cursor:
            return Listing(tools, _ttl(page), "public" if page.get("cacheScope") == "public" else "private")
    raise HandshakeFailed(f"tools/list has more than {MAX_TOOL_PAGES} pages")


def _ttl(page: Json) -> int:
    value = page.get("ttlMs")
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _is_tool(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)
