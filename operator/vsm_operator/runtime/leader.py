"""Leadership by a coordination.k8s.io/Lease: at most one replica writes.

The argument, in our own monotonic time (clocks of machines are never compared):
- we renew at t: the request left at t, so whoever saw the renewal saw it at t or later;
- another replica takes over only after it has seen the same renewal for `lease_seconds`: at t + 15 s or later;
- `valid()` is false from t + `renew_deadline_seconds` on: at t + 10 s.
So writes stop five seconds before anybody else may start, also when the process was frozen in between, because
`valid` is asked right before each write is sent.

A clean shutdown empties the holder, and the next replica takes over at its next look.
"""

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import Any

from vsm_operator.errors import AlreadyExists, Conflict, OperatorError
from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.kinds import LEASE, Key
from vsm_operator.kube.manifest import Manifest
from vsm_operator.runtime.clock import Clock

_log = logging.getLogger(__name__)

_CALL_SECONDS = 4.0
_RELEASE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """client-go's defaults."""

    lease_seconds: int = 15
    """How long a dead leader can block its successor."""
    renew_deadline_seconds: float = 10.0
    """A leader that could not renew for that long has lost."""
    retry_seconds: float = 2.0
    """Pause between two attempts."""

    def __post_init__(self) -> None:
        if not self.retry_seconds < self.renew_deadline_seconds < self.lease_seconds:
            raise ValueError("retry_seconds < renew_deadline_seconds < lease_seconds is needed: else two could lead")


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last renewal that we saw, and when we saw it first."""

    record: tuple[str, str, int]
    at: float


class Leader:
    """One replica's part. Also the Fence of all its writes."""

    def __init__(
        self,
        api: KubeApi,
        *,
        key: Key,
        identity: str,
        clock: Clock,
        jitter: random.Random,
        times: LeaseTimes = LeaseTimes(),
    ) -> None:
        """`identity` must be unique to this process, not to its pod: a restarted container is another holder."""
        self._api = api.unlimited()
        self._key = key
        self._identity = identity
        self._clock = clock
        self._jitter = jitter
        self._times = times
        self._lease: Manifest | None = None
        self._seen: _Seen | None = None
        self._renewed_at = float("-inf")
        self._leading = False
        self._turn = asyncio.Lock()  # one of us talks to the lease at a time: a renewal, or the release
        self._trouble = ""

    def valid(self) -> bool:
        """Whether a write sent now is certainly ours to send."""
        return self._leading and self._clock.monotonic() < self._renewed_at + self._times.renew_deadline_seconds

    @property
    def leading(self) -> bool:
        return self._leading

    async def acquire(self) -> None:
        """Returns when this replica leads. Failures are logged once each and tried again."""
        while not await self._attempt():
            await self._pause()
        self._leading = True
        _log.info("leading", extra={"lease": str(self._key), "identity": self._identity})

    async def hold(self) -> None:
        """Renews; returns when leadership is lost. Nothing may be written after that."""
        while self._leading:
            await self._pause()
            renewed = self._leading and await self._attempt()
            if self._leading and not renewed and (self._is_held_by_another() or not self.valid()):
                self._leading = False
                _log.error("leadership is lost", extra={"lease": str(self._key), "identity": self._identity})

    async def release(self) -> None:
        """Lets the next one lead at once. Failing to do so only costs it the rest of the lease."""
        if not self._leading:
            return
        self._leading = False
        try:
            # A renewal on its way would make our version stale: its end is awaited, and the lease is read anew.
            async with asyncio.timeout(_RELEASE_SECONDS), self._turn:
                self._lease = await self._api.get(LEASE, self._key)
                if _spec(self._lease).get("holderIdentity") == self._identity:
                    await self._api.replace(LEASE, self._written(self._lease, holder="", seconds=1))
        except (OperatorError, TimeoutError) as error:
            _log.warning("the lease was not released, it expires by itself: %s", error or "no answer")

    async def _pause(self) -> None:
        await self._clock.sleep(self._times.retry_seconds * self._jitter.uniform(0.9, 1.1))

    async def _attempt(self) -> bool:
        """Acquire or renew. True when the lease is ours from the moment the attempt began."""
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(_CALL_SECONDS), self._turn:
                taken = await self._take()
        except (Conflict, AlreadyExists):
            self._lease = None  # somebody was faster; the next attempt reads it
            return False
        except (OperatorError, TimeoutError) as error:
            trouble = str(error) or f"no answer within {_CALL_SECONDS:g} s"
            if trouble != self._trouble:
                self._trouble = trouble
                _log.warning("the lease cannot be taken or renewed: %s", trouble, extra={"lease": str(self._key)})
            self._lease = None  # the write may have happened
            return False
        self._trouble = ""
        if taken:
            self._renewed_at = began
        return taken

    async def _take(self) -> bool:
        if self._lease is None:
            self._lease = await self._api.get(LEASE, self._key)
            if self._lease is None:
                self._lease = await self._api.create(LEASE, self._written(None, holder=self._identity))
                return True
        elif not self._leading:
            self._lease = await self._api.get(LEASE, self._key) or self._lease
        if self._is_held_by_another() and not self._is_expired():
            return False
        self._lease = await self._api.replace(LEASE, self._written(self._lease, holder=self._identity))
        return True

    def _is_held_by_another(self) -> bool:
        holder = _spec(self._lease).get("holderIdentity")
        return bool(holder) and holder != self._identity

    def _is_expired(self) -> bool:
        """By how long we have seen no renewal, never by comparing its time stamp with our own clock."""
        spec = _spec(self._lease)
        record = (
            str(spec.get("holderIdentity")),
            str(spec.get("renewTime")),
            int(spec.get("leaseTransitions") or 0),
        )
        now = self._clock.monotonic()
        if self._seen is None or self._seen.record != record:
            self._seen = _Seen(record, now)
        return now - self._seen.at >= float(spec.get("leaseDurationSeconds") or self._times.lease_seconds)

    def _written(self, lease: Manifest | None, *, holder: str, seconds: int | None = None) -> Manifest:
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = _spec(lease)
        renewing = before.get("holderIdentity") == holder
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds or self._times.lease_seconds,
            "renewTime": now,
            "acquireTime": before.get("acquireTime", now) if renewing else now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (lease is not None and not renewing),
        }
        metadata = {"name": self._key.name, "namespace": self._key.namespace} if lease is None else lease["metadata"]
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}


def _spec(lease: Manifest | None) -> dict[str, Any]:
    return (lease or {}).get("spec") or {}
