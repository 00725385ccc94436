"""Events for `kubectl describe`: told once, few per object, never in the way.

`record` puts into a bounded queue and returns; `run` posts. What does not fit, repeats within the hour, or exceeds the
object's budget is dropped: a condition carries the truth, an Event only its history.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from vsm_operator.errors import OperatorError
from vsm_operator.kube.client import Fence, KubeApi
from vsm_operator.kube.kinds import EVENT, Kind
from vsm_operator.kube.manifest import MANAGER, Manifest
from vsm_operator.kube.snapshot import Snapshot

_log = logging.getLogger(__name__)

MAX_QUEUED = 256
MAX_REMEMBERED = 4096
BUDGET_PER_HOUR = 10
REPEAT_AFTER_SECONDS = 3600.0
_MAX_NOTE_LENGTH = 1000  # the API server refuses 1025

Severity = Literal["Normal", "Warning"]


@dataclass(slots=True)
class _History:
    """What one object has been told in the current hour."""

    since: float
    said: set[str]


class EventRecorder:
    """`now` is for the Event itself, `monotonic` for its budget."""

    def __init__(
        self,
        api: KubeApi,
        *,
        fence: Fence,
        instance: str,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._api = api.fenced(fence)
        self._instance = instance
        self._now = now
        self._monotonic = monotonic
        self._queue: asyncio.Queue[Manifest] = asyncio.Queue(MAX_QUEUED)
        self._histories: OrderedDict[str, _History] = OrderedDict()
        self.dropped = 0
        """Not posted for want of room or budget, repetitions not counted."""

    def record(
        self, kind: Kind, about: Snapshot, *, reason: str, note: str, action: str, severity: Severity = "Normal"
    ) -> None:
        """`reason` and `action` are CamelCase words; `note` is for people."""
        digest = hashlib.sha256(f"{about.uid}\0{reason}\0{note}".encode()).hexdigest()[:16]
        history = self._history(about.uid)
        if digest in history.said:
            return
        if len(history.said) >= BUDGET_PER_HOUR or self._queue.full():
            self.dropped += 1
            return
        history.said.add(digest)
        now = self._now()
        stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._queue.put_nowait(
            {
                "apiVersion": EVENT.api_version,
                "kind": EVENT.kind,
                "metadata": {
                    "name": f"{about.key.name[:200]}.{digest}{int(now.timestamp()):x}",
                    "namespace": about.key.namespace or "default",
                },
                "eventTime": stamp,
                "type": severity,
                "reason": reason,
                "action": action,
                "note": note[:_MAX_NOTE_LENGTH],
                "regarding": {
                    "apiVersion": kind.api_version,
                    "kind": kind.kind,
                    "namespace": about.key.namespace,
                    "name": about.key.name,
                    "uid": about.uid,
                },
                "reportingController": MANAGER,
                "reportingInstance": self._instance,
            }
        )

    async def run(self) -> None:
        """Until cancelled. One failed Event is one Event less."""
        while True:
            await self.post(await self._queue.get())

    async def post(self, event: Manifest) -> None:
        try:
            await self._api.create(EVENT, event)
        except OperatorError as error:
            _log.debug("an Event was not posted: %s", error)

    def _history(self, uid: str) -> _History:
        now = self._monotonic()
        history = self._histories.get(uid)
        if history is None or now - history.since >= REPEAT_AFTER_SECONDS:
            history = self._histories[uid] = _History(now, set())
        self._histories.move_to_end(uid)
        while len(self._histories) > MAX_REMEMBERED:
            self._histories.popitem(last=False)
        return history
