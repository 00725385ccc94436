"""JSON-RPC 2.0 as MCP uses it: reading untrusted bytes, telling messages apart, writing them anew.

Nothing that was read is ever written as it came: a message is decoded, looked at and encoded again, so that duplicate
keys, embedded newlines and numbers outside JSON cannot mean one thing here and another thing at the receiver.
"""

import json
import math
import re
from enum import Enum
from typing import Any, Final

import msgspec

Json = dict[str, Any]

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

# MCP's, since 2026-07-28.
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

# JSON-RPC keeps -32768..-32000 for itself and MCP; these are this bridge's own.
SERVER_DOWN: Final = -31000
"""There is no server to answer, or it went away before it did."""
TIMED_OUT: Final = -31001
CANCELLED: Final = -31002
TOO_LARGE: Final = -31003
BUSY: Final = -31004
"""A bound of this bridge is reached; the same call may succeed later."""

MAX_VALUES = 300_000
"""In one message. Decoded, a dense message takes some twenty times its size; this keeps that below 50 MB."""
_DECODE: Final = msgspec.json.Decoder().decode
_ENCODE: Final = msgspec.json.Encoder().encode
"""Both agree with `json` on every value that they accept, and refuse where they would not: but see _Infinite."""
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class Kind(Enum):
    """What a JSON-RPC message is, by its members alone."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    RESPONSE = "response"


class Malformed(ValueError):  # noqa: N818 - a verdict on the input, shown to its sender
    """Not one JSON value in the limits; the text says what is wrong with it."""


def decode(data: bytes | bytearray) -> object:
    """Raises Malformed. Strict: no NaN, no integers of thousands of digits, no nesting that recursion cannot follow."""
    if len(data) > MAX_VALUES and _has_too_many_values(data):
        raise Malformed(f"more than {MAX_VALUES} values in one message")
    try:
        return _DECODE(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # whether it is wrong, and what is wrong with it, is for the slower one to say
    try:
        return json.loads(data, parse_constant=_refuse_constant, parse_float=_float)
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"not valid JSON: {str(error)[:200]}") from None


def encode(message: Json) -> bytes:
    """One line without its end. Raises Malformed for a number outside JSON (1e999 is read as infinity)."""
    try:
        return _ENCODE(message)
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: legal in JSON, not in UTF-8
        return json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from None


def kind_of(message: object) -> Kind | None:
    """None for everything that is no JSON-RPC message of MCP: batches, other versions, ids that cannot be answered."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return None
    if "method" in message:
        if not isinstance(message["method"], str) or not isinstance(message.get("params", {}), dict):
            return None
        if "id" not in message:
            return Kind.NOTIFICATION
        return Kind.REQUEST if is_id(message["id"]) else None
    return Kind.RESPONSE if _is_response(message) else None


def is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def id_key(value: object) -> str:
    """1 and "1" are two ids."""
    return f"{type(value).__name__}:{value}"


def request(request_id: int | str, method: str, params: Json | None = None) -> Json:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}


def notification(method: str, params: Json | None = None) -> Json:
    return {"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})}


def result(request_id: object, value: Json) -> Json:
    return {"jsonrpc": "2.0", "id": request_id, "result": value}


def error(request_id: object, code: int, message: str, data: Json | None = None) -> Json:
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "error": {"code": code, "message": message, **({"data": data} if data is not None else {})},
    }


def params_of(message: Json) -> Json:
    """The parameters, {} when absent; `kind_of` has checked that they are an object."""
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def meta_of(message: Json) -> Json:
    meta = params_of(message).get("_meta")
    return meta if isinstance(meta, dict) else {}


def _is_response(message: Json) -> bool:
    request_id = message.get("id")
    if "error" in message:
        # Without an id it answers a message that its receiver could not read.
        known = request_id is None or is_id(request_id)
        return known and "result" not in message and _is_error(message["error"])
    return isinstance(message.get("result"), dict) and is_id(request_id)


def _is_error(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("message"), str):
        return False
    return isinstance(value.get("code"), int) and not isinstance(value["code"], bool)


class _Infinite(float):
    """1e999. msgspec would write null for a plain infinite float; what is no plain float it does not write at all."""


def _float(text: str) -> float:
    value = float(text)
    return _Infinite(value) if math.isinf(value) else value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _has_too_many_values(data: bytes | bytearray) -> bool:
    """Counts what begins or separates values, without what looks like it inside strings. Cost: O(size), no copies."""
    total = data.count(b",") + data.count(b"[") + data.count(b"{")
    if total <= MAX_VALUES:
        return False
    for strings, match in enumerate(_STRING.finditer(data)):
        if strings == MAX_VALUES:
            return True
        start, end = match.span()
        total -= data.count(b",", start, end) + data.count(b"[", start, end) + data.count(b"{", start, end)
        if total <= MAX_VALUES:
            return False
    return True
