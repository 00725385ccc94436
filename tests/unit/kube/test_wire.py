"""Whatever text a manifest carries arrives as it is, read as JSON or as YAML."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.kube.manifest import canonical_hash
from vsm_operator.kube.wire import encoded

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
documents = st.dictionaries(texts, texts | st.integers() | st.booleans() | st.none() | st.lists(texts), max_size=5)


@given(documents)
def test_a_document_is_the_same_read_as_json_and_as_yaml(document: dict[str, Any]) -> None:
    assert json.loads(encoded(document)) == document
    assert yaml.safe_load(encoded(document)) == document


@pytest.mark.parametrize("text", ["🚀", "\x7f", "\x9f", "\u2028", "\ufeff", "\uffff", "\x00", "\\ud83d", '"', "\r\n"])
def test_odd_characters_arrive(text: str) -> None:
    assert yaml.safe_load(encoded({"x": text})) == {"x": text}
    assert json.loads(encoded({"x": text})) == {"x": text}


def test_a_lone_surrogate_is_replaced_and_hashed_without_an_error() -> None:
    broken = {"x": "a\ud800b"}
    assert json.loads(encoded(broken)) == {"x": "a?b"}
    assert canonical_hash(broken) != canonical_hash({"x": "ab"})
