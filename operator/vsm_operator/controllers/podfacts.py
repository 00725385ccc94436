"""What a pod's status says to somebody who waits for it. Pure, over the projection that the Store keeps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsm_operator.api.conditions import Reason
from vsm_operator.domain.intake import EXIT_BUNDLE_MISSING

_IMAGE_PROBLEMS = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
)
_SETUP_PROBLEMS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}
)
_PREPARING = frozenset({"load", "settle"})


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a pod does not get ready, in the words of whoever refuses."""

    reason: Reason
    message: str
    lasting: bool = False
    """True when the kubelet has tried often enough that waiting longer will not help."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod."""

    name: str
    ready: bool
    finished: bool
    ip: str
    created: str
    running: frozenset[str]
    """Containers that run right now."""
    problem: Problem | None
    termination_message: str
    """Of the newest container that ended; empty while none has."""
    bundle_missed_at: str = ""
    """RFC 3339: when `load` last found that the registry has lost the bundle; empty when it did not."""
    unprepared_since: str = ""
    """RFC 3339: since when a node has had the pod without having its volumes and network; empty once it has them."""


def project_pod(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a Pod that `pod_facts` reads. Everything else is dropped before it is stored."""
    status = pod.get("status") or {}
    return {
        "created": (pod.get("metadata") or {}).get("creationTimestamp", ""),
        "phase": status.get("phase", ""),
        "podIP": status.get("podIP", ""),
        "reason": status.get("reason", ""),
        "message": str(status.get("message", ""))[:500],
        "conditions": [
            {field: condition.get(field, "") for field in ("type", "status", "reason", "message", "lastTransitionTime")}
            for condition in status.get("conditions") or []
            if condition.get("type") in ("PodScheduled", "PodReadyToStartContainers", "Ready")
        ],
        "initContainers": [_project_container(entry) for entry in status.get("initContainerStatuses") or []],
        "containers": [_project_container(entry) for entry in status.get("containerStatuses") or []],
    }


def _project_container(entry: Mapping[str, Any]) -> dict[str, Any]:
    state = entry.get("state") or {}
    last = (entry.get("lastState") or {}).get("terminated")
    return {
        "name": entry.get("name", ""),
        "image": entry.get("image", ""),
        "restarts": entry.get("restartCount", 0),
        "running": "running" in state,
        "waiting": {field: str((state.get("waiting") or {}).get(field, ""))[:500] for field in ("reason", "message")},
        "terminated": _project_terminated(state.get("terminated")),
        "last": _project_terminated(last),
    }


def _project_terminated(raw: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if raw is None:
        return None
    return {
        "reason": raw.get("reason", ""),
        "exitCode": raw.get("exitCode", 0),
        "finishedAt": raw.get("finishedAt", ""),
        "message": str(raw.get("message", ""))[:4096],
    }


def pod_facts(name: str, body: Mapping[str, Any]) -> PodFacts:
    """From a projection of `project_pod`."""
    containers = body["containers"]
    ended = [state for entry in containers for state in (entry["terminated"],) if state]
    return PodFacts(
        name=name,
        ready=any(entry["type"] == "Ready" and entry["status"] == "True" for entry in body["conditions"]),
        finished=body["phase"] in ("Succeeded", "Failed"),
        ip=body["podIP"],
        created=body["created"],
        running=frozenset(entry["name"] for entry in containers if entry["running"]),
        problem=next(_problems(body), None),
        termination_message=ended[-1]["message"] if ended else "",
        bundle_missed_at=max((_missed_at(entry) for entry in body["initContainers"]), default=""),
        unprepared_since=_unprepared_since(body),
    )


def _unprepared_since(body: Mapping[str, Any]) -> str:
    """The kubelet says why only in Events; that it waits shows in the conditions."""
    since = {entry["type"]: entry["lastTransitionTime"] for entry in body["conditions"] if entry["status"] == "True"}
    waits = any(
        entry["type"] == "PodReadyToStartContainers" and entry["status"] == "False" for entry in body["conditions"]
    )
    return str(since.get("PodScheduled", "")) if waits and body["phase"] == "Pending" else ""


def _missed_at(container: Mapping[str, Any]) -> str:
    ended = container["terminated"] or container["last"]
    missing = ended is not None and ended["exitCode"] == EXIT_BUNDLE_MISSING
    return str(ended["finishedAt"]) if missing else ""


def newest_first(pods: Sequence[PodFacts]) -> list[PodFacts]:
    """Newest first; the name breaks a tie, so that the order is stable."""
    return sorted(pods, key=lambda pod: (pod.created, pod.name), reverse=True)


def _problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    """The most fundamental first: what comes later cannot happen before it is mended."""
    for condition in body["conditions"]:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield Problem(Reason.UNSCHEDULABLE, f"no node takes the pod: {condition['message']}")
    if body["phase"] == "Failed" and body["reason"]:
        yield Problem(Reason.CRASHED, f"the pod was ended by its node: {body['reason']}: {body['message']}")
    for container in (*body["initContainers"], *body["containers"]):
        yield from _container_problems(container)


def _container_problems(container: Mapping[str, Any]) -> Iterator[Problem]:
    waiting = container["waiting"]
    if waiting["reason"] in _IMAGE_PROBLEMS:
        text = f"image {container['image']} of container {container['name']}: {waiting['reason']}"
        yield Problem(Reason.IMAGE_UNAVAILABLE, f"{text}: {waiting['message']}" if waiting["message"] else text)
    if waiting["reason"] in _SETUP_PROBLEMS:
        yield Problem(
            Reason.POD_CONFIGURATION,
            f"container {container['name']} cannot be set up: {waiting['message'] or waiting['reason']}",
        )
    ended = container["terminated"] or container["last"]
    if ended is None or (ended["exitCode"] == 0 and container["name"] != "server"):
        return
    lasting = container["restarts"] >= 3
    if container["name"] in _PREPARING:
        yield Problem(
            Reason.BUNDLE_UNAVAILABLE, ended["message"] or f"{container['name']} exited with {ended['exitCode']}"
        )
    elif container["name"] == "server":
        if ended["reason"] == "OOMKilled":
            yield Problem(Reason.OOM_KILLED, "the server was killed at its memory limit", lasting)
        else:
            tail = ended["message"].strip() or "it wrote nothing"
            yield Problem(Reason.CRASH_AT_START, f"exit code {ended['exitCode']}: {tail}", lasting)
    elif container["name"] == "bridge":
        tail = ended["message"].strip()[-500:] or "it wrote nothing"
        yield Problem(Reason.BRIDGE_FAILED, f"the bridge ended with exit code {ended['exitCode']}: {tail}")
