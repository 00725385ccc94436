"""What an HTTP request must look like before anything reads its body as MCP. Pure; each check raises Rejected.

Source: MCP 2025-11-25 and 2026-07-28, "Streamable HTTP"; the order of the modern checks is that of the specification:
envelope, headers against body, version.
"""

import base64
import binascii
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from vsm_runtime.bridge.eras import CLIENT_CAPABILITIES_KEY, LEGACY_VERSIONS, MODERN_VERSIONS, VERSION_KEY
from vsm_runtime.bridge.jsonrpc import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
    Json,
    params_of,
)
from vsm_runtime.bridge.toolbook import Mirrors, as_header, mirrored

HTTP_STATUS: Final[Mapping[int, int]] = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}
"""Of an error that is the whole answer to a modern request; every other one goes out with 200."""

_NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ROUTING: Final = frozenset({"mcp-protocol-version", "mcp-method", "mcp-name"})
_ONCE: Final = _ROUTING | {"mcp-session-id", "origin", "content-type", "content-length", "host"}
_WHOLE: Final = re.compile(r"-?[0-9]{1,17}(?:\.0{1,17})?\Z", re.ASCII)
"""An integer within what JavaScript counts exactly, however it is written."""
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Rejected(Exception):  # noqa: N818
    """The first check that failed: the HTTP status and the JSON-RPC error that say so."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        data: Json | None = None,
        *,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.data = data
        self.headers = headers or []


def fold(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name. One that matters and is there twice is refused: two readers would disagree on it."""
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = _name(name_bytes), value_bytes.decode("latin-1").strip(" \t")
        if name in headers:
            if name in _ONCE:
                code = HEADER_MISMATCH if name in _ROUTING else INVALID_REQUEST
                raise Rejected(400, code, f"the header {name} appears more than once")
            headers[name] += ", " + value
        else:
            headers[name] = value
    return headers


@functools.lru_cache(512)
def _name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def path(asked: str, served: str) -> None:
    if asked != served:
        raise Rejected(404, INVALID_REQUEST, f"there is nothing here; the MCP endpoint is {served}")


def origin(headers: Mapping[str, str], allowed: frozenset[str]) -> None:
    """Against DNS rebinding: browsers always name the page's origin, which must be local or listed.

    The Host header proves nothing here, since a rebound name is in both.
    """
    value = headers.get("origin")
    if value is None or value in allowed:
        return
    try:
        parts = urlsplit(value)
        if parts.scheme in ("http", "https") and parts.hostname in _LOCAL_HOSTS and not parts.path:
            return
    except ValueError:
        pass
    raise Rejected(403, INVALID_REQUEST, "the Origin header names a site that is not allowed to use this server")


def accepts(headers: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether the client takes JSON, and whether it takes an event stream. Without the header it takes everything."""
    value = headers.get("accept")
    if value is None:
        return True, True
    return _accepted(value)


@functools.lru_cache(64)
def _accepted(value: str) -> tuple[bool, bool]:
    types = {part.partition(";")[0].strip().lower() for part in value.split(",")}
    anything = "*/*" in types
    return (
        anything or not types.isdisjoint(("application/json", "application/*")),
        anything or not types.isdisjoint(("text/event-stream", "text/*")),
    )


def content(headers: Mapping[str, str]) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Rejected(415, INVALID_REQUEST, f"Content-Type must be application/json, not {kind[:80]!r}")
    if not all(accepts(headers)):
        raise Rejected(406, INVALID_REQUEST, "Accept must list application/json and text/event-stream")


def is_modern(message: Json, headers: Mapping[str, str]) -> bool:
    """Decided by the envelope, or by a header that names a modern version; a bare initialize is legacy by its name."""
    meta = params_of(message).get("_meta")
    if isinstance(meta, dict) and VERSION_KEY in meta:
        return True
    return names_modern_version(headers) and message.get("method") != "initialize"


def names_modern_version(headers: Mapping[str, str]) -> bool:
    return headers.get("mcp-protocol-version") in MODERN_VERSIONS


def legacy_version(headers: Mapping[str, str]) -> None:
    version = headers.get("mcp-protocol-version")
    if version is None or version in LEGACY_VERSIONS:
        return
    known = ", ".join((*LEGACY_VERSIONS, *MODERN_VERSIONS))
    raise Rejected(400, INVALID_REQUEST, f"MCP-Protocol-Version {version[:40]!r} is not supported; known are {known}")


def modern_request(message: Json, headers: Mapping[str, str]) -> None:
    """The envelope is there, the headers say what the body says, and the version is one that is spoken here."""
    params = params_of(message)
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        meta = {}
    missing = [key for key in (VERSION_KEY, CLIENT_CAPABILITIES_KEY) if key not in meta]
    if missing:
        raise Rejected(400, INVALID_PARAMS, f"params._meta lacks {', '.join(missing)}")
    if not isinstance(meta[CLIENT_CAPABILITIES_KEY], dict):
        raise Rejected(400, INVALID_PARAMS, f"params._meta {CLIENT_CAPABILITIES_KEY} must be an object")
    version, method = meta[VERSION_KEY], message["method"]
    if headers.get("mcp-protocol-version") != version:
        raise _mismatch("MCP-Protocol-Version", VERSION_KEY)
    if headers.get("mcp-method") != method:
        raise _mismatch("Mcp-Method", "method")
    name_key = _NAMED_BY.get(method)
    if name_key and name_key in params and decode_header(headers.get("mcp-name")) != params[name_key]:
        raise _mismatch("Mcp-Name", f"params.{name_key}")
    if not isinstance(version, str) or version not in MODERN_VERSIONS:
        data: Json = {"supported": list(MODERN_VERSIONS), "requested": version}
        raise Rejected(400, UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def mirrors(wanted: Mirrors, arguments: object, headers: Mapping[str, str]) -> None:
    """`Mcp-Param-*` headers say what the arguments that they repeat say, and nothing where there is none."""
    for header, path in wanted:
        value, sent = mirrored(arguments, path), decode_header(headers.get(header))
        if value is None:
            if header in headers:
                raise _mismatch(header, f"arguments.{'.'.join(path)}, which has no value,")
        elif sent is None or not _says(sent, value):
            raise _mismatch(header, f"arguments.{'.'.join(path)}")


def _says(sent: str, value: str | int | bool) -> bool:
    if isinstance(value, str | bool):
        return sent == as_header(value)
    return _WHOLE.match(sent) is not None and int(sent.partition(".")[0]) == value


def decode_header(value: str | None) -> str | None:
    """`=?base64?...?=` holds what a header cannot; None for a broken one, which equals nothing in a body."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    payload = value[len("=?base64?") : -len("?=")]
    try:
        decoded = base64.b64decode(payload, validate=True)
        canonical = base64.b64encode(decoded).decode() == payload
        return decoded.decode() if canonical else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def encode_header(value: str) -> str:
    """The inverse, for requests of ours: printable ASCII goes as it is."""
    plain = value.isascii() and value.isprintable() and value == value.strip() and not value.startswith("=?base64?")
    return value if plain else f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def _mismatch(header: str, member: str) -> Rejected:
    return Rejected(400, HEADER_MISMATCH, f"the {header} header does not match {member} of the body")
