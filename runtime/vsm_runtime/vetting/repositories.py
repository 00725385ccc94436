"""Where a package says that its source lives, and whether two such statements mean the same place. Pure.

Only the host, the owner and the name count: `git+ssh`, `.git`, a trailing path and the case of letters do not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsm_runtime.vetting.documents import entries, mapping, text

_SHORTHANDS = {"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org"}
_KNOWN_HOSTS = frozenset({*_SHORTHANDS.values(), "codeberg.org"})
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
_SHORT = re.compile(rf"(?:(github|gitlab|bitbucket):)?({_SEGMENT})/({_SEGMENT})(?:#.{{0,200}})?")
_URL = re.compile(
    r"(?:git\+)?(?:https?|git|ssh)://(?:[A-Za-z0-9._-]{1,64}(?::[^@/\s]{0,64})?@)?([A-Za-z0-9.-]{1,253})(?::\d{1,5})?/([^\s?#]{1,500})"
)
_SCP = re.compile(r"(?:git@|git\+ssh://git@)([A-Za-z0-9.-]{1,253}):([^\s?#]{1,500})")
_SAFE = re.compile(_SEGMENT)
_MCP_NAME = re.compile(r"mcp-name:[ \t]{0,8}([A-Za-z0-9][A-Za-z0-9.-]{0,199}/[A-Za-z0-9][A-Za-z0-9._-]{0,199})")
_MCP_NAME_FIELD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,199}/[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_HOST_PREFIXES = {"io.github.": "github.com", "io.gitlab.": "gitlab.com", "com.github.": "github.com"}
_SOURCE_LABELS = frozenset({"repository", "source", "sourcecode", "github", "gitlab", "code", "sources"})
_HOME_LABELS = frozenset({"homepage", "home"})


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A place of source code, all parts in lower case; `owner` keeps a group's inner slashes."""

    host: str
    owner: str
    name: str

    def __str__(self) -> str:
        return f"https://{self.host}/{self.owner}/{self.name}"


def parse_repository(value: object) -> Repository | None:
    """From a URL, a shorthand such as `owner/name`, or npm's object form; None when it names no repository."""
    raw = text(mapping(value).get("url") if isinstance(value, dict) else value).strip()
    if not raw:
        return None
    if short := _SHORT.fullmatch(raw):
        kind, owner, name = short.groups()
        return _repository(_SHORTHANDS[kind or "github"], f"{owner}/{name}")
    found = _URL.match(raw) or _SCP.match(raw)
    return _repository(*found.groups()) if found else None


def _repository(host: str, path: str) -> Repository | None:
    host = host.lower().removeprefix("www.").rstrip(".")
    parts = [part for part in path.split("/") if part]
    if host != "gitlab.com" and host in _KNOWN_HOSTS:
        parts = parts[:2]  # what follows is a folder, a branch or a page of that repository
    if "-" in parts:
        parts = parts[: parts.index("-")]  # GitLab's mark between the repository and its pages
    if len(parts) < 2 or not all(_SAFE.fullmatch(part) for part in parts):
        return None
    *owner, name = parts
    name = name.removesuffix(".git")
    return Repository(host, "/".join(owner).lower(), name.lower()) if name else None


def project_repositories(info: Mapping[str, Any]) -> tuple[Repository, ...]:
    """What PyPI's `info` (or METADATA in that shape) declares, best label first."""
    ranked: list[tuple[int, str]] = []
    for label, url in entries(info.get("project_urls")):
        folded = "".join(c for c in label.lower() if c.isalpha())
        rank = 0 if folded in _SOURCE_LABELS else 1 if folded in _HOME_LABELS else 2
        ranked.append((rank, text(url)))
    ranked.append((1, text(info.get("home_page"))))
    found = [repository for _, url in sorted(ranked[:100]) if (repository := parse_repository(url)) is not None]
    return tuple(dict.fromkeys(r for r in found if r.host in _KNOWN_HOSTS or "git" in r.host))


def mcp_name_in(readme: object) -> str:
    """The name after `mcp-name:` in a description; "" when there is none."""
    found = _MCP_NAME.search(readme[:2_000_000]) if isinstance(readme, str) else None
    return found.group(1) if found else ""


def mcp_name_field(value: object) -> str:
    """npm's `mcpName` when it has the form of one."""
    return value if isinstance(value, str) and _MCP_NAME_FIELD.fullmatch(value) else ""


def mcp_name_owner(name: str) -> tuple[str, str] | None:
    """Host and owner that an MCP name claims; None for a name under a domain, which says nothing of a repository."""
    space = name.partition("/")[0].lower()
    for prefix, host in _HOST_PREFIXES.items():
        if space.startswith(prefix) and space != prefix:
            return host, space.removeprefix(prefix)
    return None
