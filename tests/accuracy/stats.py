"""Proportions with their uncertainty."""

import math
from dataclasses import dataclass

Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Proportion:
    """`hits` of `total`, with the Wilson interval at 95 %, which stays honest at 0 and at 1."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        return self.hits / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.total:
            return (0.0, 1.0)
        spread = Z_95**2 / self.total
        middle = (self.value + spread / 2) / (1 + spread)
        half = Z_95 / (1 + spread) * math.sqrt(self.value * (1 - self.value) / self.total + spread / self.total / 4)
        return (max(0.0, middle - half), min(1.0, middle + half))

    def __str__(self) -> str:
        if not self.total:
            return "no data"
        low, high = self.interval
        return f"{100 * self.value:5.1f} % ({100 * low:.1f}-{100 * high:.1f})"
