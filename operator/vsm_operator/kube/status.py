"""Comparing statuses: equal when they say the same, whenever they started to say so. Pure."""

from collections.abc import Mapping
from typing import Any


def same_status(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Ignoring the transition times of conditions."""
    return timeless(one) == timeless(other)


def with_kept_transitions(status: Mapping[str, Any], *, before: Mapping[str, Any]) -> dict[str, Any]:
    """`status`, with the earlier lastTransitionTime of each condition whose status is what it was."""
    conditions = status.get("conditions")
    if not conditions:
        return dict(status)
    earlier = {condition.get("type"): condition for condition in before.get("conditions") or ()}
    return {**status, "conditions": [_kept(condition, earlier.get(condition.get("type"))) for condition in conditions]}


def _kept(condition: Mapping[str, Any], earlier: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if earlier is None or earlier.get("status") != condition.get("status") or "lastTransitionTime" not in earlier:
        return condition
    return {**condition, "lastTransitionTime": earlier["lastTransitionTime"]}


def timeless(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the transition times of conditions."""
    conditions = status.get("conditions")
    if not isinstance(conditions, list):
        return status
    stripped = [{name: value for name, value in item.items() if name != "lastTransitionTime"} for item in conditions]
    return {**status, "conditions": stripped}
