"""Whether an SPDX expression can be satisfied by a list of licences. Pure; a collector normalised it.

Invariant: what cannot be read is None, never "allowed". Depth and length are bounded, the text is from a package.
"""

import re
from collections.abc import Collection
from typing import Final

_TOKEN: Final = re.compile(r"\s*(\(|\)|[A-Za-z0-9.+:-]+)", re.ASCII)
_MAX_CHARS: Final = 2000
_MAX_DEPTH: Final = 20
_OPEN, _CLOSE = "(", ")"
_WORDS: Final = ("AND", "OR", "WITH")


def satisfied(expression: str, allowed: Collection[str]) -> bool | None:
    """Can a user choose only `allowed` ids? OR is a choice, AND is not, `X WITH e` is X or "X WITH e" in the list."""
    return _evaluate(expression, {name.lower() for name in allowed}, denying=False)


def unavoidable(expression: str, denied: Collection[str]) -> bool | None:
    """Is there no choice without one of the `denied` ids?"""
    return _evaluate(expression, {name.lower() for name in denied}, denying=True)


def _evaluate(expression: str, listed: set[str], *, denying: bool) -> bool | None:
    tokens = _tokens(expression)
    if tokens is None:
        return None
    parser = _Parser(tokens, listed, denying=denying)
    try:
        value = parser.either(0)
    except ValueError:
        return None
    # Denied is the mirror of allowed: the parser answers "acceptable" in both cases.
    return None if parser.rest() else value != denying


def _tokens(expression: str) -> list[str] | None:
    if len(expression) > _MAX_CHARS:
        return None
    text, found, at = expression.rstrip(), [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        found.append(match[1])
        at = match.end()
    return found or None


class _Parser:
    """Recursive descent: either := both (OR both)*, both := one (AND one)*, one := ( either ) | id [WITH id]."""

    def __init__(self, tokens: list[str], listed: set[str], *, denying: bool) -> None:
        self._tokens = tokens[::-1]
        self._listed = listed
        self._denying = denying

    def rest(self) -> bool:
        return bool(self._tokens)

    def either(self, depth: int) -> bool:
        value = self.both(depth)
        while self._next_is("OR"):
            value = self.both(depth) or value
        return value

    def both(self, depth: int) -> bool:
        value = self.one(depth)
        while self._next_is("AND"):
            value = self.one(depth) and value
        return value

    def one(self, depth: int) -> bool:
        token = self._take()
        if token.upper() in _WORDS or token == _CLOSE:
            raise ValueError("a licence is missing")
        if token == _OPEN:
            if depth >= _MAX_DEPTH:
                raise ValueError("too deep")
            value = self.either(depth + 1)
            if self._take() != _CLOSE:
                raise ValueError("unbalanced")
            return value
        names = {token.lower()}
        if self._next_is("WITH"):
            names.add(f"{token} with {self._take()}".lower())
        return bool(names & self._listed) != self._denying

    def _next_is(self, word: str) -> bool:
        if self._tokens and self._tokens[-1].upper() == word:
            self._tokens.pop()
            return True
        return False

    def _take(self) -> str:
        if not self._tokens:
            raise ValueError("it ends too early")
        return self._tokens.pop()
