"""Licence expressions against a list: a choice, an addition, an exception, and text that is no expression."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.domain.vetting.spdx import satisfied, unavoidable

ALLOWED = ("MIT", "Apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0")


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("MIT", True),
        ("mit", True),
        ("(MIT)", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND Apache-2.0", True),
        ("GPL-3.0-only OR MIT AND Apache-2.0", True),
        ("(GPL-3.0-only OR MIT) AND Apache-2.0", True),
        ("(GPL-3.0-only OR MIT) AND LGPL-2.1-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("GPL-2.0-only WITH Other-exception", False),
        ("", None),
        ("MIT OR", None),
        ("MIT OR OR MIT", None),
        ("OR", None),
        ("(MIT", None),
        ("MIT)", None),
        ("MIT Apache-2.0", None),
        ("see licence.txt!", None),
        ("(" * 50 + "MIT" + ")" * 50, None),
        ("MIT OR " * 1000 + "MIT", None),
    ],
)
def test_whether_a_user_can_choose_only_allowed_licences(expression: str, answer: bool | None) -> None:
    assert satisfied(expression, ALLOWED) is answer


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("GPL-3.0-only", True),
        ("MIT OR GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", True),
        ("MIT", False),
        ("(", None),
    ],
)
def test_whether_a_denied_licence_cannot_be_avoided(expression: str, answer: bool | None) -> None:
    assert unavoidable(expression, ("GPL-3.0-only",)) is answer


@given(st.text(st.sampled_from(list("()MIT ORANDWH-\n ")), max_size=60))
def test_no_text_breaks_the_reader_and_nothing_is_allowed_by_an_empty_list(text: str) -> None:
    assert satisfied(text, ()) in (None, False)
    assert unavoidable(text, ()) in (None, False)
