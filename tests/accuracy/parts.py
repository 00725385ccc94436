"""What every part of the accuracy measurement gives: labelled samples and a judgement of each.

A part is a module `accuracy.<name>` with `samples() -> Iterable[Sample]` and `judge(Sample) -> Outcome`; `__main__`
finds it by the list below. A family is what varies together: recall and false positives are reported for each.
"""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from accuracy.stats import Proportion

NAMES = ("toolsurface", "source", "names", "trees")

Split = Literal["tuned", "held-out"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled thing. `tuned`: the rules were written with it in view; `held-out`: they were not."""

    id: str
    family: str
    malicious: bool
    split: Split
    payload: object


@dataclass(frozen=True, slots=True)
class Outcome:
    flagged: bool
    gated: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One family's result: recall for a malicious family, else the rate of false positives."""

    family: str
    malicious: bool
    split: Split
    flagged: Proportion
    gated: Proportion


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    samples: Callable[[], Iterable[Sample]]
    judge: Callable[[Sample], Outcome]


def load(name: str) -> Part | None:
    """None for a part that does not exist (yet)."""
    try:
        module = importlib.import_module(f"accuracy.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"accuracy.{name}":
            raise
        return None
    return Part(name, module.samples, module.judge)


def measure(part: Part) -> tuple[list[Row], list[tuple[Sample, Outcome]]]:
    """The rows, malicious families first, then sums; and every sample that was judged wrongly."""
    judged = [(sample, part.judge(sample)) for sample in part.samples()]
    groups: dict[tuple[bool, Split, str], list[Outcome]] = {}
    for sample, outcome in judged:
        for family in (sample.family, "all"):
            groups.setdefault((sample.malicious, sample.split, family), []).append(outcome)
    rows = [
        Row(
            family,
            malicious,
            split,
            Proportion(sum(outcome.flagged for outcome in outcomes), len(outcomes)),
            Proportion(sum(outcome.gated for outcome in outcomes), len(outcomes)),
        )
        for (malicious, split, family), outcomes in groups.items()
    ]
    rows.sort(key=lambda row: (not row.malicious, row.split, row.family == "all", row.family))
    return rows, [(sample, outcome) for sample, outcome in judged if sample.malicious != outcome.flagged]
