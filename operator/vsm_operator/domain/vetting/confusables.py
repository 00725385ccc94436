"""Characters that make one name look like another: found, named, and reduced to the letters that a reader sees.

`flaws` says what is odd about a text, `skeleton` what it looks like, `visual_key` what it looks like at a glance
(digits for letters, "rn" for "m"). Two texts with one skeleton are the same to the eye and not to a registry.

The table of look-alikes is our own; what Unicode itself knows (compatibility forms, accents, "LATIN SMALL LETTER O WITH
STROKE", digits of all scripts, dashes) is derived from the standard library's `unicodedata`, so the version of its
data is part of every result: `UNICODE_DATA`. Cost: O(length), and callers cut a name before it gets here.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

UNICODE_DATA = f"unicodedata-{unicodedata.unidata_version}"

_LOOK_ALIKES = {
    "a": "\u0430\u03b1\u0251\u237a\u0391\u0410\u13aa\u1d00",
    "b": "\u042c\u044c\u0432\u0412\u0392\u0185\u13f4\u15af\u0299",
    "c": "\u0441\u0421\u03f2\u03f9\u1d04\u13df\u2ca5",
    "d": "\u0501\u13a0\u13e7\u146f\u1d05",
    "e": "\u0435\u0415\u0395\u03b5\u04bd\u212e\u13ac\u1d07",
    "f": "\u03dd\u03dc\u0584\ua799",
    "g": "\u0261\u0581\u018d\u13c0\u13b6\u0262",
    "h": "\u04bb\u0570\u043d\u041d\u0397\u13bb\u029c",
    "i": "\u0456\u0406\u03b9\u0399\u0131\u0269\u026a\u13a5\ua647",
    "j": "\u0458\u0408\u03f3\u13ab\u1d0a",
    "k": "\u043a\u041a\u03ba\u039a\u13e6\u1d0b",
    "l": "\u04cf\u04c0\u01c0\u2223\u13de\u029f\u05d5\u0627",
    "m": "\u043c\u041c\u039c\u13b7\u1d0d",
    "n": "\u043f\u0578\u057c\u03b7\u039d\u0274",
    "o": "\u043e\u041e\u03bf\u039f\u0585\u03c3\u05e1\u1d0f\u0b20\u2c9f",
    "p": "\u0440\u0420\u03c1\u03a1\u13e2\u1d18\u2ca3",
    "q": "\u051b\u0566\u0563",
    "r": "\u0433\u1d26\u13a1\u13d2\u0280\u2c85",
    "s": "\u0455\u0405\u13da\u13d5\ua731\u10fd",
    "t": "\u0442\u0422\u03c4\u03a4\u13a2\u1d1b",
    "u": "\u03c5\u057d\u028b\u1d1c",
    "v": "\u03bd\u0475\u0474\u13d9\u1d20\u05d8",
    "w": "\u051d\u0461\u0561\u0448\u13b3\u13d4\u1d21",
    "x": "\u0445\u0425\u03c7\u03a7\u166d",
    "y": "\u0443\u0423\u03b3\u04af\u03a5\u10e7\u028f",
    "z": "\u0396\u03b6\u13c3\u1d22",
    "3": "\u0437\u0417\u0292\u021d",
    "4": "\u13ce\u0427",
    "6": "\u0431",
    ".": "\u00b7\u3002\u06d4\u0701\u2024",
    "/": "\u2044\u2215\u29f8\u2571\u3033",
    "-": "\u2212\u02d7\u30fc\u2796",
    "_": "\u2581\u02cd",
}
_TO_ASCII = {look_alike: letter for letter, look_alikes in _LOOK_ALIKES.items() for look_alike in look_alikes}

# Letters and signs that draw nothing although their category is not one of the invisible ones.
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u034f\u180b\u180c\u180d\u180e\u180f")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))

_LATIN_NAME = re.compile(r"LATIN (?:SMALL |CAPITAL )?LETTER (?:SMALL CAPITAL )?([A-Z])(?: WITH .*)?")
# One pass, longest first: "rn" reads as "m", "vv" as "w"; digits stand for the letters they resemble.
_AT_A_GLANCE = re.compile("rn|vv|[0134578]")
_GLANCE_LETTERS = {"rn": "m", "vv": "w", "0": "o", "1": "l", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b"}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One oddity of a text. `rule` is a stable id, `detail` names the characters in ASCII."""

    rule: str
    detail: str


def flaws(text: str) -> tuple[Flaw, ...]:
    """What no honest package name has, worst first; empty for plain ASCII without control characters."""
    if text.isascii() and text.isprintable() and " " not in text:
        return ()
    found: list[Flaw] = []
    bidi = [char for char in text if char in _BIDI]
    invisible = [char for char in text if is_invisible(char) and char not in _BIDI]
    alike = [char for char in text if not char.isascii() and not is_invisible(char) and _reduced(char).isascii()]
    other = [char for char in text if not char.isascii() and not is_invisible(char) and char not in alike]
    if bidi:
        found.append(Flaw("bidi-control", _described(bidi)))
    if invisible:
        found.append(Flaw("invisible-character", _described(invisible)))
    mixed = scripts(text)
    if len(mixed) > 1:
        found.append(Flaw("mixed-scripts", "+".join(sorted(mixed))))
    if alike:
        found.append(Flaw("look-alike-character", _described(alike)))
    if other:
        found.append(Flaw("non-ascii-character", _described(other)))
    return tuple(found)


def skeleton(text: str) -> str:
    """The text as a reader sees it: lower case, compatibility forms, accents and invisible characters gone.

    Idempotent; plain ASCII is only lowered. What has no look-alike stays as it is, so unlike names stay unlike.
    """
    if text.isascii():
        return "".join(char for char in text.lower() if "!" <= char <= "~")
    return "".join(_reduced(char) for char in text)


def visual_key(text: str) -> str:
    """A coarser skeleton, equal for names that a hurried reader confuses: `d0main`, `c1uster`, `nurnpy` and so on."""
    return _AT_A_GLANCE.sub(lambda match: _GLANCE_LETTERS[match.group()], skeleton(text))


def scripts(text: str) -> frozenset[str]:
    """The writing systems of the letters, as Unicode's character names begin: LATIN, CYRILLIC, GREEK, ..."""
    return frozenset(_script(char) for char in text if char.isalpha())


def is_invisible(char: str) -> bool:
    """Draws nothing, or space only: no honest name contains it."""
    return (
        char in _BLANK
        or unicodedata.category(char) in _INVISIBLE_CATEGORIES
        or any(ord(char) in selectors for selectors in _VARIATION_SELECTORS)
    )


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    if char.isascii():
        return "LATIN"
    # Compatibility letters (full width, mathematical) belong to the script of what they stand for.
    plain = unicodedata.normalize("NFKC", char)[:1] or char
    return unicodedata.name(plain, "UNKNOWN").split(" ", 1)[0]


@lru_cache(maxsize=4096)
def _reduced(char: str) -> str:
    if char in _TO_ASCII:
        return _TO_ASCII[char]
    if is_invisible(char):
        return ""
    parts = []
    for part in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", char).casefold()):
        if part in _TO_ASCII:
            parts.append(_TO_ASCII[part])
        elif not is_invisible(part) and not unicodedata.combining(part):
            parts.append(_derived(part))
    return "".join(parts)


def _derived(char: str) -> str:
    """The ASCII letter, digit or dash that Unicode's own data gives for one character; itself when there is none."""
    if char.isascii():
        return char.lower()
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    category = unicodedata.category(char)
    if category == "Pd":
        return "-"
    if category == "Pc":
        return "_"
    latin = _LATIN_NAME.fullmatch(unicodedata.name(char, ""))
    return latin.group(1).lower() if latin else char


def _described(chars: list[str]) -> str:
    shown = [f"U+{ord(char):04X}" for char in dict.fromkeys(chars)]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
