"""The operator's own view of a server: a handshake and tools/list through its Service, as any client would see it.

Spoken is MCP 2025-11-25 over Streamable HTTP: initialize, notifications/initialized, tools/list with all its pages.
The answers come from untrusted code: sizes, pages and time are bounded, and only what is used is read out of them.
Compressed answers are refused: a small one could become a very large one.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError

from vsm_operator import __version__
from vsm_operator.domain.text import storable

PROTOCOL_VERSION = "2025-11-25"
MAX_CONVERSATION_BYTES = 10 << 20
MAX_HANDSHAKE_BYTES = 4 << 20
"""Decoded, a dense answer takes some twenty times its size."""
MAX_PAGES = 50
_MAX_CURSOR_LENGTH = 4096
_ACCEPT = "application/json, text/event-stream"
_NO_TOKEN = "vsm-operator-has-none"  # noqa: S105 - what it says
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}")
_SESSION_ID = re.compile(r"[\x21-\x7e]{1,1024}")


class HandshakeFailed(Exception):  # noqa: N818
    """The server did not answer as an MCP server does; the text says at which step and how."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client learns of a server."""

    protocol_version: str
    server_name: str
    server_version: str
    tool_names: tuple[str, ...]
    """Those that clients see."""


async def handshake(client: httpx.AsyncClient, url: str) -> Handshake:
    """Initialize and list all tools. Deadlines are the client's; the whole is bounded by the caller.

    Errors: HandshakeFailed for everything that goes wrong on the way.
    """
    session = Session(client, url, max_bytes=MAX_HANDSHAKE_BYTES)
    try:
        hello = await session.open()
        tools = await _all_tools(session) if "tools" in _mapping(hello.get("capabilities")) else []
        await session.close()
        return _summary(hello, tools)
    except (httpx.HTTPError, httpx.StreamError, SSEError) as error:
        raise HandshakeFailed(f"{type(error).__name__} while talking to {url}: {error}".rstrip(": ")) from error
    except RecursionError:
        raise HandshakeFailed("an answer is nested too deeply") from None


async def expect_refusal(client: httpx.AsyncClient, url: str) -> None:
    """A server that asks for tokens is well when it refuses one that cannot be any. None of ours is ever sent.

    Errors: HandshakeFailed for any other answer than 401: where the API server judges tokens, one that does not reach
    it, or may not ask it, cannot say 401 either.
    """
    hello = {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": {"name": "vsm-operator"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    headers = {"Accept": _ACCEPT, "Accept-Encoding": "identity", "Authorization": f"Bearer {_NO_TOKEN}"}
    try:
        async with client.stream("POST", url, json=message, headers=headers) as response:
            if response.status_code == 401:
                return
            if response.status_code < 300:
                raise HandshakeFailed("a client without a valid token was let in, although spec.auth asks for one")
            body = (await _Budget(MAX_HANDSHAKE_BYTES).body(response))[:300].decode(errors="replace")
            raise HandshakeFailed(f"a token that is none was answered with HTTP {response.status_code}: {body}")
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise HandshakeFailed(f"{type(error).__name__} while talking to {url}: {error}".rstrip(": ")) from error


def _summary(hello: Mapping[str, Any], tools: list[Mapping[str, Any]]) -> Handshake:
    info = _mapping(hello.get("serverInfo"))
    return Handshake(
        protocol_version=str(hello["protocolVersion"]),
        server_name=storable(info.get("name", ""), max_length=200),
        server_version=storable(info.get("version", ""), max_length=200),
        tool_names=tuple(storable(tool.get("name", ""), max_length=200) for tool in tools),
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
        following = page.get("nextCursor")
        if not following:
            return tools
        if not isinstance(following, str) or storable(following, max_length=_MAX_CURSOR_LENGTH) != following:
            raise HandshakeFailed("tools/list was answered with a cursor that cannot be sent back")
        cursor = following
    raise HandshakeFailed(f"tools/list has more than {MAX_PAGES} pages")


class Session:
    """One client's conversation: the session header and the request ids."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, *, max_bytes: int = MAX_CONVERSATION_BYTES, token: str = ""
    ) -> None:
        """`max_bytes` bounds all answers together; `token` is the bearer token of somebody who has one."""
        self._client = client
        self._url = url
        self._budget = _Budget(max_bytes)
        self._headers = {"Accept": _ACCEPT, "Accept-Encoding": "identity"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._last_id = 0

    async def open(self) -> Mapping[str, Any]:
        """The handshake; returns the server's answer to initialize."""
        client_info = {"name": "vsm-operator", "version": __version__}
        hello = await self.request(
            "initialize",
            {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": client_info},
        )
        version = hello.get("protocolVersion")
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise HandshakeFailed("initialize was answered without a protocolVersion")
        self._headers["MCP-Protocol-Version"] = version
        await self.notify("notifications/initialized")
        return hello

    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """One call and its result. Raises HandshakeFailed, or httpx.HTTPError when nothing comes back."""
        self._last_id += 1
        message = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        async with self._client.stream("POST", self._url, json=message, headers=self._headers) as response:
            if response.status_code != 200:
                body = (await self._budget.body(response))[:300].decode(errors="replace")
                raise HandshakeFailed(f"{method} was answered with HTTP {response.status_code}: {body}")
            if session_id := response.headers.get("mcp-session-id"):
                if not _SESSION_ID.fullmatch(session_id):
                    raise HandshakeFailed(f"{method} was answered with a session id that no header can carry")
                self._headers["Mcp-Session-Id"] = session_id
            answer = await self._answer(response, method)
        if "error" in answer:
            error = _mapping(answer["error"])
            said, code = storable(error.get("message"), max_length=300), storable(error.get("code"), max_length=20)
            raise HandshakeFailed(f"{method} failed: {said} (code {code})")
        return _mapping(answer.get("result"))

    async def notify(self, method: str) -> None:
        """One message that has no answer; what comes back beside the status is not read."""
        message = {"jsonrpc": "2.0", "method": method}
        async with self._client.stream("POST", self._url, json=message, headers=self._headers) as response:
            if response.status_code >= 400:
                raise HandshakeFailed(f"{method} was answered with HTTP {response.status_code}")

    async def close(self) -> None:
        """Ends the session where there is one; a server may refuse that, and it changes nothing for us."""
        if "Mcp-Session-Id" in self._headers:
            with suppress(httpx.HTTPError):
                async with self._client.stream("DELETE", self._url, headers=self._headers):
                    pass

    async def _answer(self, response: httpx.Response, method: str) -> Mapping[str, Any]:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            return _decoded((await self._budget.body(response)).decode(errors="replace"), method)
        bounded = httpx.Response(
            200, headers={"Content-Type": "text/event-stream"}, stream=self._budget.stream(response)
        )
        async for event in EventSource(bounded).aiter_sse():
            message = _decoded(event.data, method) if event.data else {}
            if message.get("id") == self._last_id and "method" not in message:
                return message
        raise HandshakeFailed(f"the stream ended before {method} was answered")


class _Budget:
    """How much may still be received."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._received_bytes = 0

    def spend(self, amount_bytes: int) -> None:
        self._received_bytes += amount_bytes
        if self._received_bytes > self._limit_bytes:
            raise HandshakeFailed(f"the answers are larger than {self._limit_bytes} bytes together")

    def stream(self, response: httpx.Response) -> "_Bounded":
        return _Bounded(response, self)

    async def body(self, response: httpx.Response) -> bytes:
        return b"".join([chunk async for chunk in self.stream(response)])


class _Bounded(httpx.AsyncByteStream):
    """The body of an answer as it comes, while the budget lasts."""

    def __init__(self, response: httpx.Response, budget: _Budget) -> None:
        self._response = response
        self._budget = budget

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if "Content-Encoding" in self._response.headers:
            raise HandshakeFailed("an answer is compressed, which was not asked for")
        async for chunk in self._response.aiter_bytes():
            self._budget.spend(len(chunk))
            yield chunk


def _decoded(text: str, method: str) -> Mapping[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise HandshakeFailed(f"the answer to {method} is not a JSON-RPC message")
    return message


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
