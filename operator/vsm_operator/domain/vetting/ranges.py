"""Whether one exact version lies in a range that a person wrote in a policy. Pure; says so when it cannot read it.

`satisfies` answers True, False, or None when version or range is not understood: an allow list treats None as no, a
block list as yes. Resolution of real dependency trees is the package managers' own; this is for policies only.
Grammar: npm: exact, `^ ~ > >= < <= =`, `x`/`*` parts, hyphen ranges, spaces for and, `||` for or; a pre-release counts
only where the range names a pre-release of the same triple, and under `*`, which means every version here. PyPI: PEP
440 specifiers joined by commas, or one version; pre-releases are ordered like any version, since a person who blocks
`<2` means them too.
"""

import re
from typing import TypeAlias

from vsm_operator.domain.packages import Ecosystem

RANGE_MAX_LENGTH = 128
_SEMVER = re.compile(
    r"v?(\d{1,15}|[xX*])(?:\.(\d{1,15}|[xX*]))?(?:\.(\d{1,15}|[xX*]))?"
    r"(?:-([0-9A-Za-z.-]{1,64}))?(?:\+[0-9A-Za-z.-]{1,64})?",
    re.ASCII,
)
_COMPARATOR = re.compile(r"\s*(\^|~>?|>=|<=|>|<|=)?\s*([^\s<>=^~|]+)\s*")
_PEP440 = re.compile(
    r"v?(?:(\d{1,9})!)?(\d{1,15}(?:\.\d{1,15}){0,9})"
    r"(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d{0,9}))?"
    r"(?:-(\d{1,9})|([-_.]?(?:post|rev|r)[-_.]?\d{0,9}))?(?:[-_.]?(dev)[-_.]?(\d{0,9}))?",
    re.IGNORECASE | re.ASCII,
)
_SPECIFIER = re.compile(r"\s*(===|==|~=|!=|<=|>=|<|>)\s*([^\s,=<>~]+)\s*")
_ANY = frozenset({"", "*", "x", "X"})

_Identifiers: TypeAlias = tuple[tuple[int, int, str], ...]
_Semver: TypeAlias = tuple[int, int, int, _Identifiers]
_Pep440: TypeAlias = tuple[int, tuple[int, ...], tuple[int, int], int, int]
# Pre-releases sort by their identifiers; a release is one element greater than any of them.
_RELEASE: _Identifiers = ((2, 0, ""),)
_LOWEST: _Identifiers = ()
_ZERO: _Semver = (0, 0, 0, _LOWEST)
_INFINITY: _Semver = (10**16, 0, 0, _RELEASE)
_PHASES = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_FINAL = (3, 0)
_NO_DEV = 10**9


def satisfies(ecosystem: Ecosystem, version: str, range_: str) -> bool | None:
    """True or False; None when it cannot be told."""
    wanted = range_.strip()
    if max(len(wanted), len(version)) > RANGE_MAX_LENGTH:
        return None
    if wanted in _ANY:
        return True
    return _npm(version, wanted) if ecosystem is Ecosystem.NPM else _pypi(version, wanted)


def _npm(text: str, wanted: str) -> bool | None:
    version = _exact_semver(text)
    if version is None:
        return None
    answers = [_npm_alternative(version, alternative.strip()) for alternative in wanted.split("||")]
    return None if None in answers else True in answers


def _npm_alternative(version: _Semver, wanted: str) -> bool | None:
    if wanted in _ANY:
        return version[3] == _RELEASE
    low_text, dash, high_text = wanted.partition(" - ")
    comparators = _split(_COMPARATOR, f">={low_text.strip()} <={high_text.strip()}" if dash else wanted)
    bounds = [_interval(operator or "=", operand) for operator, operand in comparators or ()]
    intervals = [bound for bound in bounds if bound is not None]
    if not intervals or len(intervals) < len(bounds):
        return None
    if not all(low <= version < high for low, high in intervals):
        return False
    named = {edge[:3] for bound in intervals for edge in bound if edge[3] and edge[3][0] != _RELEASE[0]}
    return version[3] == _RELEASE or version[:3] in named


def _split(pattern: re.Pattern[str], text: str, *, between: str = "") -> list[tuple[str, str]] | None:
    """Every (operator, operand) of the text; None if anything else is in it."""
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            return None
        found.append((match.group(1) or "", match.group(2)))
        position = match.end()
        if between and text[position : position + 1] == between:
            position += 1
    return found


def _interval(operator: str, text: str) -> tuple[_Semver, _Semver] | None:
    """[low, high) of one comparator."""
    match = _SEMVER.fullmatch(text)
    if match is None:
        return None
    known: list[int] = []
    for part in match.group(1, 2, 3):
        if part is None or part in "xX*":
            break
        known.append(int(part))
    if not known:
        return (_ZERO, _INFINITY) if operator not in {"<", ">"} else (_INFINITY, _INFINITY)
    whole = len(known) == 3
    major, minor, patch = (*known, 0, 0)[:3]
    low = (major, minor, patch, _identifiers(match.group(4)) if whole else _LOWEST)
    after = _after(low, known_parts=len(known))
    above = {
        ">=": (low, _INFINITY),
        ">": (after, _INFINITY),
        "<": (_ZERO, low),
        "<=": (_ZERO, after),
        "=": (low, after),
    }
    if operator in above:
        return above[operator]
    if operator == "^" and not major and len(known) > 1:
        # Nothing may change left of the first part that is not zero.
        return low, (0, minor + 1, 0, _LOWEST) if minor or not whole else (0, 0, patch + 1, _LOWEST)
    if operator == "^" or len(known) == 1:
        return low, (major + 1, 0, 0, _LOWEST)
    return low, (major, minor + 1, 0, _LOWEST)


def _after(low: _Semver, *, known_parts: int) -> _Semver:
    """The first version behind everything that `low`, given to so many parts, stands for."""
    major, minor, patch, pre = low
    if known_parts == 1:
        return (major + 1, 0, 0, _LOWEST)
    return (major, minor + 1, 0, _LOWEST) if known_parts == 2 else (major, minor, patch, (*pre, (-1, 0, "")))


def _exact_semver(text: str) -> _Semver | None:
    match = _SEMVER.fullmatch(text)
    if match is None or not all(part is not None and part.isdigit() for part in match.group(1, 2, 3)):
        return None
    return (int(match.group(1)), int(match.group(2)), int(match.group(3)), _identifiers(match.group(4)))


def _identifiers(text: str | None) -> _Identifiers:
    """Numbers before words, shorter before longer, as Semantic Versioning orders them."""
    if not text:
        return _RELEASE
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in text.split("."))


def _pypi(text: str, wanted: str) -> bool | None:
    version = _pep440(text)
    if version is None:
        return None
    if plain := _pep440(wanted):
        return version == plain
    specifiers = _split(_SPECIFIER, wanted, between=",")
    answers = [_specifier(version, text, operator, operand) for operator, operand in specifiers or ()]
    return None if not answers or None in answers else all(answers)


def _specifier(version: _Pep440, text: str, operator: str, operand: str) -> bool | None:  # noqa: PLR0911 - a table
    if operator == "===":
        return text == operand
    stem = operand.removesuffix(".*")
    bound = _pep440(stem)
    if bound is None:
        return None
    if stem != operand:
        same = _within(version, stem)
        return same if operator == "==" else None if operator != "!=" or same is None else not same
    match operator:
        case "~=":
            match = _PEP440.fullmatch(stem)
            release, dot, _ = match.group(2).rpartition(".") if match else ("", "", "")
            return version >= bound and _within(version, f"{bound[0]}!{release}") if dot else None
        case ">":
            # 1.0.post1 is not greater than 1.0 for PEP 440, unless the bound is a post-release itself.
            return version > bound and (bound[3] >= 0 or version[3] < 0 or version[:3] != bound[:3])
        case "<":
            # 2.0rc1 is not less than 2.0 for PEP 440.
            return version < bound and (bound[2:] != (_FINAL, -1, _NO_DEV) or version[:2] != bound[:2])
    return {"==": version == bound, "!=": version != bound, ">=": version >= bound, "<=": version <= bound}[operator]


def _within(version: _Pep440, stem: str) -> bool | None:
    """Whether the release begins with the numbers of `stem` (`1.2` of `1.2.*`), zeros filled in."""
    epoch, bang, numbers = stem.rpartition("!")
    parts = numbers.split(".")
    if not all(part.isascii() and part.isdigit() for part in parts) or (bang and not epoch.isdigit()):
        return None
    release = (*version[1], *([0] * len(parts)))
    return version[0] == int(epoch or 0) and release[: len(parts)] == tuple(int(part) for part in parts)


def _pep440(text: str) -> _Pep440 | None:
    """An orderable key; a local part is not known here, an index serves none."""
    match = _PEP440.fullmatch(text)
    if match is None:
        return None
    epoch, numbers, phase, phase_number, dashed_post, post_text, dev, dev_number = match.groups()
    release = [int(part) for part in numbers.split(".")]
    while len(release) > 1 and not release[-1]:
        release.pop()
    post = int(dashed_post) if dashed_post else -1
    if post_text:
        post = int("".join(filter(str.isdigit, post_text)) or 0)
    pre = _FINAL
    if phase:
        pre = (_PHASES[phase.lower()], int(phase_number or 0))
    elif dev and post < 0:
        pre = (-1, 0)  # 1.0.dev1 comes before 1.0a1
    return (int(epoch or 0), tuple(release), pre, post, int(dev_number or 0) if dev else _NO_DEV)
