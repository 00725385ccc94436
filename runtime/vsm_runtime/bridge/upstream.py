"""A server that speaks Streamable HTTP itself, in the same pod: the same bridge in front, the same rules.

A TCP connection that is never used is held open to the server: when its process ends, the kernel closes it, which is
how we know at once. A server that merely closes idle connections accepts the next one.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from vsm_runtime.bridge import jsonrpc, sse
from vsm_runtime.bridge.checks import encode_header
from vsm_runtime.bridge.eras import VERSION_KEY
from vsm_runtime.bridge.jsonrpc import Json, meta_of, params_of
from vsm_runtime.bridge.link import Ending, LinkBusy, Receiver
from vsm_runtime.bridge.logs import shown
from vsm_runtime.bridge.toolbook import ToolBook, as_header, mirrored

_log = logging.getLogger(__name__)
CONNECT_POLL_SECONDS = 0.1
WIRE_PAUSE_SECONDS = 0.1
STREAM_PAUSE_SECONDS = 1.0
MAX_POSTS = 512
_TIMEOUT = httpx.Timeout(connect=5.0, read=None, write=60.0, pool=5.0)
"""Reading has no limit of its own: calls have theirs, and cancelling one closes its POST."""
_TRACE = ("traceparent", "tracestate", "baggage")
_VISIBLE = re.compile(r"[ -~]{1,8192}\Z")
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class UpstreamConnector:
    """Waits until something listens."""

    def __init__(self, url: str, *, tools: Callable[[], ToolBook | None], max_message_bytes: int) -> None:
        self._url = url
        self._tools = tools
        self._max_message_bytes = max_message_bytes

    async def connect(self, receiver: Receiver) -> "UpstreamLink":
        parts = urlsplit(self._url)
        host, port = parts.hostname or "127.0.0.1", parts.port or 80
        while True:
            try:
                reader, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(CONNECT_POLL_SECONDS)
            else:
                wire = (reader, writer)
                return UpstreamLink(
                    self._url, receiver, wire, tools=self._tools, max_message_bytes=self._max_message_bytes
                )


class UpstreamLink:
    """One life of the server, as far as it can be told from outside: until it stops listening or forgets us."""

    def __init__(
        self,
        url: str,
        receiver: Receiver,
        wire: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        *,
        tools: Callable[[], ToolBook | None],
        max_message_bytes: int,
    ) -> None:
        self._url = url
        self._tools = tools
        self._receiver: Receiver | None = receiver
        self._max_message_bytes = max_message_bytes
        self._session_id: str | None = None
        self._version: str | None = None
        """Legacy only: what was negotiated, or what is being proposed."""
        self._initialize_id: object = None
        self._why_gone = "the server stopped listening"
        self._http = httpx.AsyncClient(
            timeout=_TIMEOUT, trust_env=False, limits=httpx.Limits(max_connections=MAX_POSTS, keepalive_expiry=2.0)
        )
        self._posts: set[asyncio.Task[None]] = set()
        self._by_request: dict[object, asyncio.Task[None]] = {}
        self._wire = asyncio.create_task(self._hold_wire(wire))
        self._unasked: asyncio.Task[None] | None = None
        """The stream on which a legacy server says what nobody asked for just now."""

    # -- Link

    def send(self, message: Json) -> None:
        if len(self._posts) >= MAX_POSTS:
            raise LinkBusy("the server does not answer what it was sent")
        body = jsonrpc.encode(message)
        if message.get("method") == "notifications/initialized":
            self._unasked = asyncio.create_task(self._hear())
        task = asyncio.create_task(self._post(message, body))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)
        if "method" in message and "id" in message:
            request_id = message["id"]
            self._by_request[request_id] = task
            task.add_done_callback(lambda _: self._by_request.pop(request_id, None))

    def cancel(self, request_id: int, reason: str) -> None:
        task = self._by_request.pop(request_id, None)
        if task is not None:
            task.cancel()
        if self._version is not None:  # a modern server takes the closed stream for it
            with contextlib.suppress(LinkBusy):
                params = {"requestId": request_id, "reason": reason}
                self.send(jsonrpc.notification("notifications/cancelled", params))

    async def close(self) -> Ending:
        self._receiver = None
        tasks = [self._wire, *self._posts, *([self._unasked] if self._unasked else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()
        return Ending(self._why_gone)

    # -- events

    def _gone(self, why: str) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            self._why_gone = why
            receiver.on_gone()

    async def _hold_wire(self, wire: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        parts = urlsplit(self._url)
        reader, writer = wire
        while True:
            try:
                with contextlib.suppress(OSError):
                    while await reader.read(4096):
                        pass
            finally:
                writer.close()
            try:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            except OSError as error:
                return self._gone(f"the server stopped listening on {parts.hostname}:{parts.port}: {error.strerror}")
            await asyncio.sleep(WIRE_PAUSE_SECONDS)

    async def _hear(self) -> None:
        """For as long as the server offers such a stream."""
        headers = {**self._session_headers(), "accept": "text/event-stream", "accept-encoding": "identity"}
        while self._receiver is not None:
            try:
                async with self._http.stream("GET", self._url, headers=headers) as response:
                    if response.status_code != 200:
                        return  # it has none, as it may
                    parser = sse.EventParser(self._max_message_bytes)
                    async for chunk in response.aiter_raw():
                        for data in parser.feed(chunk):
                            self._deliver(data, None)
            except (httpx.HTTPError, sse.EventTooLarge) as error:
                _log.debug("the server's own stream broke off: %s", shown(error))
            await asyncio.sleep(STREAM_PAUSE_SECONDS)

    async def _post(self, message: Json, body: bytes) -> None:
        request_id = message.get("id") if "method" in message else None
        try:
            async with self._http.stream("POST", self._url, content=body, headers=self._headers(message)) as response:
                if message.get("method") == "initialize":
                    self._session_id = response.headers.get("mcp-session-id")
                    self._initialize_id = request_id
                if response.status_code == 404 and self._session_id is not None:
                    return self._gone("the server does not know our session any more")
                if request_id is not None:
                    await self._read_answer(response, request_id)
        except (httpx.HTTPError, sse.EventTooLarge) as error:
            why = f"{type(error).__name__}: {shown(error)}"
            self._answer_with_error(request_id, f"the server broke off its answer ({why})")

    async def _read_answer(self, response: httpx.Response, request_id: object) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        answered = False
        if kind == "text/event-stream":
            parser = sse.EventParser(self._max_message_bytes)
            async for chunk in response.aiter_raw():
                for data in parser.feed(chunk):
                    answered = self._deliver(data, request_id) or answered
        elif kind == "application/json":
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._max_message_bytes:
                    raise sse.EventTooLarge(f"an answer is larger than {self._max_message_bytes} bytes")
            answered = self._deliver(bytes(body), request_id)
        if not answered:
            self._answer_with_error(request_id, f"the server answered with HTTP {response.status_code} and no message")

    def _deliver(self, data: bytes, request_id: object) -> bool:
        """True for the answer to the request."""
        try:
            message = jsonrpc.decode(data)
        except jsonrpc.Malformed:
            message = data[:400].decode(errors="replace")
        is_answer = isinstance(message, dict) and "method" not in message
        if is_answer and isinstance(message, dict):
            if message.get("id") is None:
                message["id"] = request_id  # an error about a request that it could not read
            if request_id == self._initialize_id and isinstance(result := message.get("result"), dict):
                self._version = shown(result.get("protocolVersion"), 40)
        receiver = self._receiver
        if receiver is not None:
            receiver.on_message(message, request_id if isinstance(request_id, int) else None)
        return is_answer

    def _answer_with_error(self, request_id: object, why: str) -> None:
        if self._receiver is not None and isinstance(request_id, int):
            self._receiver.on_message(jsonrpc.error(request_id, jsonrpc.INTERNAL_ERROR, why), request_id)

    def _headers(self, message: Json) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        headers["accept-encoding"] = "identity"
        meta = meta_of(message)
        headers |= {key: meta[key] for key in _TRACE if isinstance(meta.get(key), str) and _VISIBLE.match(meta[key])}
        version = meta.get(VERSION_KEY)
        if isinstance(version, str):
            method = message["method"]
            headers |= {"mcp-protocol-version": version, "mcp-method": method}
            name = params_of(message).get(_NAMED_BY.get(method, ""))
            if isinstance(name, str):
                headers["mcp-name"] = encode_header(name)
                headers |= self._mirrors(message, name)
        else:
            headers |= self._session_headers()
        return headers

    def _session_headers(self) -> dict[str, str]:
        """Of a legacy server, once there is a session."""
        if self._version is None:
            return {}
        session = {"mcp-session-id": self._session_id} if self._session_id is not None else {}
        return {"mcp-protocol-version": self._version, **session}

    def _mirrors(self, message: Json, name: str) -> dict[str, str]:
        """The arguments that the tool wants repeated in headers."""
        book = self._tools()
        if message["method"] != "tools/call" or book is None:
            return {}
        arguments = params_of(message).get("arguments")
        pairs = ((header, mirrored(arguments, path)) for header, path in book.mirrors.get(name, ()))
        return {header: encode_header(as_header(value)) for header, value in pairs if value is not None}
