import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.domain.text import storable


@given(st.text(st.characters()), st.integers(0, 30))
def test_result_can_be_encoded_and_is_bounded(text: str, limit: int) -> None:
    found = storable(text, max_length=limit)
    found.encode()
    assert len(found) <= limit


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_honest_text_is_kept(text: str) -> None:
    assert storable(text, max_length=50) == text


@pytest.mark.parametrize(("value", "shown"), [(None, "None"), (3, "3"), (["a"], "['a']")])
def test_other_values_are_shown_as_text(value: object, shown: str) -> None:
    assert storable(value, max_length=50) == shown
