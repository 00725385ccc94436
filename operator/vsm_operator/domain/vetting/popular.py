"""Names that look like a better known one: typing errors, swapped words, look-alike letters, lost separators.

An index is built once from ranked lists (most used first) and asked for each member of a tree. What is on a list itself
is never a finding: everybody knows it. The rest is compared where it differs: `babel-plugin-x` and `babel-plugin-y`
are two words, `expres` is a slip. So a near name counts only if the part that differs is long enough, is no word that
other listed names use, and no number; short and little known targets need a closer resemblance.
Cost: a build takes O(characters), a question one pass over the names of nearly equal length with bit masks of letters.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.names import NAME_SCAN_CHARS, Name, parse_name

Kind: TypeAlias = Literal[
    "look-alike",
    "separators",
    "doubled-letter",
    "transposition",
    "one-edit",
    "two-edits",
    "word-order",
    "affix",
    "scope",
]
STRENGTH: dict[Kind, int] = {
    "look-alike": 6,
    "separators": 5,
    "transposition": 6,
    "doubled-letter": 6,
    "one-edit": 5,
    "scope": 6,
    "two-edits": 4,
    "word-order": 4,
    "affix": 3,
}
"""How many of the ten points of C8 the resemblance alone costs."""

_AFFIXES = frozenset({"js", "node", "nodejs", "npm", "py", "python", "python3", "py3", "pip", "lib", "official"})
ONE_EDIT_CHARS, TWO_EDITS_CHARS = 5, 9
ONE_EDIT_RANK, TWO_EDITS_RANK, LOOSE_RANK = 5000, 2000, 500
SIMILAR_MAX = 3


@dataclass(frozen=True, slots=True)
class RankedList:
    """Names of one registry, most used first, with what identifies the data."""

    ecosystem: Ecosystem
    names: tuple[str, ...]
    dataset: str
    digest: str
    as_of: str


@dataclass(frozen=True, slots=True)
class Similar:
    """A better known name that this one can be taken for."""

    target: str
    rank: int
    kind: Kind
    distance: int
    confident: bool
    """Close enough to count by itself; else a hint beside other facts."""


@dataclass(frozen=True, slots=True)
class _Target:
    name: Name
    rank: int
    squeezed: str
    mask: int


class PopularIndex:
    """The known names of one registry. `others` are names of the other registry: they only teach words."""

    def __init__(self, ecosystem: Ecosystem, names: Iterable[str], *, others: Iterable[str] = ()) -> None:
        self.ecosystem = ecosystem
        self._ranks: dict[str, int] = {}
        self._by_length: dict[int, list[_Target]] = defaultdict(list)
        self._by_key: dict[str, list[_Target]] = defaultdict(list)
        self._by_words: dict[tuple[str, ...], list[_Target]] = defaultdict(list)
        self._scopes: Counter[str] = Counter()
        self._words: Counter[str] = Counter()
        for rank, text in enumerate(names, 1):
            self._add(text, rank)
        for text in others:
            self._words.update(set(_words(text.lower())))

    def _add(self, text: str, rank: int) -> None:
        name = parse_name(self.ecosystem, text)
        if not name.identity or name.identity in self._ranks:
            return
        self._ranks[name.identity] = rank
        self._words.update(set(_words(name.looks_like)))
        if name.scope:
            self._scopes[name.scope] += 1
            return
        squeezed = name.base.replace("-", "")
        target = _Target(name, rank, squeezed, _mask(squeezed))
        self._by_length[len(squeezed)].append(target)
        self._by_key[name.squeezed].append(target)
        words = _words(name.base)
        if len(words) > 1:
            self._by_words[tuple(sorted(words))].append(target)

    def __len__(self) -> int:
        return len(self._ranks)

    def rank(self, name: str) -> int | None:
        """Place in the list, from 1."""
        return self._ranks.get(parse_name(self.ecosystem, name).identity)

    def similar(self, name: str, *, held_out: bool = False) -> tuple[Similar, ...]:
        """The better known names that this one resembles, closest first; () for a listed name.

        `held_out` asks as if a listed name were not on the list: to measure how often honest names are suspected.
        """
        parsed = parse_name(self.ecosystem, name)
        own = self._ranks.get(parsed.identity) if parsed.identity else None
        if (own is not None and not held_out) or len(name) > NAME_SCAN_CHARS:
            return ()
        found = [
            each
            for each in (self._scope(parsed, held_out=own is not None) if parsed.scope else self._unscoped(parsed, own))
            if own is None or (each.rank < own and each.target != parsed.identity)
        ]
        best: dict[str, Similar] = {}
        for each in sorted(found, key=lambda s: (not s.confident, -STRENGTH[s.kind], s.distance, s.rank)):
            best.setdefault(each.target, each)
        return tuple(best.values())[:SIMILAR_MAX]

    def _unscoped(self, name: Name, own: int | None) -> Iterator[Similar]:
        squeezed = name.base.replace("-", "")
        for target in self._by_key.get(name.squeezed, ()):
            if target.name.identity != name.identity and len(squeezed) >= 4:
                alike = target.squeezed != squeezed or bool(name.flaws)
                kind: Kind = "look-alike" if alike else "separators"
                # Registries refuse new names that differ in separators only: such a pair is old, and often honest.
                yield Similar(target.name.identity, target.rank, kind, 0, alike and len(squeezed) > ONE_EDIT_CHARS)
        words = _words(name.base)
        for target in self._by_words.get(tuple(sorted(words)), ()):
            if _words(target.name.base) != words and target.rank <= TWO_EDITS_RANK:
                yield Similar(target.name.identity, target.rank, "word-order", len(words), False)
        yield from self._affixed(words)
        mask = _mask(squeezed)
        for length in range(len(squeezed) - 2, len(squeezed) + 3):
            allowed_bits = 2 if abs(length - len(squeezed)) < 2 else -1
            twice = length >= TWO_EDITS_CHARS
            for target in [
                each
                for each in self._by_length.get(length, ())
                if (bits := (each.mask ^ mask).bit_count()) <= allowed_bits
                or (twice and bits <= 4 and each.rank <= TWO_EDITS_RANK)
            ]:
                if target.squeezed != squeezed and (near := self._near(name, squeezed, target, own)):
                    yield near

    def _affixed(self, words: tuple[str, ...]) -> Iterator[Similar]:
        """`node-express`, `requests-py`: a well known name with a word that promises the same thing."""
        if len(words) < 2:
            return
        for affix, rest in ((words[0], words[1:]), (words[-1], words[:-1])):
            core = "".join(rest)
            if affix in _AFFIXES and len(core) >= ONE_EDIT_CHARS:
                for target in self._by_length.get(len(core), ()):
                    if target.squeezed == core and target.rank <= LOOSE_RANK:
                        yield Similar(target.name.identity, target.rank, "affix", 1, False)

    def _near(self, name: Name, squeezed: str, target: _Target, own: int | None) -> Similar | None:
        mine, theirs = _differing(name.base, squeezed, target)
        if not mine or not theirs or _without_digits(mine) == _without_digits(theirs):
            return None
        distance = edit_distance(mine, theirs, limit=2)
        if distance > 2 or self._is_word(mine, held_out=own is not None):
            return None
        length, rank = min(len(mine), len(theirs)), target.rank
        same_cut = name.base.count("-") == target.name.base.count("-")
        same_start = mine[0] == theirs[0] or (mine == theirs[1:] and length >= 7) or sorted(mine) == sorted(theirs)
        if distance == 2:
            kind: Kind = "two-edits"
            near, sure = length >= TWO_EDITS_CHARS, length > TWO_EDITS_CHARS and rank <= LOOSE_RANK
        elif (kind := _one_edit(mine, theirs)) == "one-edit":
            near = length >= ONE_EDIT_CHARS - 1
            derived = mine[:-1] == theirs or theirs[:-1] == mine  # one letter more or less at the end: often a sibling
            sure = rank <= _rank_limit(length - derived)
        else:
            near, sure = length >= ONE_EDIT_CHARS - 1, length >= ONE_EDIT_CHARS - 1 and rank <= ONE_EDIT_RANK
        if not near or rank > ONE_EDIT_RANK:
            return None
        return Similar(target.name.identity, rank, kind, distance, sure and same_cut and same_start)

    def _scope(self, name: Name, *, held_out: bool) -> Iterator[Similar]:
        """A scope one or two letters beside one that many packages are published under."""
        if self._scopes[name.scope] > (1 if held_out else 0):
            return
        for scope, count in self._scopes.items():
            if count >= 2 and scope != name.scope and min(len(scope), len(name.scope)) >= ONE_EDIT_CHARS:
                limit = 2 if len(scope) >= TWO_EDITS_CHARS else 1
                distance = edit_distance(name.scope.replace("-", ""), scope.replace("-", ""), limit=limit)
                if distance <= limit and not self._is_word(name.scope, held_out=held_out):
                    sure = scope[0] == name.scope[0] and len(scope) > ONE_EDIT_CHARS
                    yield Similar(f"@{scope}", 1, "scope", distance, sure)

    def _is_word(self, text: str, *, held_out: bool) -> bool:
        return self._words[text] > (1 if held_out else 0)


def edit_distance(one: str, other: str, *, limit: int) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours; `limit` + 1 stands for everything beyond."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, char in enumerate(one, 1):
        line = [row]
        for column, other_char in enumerate(other, 1):
            cost = min(last[column] + 1, line[-1] + 1, last[column - 1] + (char != other_char))
            if row > 1 and column > 1 and char == other[column - 2] and one[row - 2] == other_char:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        if min(line) > limit:
            return limit + 1
        before, last = last, line
    return min(last[-1], limit + 1)


def _rank_limit(length: int) -> int:
    """How well known a name must be for one edit to count: the shorter it is, the more neighbours are honest."""
    return {4: 50, 5: 100, 6: 300, 7: 800}.get(length, 2000 if length > 7 else 0)


def _one_edit(mine: str, theirs: str) -> Kind:
    if len(mine) == len(theirs) and sorted(mine) == sorted(theirs):
        return "transposition"
    if _undoubled(mine) == _undoubled(theirs):
        return "doubled-letter"
    return "one-edit"


def _undoubled(text: str) -> str:
    return "".join(char for index, char in enumerate(text) if not index or text[index - 1] != char)


def _differing(base: str, squeezed: str, target: _Target) -> tuple[str, str]:
    """The one word in which two names of equally many words differ; the whole names when they are cut differently."""
    mine, theirs = base.split("-"), target.name.base.split("-")
    if len(mine) != len(theirs):
        return squeezed, target.squeezed
    differing = [(a, b) for a, b in zip(mine, theirs, strict=True) if a != b]
    return differing[0] if len(differing) == 1 else ("", "") if len(mine) > 1 else (squeezed, target.squeezed)


def _without_digits(text: str) -> str:
    return text.translate(_NO_DIGITS)


_NO_DIGITS = {ord(digit): None for digit in "0123456789"}


def _words(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[-_./@]+", text) if part)


def _mask(text: str) -> int:
    mask = 0
    for char in text:
        mask |= 1 << (ord(char) % 61)
    return mask
