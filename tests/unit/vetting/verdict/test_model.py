"""Evidence as values: hostile text is made visible, wrong values are refused, nothing is lost in storage."""

import dataclasses
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.vetting.verdict.making import evidence, evidences, finding, source, with_root
from vsm_operator.domain.vetting.model import Evidence, Finding, clean

anything = st.text(st.characters(), max_size=60)


@given(st.text(st.characters(exclude_categories=()), max_size=400), st.integers(10, 80))
def test_cleaned_text_is_one_short_printable_line(text: str, length: int) -> None:
    shown = clean(text, max_chars=length)
    assert len(shown) <= length
    assert shown.isprintable()
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\nb", "a<U+000A>b"),
        ("abc\u202egpj", "abc<U+202E>gpj"),
        ("\x1b[31m", "<U+001B>[31m"),
        ("\udc80", "<U+DC80>"),
        ("\u200bz", "<U+200B>z"),
        ("ü", "ü"),
    ],
)
def test_what_would_hide_or_reorder_is_shown(text: str, shown: str) -> None:
    assert clean(text, max_chars=40) == shown


def test_long_text_ends_in_an_ellipsis() -> None:
    assert clean("x" * 11, max_chars=10) == "x" * 9 + "…"
    assert clean("x" * 10, max_chars=10) == "x" * 10


@given(anything, anything, anything)
def test_a_finding_cleans_everything_that_came_from_a_package(summary: str, file: str, datum: str) -> None:
    found = finding("C2", summary=summary * 9, file=file * 9, data={"text": datum * 9})
    for text in (found.summary, found.file, str(found.data["text"])):
        assert text.isprintable()
    assert len(found.summary) <= 160


@pytest.mark.parametrize(
    "changes",
    [
        {"check": "C12"}, {"check": "C0"}, {"check": ""}, {"severity": "fatal"},
        {"data": {str(n): n for n in range(17)}}, {"data": {"a": []}}, {"data": {"a": {}}},
    ],
)  # fmt: skip
def test_a_finding_that_means_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        finding(**{"check": "C2", **changes})


@pytest.mark.parametrize("changes", [{"status": "fine"}, {"feeds": ("C12",)}, {"feeds": ("advisories",)}])
def test_a_source_that_means_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no such"):
        dataclasses.replace(source(), **changes)


@pytest.mark.parametrize("risk", [-0.1, 10.1, float("nan"), float("inf")])
def test_a_risk_outside_its_scale_is_refused(risk: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 10"):
        with_root(static_risk=risk)


@given(evidences())
def test_evidence_survives_json_and_other_processes(value: Evidence) -> None:
    assert Evidence.from_json(json.loads(json.dumps(value.to_json()))) == value
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes
    assert isinstance(hash(value), int)


@pytest.mark.parametrize("place", ["evidence", "package", "finding", "source"])
def test_evidence_of_a_newer_writer_is_refused_as_a_whole(place: str) -> None:
    value = evidence(*with_root(findings=(finding("C2"),)).packages).to_json()
    target = {
        "evidence": value,
        "package": value["packages"][0],
        "finding": value["packages"][0]["findings"][0],
        "source": value["sources"][0],
    }[place]
    target["a_new_field"] = 1
    with pytest.raises((TypeError, ValueError)):
        Evidence.from_json(value)


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ({"file": "a.js", "line": 3}, "a.js:3"),
        ({"file": "package.json", "field": "scripts.postinstall"}, "package.json scripts.postinstall"),
        ({"field": "tools[0].description"}, "tools[0].description"),
        ({}, "pkg:npm/%40acme/server@1.2.3"),
    ],
)
def test_a_finding_says_where(place: dict[str, Any], where: str) -> None:
    assert finding("C2", **place).where == where


def test_findings_sort_worst_first() -> None:
    listed = [finding("C2", severity=severity) for severity in ("info", "low", "critical", "medium", "high")]
    assert [each.severity for each in sorted(listed, key=Finding.key)] == ["critical", "high", "medium", "low", "info"]
