"""A hostile text in the forms that rules read: what is hidden in it, and its words without disguise.

Invariants: time is linear in the length of the text and the length is bounded; any string is accepted, lone surrogates
included; nothing that is hidden is dropped silently: it is reported, and decoded where it spells something.
"""

import base64
import binascii
import html
import itertools
import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

MAX_TEXT_CHARS: Final = 20_000
"""Of one text. What is longer is no description, and is reported as such."""
MAX_DECODED_BLOCKS: Final = 8

_TAGS = re.compile("[\U000e0000-\U000e007f]++")
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}+\U000e007f")
"""England, Scotland, Wales: the one honest use of tag characters."""
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_INVISIBLE = (
    "\u200b\u200c\u200d\u2060-\u2064\u206a-\u206f\ufeff\u180e\u00ad\u034f\u115f\u1160\u3164\uffa0\u17b4\u17b5\u2800"
)
_ZERO_WIDTH_RUN = re.compile(f"[{_INVISIBLE}]{{2,}}+")
_ZERO_WIDTH_IN_WORD = re.compile(f"(?<=[A-Za-z])[{_INVISIBLE}](?=[A-Za-z])")
_SELECTOR_RUN = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}+")
_ANSI = re.compile("(?:\x1b|\x9b)|\\\\(?:x1b|u001b|033|e)\\[[0-9;]{0,12}[A-Za-z]", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f\x80-\x84\x86-\x9a\x9c-\x9f]|\r(?!\n)(?=.)")
_PADDING = re.compile(r"(?<! ) {200,}+(?=\S)|(?<!\n)(?:\n[ \t]{0,8}){30,}+(?=\S)")
_STRIP = re.compile(f"[{_INVISIBLE}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_COMBINING = re.compile("[\u0300-\u036f\u0489]")

_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһӏвнкмтгпαορυνικτχεηωµ’‘ʼ`´“”„«»‐‑‒–—−｜",  # noqa: RUF001 - looking alike is the point
    "aeopcyxijsdhlbhkmtrnaopuviktxenwu'''''\"\"\"\"\"------|",
)
_IDENTIFIER = re.compile(r"[`'\"]([a-z][a-z0-9_]{1,40})[`'\"]")
"""In quotes: most often the name of a parameter. Marked by a word, since quotes do not outlive `words`."""
_NOT_A_WORD = re.compile(r"[^\w.!?;~/@'$%#&+=\- ]")
_ITEM = re.compile(r"\n[ \t]{0,20}(?=[-*#\n•]|\d)")
"""Where a list item, a heading or a paragraph begins, a sentence ends."""
_SPACES = re.compile(r"\s+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,4096}+={0,2}")
_HEX = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9a-fA-F]{2} )(?:0x|\\x)?(?:[0-9a-fA-F]{2}(?:\\x| )?){16,2048}+(?![0-9A-Za-z])"
)
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_QUOTED = re.compile(r'"[^"]{3,200}+"|“[^”]{3,200}+”|(?<![\w])\'[^\']{8,200}+\'(?!\w)|`[^`]{3,200}+`')
_LEET = str.maketrans("013457@$", "oieastas")


@dataclass(frozen=True, slots=True)
class Hidden:
    """One way in which a text hides something from the person who reads it."""

    rule: str
    summary: str
    strong: bool
    """Never seen in an honest description: enough for the gate."""


def hidden(text: str) -> list[Hidden]:
    """What a person cannot see but a model reads, or what would act on a terminal."""
    found = []
    tags = _TAGS.search(_FLAG.sub("", text))
    if tags:
        found.append(
            Hidden("hidden-tag-characters", f"Invisible tag characters spell {_spelt(tags[0])!r}", strong=True)
        )
    if _BIDI.search(text):
        found.append(
            Hidden("hidden-bidi", "Direction overrides show the text in another order than it is", strong=True)
        )
    if _ZERO_WIDTH_RUN.search(_without_emoji(text)):
        found.append(Hidden("hidden-zero-width", "A run of invisible characters", strong=True))
    elif _ZERO_WIDTH_IN_WORD.search(text):
        found.append(Hidden("hidden-zero-width-in-word", "Invisible characters inside words", strong=True))
    if _SELECTOR_RUN.search(text):
        found.append(
            Hidden("hidden-variation-selectors", "A run of variation selectors, which can carry bytes", strong=True)
        )
    if _ANSI.search(text):
        found.append(
            Hidden("terminal-escape", "Terminal escape sequences, which hide text or act on a terminal", strong=True)
        )
    if _CONTROL.search(text):
        found.append(Hidden("control-characters", "Control characters", strong=False))
    if _PADDING.search(text):
        found.append(
            Hidden("hidden-by-padding", "Text behind so much blank space that a person does not see it", strong=False)
        )
    return found


def _spelt(tags: str) -> str:
    return "".join(chr(ord(char) - 0xE0000) for char in tags[:40] if 0xE0020 <= ord(char) <= 0xE007E)


def _without_emoji(text: str) -> str:
    """Joiners beside emoji and between letters of scripts that need them are honest."""
    return re.sub("(?<=[\u2190-\u2bff\U0001f000-\U0001faff\ufe0f])\u200d|[\u0590-\u0dff]\u200c\u200d?", "", text)


def words(text: str, *, is_name: bool = False) -> str:
    """Lower-case words with single spaces; disguises undone, most punctuation gone. Names are split into words."""
    text = text[:MAX_TEXT_CHARS].encode("utf-8", "replace").decode()
    text = _TAGS.sub(lambda tags: " " + "".join(chr(ord(c) - 0xE0000) for c in tags[0] if ord(c) > 0xE001F) + " ", text)
    text = _STRIP.sub("", text)
    if is_name:
        text = _CAMEL.sub(" ", text).replace("_", " ").replace("-", " ")
    if not text.isascii():
        text = _COMBINING.sub("", unicodedata.normalize("NFKD", text))
    text = text.casefold().translate(_LOOKALIKES).replace("\\", "/")
    text = _ITEM.sub(" . ", text)
    text = _IDENTIFIER.sub(r" \1 quoted ", text)
    text = _SPACES.sub(" ", _NOT_A_WORD.sub(" ", text))
    return _joined(text.strip())


def _joined(text: str) -> str:
    """Words that were spaced out letter by letter are put together again."""
    groups = [(single, list(run)) for single, run in itertools.groupby(text.split(" "), lambda word: len(word) == 1)]
    return " ".join(("" if single and len(run) > 5 else " ").join(run) for single, run in groups)


def unleet(text: str) -> str:
    """Words with digits read as the letters that they look like: 1gn0r3 as ignore."""
    return text.translate(_LEET)


def without_quotes(text: str) -> str:
    """The text without what it quotes: a detector may name what it looks for."""
    return _QUOTED.sub(" ", text[:MAX_TEXT_CHARS])


def decoded(text: str) -> list[str]:
    """Texts that are encoded in the text: base64, hexadecimal, percent signs, HTML entities. One layer, bounded."""
    text = text[:MAX_TEXT_CHARS]
    found = [_printable(_from_base64(block)) for block in _BASE64.findall(text)[:MAX_DECODED_BLOCKS]]
    for match in list(_HEX.finditer(text))[:MAX_DECODED_BLOCKS]:
        digits = re.sub(r"0x|\\x| ", "", match[0])
        found.append(_printable(bytes.fromhex(digits[: len(digits) // 2 * 2])))
    if len(_PERCENT.findall(text[:4096])) > 8:
        found.append(unquote(text, errors="replace"))
    if text.count("&#") > 4:
        found.append(html.unescape(text))
    return [item for item in found if item]


def _from_base64(block: str) -> bytes:
    block = block.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(
            block[: len(block) // 4 * 4] if len(block) % 4 == 1 else block + "=" * (-len(block) % 4)
        )
    except (binascii.Error, ValueError):
        return b""


def _printable(data: bytes) -> str:
    """Text with words in it, else nothing: hashes and pictures decode too."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return text if len(text) >= 16 and " " in text and all(c.isprintable() or c.isspace() for c in text) else ""
