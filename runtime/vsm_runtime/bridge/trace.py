"""The trace context of a call: from HTTP headers into `_meta`, where an MCP server looks for it. Pure.

Invariants: what a client put into `_meta` is left alone; a context is taken whole or not at all, never half from a
header and half from `_meta`; a header that is not well-formed or too long is dropped without a word, as its
specification asks.

Source: W3C Trace Context, level 1, sections 3.2 and 3.3; W3C Baggage, section 3.3; MCP 2026-07-28, "Basic", `_meta`.
"""

import re
from collections.abc import Mapping

from vsm_runtime.bridge.jsonrpc import Json

MAX_TRACESTATE_CHARS = 512
MAX_TRACESTATE_MEMBERS = 32
MAX_BAGGAGE_CHARS = 8192
MAX_BAGGAGE_MEMBERS = 64
MAX_TRACEPARENT_CHARS = 256
"""Later versions may append to the 55 characters of version 00."""

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")
_STATE_KEY = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_STATE_MEMBER = re.compile(rf"{_STATE_KEY}=[ -+\--<>-~]{{0,255}}[!-+\--<>-~]")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
_OCTETS = r"[!#-+\--:<-\[\]-~]*"
_PROPERTY = rf"[ \t]*;[ \t]*{_TOKEN}(?:[ \t]*=[ \t]*{_OCTETS})?"
_BAGGAGE_MEMBER = re.compile(rf"{_TOKEN}[ \t]*=[ \t]*{_OCTETS}(?:{_PROPERTY})*")


def merge(params_meta: Json, headers: Mapping[str, str]) -> Json:
    """`params_meta` with what the headers add; the same object when they add nothing, and never changed itself."""
    added: Json = {}
    if "traceparent" not in params_meta and "tracestate" not in params_meta:
        parent = headers.get("traceparent")
        if parent is not None and is_traceparent(parent):
            added["traceparent"] = parent
            state = headers.get("tracestate")
            if state is not None and is_tracestate(state):
                added["tracestate"] = state
    if "baggage" not in params_meta:
        baggage = headers.get("baggage")
        if baggage is not None and is_baggage(baggage):
            added["baggage"] = baggage
    return {**params_meta, **added} if added else params_meta


def is_traceparent(value: str) -> bool:
    if len(value) > MAX_TRACEPARENT_CHARS:
        return False
    found = _TRACEPARENT.fullmatch(value)
    return found is not None and (found[1] != "00" or found[2] is None)


def is_tracestate(value: str) -> bool:
    members = _members(value, max_chars=MAX_TRACESTATE_CHARS, max_members=MAX_TRACESTATE_MEMBERS)
    if not members or not all(map(_STATE_MEMBER.fullmatch, members)):
        return False
    return len({member.partition("=")[0] for member in members}) == len(members)


def is_baggage(value: str) -> bool:
    members = _members(value, max_chars=MAX_BAGGAGE_CHARS, max_members=MAX_BAGGAGE_MEMBERS)
    return bool(members) and all(map(_BAGGAGE_MEMBER.fullmatch, members))


def _members(value: str, *, max_chars: int, max_members: int) -> list[str]:
    """Without empty ones, which both lists allow; none at all when there is too much of it."""
    if len(value) > max_chars:
        return []
    members = [member for part in value.split(",") if (member := part.strip(" \t"))]
    return members if len(members) <= max_members else []
