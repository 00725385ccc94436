"""The McpServer reconciler. The key says which server to look at, never what happened to it."""

import contextlib
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from vsm_operator.api.conditions import Reason, find_condition
from vsm_operator.api.v1alpha1 import (
    MCP_SERVER,
    RETRY_ANNOTATION,
    BundleStatus,
    McpServerSpec,
    McpServerStatus,
)
from vsm_operator.controllers.adminkey import AdminKey
from vsm_operator.controllers.intake import IntakeDesk
from vsm_operator.controllers.intakestate import Bundled, Intake, NotNeeded, Waiting
from vsm_operator.controllers.mcpserver.facts import Facts, Rollout, Verified
from vsm_operator.controllers.mcpserver.pindesk import PinDesk
from vsm_operator.controllers.mcpserver.pinning import Pin
from vsm_operator.controllers.mcpserver.probes import Probes
from vsm_operator.controllers.mcpserver.summary import is_settled, refused, still_failing, summarise
from vsm_operator.controllers.podfacts import PodFacts, newest_first, pod_facts
from vsm_operator.controllers.registry import RegistryLocator
from vsm_operator.domain.packages import InvalidPackage
from vsm_operator.errors import InvalidSpec, NotConfigured, Terminal
from vsm_operator.kube.apply import Cluster
from vsm_operator.kube.events import EventRecorder
from vsm_operator.kube.kinds import DEPLOYMENT, POD, Key
from vsm_operator.kube.manifest import Manifest
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.resources.common import Owner
from vsm_operator.resources.deployment import LABEL_REVISION, deployment, revision_of
from vsm_operator.resources.networkpolicy import network_policy
from vsm_operator.resources.pins import artifact_of
from vsm_operator.resources.registry import Registry
from vsm_operator.resources.service import service
from vsm_operator.runtime.clock import Clock
from vsm_operator.runtime.controller import DONE, Result
from vsm_operator.runtime.store import Store
from vsm_operator.settings import Settings

_audit = logging.getLogger("vsm.audit")

INSTANCE_INDEX = "server"
"""Pods by "namespace/name" of their McpServer: a ReplicaSet stands between the two."""
_GOOD_OR_UNDER_WAY = frozenset(
    {
        Reason.QUEUED,
        Reason.FETCHING,
        Reason.STARTING,
        Reason.SERVING,
        Reason.UPDATING,
        Reason.SUSPENDED,
        Reason.PINNED,
    }
)
"""Reasons that need nobody's attention, and so no Event."""
_QUEUED_AGAIN = timedelta(seconds=5)
_UNRESOLVED_AGAIN = timedelta(seconds=10)
_PREPARED_WITHIN = timedelta(seconds=20)
"""Volumes and network of a pod take a second or two; after this, something that the pod mounts is missing."""
_SETTLE_AFTER = timedelta(seconds=1)
"""The pass after the one that gives a server up scales it to zero."""


@dataclass(frozen=True, slots=True)
class McpServerReconciler:
    """Gather, render, apply, summarise."""

    store: Store
    cluster: Cluster
    events: EventRecorder
    intake: IntakeDesk
    registry: RegistryLocator
    admin_key: AdminKey
    pins: PinDesk
    probes: Probes
    settings: Settings
    clock: Clock

    async def reconcile(self, key: Key) -> Result:
        server = self.store.get(key)
        if server is None or server.deleting:
            self.probes.forget(key)
            return DONE  # ownerReferences take the children along

        before = McpServerStatus.read(server.status)
        retry = server.annotations.get(RETRY_ANNOTATION, "")
        spec = _read_spec(server)
        owner = Owner(key.namespace, key.name, server.uid)
        registry = self.registry.current
        if not self._is_equipped(before):
            return DONE  # what is missing queues every server when it is found
        if is_settled(before, generation=server.generation, retry=retry):
            return await self._keep_settled(server, spec, before, owner=owner, registry=registry)
        if registry is None:
            intake: Intake = Waiting(Reason.REGISTRY_NOT_FOUND, self.registry.trouble)
        else:
            intake = await self._intake(key, spec, again=(before.last_handled_retry or "") != retry)
            await self._isolate(server, spec, owner=owner, registry=registry)

        facts = Facts(
            name=key.name,
            namespace=key.namespace,
            generation=server.generation,
            retry=retry,
            spec=spec,
            before=before,
            intake=intake,
            revision="",
            pin=Pin(spec.tool_pin, handled=before.last_handled_admission or ""),
        )
        if registry is not None and isinstance(intake, NotNeeded | Bundled):
            facts = await self._run(server, facts, owner=owner, registry=registry)
        live = self.store.get(DEPLOYMENT.key(key.namespace, owner.child_name))
        rollout = Rollout.of(live.body if live else None, generation=live.generation if live else 0)
        if facts.revision and self._others_live(key, facts.revision):
            # Until they are gone the Service may still lead to them, and a handshake would speak of the old revision.
            rollout = replace(rollout, complete=False)
        pods = self._pods(key, revision=facts.revision)
        unprepared = self._unprepared(pods)
        facts = replace(facts, rollout=rollout, pods=pods, unprepared=unprepared >= _PREPARED_WITHIN)
        observed = self.probes.observe(key, facts)
        facts = observed.facts
        if facts.pin.awaits_first_use and isinstance(facts.verification, Verified):
            facts = replace(facts, pin=facts.pin.first_use(facts.verification.tools_hash))
            await self.pins.keep(server, facts.pin)
        after = summarise(facts, now=self.clock.now())
        await self._publish(server, before, after)
        if is_settled(after, generation=server.generation, retry=retry):
            return Result(requeue_after=_SETTLE_AFTER)
        if timedelta(0) < unprepared < _PREPARED_WITHIN:
            return Result(requeue_after=_PREPARED_WITHIN - unprepared)
        return Result(requeue_after=_next_look(intake, observed.look_again))

    async def report(self, key: Key, error: Terminal) -> None:
        """Tells the user of a refusal that ended a pass. A quota or a missing right may be mended: that is no end."""
        server = self.store.get(key)
        if server is None or server.deleting:
            return
        before = McpServerStatus.read(server.status)
        after = refused(
            before,
            generation=server.generation,
            retry=server.annotations.get(RETRY_ANNOTATION, ""),
            error=error,
            now=self.clock.now(),
        )
        await self._publish(server, before, after)

    async def _intake(self, key: Key, spec: McpServerSpec, *, again: bool) -> Intake:
        package = spec.source.package()
        if package is None:
            return NotNeeded()
        request = self.intake.request(package)
        if again:
            await self.intake.forget_failure(request)
        if missed_at := max((pod.bundle_missed_at for pod in self._pods(key)), default=""):
            await self.intake.fetch_again(request, missed_at=missed_at)
        return await self.intake.ask(request)

    async def _isolate(self, server: Snapshot, spec: McpServerSpec, *, owner: Owner, registry: Registry) -> None:
        """The policy is stored by the API server before anything that it confines is asked for."""
        first = [
            network_policy(spec, owner=owner, registry=registry, settings=self.settings),
            service(owner=owner),
        ]
        await self._apply(server, first)

    async def _run(self, server: Snapshot, facts: Facts, *, owner: Owner, registry: Registry) -> Facts:
        bundle = facts.intake.bundle if isinstance(facts.intake, Bundled) else None
        pin = self.pins.decide(server, facts.spec, facts.before, artifact=artifact_of(facts.spec, bundle))
        facts = replace(facts, pin=pin)
        # Before the pod: what is admitted already is in its volume from the start.
        await self.pins.keep(server, pin)
        try:
            wanted = self._deployment(facts.spec, owner=owner, bundle=bundle, registry=registry)
            await self._apply(server, [wanted])
        except (InvalidSpec, NotConfigured) as refusal:
            return replace(facts, invalid=refusal)
        return replace(facts, revision=revision_of(wanted))

    def _deployment(
        self, spec: McpServerSpec, *, owner: Owner, bundle: BundleStatus | None, registry: Registry
    ) -> Manifest:
        return deployment(
            spec,
            owner=owner,
            bundle=bundle,
            registry=registry,
            admin_token_sha256=self.admin_key.token_sha256(owner.uid),
            settings=self.settings,
        )

    def _is_equipped(self, before: McpServerStatus) -> bool:
        """Whether what every pod is made from is at hand.

        Raises NotConfigured for a server that never ran when it cannot be had; what runs goes on running.
        """
        if self.admin_key.trouble and before.verified_revision is None:
            message = f"nothing is started without the key for its admin port: {self.admin_key.trouble}"
            raise NotConfigured(Reason.ADMIN_KEY_MISSING, message)
        # The first look-up of the registry counts whatever it finds.
        return self.admin_key.known and (self.registry.looked or self.registry.current is not None)

    async def _keep_settled(
        self, server: Snapshot, spec: McpServerSpec, before: McpServerStatus, *, owner: Owner, registry: Registry | None
    ) -> Result:
        """A server that was given up keeps its policy and its Service, and no pod that crashes for ever.

        After an update that failed, the pods are those of the previous revision: they stay, and Ready follows them.
        """
        if registry is None:
            return DONE
        await self._isolate(server, spec, owner=owner, registry=registry)
        live = self.store.get(DEPLOYMENT.key(owner.namespace, owner.child_name))
        available = live is not None and bool(live.status.get("availableReplicas"))
        ready = find_condition(before.conditions, "Ready")
        if ready is not None and ready.reason == Reason.UPDATE_FAILING:
            after = still_failing(before, ready, available=available, now=self.clock.now())
            await self._publish(server, before, after)
        elif live is not None and live.spec.get("replicas") and not available:
            # A spec that cannot be rendered has no pods of its own, so none of them crashes.
            with contextlib.suppress(InvalidSpec, NotConfigured):
                wanted = self._deployment(spec, owner=owner, bundle=before.bundle, registry=registry)
                await self._apply(server, [_scaled_to_zero(wanted)])
        return DONE

    async def _publish(self, server: Snapshot, before: McpServerStatus, after: McpServerStatus) -> None:
        """The status if it is news; one audit line for a change of mind, and an Event when that is bad news."""
        await self.cluster.write_status(server, after.to_api())
        pinned = after.tools.pinned_hash if after.tools else None
        if pinned != (before.tools.pinned_hash if before.tools else None):
            _audit.info("tools admitted: %s", pinned or "none", extra={"object": str(server.key)})
        was, ready = find_condition(before.conditions, "Ready"), find_condition(after.conditions, "Ready")
        if ready is None or (was is not None and (was.status, was.reason) == (ready.status, ready.reason)):
            return
        _audit.info(
            "%s: %s",
            ready.reason,
            ready.message,
            extra={
                "object": str(server.key),
                "phase": after.phase,
                "package": after.package,
                "version": after.version,
                "digest": after.bundle.digest if after.bundle else None,
            },
        )
        if ready.reason not in _GOOD_OR_UNDER_WAY:
            self.events.record(
                MCP_SERVER, server, reason=ready.reason, note=ready.message, action="Reconcile", severity="Warning"
            )

    async def _apply(self, server: Snapshot, desired: list[Manifest]) -> None:
        await self.cluster.apply(desired, observed=(), owner=server, prune=False)

    def _unprepared(self, pods: list[PodFacts]) -> timedelta:
        """How long the newest pod has waited on its node for volumes and network."""
        since = next((pod.unprepared_since for pod in newest_first(pods)), "")
        # At least something, so that the pass that sees it first looks again.
        return max(self.clock.now() - datetime.fromisoformat(since), timedelta(seconds=1)) if since else timedelta(0)

    def _others_live(self, key: Key, revision: str) -> bool:
        """Whether a pod of another revision still runs, also on its way out."""
        pods = self.store.find(POD, INSTANCE_INDEX, f"{key.namespace}/{key.name}")
        return any(
            pod.labels.get(LABEL_REVISION) != revision and not pod_facts(pod.key.name, pod.body).finished
            for pod in pods
        )

    def _pods(self, key: Key, *, revision: str = "") -> list[PodFacts]:
        """Those that are not on their way out; of one revision, or of all."""
        pods = self.store.find(POD, INSTANCE_INDEX, f"{key.namespace}/{key.name}")
        return [
            pod_facts(pod.key.name, pod.body)
            for pod in pods
            if not pod.deleting and revision in ("", pod.labels.get(LABEL_REVISION))
        ]


def _read_spec(server: Snapshot) -> McpServerSpec:
    """The schema has checked it, but perhaps an older schema. Raises InvalidSpec."""
    try:
        spec = McpServerSpec.read(server.spec)
        spec.source.package()
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors()[:5])
        raise InvalidSpec(Reason.INVALID_SPEC, f"the spec cannot be read: {lines}") from None
    except InvalidPackage as error:
        raise InvalidSpec(Reason.INVALID_SPEC, str(error)) from error
    return spec


def _scaled_to_zero(wanted: Manifest) -> Manifest:
    return {**wanted, "spec": {**wanted["spec"], "replicas": 0}}


def _next_look(intake: Intake, look_again: timedelta | None) -> timedelta | None:
    if isinstance(intake, Waiting) and intake.reason is Reason.QUEUED:
        return _QUEUED_AGAIN
    if isinstance(intake, Waiting) and intake.reason is Reason.REGISTRY_NOT_FOUND:
        return _UNRESOLVED_AGAIN
    return look_again
