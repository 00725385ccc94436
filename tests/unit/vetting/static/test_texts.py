"""Invisible characters are found where they hide data, and not where they make a flag or an emoji."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_runtime.vetting.static.texts import packed_text_bytes, text_signals

FLAG_OF_WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"


def rules(text: str) -> set[str]:
    return {signal.rule for signal in text_signals(text.encode())}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(
            "x = '" + "".join(chr(0xE0000 + ord(c)) for c in "eval") + "'", "hidden-tag-characters", id="tags"
        ),
        pytest.param("x = '" + "".join(chr(0xE0100 + n) for n in range(20)) + "'", "hidden-selectors", id="selectors"),
        pytest.param("x = '" + "\u200b\u200c" * 8 + "'", "hidden-zero-width", id="zero width"),
        pytest.param("x = '" + "\u3164\uffa0" * 8 + "'", "hidden-fillers", id="fillers"),
        pytest.param("access = 'user\u202e'", "bidi-control", id="right to left"),
    ],
)
def test_hidden_data_is_named(text: str, want: str) -> None:
    assert want in rules(text)


@pytest.mark.parametrize(
    "text", ["plain", FLAG_OF_WALES, "\u2764\ufe0f \U0001f468\u200d\U0001f469\u200d\U0001f467", "Grüße"]
)
def test_honest_text_is_silent(text: str) -> None:
    assert rules(text) == set()


def test_the_line_is_that_of_the_first_hidden_character() -> None:
    signal = next(iter(text_signals(("a\n" * 9 + "\u200b" * 8).encode())))
    assert signal.line == 10


def test_a_packed_text_is_measured() -> None:
    assert packed_text_bytes(b"x = '" + b"QUJD" * 500 + b"'") == 2000
    assert packed_text_bytes(b"word " * 5000) == 0


@given(st.binary(max_size=2000))
def test_no_bytes_raise(data: bytes) -> None:
    list(text_signals(data))
    packed_text_bytes(data)
