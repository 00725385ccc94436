"""Memory of writes that did not take: differences that were still there right after we wrote.

Bounded; a restart forgets it and pays one more write per such object. Only exactly the same differences of the same
object are settled, so that a new one is repaired even where an old one has to be lived with.
"""

from collections import OrderedDict

from vsm_operator.kube.kinds import Key
from vsm_operator.kube.snapshot import Snapshot

MAX_ENTRIES = 4096


class Settled:
    """Per object, the last set of differences."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[Key, bool], tuple[str, tuple[str, ...]]] = OrderedDict()

    def knows(self, snapshot: Snapshot, *differences: str) -> bool:
        return self._entries.get(_slot(snapshot.key, differences)) == (snapshot.uid, differences)

    def remember(self, snapshot: Snapshot, *differences: str) -> None:
        slot = _slot(snapshot.key, differences)
        self._entries[slot] = (snapshot.uid, differences)
        self._entries.move_to_end(slot)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def forget(self, key: Key) -> None:
        self._entries.pop((key, False), None)


def _slot(key: Key, differences: tuple[str, ...]) -> tuple[Key, bool]:
    """A status and a spec of the same object are different matters."""
    return key, differences[:1] == ("status",)
