"""What the bytes of a text say without being parsed: invisible characters, packed texts, names made to confuse.

Every look is linear in the size of the text: classes of bytes are counted with translate and split, patterns are
anchored, nothing backtracks.
"""

import re
from collections.abc import Iterator

from vsm_runtime.vetting.static.signals import Signal, snippet_hash

_TAGS = re.compile(rb"(?:\xf3\xa0[\x80\x81][\x80-\xbf]){4,64}")
_FLAG_OF_TAGS = b"\xf0\x9f\x8f\xb4"
"""The black flag: the one honest use of tag characters, in the flags of parts of countries."""
_SELECTORS = re.compile(rb"(?:\xf3\xa0[\x84-\x87][\x80-\xbf]|\xef\xb8[\x80-\x8f]){8,64}")
_ZERO_WIDTH = re.compile(rb"(?:\xe2\x80[\x8b-\x8d]|\xe2\x81\xa0|\xef\xbb\xbf){8,64}")
_FILLERS = re.compile(rb"(?:\xe3\x85\xa4|\xef\xbe\xa0){8,64}")
_BIDI = re.compile(rb"\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
_CONFUSING = re.compile(rb"\b(?:[Il1]{12,64}|[oO0]{12,64}|_{1,2}[oO0Il1]{14,64})\b")
_PACKED_CLASS = bytes(
    ord("a") if chr(byte).isascii() and (chr(byte).isalnum() or byte in b"+/=_-\\") else ord(" ") for byte in range(256)
)
_PACKED_BYTES = 1500


def text_signals(data: bytes) -> Iterator[Signal]:
    """Signals of any source text."""
    if not data.isascii():
        yield from _invisible(data)
    names = {match[0] for match in _CONFUSING.finditer(data)}
    if len(names) >= 6:
        yield Signal(
            "confusing-names", "obfuscated", 0.5, "names made of letters that look alike", facts="obfuscated",
            line=line_of(data, data.find(min(names))), snippet_sha256=snippet_hash(min(names)),
        )  # fmt: skip


def packed_text_bytes(data: bytes) -> int:
    """The length of the longest run of characters that packed texts are made of; 0 below the length of interest."""
    longest = max(map(len, data.translate(_PACKED_CLASS).split()), default=0)
    return longest if longest >= _PACKED_BYTES else 0


def line_of(data: bytes, offset: int) -> int:
    """Lines count from 1."""
    return data.count(b"\n", 0, max(0, offset)) + 1


def _invisible(data: bytes) -> Iterator[Signal]:
    for match in _TAGS.finditer(data):
        if not data.endswith(_FLAG_OF_TAGS, 0, match.start()):
            yield _sign(data, match, "hidden-tag-characters", 0.85, "text in invisible tag characters")
            break
    for pattern, rule, weight, summary in (
        (_SELECTORS, "hidden-selectors", 0.85, "data in invisible variation selectors"),
        (_ZERO_WIDTH, "hidden-zero-width", 0.8, "data in characters without width"),
        (_FILLERS, "hidden-fillers", 0.8, "data in characters that show nothing"),
        (_BIDI, "bidi-control", 0.3, "a control character that reorders what is shown"),
    ):
        if (found := pattern.search(data)) is not None:
            yield _sign(data, found, rule, weight, summary)


def _sign(data: bytes, match: re.Match[bytes], rule: str, weight: float, summary: str) -> Signal:
    return Signal(
        rule,
        "hidden",
        weight,
        summary,
        line_of(data, match.start()),
        snippet_hash(match[0]),
        "obfuscated" if weight > 0.5 else "",
    )
