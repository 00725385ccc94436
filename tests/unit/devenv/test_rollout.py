"""Waiting ends when all is new and available, and early when it has no point."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from devenv.errors import DevenvError
from devenv.progress import Progress
from devenv.rollout import HOPELESS_RESTARTS, Rollout, behind, troubles
from unit.devenv.fake_commands import FakeCommands


def deployment(*, observed: int = 2, updated: int = 1, available: int = 1, replicas: int = 1) -> dict[str, Any]:
    status = {
        "observedGeneration": observed,
        "updatedReplicas": updated,
        "availableReplicas": available,
        "replicas": replicas,
    }
    return {"items": [{"metadata": {"name": "op", "generation": 2}, "spec": {"replicas": 1}, "status": status}]}


@pytest.mark.parametrize(
    ("found", "names"),
    [
        pytest.param(deployment(), [], id="all there"),
        pytest.param(deployment(observed=1), ["op"], id="change not seen yet"),
        pytest.param(deployment(updated=0), ["op"], id="old pods only"),
        pytest.param(deployment(available=0), ["op"], id="not available"),
        pytest.param(deployment(replicas=2), ["op"], id="an old pod still there"),
    ],
)
def test_a_deployment_is_behind_until_all_and_only_new_pods_are_available(
    found: dict[str, Any], names: list[str]
) -> None:
    assert behind(found) == names


def replica_set(uid: str, *, revision: int) -> dict[str, Any]:
    return {
        "metadata": {
            "uid": uid,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"uid": "deployment"}],
        }
    }


def pod(owner: str, *, reason: str = "CrashLoopBackOff", restarts: int = 1) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": "m"}}
    return {
        "metadata": {"name": f"pod-of-{owner}", "ownerReferences": [{"uid": owner}]},
        "status": {"containerStatuses": [{"name": "main", "restartCount": restarts, "state": state}]},
    }


SETS = {"items": [replica_set("old", revision=9), replica_set("new", revision=10)]}


def test_only_pods_of_the_newest_replica_set_are_a_concern() -> None:
    found = troubles({"items": [pod("old"), pod("new")]}, replica_sets=SETS)
    assert [trouble.pod for trouble in found] == ["pod-of-new"]


@pytest.mark.parametrize(
    ("reason", "restarts", "hopeless"),
    [
        ("CrashLoopBackOff", 1, False),
        ("CrashLoopBackOff", HOPELESS_RESTARTS, True),
        ("ErrImageNeverPull", 0, True),
        ("CreateContainerConfigError", 0, False),
    ],
)
def test_waiting_has_no_point_after_some_crashes_or_without_an_image(
    reason: str, restarts: int, hopeless: bool
) -> None:
    [trouble] = troubles({"items": [pod("new", reason=reason, restarts=restarts)]}, replica_sets=SETS)
    assert trouble.hopeless is hopeless


def test_a_container_that_is_being_made_is_no_trouble() -> None:
    assert troubles({"items": [pod("new", reason="ContainerCreating", restarts=0)]}, replica_sets=SETS) == []


def rollout(commands: FakeCommands, out: io.StringIO) -> Rollout:
    ticks = iter(range(10_000))
    return Rollout(
        kubeconfig=Path("/k"),
        commands=commands,
        progress=Progress(out),
        clock=lambda: float(next(ticks)),
        sleep=lambda _: None,
    )


def test_a_crash_loop_ends_the_wait_with_the_containers_last_words() -> None:
    get = "kubectl --namespace ns get"
    answers: dict[str, str | Exception] = {
        f"{get} deployments": json.dumps(deployment(available=0)),
        f"{get} replicasets": json.dumps(SETS),
        f"{get} pods": json.dumps({"items": [pod("new", restarts=HOPELESS_RESTARTS)]}),
        "kubectl --namespace ns logs pod-of-new --container main --previous": "VSM_WORKERS: not a number",
    }
    with pytest.raises(DevenvError, match=r"(?s)op in namespace ns.*VSM_WORKERS: not a number"):
        rollout(FakeCommands(answers_to=answers), io.StringIO()).wait("ns")


def test_the_wait_is_bounded() -> None:
    get = "kubectl --namespace ns get"
    answers: dict[str, str | Exception] = {
        f"{get} deployments": json.dumps(deployment(available=0)),
        f"{get} replicasets": json.dumps(SETS),
        f"{get} pods": json.dumps({"items": []}),
        f"{get} events": "OBJECT WHY\nop no node has room",
    }
    with pytest.raises(DevenvError, match="no node has room"):
        rollout(FakeCommands(answers_to=answers), io.StringIO()).wait("ns")


def test_every_trouble_is_said_once() -> None:
    class Recovering(FakeCommands):
        asked = 0

        def run(self, argv, **options):  # type: ignore[no-untyped-def]
            if "deployments" in argv:
                self.asked += 1
                return json.dumps(deployment(available=self.asked > 3))
            return json.dumps(SETS if "replicasets" in argv else {"items": [pod("new")]})

    out = io.StringIO()
    rollout(Recovering(), out).wait("ns")
    assert out.getvalue().count("CrashLoopBackOff") == 1
