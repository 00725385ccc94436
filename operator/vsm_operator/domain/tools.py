"""A server's tool surface as one value, what its clients and the models behind them are told, and as clients see it."""

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

_SURFACE = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""Everything a model reads before it calls a tool. Icons and `_meta` do not reach it and may change freely."""


def tools_hash(tools: Iterable[Mapping[str, object]]) -> str:
    """Equal for equal tool surfaces, whatever the order of tools and of keys. Returns "sha256:" and 64 hex digits."""
    surface = sorted(
        json.dumps({field: tool[field] for field in _SURFACE if field in tool}, sort_keys=True, separators=(",", ":"))
        for tool in tools
    )
    return "sha256:" + hashlib.sha256("\n".join(surface).encode()).hexdigest()


def visible(names: Iterable[str], *, allow: Sequence[str], deny: Sequence[str]) -> list[str]:
    """Those that a filter lets through. Globs as in a shell, upper and lower case differ; deny wins; no allow: all."""
    return [
        name
        for name in names
        if (not allow or any(fnmatch.fnmatchcase(name, glob) for glob in allow))
        and not any(fnmatch.fnmatchcase(name, glob) for glob in deny)
    ]
