"""What every bench prints: one table with the machine's size, and the same as JSON in bench/results/."""

import json
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. Without a target it is for information."""

    name: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "met" if self.value <= self.target else "MISSED"


def median(values: Sequence[float]) -> float:
    """Rounded to what a run can tell."""
    return round(statistics.median(values), 2)


def machine(when: str = "at the end") -> str:
    """Cores, memory, kernel and load."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, Linux {platform.release()}, load {load:.1f} {when}"


@dataclass(slots=True)
class Row:
    """One figure of several sides. None is never; a side that is absent was not asked."""

    name: str
    unit: str
    digits: int
    more_is_better: bool = False
    target: float | None = None
    """Of our side; for a figure where less is better."""
    values: dict[str, float | None] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    def fill(self, values: Mapping[str, float | None], remarks: Mapping[str, str] | None = None) -> "Row":
        self.values, self.remarks = dict(values), dict(remarks or {})
        return self

    def misses(self, ours: str) -> list[str]:
        """The target, if it is missed, and the sides that are better than ours. What is equal as shown is equal."""
        own = self._rank(ours)
        missed = ["target"] if self.target is not None and own > self.target else []
        return missed + [name for name in self.values if name != ours and self._rank(name) < own]

    def cell(self, name: str, ours: str) -> str:
        if name not in self.values:
            return "-"
        value, own = self.values[name], self.values[ours]
        text = "never" if value is None else f"{value:.{self.digits}f} {self.unit}".strip()
        if name != ours and value is not None and own is not None and own > 0 and value > 0:
            text += f" (x{value / own:.2g})"
        return text + (f"\n{self.remarks[name]}" if self.remarks.get(name) else "")

    def _rank(self, name: str) -> float:
        value = self.values[name]
        if value is None:
            return math.inf
        return round(-value if self.more_is_better else value, self.digits)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours beside others: absolute figures, and in brackets their ratio to ours."""

    title: str
    ours: str
    rows: Sequence[Row]
    notes: Sequence[str]

    @property
    def missed(self) -> bool:
        return any(row.misses(self.ours) for row in self.rows)

    def show(self) -> None:
        """Prints the table and keeps the JSON."""
        names = list(self.rows[0].values)
        table = Table(title=self.title, title_justify="left", caption="\n".join(self.notes), caption_justify="left")
        table.add_column("figure")
        table.add_column("target", justify="right")
        for name in names:
            table.add_column(name, justify="right")
        table.add_column("")
        for row in self.rows:
            misses = row.misses(self.ours)
            verdict = f"MISSED: {', '.join(misses)}" if misses else "met"
            target = f"≤ {row.target:g} {row.unit}".strip() if row.target is not None else "best"
            table.add_row(row.name, target, *(row.cell(name, self.ours) for name in names), verdict)
        Console(width=200).print(table)
        _keep(self.title, {"notes": list(self.notes), "rows": [asdict(row) for row in self.rows]})


def show(title: str, figures: Sequence[Figure]) -> None:
    """Prints the table and keeps the JSON."""
    table = Table(title=f"{title}  ({machine()})", title_justify="left")
    for column in ("figure", "measured", "target", "", "note"):
        table.add_column(column, justify="right" if column in ("measured", "target") else "left")
    for figure in figures:
        target = f"≤ {figure.target:g} {figure.unit}" if figure.target is not None else ""
        table.add_row(figure.name, f"{figure.value:g} {figure.unit}", target, figure.verdict, figure.note)
    Console(width=160).print(table)
    _keep(title, {"figures": [asdict(figure) for figure in figures]})


def _keep(title: str, found: Mapping[str, object]) -> None:
    RESULTS.mkdir(exist_ok=True)
    record = {"title": title, "at": datetime.now(UTC).isoformat(), "machine": machine(), **found}
    (RESULTS / f"{title.split(maxsplit=1)[0].strip(':')}.json").write_text(json.dumps(record, indent=2) + "\n")
