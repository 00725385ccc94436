"""The operator's own view of a server: a handshake and tools/list through its Service, as any client would see it.

Spoken is MCP 2025-11-25 over Streamable HTTP: initialize, notifications/initialized, tools/list with all its pages.
The answers come from untrusted code: sizes, pages and time are bounded, and only what is used is read out of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError

from vsm_operator import __version__
from vsm_operator.domain.tools import tools_hash

PROTOCOL_VERSION = "2025-11-25"
MAX_ANSWER_BYTES = 10 << 20
MAX_PAGES = 50
_ACCEPT = "application/json, text/event-stream"


class HandshakeFailed(Exception):  # noqa: N818
    """The server did not answer as an MCP server does; the text says at which step and how."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client learns of a server."""

    protocol_version: str
    server_name: str
    server_version: str
    tool_names: tuple[str, ...]
    tools_hash: str


async def handshake(client: httpx.AsyncClient, url: str) -> Handshake:
    """Initialize and list all tools. Deadlines are the client's; the whole is bounded by the caller.

    Errors: HandshakeFailed for everything that goes wrong on the way.
    """
    session = Session(client, url)
    try:
        hello = await session.open()
        tools = await _all_tools(session) if "tools" in _mapping(hello.get("capabilities")) else []
        await session.close()
    except (httpx.HTTPError, SSEError) as error:
        raise HandshakeFailed(f"{type(error).__name__} while talking to {url}: {error}".rstrip(": ")) from error
    info = _mapping(hello.get("serverInfo"))
    return Handshake(
        protocol_version=str(hello.get("protocolVersion", ""))[:40],
        server_name=str(info.get("name", ""))[:200],
        server_version=str(info.get("version", ""))[:200],
        tool_names=tuple(str(tool.get("name", ""))[:200] for tool in tools),
        tools_hash=tools_hash(tools),
    )


async def _all_tools(session: "Session") -> list[Mapping[str, Any]]:
    tools: list[Mapping[str, Any]] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await session.request("tools/list", {"cursor": cursor} if cursor else {})
        listed = page.get("tools")
        if not isinstance(listed, list) or not all(isinstance(tool, Mapping) for tool in listed):
            raise HandshakeFailed("tools/list was answered without a list of tools")
        tools += listed
        cursor = page.get("nextCursor")
        if not cursor:
            return tools
    raise HandshakeFailed(f"tools/list has more than {MAX_PAGES} pages")


class Session:
    """One client's conversation: the session header and the request ids."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url
        self._headers = {"Accept": _ACCEPT, "MCP-Protocol-Version": PROTOCOL_VERSION}
        self._last_id = 0

    async def open(self) -> Mapping[str, Any]:
        """The handshake; returns the server's answer to initialize."""
        client_info = {"name": "vsm-operator", "version": __version__}
        hello = await self.request(
            "initialize",
            {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": client_info},
        )
        await self.notify("notifications/initialized")
        return hello

    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """One call and its result. Raises HandshakeFailed, or httpx.HTTPError when nothing comes back."""
        self._last_id += 1
        message = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        async with self._client.stream("POST", self._url, json=message, headers=self._headers) as response:
            if response.status_code != 200:
                body = (await _bounded_body(response))[:300].decode(errors="replace")
                raise HandshakeFailed(f"{method} was answered with HTTP {response.status_code}: {body}")
            if session_id := response.headers.get("mcp-session-id"):
                self._headers["Mcp-Session-Id"] = session_id
            answer = await self._answer(response, method)
        if "error" in answer:
            error = _mapping(answer["error"])
            raise HandshakeFailed(f"{method} failed: {str(error.get('message'))[:300]} (code {error.get('code')})")
        return _mapping(answer.get("result"))

    async def notify(self, method: str) -> None:
        response = await self._client.post(self._url, json={"jsonrpc": "2.0", "method": method}, headers=self._headers)
        if response.status_code >= 400:
            raise HandshakeFailed(f"{method} was answered with HTTP {response.status_code}")

    async def close(self) -> None:
        """Ends the session where there is one; a server may refuse that, and it changes nothing for us."""
        if "Mcp-Session-Id" in self._headers:
            await self._client.delete(self._url, headers=self._headers)

    async def _answer(self, response: httpx.Response, method: str) -> Mapping[str, Any]:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            return _decoded((await _bounded_body(response)).decode(errors="replace"), method)
        received = 0
        async for event in EventSource(response).aiter_sse():
            received += len(event.data)
            if received > MAX_ANSWER_BYTES:
                raise HandshakeFailed(f"the answer to {method} is larger than {MAX_ANSWER_BYTES} bytes")
            message = _decoded(event.data, method) if event.data else {}
            if message.get("id") == self._last_id and "method" not in message:
                return message
        raise HandshakeFailed(f"the stream ended before {method} was answered")


async def _bounded_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise HandshakeFailed(f"an answer is larger than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _decoded(text: str, method: str) -> Mapping[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise HandshakeFailed(f"the answer to {method} is not a JSON-RPC message")
    return message


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
