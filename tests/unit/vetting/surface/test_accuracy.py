"""The written part of the labelled data holds the promised rates; what is fetched is for `make accuracy` only."""

import pytest

from accuracy import attacks, honest, parts, toolsurface
from accuracy.stats import Proportion


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"), [(0, 100, 0.0, 0.037), (50, 100, 0.404, 0.596), (100, 100, 0.963, 1.0)]
)
def test_wilson_intervals_are_the_known_ones(hits: int, total: int, low: float, high: float) -> None:
    assert Proportion(hits, total).interval == pytest.approx((low, high), abs=0.001)


def test_nothing_measured_is_told_as_nothing() -> None:
    assert str(Proportion(0, 0)) == "no data"
    assert Proportion(0, 0).interval == (0.0, 1.0)


def test_no_honest_tool_of_ours_is_flagged() -> None:
    for family, tools in (*honest.SERVERS.items(), *honest.LATER.items()):
        for name, text in tools:
            payload = [{"name": name, "description": text}]
            outcome = toolsurface.judge(parts.Sample(name, family, malicious=False, split="tuned", payload=payload))
            assert not outcome.flagged, name


def test_nineteen_of_twenty_attacks_in_view_are_found() -> None:
    known = [(family, text) for _, family, split, text in attacks.texts() if split == "tuned"][::5]
    missed = [
        text
        for family, text in known
        if not toolsurface.judge(
            parts.Sample("x", family, malicious=True, split="tuned", payload=toolsurface.placed(text, "description"))
        ).flagged
    ]
    assert len(missed) <= len(known) // 20, missed


def test_parts_that_do_not_exist_are_not_an_error() -> None:
    assert parts.load("no_such_part") is None
