"""A Deployment's own view of its pods, read so that a lagging status is never taken for the present."""

from typing import Any

import pytest

from vsm_operator.controllers.mcpserver.facts import Rollout

DONE = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


def rollout(replicas: int = 2, *, generation: int = 3, **status: Any) -> Rollout:
    return Rollout.of({"spec": {"replicas": replicas}, "status": DONE | status}, generation=generation)


def test_rollout_is_complete_when_every_pod_is_new_and_available() -> None:
    assert rollout() == Rollout(available=2, complete=True)


@pytest.mark.parametrize(
    ("changes", "available"),
    [
        pytest.param({"generation": 4}, 2, id="status speaks of an earlier generation"),
        pytest.param({"updatedReplicas": 1}, 2, id="one pod is of the old template"),
        pytest.param({"replicas": 3}, 2, id="an old pod is still there", marks=pytest.mark.filterwarnings("error")),
        pytest.param({"availableReplicas": 1}, 1, id="one pod is not available"),
        pytest.param({"availableReplicas": 0}, 0, id="no pod is available"),
    ],
)
def test_rollout_is_not_complete(changes: dict[str, int], available: int) -> None:
    status = {key: value for key, value in changes.items() if key != "generation"}
    found = Rollout.of({"spec": {"replicas": 2}, "status": DONE | status}, generation=changes.get("generation", 3))
    assert found == Rollout(available=available, complete=False)


def test_deployment_that_is_scaled_to_zero_is_never_complete() -> None:
    nothing = {"observedGeneration": 3}
    assert Rollout.of({"spec": {"replicas": 0}, "status": nothing}, generation=3) == Rollout()


@pytest.mark.parametrize("body", [None, {}, {"spec": None, "status": None}, {"status": {}}])
def test_unknown_deployment_serves_nothing(body: dict[str, Any] | None) -> None:
    assert Rollout.of(body, generation=1) == Rollout()
