"""Intake Jobs: one for each package that some McpServer wants, however many want it.

The Job's name is the request's key, so asking twice, a restart in between, or two servers at once meet in one Job.
Nothing is remembered here: what is known follows from McpServer statuses, Jobs and their pods in the Store.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsm_operator.api.conditions import Reason
from vsm_operator.api.v1alpha1 import MCP_SERVER, BundleStatus
from vsm_operator.controllers.intakestate import Bundled, Intake, NotBundled, Waiting
from vsm_operator.controllers.podfacts import PodFacts, newest_first, pod_facts
from vsm_operator.domain.intake import IntakeFailure, IntakeReason, IntakeRequest, IntakeResult, parse_outcome
from vsm_operator.domain.packages import PackageRef
from vsm_operator.kube.apply import Cluster
from vsm_operator.kube.kinds import JOB, POD, Key
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.resources.intakejob import LABEL_INTAKE_KEY, intake_job, intake_job_name
from vsm_operator.runtime.controller import DONE, Result
from vsm_operator.runtime.store import Store
from vsm_operator.settings import Settings

BUNDLE_INDEX = "bundle-key"
"""McpServers by the key of the bundle that their status names."""
WANTED_INDEX = "intake-key"
"""McpServers by the key of the intake that their spec asks for."""
POD_INDEX = "intake-key"
"""Pods by the label that names their intake."""


@dataclass(frozen=True, slots=True)
class IntakeDesk:
    """Where a reconcile asks for a package's bundle."""

    store: Store
    cluster: Cluster
    settings: Settings
    _counting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from the count to the creation: two workers must not both see the last free place."""

    def request(self, package: PackageRef) -> IntakeRequest:
        """The intake that stands for this package under the registries in force."""
        return IntakeRequest.of(package, registries=self.settings.registries)

    def look(self, request: IntakeRequest) -> Intake | None:
        """What is known of it; None when nobody has asked yet. Reads the Store only.

        A Job's own answer comes first: it is newer than any status where a lost bundle was fetched again.
        """
        answer = self._answer(request)
        if not isinstance(answer, Bundled):
            for server in self.store.find(MCP_SERVER, BUNDLE_INDEX, request.key):
                return Bundled(BundleStatus.read(server.status["bundle"]))
        return answer

    def _answer(self, request: IntakeRequest) -> Intake | None:
        job = self.store.get(self._job_key(request))
        if job is None or job.deleting:
            return None
        # An earlier Job of the same name may have left pods with its own, older answer.
        own = [pod for pod in self.store.find(POD, POD_INDEX, request.key) if pod.owner_uid == job.uid]
        pods = [pod_facts(pod.key.name, pod.body) for pod in own]
        return _state(job, newest_first(pods), request.key)

    async def ask(self, request: IntakeRequest) -> Intake:
        """Like `look`, and starts the Job when there is none and a place is free."""
        async with self._counting:
            return self.look(request) or await self._start(request)

    async def _start(self, request: IntakeRequest) -> Intake:
        busy = sum(1 for job in self.store.list(JOB) if not job.deleting and _verdict(job) is None)
        limit = self.settings.max_concurrent_installs
        if busy >= limit:
            return Waiting(Reason.QUEUED, f"{busy} intakes are running, which is the limit: this one is next in line")
        await self.cluster.create(intake_job(request, settings=self.settings))
        return Waiting(Reason.FETCHING, "the package is being resolved and verified")

    async def fetch_again(self, request: IntakeRequest, *, missed_at: str) -> None:
        """The registry has lost the bundle: another Job, unless one has run since `load` missed it (RFC 3339)."""
        async with self._counting:
            job = self.store.get(self._job_key(request))
            if job is None:
                await self._start(request)
            elif not job.deleting and "" < _finished_at(job) < missed_at:
                await self.cluster.delete(job)

    async def forget_failure(self, request: IntakeRequest) -> None:
        """Makes room for another try: a failed Job would go on answering until it expires."""
        job = self.store.get(self._job_key(request))
        if job is not None and _verdict(job) == "Failed":
            await self.cluster.delete(job)

    def _job_key(self, request: IntakeRequest) -> Key:
        return JOB.key(self.settings.namespace, intake_job_name(request.key))


@dataclass(frozen=True, slots=True)
class UnwantedIntakes:
    """Reconciler of Jobs: a Job that no McpServer wants any more is deleted while it still runs."""

    store: Store
    cluster: Cluster

    async def reconcile(self, key: Key) -> Result:
        job = self.store.get(key)
        if job is None or job.deleting or _verdict(job) is not None:
            return DONE
        wanted = job.labels.get(LABEL_INTAKE_KEY, "")
        if not self.store.find(MCP_SERVER, WANTED_INDEX, wanted):
            await self.cluster.delete(job)
        return DONE


def project_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a Job that is read here."""
    status = job.get("status") or {}
    conditions = [
        {field: condition.get(field, "") for field in ("type", "status", "reason", "message", "lastTransitionTime")}
        for condition in status.get("conditions") or []
        if condition.get("type") in ("Complete", "Failed")
    ]
    return {"status": {"conditions": conditions}}


def _finished_at(job: Snapshot) -> str:
    """RFC 3339; empty while it runs."""
    return max((entry["lastTransitionTime"] for entry in job.status.get("conditions", ())), default="")


def _verdict(job: Snapshot) -> str | None:
    """Complete, Failed, or None while it runs."""
    for condition in job.status.get("conditions", ()):
        if condition["status"] == "True":
            return str(condition["type"])
    return None


def _state(job: Snapshot, pods: list[PodFacts], key: str) -> Intake:
    outcomes = [parse_outcome(pod.termination_message) for pod in pods if pod.finished]
    for outcome in outcomes:
        if isinstance(outcome, IntakeResult) and outcome.key == key:
            return Bundled(_bundle(outcome))
    failure = next((outcome for outcome in outcomes if isinstance(outcome, IntakeFailure)), None)
    verdict = _verdict(job)
    if failure is not None and (verdict == "Failed" or not failure.reason.retryable):
        return NotBundled(failure.reason, failure.message)
    if verdict is not None:
        why = next((condition["message"] for condition in job.status["conditions"]), "")
        trouble = next((pod.problem.message for pod in pods if pod.problem), "")
        message = f"intake Job {job.key.name} ended without an answer: {trouble or why or verdict}"
        return NotBundled(IntakeReason.INTERNAL_ERROR, message)
    trouble = next((pod.problem.message for pod in pods if pod.problem), "")
    if failure is not None:
        return Waiting(Reason.FETCHING, f"is being tried again: {failure.message}")
    return Waiting(Reason.FETCHING, trouble or "the package is being resolved and verified")


def _bundle(result: IntakeResult) -> BundleStatus:
    return BundleStatus(
        key=result.key,
        digest=result.digest,
        integrity=result.integrity,
        license=result.license,
        packages=result.packages,
        lifecycle_scripts=result.lifecycle_scripts,
        size_bytes=result.size_bytes,
        unpacked_bytes=result.unpacked_bytes,
        entrypoints=list(result.entrypoints),
    )
