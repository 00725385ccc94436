"""resource.Quantity as the API server prints it back, so that a manifest and its stored copy compare equal.

Source: k8s.io/apimachinery/pkg/api/resource, "canonical form": no fraction, and the largest suffix that keeps it so.
"""

import math
import re
from collections.abc import Iterable
from decimal import Decimal

_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_THOUSANDTHS = {"m": 1, "": 10**3, "k": 10**6, "M": 10**9, "G": 10**12, "T": 10**15}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


def value_of(quantity: str | int) -> Decimal:
    """In base units: bytes, or cores. Raises ValueError for what is no quantity."""
    number, suffix = _split(quantity)
    return number * _BINARY[suffix] if suffix in _BINARY else number * _THOUSANDTHS[suffix] / 1000


def canonical(quantity: str | int) -> str:
    """0.5 -> 500m, 1024Mi -> 1Gi, 1.5Gi -> 1536Mi, 1000m -> 1. Raises ValueError for what is no quantity.

    Fractions below a thousandth are rounded up, as the API server does.
    """
    number, suffix = _split(quantity)
    if suffix in _BINARY:
        total = number * _BINARY[suffix]
        if total >= 1024 and total == int(total):
            return _largest(int(total), reversed(_BINARY.items()))
        suffix = ""
        number = total
    return _largest(math.ceil(number * _THOUSANDTHS[suffix]), reversed(_THOUSANDTHS.items()))


def _split(quantity: str | int) -> tuple[Decimal, str]:
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        raise ValueError(f"{quantity!r} is no quantity such as 500m or 512Mi")
    return Decimal(match[1]), match[2] or ""


def _largest(total: int, units: Iterable[tuple[str, int]]) -> str:
    for unit, factor in units:
        if total and total % factor == 0:
            return f"{total // factor}{unit}"
    return str(total)
