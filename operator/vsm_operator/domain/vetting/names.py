"""One form for the names of packages, so that a rule written for a name also meets its disguises.

A name has two readings. Its `identity` is what the registry would serve: exact, and empty when no registry can have
such a name. Its `looks_like` is what a reader sees: case, scripts, separators, prefixes and invisible characters gone.
Allow lists compare identities, block lists compare both: a disguise is never allowed and always blocked. Block beats
allow. Everything is linear in the length, which is cut at NAME_SCAN_CHARS; nothing raises on hostile text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting import confusables
from vsm_operator.domain.vetting.ranges import satisfies

NAME_SCAN_CHARS = 512
_PREFIX = re.compile(r"(?:npm|node|pypi|jsr):", re.IGNORECASE)
_PYPI_REST = re.compile(r"[\s\[<>=!~;(@].*", re.DOTALL)
_BARE_RANGE = re.compile(r"([^\s<>=!~@\[;]+)\s*([<>=!~].*)", re.DOTALL)
_SEPARATORS = re.compile(r"[-_.]+")
# Scopes that claim to speak for the runtime itself: `@node/fs` is refused like `fs`, `@protobufjs/path` is not.
_RUNTIME_SCOPES = frozenset(
    {"node", "nodejs", "npm", "core", "builtin", "builtins", "native", "std", "stdlib", "internal", "system", "v8"}
)
# Legacy npm names may hold capitals and these signs; new ones may not. PyPI names are PEP 508's.
_NPM_IDENTITY = re.compile(r"(?:@[A-Za-z0-9~_.-]{1,214}/)?[A-Za-z0-9~_.!'()*-]{1,214}", re.ASCII)
_PYPI_IDENTITY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,212}[A-Za-z0-9])?", re.ASCII)

Disguise: TypeAlias = Literal["exact", "alias", "prefix", "look-alike", "runtime-scope", "scope"]


@dataclass(frozen=True, slots=True)
class Name:
    """One name as somebody wrote it, and its two readings."""

    ecosystem: Ecosystem
    given: str
    identity: str
    """Lower case for npm, PEP 503 for PyPI; "" when no registry serves it."""
    looks_like: str
    """`scope/base` or `base`, every run of separators one dash, without prefix and "@"."""
    prefixed: bool
    """Written with `node:` or `npm:` before it."""
    flaws: tuple[confusables.Flaw, ...]

    @property
    def scope(self) -> str:
        return self.looks_like.rpartition("/")[0]

    @property
    def base(self) -> str:
        return self.looks_like.rpartition("/")[2]

    @property
    def squeezed(self) -> str:
        """The base without separators, digits read as the letters they resemble."""
        return confusables.visual_key(self.base.replace("-", ""))


@lru_cache(maxsize=8192)
def parse_name(ecosystem: Ecosystem, text: str) -> Name:
    """Reads a name, with or without `node:`, `npm:`, a version, extras or percent-encoding."""
    given = text[:NAME_SCAN_CHARS]
    raw = given.replace("%2f", "/").replace("%2F", "/").replace("%40", "@")
    plain = _without_rest(ecosystem, _without_prefixes(raw)[0])
    seen, prefixed = _without_prefixes(confusables.skeleton(raw))
    seen = _without_rest(ecosystem, seen)
    scope, slash, base = seen.removeprefix("@").rpartition("/")
    looks_like = _dashed(scope) + slash + _dashed(base)
    pattern = _NPM_IDENTITY if ecosystem is Ecosystem.NPM else _PYPI_IDENTITY
    identity = ""
    if len(text) <= NAME_SCAN_CHARS and pattern.fullmatch(plain):
        identity = plain.lower() if ecosystem is Ecosystem.NPM else _SEPARATORS.sub("-", plain).lower()
    return Name(ecosystem, given, identity, looks_like, prefixed, confusables.flaws(given))


def canonical(ecosystem: Ecosystem, text: str) -> str:
    """The identity, or for a name that no registry serves what it looks like: one key to group and compare by."""
    name = parse_name(ecosystem, text)
    return name.identity or name.looks_like


def dependency_names(ecosystem: Ecosystem, key: str, wanted: str) -> tuple[Name, ...]:
    """Every name that one line of a manifest brings in: its key, and the target of `npm:target@range` if it is one."""
    names = [parse_name(ecosystem, key)]
    if ecosystem is Ecosystem.NPM and wanted.strip()[:4].lower() == "npm:":
        names.append(parse_name(ecosystem, wanted.strip()))
    return tuple(names)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an allow or block list: `name`, `name@range`, `@scope/*`, `scope/*`, or a package URL."""

    text: str
    name: str
    """Identity (allow) of the one package, "" for a whole scope."""
    scope: str
    range: str
    ecosystem: Ecosystem | None
    """None: every ecosystem, as a list written by hand means it."""

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, text: str) -> "Entry":
        rest, ecosystem = text.strip(), None
        if rest.lower().startswith("pkg:"):
            kind, _, rest = rest[4:].replace("%40", "@").replace("%2F", "/").partition("/")
            ecosystem = next((each for each in Ecosystem if each == kind.lower()), None)
            if ecosystem is None:
                return cls(text, "", "", "", None)
        rest = _PREFIX.sub("", rest, count=1)
        if bare := _BARE_RANGE.fullmatch(rest):
            rest = f"{bare.group(1)}@{bare.group(2)}"  # `name>=1,<2`, as requirements are written for Python
        name, at, range_ = rest[1:].partition("@") if rest.startswith("@") else rest.partition("@")
        scoped = name.lower()
        if scoped.endswith("/*"):
            return cls(text, "", scoped[:-2], range_ if at else "", ecosystem)
        return cls(text, ("@" if "/" in scoped else "") + scoped, "", range_.strip(), ecosystem)


@dataclass(frozen=True, slots=True)
class BlockMatch:
    """Which entry met which name, and how well it was hidden."""

    entry: str
    name: str
    disguise: Disguise


def matching_entry(entries: Iterable[str], ecosystem: Ecosystem, name: str, version: str) -> str | None:
    """The first entry of an allow list that means this package. Disguised names and unreadable ranges match nothing."""
    parsed = parse_name(ecosystem, name)
    if not parsed.identity or parsed.flaws or parsed.prefixed:
        return None
    for text in entries:
        entry = Entry.parse(text)
        if entry.ecosystem not in (None, ecosystem):
            continue
        if entry.scope:
            named = ecosystem is Ecosystem.NPM and parsed.identity.startswith(f"@{entry.scope}/")
        else:
            whole = ecosystem is Ecosystem.NPM or not _PYPI_REST.search(entry.name)
            named = bool(entry.name) and whole and parse_name(ecosystem, entry.name).identity == parsed.identity
        if named and (not entry.range or satisfies(ecosystem, version, entry.range) is True):
            return text
    return None


def blocked_by(
    entries: Iterable[str], ecosystem: Ecosystem, name: str, *, version: str = "", alias: str = ""
) -> BlockMatch | None:
    """The first entry of a block list that this package, or the alias it is installed under, falls under.

    A range keeps a version out only if it certainly lies outside; an alias is met by bare names of any version.
    """
    listed = tuple(entries)
    for text in listed:
        entry = Entry.parse(text)
        if entry.ecosystem not in (None, ecosystem):
            continue
        disguise = _meets(entry, parse_name(ecosystem, name))
        if disguise and (not entry.range or not version or satisfies(ecosystem, version, entry.range) is not False):
            return BlockMatch(text, name[:NAME_SCAN_CHARS], disguise)
        if alias and _meets(entry, parse_name(ecosystem, alias)):
            return BlockMatch(text, alias[:NAME_SCAN_CHARS], "alias")
    return None


def _meets(entry: Entry, name: Name) -> Disguise | None:
    if entry.scope:
        return "scope" if name.ecosystem is Ecosystem.NPM and name.scope == _dashed(entry.scope) else None
    if not entry.name:
        return None
    blocked = parse_name(name.ecosystem, entry.name)
    if name.identity and name.identity == blocked.identity:
        return "prefix" if name.prefixed else "exact"
    if name.scope == blocked.scope and name.squeezed == blocked.squeezed:
        return "look-alike"
    if not blocked.scope and name.scope in _RUNTIME_SCOPES and name.squeezed == blocked.squeezed:
        return "runtime-scope"
    return None


def _without_prefixes(text: str) -> tuple[str, bool]:
    """`npm:node:x` is x; and whether there was a prefix."""
    rest, prefixed = text.strip(), False
    while match := _PREFIX.match(rest):
        rest, prefixed = rest[match.end() :].lstrip(), True
    return rest, prefixed


def _without_rest(ecosystem: Ecosystem, text: str) -> str:
    """Without version, range, extras or marker."""
    if ecosystem is Ecosystem.PYPI:
        return _PYPI_REST.sub("", text, count=1)
    head, tail = text[:1], text[1:]
    name, _, rest = tail.partition("@")
    if not rest.lower().startswith("npm:"):
        return head + name
    return _without_rest(ecosystem, _without_prefixes(rest)[0])  # alias@npm:target: the target is what is installed


def _dashed(text: str) -> str:
    return _SEPARATORS.sub("-", text).strip("-")
