"""Which tools of a server its clients may see and call. Pure; one verdict for listing and calling.

Invariants: deny wins over allow; a name that is too long to be judged cheaply is not allowed; a glob that can never
match, or is not written as its author means it, stops the start instead of filtering nothing.
"""

import re
from collections.abc import Iterable
from fnmatch import translate

MAX_GLOB_CHARS = 256
MAX_GLOBS = 256
MAX_NAME_CHARS = 1024
"""Of a name that is compared with globs at all."""
MAX_CACHED = 4096
MAX_CACHED_NAME_CHARS = 256

_NEVER = "(?!)"
"""What `translate` makes of a set without members, such as [z-a]."""


class InvalidGlob(ValueError):  # noqa: N818
    """The text names the glob and what is wrong with it."""


class Globs:
    """Shell patterns (`*`, `?`, `[a-z]`, `[!a-z]`) against whole names; upper and lower case differ."""

    __slots__ = ("_pattern",)

    def __init__(self, globs: Iterable[str]) -> None:
        """Raises InvalidGlob."""
        checked = [_checked(glob) for glob in globs]
        if len(checked) > MAX_GLOBS:
            raise InvalidGlob(f"there are {len(checked)} patterns; at most {MAX_GLOBS} are possible")
        self._pattern = re.compile("|".join(map(translate, checked))) if checked else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def match(self, name: str) -> bool:
        return self._pattern is not None and self._pattern.match(name) is not None


class ToolFilter:
    """Without patterns everything is allowed."""

    def __init__(self, allow: tuple[str, ...], deny: tuple[str, ...]) -> None:
        """An empty `allow` means all, an empty `deny` none. Raises InvalidGlob."""
        self._allow = Globs(allow)
        self._deny = Globs(deny)
        self.active = bool(self._allow or self._deny)
        """Whether there is anything that could be refused."""
        self._verdicts: dict[str, bool] = {}

    def allows(self, name: str) -> bool:
        if not self.active:
            return True
        verdict = self._verdicts.get(name)
        if verdict is None:
            verdict = self._judge(name)
            if len(name) <= MAX_CACHED_NAME_CHARS:
                if len(self._verdicts) >= MAX_CACHED:
                    # Clients choose these names; a server has far fewer tools than this.
                    self._verdicts.clear()
                self._verdicts[name] = verdict
        return verdict

    def _judge(self, name: str) -> bool:
        if len(name) > MAX_NAME_CHARS or self._deny.match(name):
            return False
        return not self._allow or self._allow.match(name)


def _checked(glob: str) -> str:
    if not glob or len(glob) > MAX_GLOB_CHARS:
        raise InvalidGlob(f"the pattern {glob[:40]!r} has {len(glob)} characters; it must have 1 to {MAX_GLOB_CHARS}")
    if glob != glob.strip() or not glob.isprintable():
        raise InvalidGlob(f"the pattern {glob!r} has blanks around it, or characters that cannot be printed")
    regular = translate(glob)
    if "[" in _without_sets(glob):
        raise InvalidGlob(f"the pattern {glob!r} opens a set with [ and does not close it; a literal [ is written [[]")
    if _NEVER in regular:
        raise InvalidGlob(f"the pattern {glob!r} has a set that holds no character, so it would match nothing")
    return glob


def _without_sets(glob: str) -> str:
    """A ] that comes first in a set belongs to it, as in fnmatch."""
    return re.sub(r"\[!?+\]?+[^\]]*\]", "", glob)
