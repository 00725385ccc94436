"""What every bench prints: one table with the machine's size, and the same as JSON in bench/results/."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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


def machine() -> str:
    """Cores, memory and kernel."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, Linux {platform.release()}, load {load:.1f} at the end"


def show(title: str, figures: Sequence[Figure]) -> None:
    """Prints the table and keeps the JSON."""
    table = Table(title=f"{title}  ({machine()})", title_justify="left")
    for column in ("figure", "measured", "target", "", "note"):
        table.add_column(column, justify="right" if column in ("measured", "target") else "left")
    for figure in figures:
        target = f"≤ {figure.target:g} {figure.unit}" if figure.target is not None else ""
        table.add_row(figure.name, f"{figure.value:g} {figure.unit}", target, figure.verdict, figure.note)
    Console(width=160).print(table)
    RESULTS.mkdir(exist_ok=True)
    record = {
        "title": title,
        "at": datetime.now(UTC).isoformat(),
        "machine": machine(),
        "figures": [asdict(figure) for figure in figures],
    }
    (RESULTS / f"{title.split(maxsplit=1)[0]}.json").write_text(json.dumps(record, indent=2) + "\n")
