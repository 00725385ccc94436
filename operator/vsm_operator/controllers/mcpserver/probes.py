"""Asking servers: a handshake through the Service when the pods are ready, the bridge's own word while they are not.

The bridge is asked in both cases, since it alone sees all tools: the hash that counts is the one it has verified. A
server that asks for tokens is not called but has to refuse us, and the bridge speaks for the rest.

Network calls never happen inside a reconcile: they run in the background pool, and their answer re-queues the key.
A server that is ready and was ready costs nothing here: no call, no memory.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx

from vsm_operator.api.v1alpha1 import ADMIN_PORT, Phase
from vsm_operator.controllers.mcpserver.facts import Facts, Unverified, Verified
from vsm_operator.controllers.podfacts import PodFacts, newest_first
from vsm_operator.domain.tools import visible
from vsm_operator.kube.kinds import Key
from vsm_operator.ports.bridge import BridgeStatus, bridge_status
from vsm_operator.ports.mcp import Handshake, HandshakeFailed, expect_refusal, handshake
from vsm_operator.resources.common import Owner
from vsm_operator.resources.service import endpoint
from vsm_operator.runtime.background import Background
from vsm_operator.runtime.clock import Clock

_DIAGNOSE_EVERY_SECONDS = 3.0
_BUSY_AGAIN = timedelta(seconds=1)
_TROUBLE_AFTER = 3
"""So many failures in a row are told: the first may only mean that no node knows the Service's new endpoint yet."""
_VERIFY_AGAIN_SECONDS = (0.5, 1.0, 2.0, 5.0)


@dataclass(slots=True)
class _State:
    """What the last calls said about one server."""

    verified: Verified | None = None
    trouble: str = ""
    failed_handshakes: int = 0
    pod: str = ""
    bridge: BridgeStatus | None = None
    next_handshake: float = 0.0
    """Monotonic seconds: not before then."""
    next_diagnosis: float = 0.0


@dataclass(frozen=True, slots=True)
class Observed:
    """The facts with what was learned, and when to look again (None: an event will tell)."""

    facts: Facts
    look_again: timedelta | None = None


class Probes:
    """Bounded by the number of servers that are not ready."""

    def __init__(
        self,
        *,
        background: Background,
        http: httpx.AsyncClient,
        clock: Clock,
        enqueue: Callable[[Key], None],
        deadline_seconds: float,
    ) -> None:
        self._background = background
        self._http = http
        self._clock = clock
        self._enqueue = enqueue
        self._deadline_seconds = deadline_seconds
        self._states: dict[Key, _State] = {}

    def forget(self, key: Key) -> None:
        """The server is gone."""
        self._states.pop(key, None)

    def observe(self, key: Key, facts: Facts) -> Observed:
        """Adds what is known, and sees to it that what is missing will be asked."""
        if facts.spec.suspend or not facts.revision:
            self.forget(key)
            return Observed(facts)
        if facts.rollout.complete:
            if facts.was_ready and facts.before.phase is Phase.READY:
                self.forget(key)
                return Observed(facts)
            return self._verify(key, facts)
        return self._diagnose(key, facts)

    def _verify(self, key: Key, facts: Facts) -> Observed:
        state = self._states.setdefault(key, _State())
        state.bridge = None
        if state.verified is not None and state.verified.revision == facts.revision:
            return Observed(replace(facts, verification=state.verified))
        trouble = state.trouble if state.failed_handshakes >= _TROUBLE_AFTER else ""
        wait_seconds = state.next_handshake - self._clock.monotonic()
        if wait_seconds > 0:
            return Observed(
                replace(facts, verification=Unverified(trouble)), look_again=timedelta(seconds=wait_seconds)
            )
        pod = next((pod for pod in newest_first(facts.pods) if pod.ready and pod.ip), None)
        if pod is None:  # the Deployment's status may be faster than its pods'
            return Observed(replace(facts, verification=Unverified(trouble)), look_again=_BUSY_AGAIN)

        async def ask() -> None:
            try:
                state.verified = await self._find_out(facts, pod)
            except HandshakeFailed as failure:
                self._note_failed_handshake(state, str(failure))
            self._enqueue(key)

        def too_late() -> None:
            self._note_failed_handshake(state, f"no complete answer within {self._deadline_seconds:g} s")
            self._enqueue(key)

        taken = self._background.submit(key, ask, deadline_seconds=self._deadline_seconds, on_timeout=too_late)
        # A diagnosis may still be under way, and it re-queues nothing when it learns nothing.
        look_again = None if taken else _BUSY_AGAIN
        return Observed(replace(facts, verification=Unverified(trouble)), look_again)

    async def _find_out(self, facts: Facts, pod: PodFacts) -> Verified:
        """Raises HandshakeFailed."""
        url = endpoint(Owner(facts.namespace, facts.name, ""))
        if facts.spec.auth is None:
            found = await handshake(self._http, url)
        else:
            await expect_refusal(self._http, url)
        status = await bridge_status(self._http, _status_url(pod))
        if status is None or not status.tools_hash:
            raise HandshakeFailed("the bridge does not say which tools it has seen")
        if facts.pin.hash and status.tools_hash != facts.pin.hash:
            raise HandshakeFailed(f"it lists tools with the hash {status.tools_hash}; admitted is {facts.pin.hash}")
        if facts.spec.auth is not None:
            found = _as_seen_by_clients(status, facts)
        # The server's own version: the bridge agrees on one with each client.
        found = replace(found, protocol_version=status.protocol_version or found.protocol_version)
        return Verified(facts.revision, found, status.tools_hash)

    def _note_failed_handshake(self, state: _State, trouble: str) -> None:
        pause = _VERIFY_AGAIN_SECONDS[min(state.failed_handshakes, len(_VERIFY_AGAIN_SECONDS) - 1)]
        state.failed_handshakes += 1
        state.trouble = trouble
        state.next_handshake = self._clock.monotonic() + pause

    def _diagnose(self, key: Key, facts: Facts) -> Observed:
        state = self._states.setdefault(key, _State())
        state.verified, state.trouble = None, ""
        state.failed_handshakes, state.next_handshake = 0, 0.0
        pods = [pod for pod in newest_first(facts.pods) if not pod.ready and "bridge" in pod.running and pod.ip]
        if not pods:
            return Observed(facts)
        pod = pods[0]
        if state.pod != pod.name:
            state.pod, state.bridge = pod.name, None
        again = timedelta(seconds=_DIAGNOSE_EVERY_SECONDS)
        if self._clock.monotonic() >= state.next_diagnosis:
            state.next_diagnosis = self._clock.monotonic() + _DIAGNOSE_EVERY_SECONDS

            async def ask() -> None:
                answer = await bridge_status(self._http, _status_url(pod))
                if answer is not None and answer != state.bridge and state.pod == pod.name:
                    state.bridge = answer
                    self._enqueue(key)

            self._background.submit(key, ask, deadline_seconds=self._deadline_seconds)
        return Observed(replace(facts, bridge=state.bridge), again)


def _status_url(pod: PodFacts) -> str:
    host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
    return f"http://{host}:{ADMIN_PORT}/status"


def _as_seen_by_clients(status: BridgeStatus, facts: Facts) -> Handshake:
    chosen = facts.spec.tool_filter
    names = visible(status.tool_names, allow=chosen.allow, deny=chosen.deny)
    return Handshake(
        protocol_version=status.protocol_version,
        server_name=status.server_name,
        server_version=status.server_version,
        tool_names=tuple(names),
    )
