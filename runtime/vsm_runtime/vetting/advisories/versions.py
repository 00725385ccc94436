"""Versions of both registries as keys that sort the way the registry sorts them.

Equal keys mean the same version. A text that is no version gives None, never an order that was guessed: who asks has to
treat what cannot be compared as undecided. All patterns are linear and every text is bounded first.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import nodesemver  # type: ignore[import-untyped]
from packaging.version import InvalidVersion, Version

from vsm_operator.domain.packages import Ecosystem

MAX_VERSION_LENGTH = 256
"""npm refuses longer ones; PyPI has none."""
MAX_RANGE_LENGTH = 2048
MAX_ALTERNATIVES = 64
VersionKey: TypeAlias = Any
"""Comparable with keys of the same ecosystem only."""

_SEMVER = re.compile(
    r"[v=]?(?P<core>[0-9]{1,20}(?:\.[0-9]{1,20}){0,2})(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]*)?"
)
_COMPARATOR = re.compile(r"(?P<operator><=|>=|<|>|=)?(?P<version>[0-9vV*][0-9A-Za-z.+*-]*)")
_OPERATOR_GAP = re.compile(r"(<=|>=|<|>|=)[ ,]{1,20}")


def version_key(ecosystem: Ecosystem, version: str) -> VersionKey | None:
    """None when the text is no version of that registry."""
    if len(version) > MAX_VERSION_LENGTH:
        return None
    return _npm_key(version) if ecosystem is Ecosystem.NPM else _pypi_key(version)


@lru_cache(maxsize=16384)
def _npm_key(version: str) -> VersionKey | None:
    """Semantic Versioning 2.0.0 §11; a leading v and missing numbers are read as npm's loose mode does."""
    match = _SEMVER.fullmatch(version.strip())
    if match is None:
        return None
    numbers = [int(part) for part in match["core"].split(".")]
    numbers += [0] * (3 - len(numbers))
    if match["pre"] is None:
        return (*numbers, 1, ())
    # Numbers rank below words, and a prefix below what it begins.
    identifiers = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in match["pre"].split("."))
    return (*numbers, 0, identifiers)


@lru_cache(maxsize=16384)
def _pypi_key(version: str) -> VersionKey | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None


def npm_range_contains(expression: str, version: str) -> bool | None:
    """Whether an advisory's npm range covers the version, pre-releases included; None when it cannot be decided.

    Comparators are evaluated here, since `node-semver` lets a pre-release of the fixed version pass as unaffected.
    The rarer forms (^, ~, hyphens, x) are its business; there a pre-release counts as affected when its release is.
    """
    key = version_key(Ecosystem.NPM, version)
    alternatives = expression.split("||", MAX_ALTERNATIVES)
    if key is None or len(expression) > MAX_RANGE_LENGTH or len(alternatives) > MAX_ALTERNATIVES:
        return None
    answers = [_alternative_contains(alternative, key=key, version=version) for alternative in alternatives]
    if any(answer is True for answer in answers):
        return True
    return None if any(answer is None for answer in answers) else False


def npm_range_fix(expression: str, version: str) -> str:
    """The exclusive upper bound of the alternative that covers the version; empty when it has none."""
    key = version_key(Ecosystem.NPM, version)
    if key is None or len(expression) > MAX_RANGE_LENGTH:
        return ""
    for alternative in expression.split("||", MAX_ALTERNATIVES):
        comparators = _comparators(alternative)
        if comparators and all(_holds(operator, key, bound) for operator, bound, _ in comparators):
            bounds = sorted((bound, text) for operator, bound, text in comparators if operator == "<")
            if bounds:
                return bounds[0][1]
    return ""


def _alternative_contains(alternative: str, *, key: VersionKey, version: str) -> bool | None:
    if alternative.strip() in ("", "*", "x", "X"):
        return True
    comparators = _comparators(alternative)
    if comparators is not None:
        return all(_holds(operator, key, bound) for operator, bound, _ in comparators)
    release = version.partition("+")[0].partition("-")[0]
    try:
        # Not `satisfies`: it answers False for a range that it cannot read. Not loose: that drops what it cannot read.
        expression = nodesemver.Range(alternative, False)
        return any(expression.test(shape, include_prerelease=True) is True for shape in {version, release})
    except Exception:  # noqa: BLE001 - the library raises bare ValueError, TypeError, AttributeError, RecursionError
        return None


def _comparators(alternative: str) -> Sequence[tuple[str, VersionKey, str]] | None:
    """Operator, bound and the bound's text; None when something in it is no comparator with a whole version."""
    found: list[tuple[str, VersionKey, str]] = []
    for word in _OPERATOR_GAP.sub(r"\1", alternative).replace(",", " ").split():
        match = _COMPARATOR.fullmatch(word)
        if match is None:
            return None
        text = match["version"]
        if text == "*":
            continue
        key = version_key(Ecosystem.NPM, text)
        if key is None or text.partition("-")[0].partition("+")[0].count(".") != 2:
            return None
        found.append((match["operator"] or "=", key, text))
    return found or None


_HOLDS: dict[str, Callable[[VersionKey, VersionKey], bool]] = {
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
    "=": lambda left, right: bool(left == right),
}


def _holds(operator: str, left: VersionKey, right: VersionKey) -> bool:
    return _HOLDS[operator](left, right)
