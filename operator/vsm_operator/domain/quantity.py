"""resource.Quantity as the API server prints it back, so that a manifest and its stored copy compare equal.

Source: k8s.io/apimachinery/pkg/api/resource, "canonical form": no fraction, and the largest suffix that keeps it so.
"""

import math
import re
from collections.abc import Iterable
from fractions import Fraction

_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
_THOUSANDTHS = {"m": 1, "": 10**3, "k": 10**6, "M": 10**9, "G": 10**12, "T": 10**15, "P": 10**18, "E": 10**21}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?", re.ASCII)
_MAX_LENGTH = 64
_MAX = (1 << 63) - 1
"""Larger amounts become this one, as in the API server."""


def value_of(quantity: str | int) -> Fraction:
    """In base units: bytes, or cores. Raises ValueError for what is no quantity."""
    number, suffix = _split(quantity)
    factor = Fraction(_BINARY[suffix]) if suffix in _BINARY else Fraction(_THOUSANDTHS[suffix], 1000)
    return min(number * factor, Fraction(_MAX))


def canonical(quantity: str | int) -> str:
    """0.5 -> 500m, 1024Mi -> 1Gi, 1.5Gi -> 1536Mi, 1000m -> 1. Raises ValueError for what is no quantity.

    Fractions below a thousandth are rounded up, as the API server does.
    """
    value = value_of(quantity)
    if _split(quantity)[1] in _BINARY and value >= 1024 and value.denominator == 1:
        return _largest(value.numerator, reversed(_BINARY.items()))
    return _largest(math.ceil(value * 1000), reversed(_THOUSANDTHS.items()))


def _split(quantity: str | int) -> tuple[Fraction, str]:
    text = str(quantity)
    match = _QUANTITY.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        raise ValueError(f"{text[:_MAX_LENGTH]!r} is no quantity such as 500m or 512Mi")
    return Fraction(match[1]), match[2] or ""


def _largest(total: int, units: Iterable[tuple[str, int]]) -> str:
    for unit, factor in units:
        if total and total % factor == 0:
            return f"{total // factor}{unit}"
    return str(total)
