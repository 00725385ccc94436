"""Chance that is the same in every run."""

import random


def chance(seed: int = 1) -> random.Random:
    return random.Random(seed)  # noqa: S311 - repeatable on purpose
