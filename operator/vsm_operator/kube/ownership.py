"""Who wrote which field: what `managedFields` says about foreign hands in the content of an object of ours.

Server-side apply leaves alone what others added: an extra container, `hostNetwork: true`, one more environment
variable. For an object that is wholly ours those additions are harm, and only the field's manager tells them from the
server's own defaults, which belong to nobody.

Left alone on purpose: writes through a subresource (status, scale) and the marker of `kubectl rollout restart`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

FieldPath = tuple[str, ...]
"""Steps of fieldsV1: "f:name" (field), 'k:{"name":"x"}' (list item by key), "v:..." (set member), "i:0" (index)."""

CONTENT = ("spec", "data")
"""Where the content of a child is."""
MAX_FOREIGN_FIELDS = 50
_TOLERATED = "f:kubectl.kubernetes.io/restartedAt"


def foreign_fields(managed: Sequence[Mapping[str, Any]], *, ours: str) -> tuple[FieldPath, ...]:
    """Leaves below /spec and /data that were not applied by us. At most MAX_FOREIGN_FIELDS: one is enough to act.

    What we once wrote by an update, under our own name, counts as foreign too: no later apply would remove it.
    Empty for objects that we never applied: a user's, or a Job, where nobody's fields need taking back.
    """
    own: set[FieldPath] = set()
    foreign: set[FieldPath] = set()
    applied_by_us = False
    for entry in managed:
        if entry.get("subresource"):
            continue
        applied = entry.get("manager") == ours and entry.get("operation") == "Apply"
        applied_by_us |= applied
        leaves = own if applied else foreign
        for root in CONTENT:
            _collect(entry.get("fieldsV1", {}).get(f"f:{root}", {}), (f"f:{root}",), leaves)
    if not applied_by_us:
        return ()
    return tuple(sorted(path for path in foreign - own if _TOLERATED not in path)[:MAX_FOREIGN_FIELDS])


def additions(foreign: Sequence[FieldPath], desired: Mapping[str, Any]) -> list[FieldPath]:
    """Those of `foreign` that `desired` does not speak about. A field that it does speak about is drift's business."""
    return [path for path in foreign if not _mentions(desired, path)]


def _collect(node: Mapping[str, Any], path: FieldPath, into: set[FieldPath]) -> None:
    children = {step: child for step, child in node.items() if step != "."}
    if not children and len(path) > 1:
        into.add(path)
    for step, child in children.items():
        _collect(child, (*path, step), into)


def _mentions(desired: Any, path: FieldPath) -> bool:
    node = desired
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            if not isinstance(node, Mapping) or rest not in node:
                return False
            node = node[rest]
        elif kind == "k":
            item = _item(node, json.loads(rest))
            if item is None:
                return False
            node = item
        else:
            return True  # members of sets and plain lists: drift compares those whole
    # A whole mapping as one leaf is an atomic one, such as a selector: drift would let foreign keys in it pass.
    return not isinstance(node, Mapping)


def _item(node: Any, wanted: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The list item with those key fields; a key field that is absent here is the server's default (protocol: TCP)."""
    if not isinstance(node, Sequence) or isinstance(node, str):
        return None
    for item in node:
        if isinstance(item, Mapping) and all(item.get(name, value) == value for name, value in wanted.items()):
            return item
    return None
