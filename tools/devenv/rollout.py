"""Waits until what a chart made is running, says what for, and gives up early on what waiting will not mend."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.commands import Commands
from devenv.errors import CommandError, DevenvError
from devenv.progress import Progress

Object = Mapping[str, Any]
READY_WITHIN_SECONDS = 300.0
HOPELESS_RESTARTS = 3
_POLL_SECONDS = 0.5
_LOG_LINES = 8
_LINE_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Trouble:
    """A container that does not run, and whether waiting has a point."""

    pod: str
    container: str
    text: str
    hopeless: bool


def behind(deployments: Object) -> list[str]:
    """Names of the Deployments that are not yet what their newest specification says."""
    names = []
    for deployment in deployments["items"]:
        status = deployment.get("status", {})
        wanted = deployment["spec"].get("replicas", 1)
        current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        updated, ready, total = (status.get(key, 0) for key in ("updatedReplicas", "availableReplicas", "replicas"))
        if not (current and updated == ready == total == wanted):
            names.append(deployment["metadata"]["name"])
    return names


def newest_replica_sets(replica_sets: Object) -> set[str]:
    """Uids of each Deployment's newest one: the pods of older ones are on their way out and no concern."""
    newest: dict[str, tuple[int, str]] = {}
    for replica_set in replica_sets["items"]:
        metadata = replica_set["metadata"]
        revision = int(metadata.get("annotations", {}).get("deployment.kubernetes.io/revision", "0"))
        for owner in metadata.get("ownerReferences", []):
            newest[owner["uid"]] = max(newest.get(owner["uid"], (-1, "")), (revision, metadata["uid"]))
    return {uid for _, uid in newest.values()}


def troubles(pods: Object, *, replica_sets: Object) -> list[Trouble]:
    """Containers that wait for a reason; those that are merely being made are none."""
    newest = newest_replica_sets(replica_sets)
    return [
        trouble
        for pod in pods["items"]
        if newest.intersection(owner["uid"] for owner in pod["metadata"].get("ownerReferences", []))
        for trouble in _of(pod)
    ]


def _of(pod: Object) -> Iterator[Trouble]:
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting")
        if waiting is None or waiting.get("reason") in {"ContainerCreating", "PodInitializing"}:
            continue
        reason = waiting.get("reason", "waiting")
        restarts = container.get("restartCount", 0)
        yield Trouble(
            pod=pod["metadata"]["name"],
            container=container["name"],
            text=f"{reason} after {restarts} restarts" if restarts else f"{reason}: {waiting.get('message', '')}",
            hopeless=restarts >= HOPELESS_RESTARTS or reason in {"ErrImageNeverPull", "InvalidImageName"},
        )


@dataclass(frozen=True, slots=True)
class Rollout:
    """Of all Deployments in a namespace."""

    kubeconfig: Path
    commands: Commands
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait(self, namespace: str) -> None:
        """Until all are available; raises with the container's last words."""
        deadline = self.clock() + READY_WITHIN_SECONDS
        said: set[str] = set()
        while names := behind(self._get(namespace, "deployments")):
            found = troubles(self._get(namespace, "pods"), replica_sets=self._get(namespace, "replicasets"))
            for trouble in found:
                line = f"  {trouble.pod}, {trouble.container}: {trouble.text}"
                if line not in said:
                    self.progress.say(line)
                    said.add(line)
            late = self.clock() >= deadline
            if late or any(trouble.hopeless for trouble in found):
                raise DevenvError(self._explain(namespace, names, found))
            self.sleep(_POLL_SECONDS)

    def _explain(self, namespace: str, names: list[str], found: list[Trouble]) -> str:
        lines = [f"{', '.join(names)} in namespace {namespace} does not get ready"]
        for trouble in found:
            lines += [f"{trouble.pod}, {trouble.container}: {trouble.text}", *self._last_words(namespace, trouble)]
        if not found:
            arguments = ("--field-selector", "type=Warning", "--sort-by", ".lastTimestamp")
            columns = "custom-columns=OBJECT:.involvedObject.name,WHY:.message"
            events = self._kubectl("--namespace", namespace, "get", "events", *arguments, "--output", columns)
            lines += [f"  {line}" for line in events.splitlines()[-_LOG_LINES:]]
        lines.append(f"more: KUBECONFIG={self.kubeconfig} kubectl --namespace {namespace} describe pods")
        return "\n".join(lines)

    def _last_words(self, namespace: str, trouble: Trouble) -> list[str]:
        target = ("--namespace", namespace, "logs", trouble.pod, "--container", trouble.container)
        try:
            log = self._kubectl(*target, "--previous", "--tail", str(_LOG_LINES))
        except CommandError:
            return []
        return [f"    {line[:_LINE_CHARACTERS]}" for line in log.splitlines()]

    def _get(self, namespace: str, kind: str) -> Object:
        found: Object = json.loads(self._kubectl("--namespace", namespace, "get", kind, "--output", "json"))
        return found

    def _kubectl(self, *arguments: str) -> str:
        return self.commands.run(["kubectl", *arguments], environment={"KUBECONFIG": str(self.kubeconfig)})
