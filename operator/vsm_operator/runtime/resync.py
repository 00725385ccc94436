"""Listings: fill the Store before anything else runs, and find what the watches cannot tell.

A watch that had to start over says nothing of objects deleted meanwhile; kopf never makes a deletion up. So every kind
is listed again soon after the watches began (the gap between our first listing and theirs), whenever kopf shows signs
of having listed anew (an event without a type), and every ten minutes. What a listing lacks is purged, by version.
"""

import asyncio
import logging
import random
from collections.abc import Sequence

from vsm_operator.errors import Conflict, OperatorError
from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.kinds import Kind
from vsm_operator.runtime.clock import Clock
from vsm_operator.runtime.queue import Lane
from vsm_operator.runtime.router import Router, Watch

_log = logging.getLogger(__name__)

INTERVAL_SECONDS = 600.0
JITTER = 0.1
SETTLE_SECONDS = 3.0
DEBOUNCE_SECONDS = 1.0
PRIME_AGAIN_SECONDS = (1.0, 2.0, 5.0, 10.0)


class Resync:
    """Reads only. Requests are spread: one page of one kind at a time."""

    def __init__(
        self, api: KubeApi, *, router: Router, watches: Sequence[Watch], clock: Clock, jitter: random.Random
    ) -> None:
        self._api = api
        self._router = router
        self._watches = {watch.kind.kind: watch for watch in watches}
        self._clock = clock
        self._jitter = jitter
        self._hints: set[str] = set()
        self._hinted = asyncio.Event()
        self._settled = False
        self.primed = False
        self.trouble = "the first listing has not finished"
        """Why `prime` is not done."""

    async def prime(self) -> None:
        """Lists every kind until it has worked: a CRD or a role that is missing yet is waited for."""
        for watch in self._watches.values():
            attempt = 0
            while True:
                try:
                    await self.sweep(watch)
                    break
                except OperatorError as error:
                    if self.trouble != str(error):
                        self.trouble = str(error)
                        _log.warning("waiting to start: %s", error)
                    await self._clock.sleep(PRIME_AGAIN_SECONDS[min(attempt, len(PRIME_AGAIN_SECONDS) - 1)])
                    attempt += 1
        self.primed = True
        self.trouble = ""

    def hint(self, kind: Kind) -> None:
        """The watch of `kind` may have started over."""
        if self._settled:  # before that, it is kopf's own first listing
            self._hints.add(kind.kind)
            self._hinted.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._regularly(), name="resync")
            group.create_task(self._when_hinted(), name="resync on hints")

    async def sweep(self, watch: Watch) -> int:
        """One kind: takes over what is listed, purges what is not. Returns the number of ghosts."""
        ghosts = 0
        for namespace in watch.namespaces or (None,):
            try:
                ghosts += await self._list(watch, namespace)
            except Conflict:  # the listing took so long that its version expired
                ghosts += await self._list(watch, namespace)
        return ghosts

    async def _list(self, watch: Watch, namespace: str | None) -> int:
        listed: set[str] = set()
        version = 0
        async for page in self._api.pages(watch.kind, namespace=namespace, selector=watch.selector):
            version = version or page.resource_version
            for body in page.items:
                listed.add(body["metadata"]["uid"])
                self._router.observed(watch.kind, body, Lane.SWEEP)
        return self._router.absent(watch.kind, listed=listed, listed_version=version, namespace=namespace)

    async def _regularly(self) -> None:
        await self._clock.sleep(SETTLE_SECONDS)
        await self._sweep_all(self._watches)
        self._settled = True
        while True:
            await self._clock.sleep(INTERVAL_SECONDS * self._jitter.uniform(1 - JITTER, 1 + JITTER))
            await self._sweep_all(self._watches)
            # Also those whose objects are as we knew them: what a pass got wrong is found here at the latest.
            self._router.enqueue_all()

    async def _when_hinted(self) -> None:
        while True:
            await self._hinted.wait()
            await self._clock.sleep(DEBOUNCE_SECONDS)
            self._hinted.clear()
            kinds, self._hints = self._hints, set()
            await self._sweep_all(kinds)

    async def _sweep_all(self, kinds: Sequence[str] | set[str] | dict[str, Watch]) -> None:
        for kind in sorted(kinds):
            try:
                ghosts = await self.sweep(self._watches[kind])
            except OperatorError as error:
                _log.warning("resync of %s failed, the next one comes by itself: %s", kind, error)
            else:
                if ghosts:
                    _log.info("resync found %d objects gone that no watch had reported", ghosts, extra={"kind": kind})
