"""What is known of a server's tools between two listings: their names, their hash, and which headers their calls need.

Pure. The definitions themselves are not kept: they can be large, and each tools/list fetches and judges them anew.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vsm_operator.domain.tools import tools_hash
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.logs import shown
from vsm_runtime.bridge.toolfilter import ToolFilter

_log = logging.getLogger(__name__)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")
_MIRRORED_TYPES: Final = frozenset({"integer", "string", "boolean"})
_MAX_DEPTH = 32

Mirrors = tuple[tuple[str, tuple[str, ...]], ...]
"""Pairs of a header in lower case and the path of the argument that it repeats."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything that a server answered to tools/list, all pages of it."""

    tools: list[Json]
    ttl_ms: int = 0
    cache_scope: str = "private"


@dataclass(frozen=True, slots=True)
class ToolBook:
    """One listing in short."""

    names: tuple[str, ...]
    """All of them, cleaned for people."""
    digest: str
    """Over all of them, filtered or not."""
    visible: frozenset[str]
    """Those that clients may see and call, as the server names them."""
    mirrors: Mapping[str, Mirrors]


def summarise(listing: Listing, tool_filter: ToolFilter) -> ToolBook:
    names = [tool["name"] for tool in listing.tools]
    mirrors = {tool["name"]: found for tool in listing.tools if (found := mirrors_of(tool))}
    return ToolBook(
        names=tuple(shown(name, 200) for name in names),
        digest=tools_hash(listing.tools),
        visible=frozenset(name for name in names if tool_filter.allows(name)),
        mirrors=mirrors,
    )


def mirrors_of(tool: Json) -> Mirrors:
    """The `x-mcp-header` annotations of a tool; none if one of them is not as the specification wants them."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for path, name, schema in _annotated(tool.get("inputSchema"), ()):
        header = f"mcp-param-{name}".lower()
        valid = isinstance(name, str) and _TOKEN.match(name) and schema.get("type") in _MIRRORED_TYPES
        if not valid or any(header == other for other, _ in found):
            _log.warning("tool %s: x-mcp-header %s is not valid and is ignored", shown(tool["name"]), shown(name))
            return ()
        found.append((header, path))
    return tuple(found)


def _annotated(schema: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object, Json]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(path) >= _MAX_DEPTH:
        return
    for name, inner in properties.items():
        if isinstance(inner, dict):
            if "x-mcp-header" in inner:
                yield (*path, name), inner["x-mcp-header"], inner
            yield from _annotated(inner, (*path, name))


def mirrored(arguments: object, path: tuple[str, ...]) -> str | int | bool | None:
    """The value of an argument that a header repeats; None when there is none."""
    value = arguments
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str | int | bool) else None


def as_header(value: str | int | bool) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
