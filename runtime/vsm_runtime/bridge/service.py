"""What the admin port sees of the bridge: readiness, status, draining. And the gauges, whose values are asked for."""

import asyncio
import math

from vsm_runtime.bridge.desk import Desk
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.metrics import Metrics

DRAIN_POLL_SECONDS = 0.02


class Service:
    """`Served` of the admin port."""

    def __init__(self, desk: Desk, metrics: Metrics) -> None:
        self._desk = desk
        pool, main = desk.pool, desk.pool.main
        metrics.ready.set_function(lambda: float(self.ready))
        metrics.tools.set_function(lambda: float(len(main.status.tools.names)) if main.status.tools else 0.0)
        metrics.sessions.set_function(lambda: float(len(pool)))

    @property
    def ready(self) -> bool:
        return self._desk.pool.main.ready and not self._desk.draining

    def to_json(self) -> Json:
        pool = self._desk.pool
        sessions: Json = {"count": len(pool), "max": pool.max_sessions} if pool.isolated else {"count": 0, "max": 0}
        return {**pool.main.status.to_json(), "draining": self._desk.draining, "sessions": sessions}

    def why_not_ready(self) -> str:
        if self._desk.draining:
            return "the bridge takes no more calls: it is being shut down"
        return self._desk.pool.main.status.why_not_ready()

    @property
    def status(self) -> "Service":
        return self

    async def drain(self, seconds: float) -> int:
        """No new calls from now on; returns how many are still in flight after at most so long."""
        self._desk.draining = True
        self._desk.pool.end_streams()
        for _ in range(math.ceil(seconds / DRAIN_POLL_SECONDS)):
            if not self._desk.pool.in_flight:
                break
            await asyncio.sleep(DRAIN_POLL_SECONDS)
        return self._desk.pool.in_flight
