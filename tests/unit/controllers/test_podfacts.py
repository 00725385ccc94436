"""Pods as the kubelet reports them, and what a person should hear of each."""

import json
from typing import Any

import pytest

from vsm_operator.api.conditions import Reason
from vsm_operator.controllers.podfacts import PodFacts, newest_first, pod_facts, project_pod
from vsm_operator.domain.intake import EXIT_BUNDLE_MISSING

Json = dict[str, Any]
RUNNING: Json = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def container(name: str, state: Json | None = None, *, last: Json | None = None, restarts: int = 0) -> Json:
    return {
        "name": name,
        "image": f"example.com/{name}@sha256:0",
        "state": state or {},
        "lastState": last or {},
        "restartCount": restarts,
        "ready": False,
    }


def waiting(reason: str, message: str = "") -> Json:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def ended(code: int, reason: str = "Error", message: str = "") -> Json:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": "x", "finishedAt": "y"}}


def pod(*containers: Json, init: list[Json] | None = None, name: str = "p", **status: Any) -> Json:
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{}]},
        "spec": {"containers": []},
        "status": {"phase": "Pending", "initContainerStatuses": init or [], "containerStatuses": list(containers)}
        | status,
    }


def facts(body: Json) -> PodFacts:
    return pod_facts(body["metadata"]["name"], project_pod(body))


def condition(kind: str, status: str, message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": "R", "message": message, "lastProbeTime": None}


CRASH = ended(1, message="Traceback\nKeyError: 'TOKEN'\n")
PROBLEMS = [
    pytest.param(
        pod(conditions=[condition("PodScheduled", "False", "0/3 nodes are available: 3 Insufficient memory.")]),
        Reason.UNSCHEDULABLE,
        "no node takes the pod: 0/3 nodes are available: 3 Insufficient memory.",
        id="no node has room",
    ),
    pytest.param(
        pod(container("server", waiting("ImagePullBackOff", "Back-off pulling image"))),
        Reason.IMAGE_UNAVAILABLE,
        "image example.com/server@sha256:0 of container server: ImagePullBackOff: Back-off pulling image",
        id="image cannot be pulled",
    ),
    pytest.param(
        pod(container("server", waiting("ErrImageNeverPull"))),
        Reason.IMAGE_UNAVAILABLE,
        "image example.com/server@sha256:0 of container server: ErrImageNeverPull",
        id="image is not on the node",
    ),
    pytest.param(
        pod(init=[container("load", waiting("ErrImagePull", "denied"))]),
        Reason.IMAGE_UNAVAILABLE,
        "image example.com/load@sha256:0 of container load: ErrImagePull: denied",
        id="our own image cannot be pulled",
    ),
    pytest.param(
        pod(container("server", waiting("CreateContainerConfigError", 'secret "tokens" not found'))),
        Reason.POD_CONFIGURATION,
        'container server cannot be set up: secret "tokens" not found',
        id="secret is missing",
    ),
    pytest.param(
        pod(container("server", waiting("RunContainerError"))),
        Reason.POD_CONFIGURATION,
        "container server cannot be set up: RunContainerError",
        id="container cannot be set up",
    ),
    pytest.param(
        pod(init=[container("load", waiting("CrashLoopBackOff"), last=ended(1, message="digest mismatch"))]),
        Reason.BUNDLE_UNAVAILABLE,
        "digest mismatch",
        id="bundle cannot be loaded",
    ),
    pytest.param(
        pod(init=[container("load", ended(137, "OOMKilled"))]),
        Reason.BUNDLE_UNAVAILABLE,
        "load exited with 137",
        id="load ends without a word",
    ),
    pytest.param(
        pod(container("server", waiting("CrashLoopBackOff"), last=ended(137, "OOMKilled"))),
        Reason.OOM_KILLED,
        "the server was killed at its memory limit",
        id="server needs more memory",
    ),
    pytest.param(
        pod(container("server", waiting("CrashLoopBackOff"), last=CRASH)),
        Reason.CRASH_AT_START,
        "exit code 1: Traceback\nKeyError: 'TOKEN'",
        id="server crashes with last words",
    ),
    pytest.param(
        pod(container("server", RUNNING, last=ended(2))),
        Reason.CRASH_AT_START,
        "exit code 2: it wrote nothing",
        id="server runs again after a silent crash",
    ),
    pytest.param(
        pod(container("server", waiting("CrashLoopBackOff"), last=ended(0, "Completed", "usage: server [--port]"))),
        Reason.CRASH_AT_START,
        "exit code 0: usage: server [--port]",
        id="server ends by itself without an error",
    ),
    pytest.param(
        pod(container("bridge", RUNNING, last=ended(1, message="VSM_BRIDGE_PORT: no number"))),
        Reason.BRIDGE_FAILED,
        "the bridge ended with exit code 1: VSM_BRIDGE_PORT: no number",
        id="bridge ends",
    ),
    pytest.param(
        pod(phase="Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage."),
        Reason.CRASHED,
        "the pod was ended by its node: Evicted: The node was low on resource: ephemeral-storage.",
        id="pod is evicted",
    ),
]


@pytest.mark.parametrize(("body", "reason", "message"), PROBLEMS)
def test_problem_is_named_in_the_words_of_who_refuses(body: Json, reason: Reason, message: str) -> None:
    problem = facts(body).problem
    assert problem is not None
    assert (problem.reason, problem.message) == (reason, message)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(pod(), id="nothing is known yet"),
        pytest.param({"metadata": {"name": "p"}}, id="no status at all"),
        pytest.param(pod(conditions=[condition("PodScheduled", "True")]), id="scheduled"),
        pytest.param(pod(container("server", waiting("ContainerCreating"))), id="being created"),
        pytest.param(pod(container("server", waiting("PodInitializing"))), id="waits for the bundle"),
        pytest.param(pod(container("server", RUNNING), init=[container("load", ended(0, "Completed"))]), id="loaded"),
        pytest.param(pod(container("bridge", RUNNING, last=ended(0))), id="bridge was asked to stop"),
        pytest.param(pod(phase="Succeeded"), id="done"),
    ],
)
def test_pod_on_its_way_has_no_problem(body: Json) -> None:
    assert facts(body).problem is None


@pytest.mark.parametrize(("restarts", "lasting"), [(0, False), (2, False), (3, True), (9, True)])
@pytest.mark.parametrize(
    "last", [CRASH, ended(137, "OOMKilled"), ended(0)], ids=["crash", "memory", "end without error"]
)
def test_third_restart_makes_a_server_problem_lasting(last: Json, restarts: int, lasting: bool) -> None:
    problem = facts(pod(container("server", RUNNING, last=last, restarts=restarts))).problem
    assert problem is not None
    assert problem.lasting is lasting


def test_trouble_of_the_cluster_never_becomes_lasting() -> None:
    body = pod(
        container("server", waiting("ImagePullBackOff"), restarts=99),
        init=[container("load", last=ended(1), restarts=99)],
        conditions=[condition("PodScheduled", "False")],
    )
    problem = facts(body).problem
    assert problem is not None
    assert not problem.lasting


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(
            pod(
                container("server", waiting("ImagePullBackOff")),
                conditions=[condition("PodScheduled", "False"), condition("Ready", "False")],
            ),
            Reason.UNSCHEDULABLE,
            id="a node before an image",
        ),
        pytest.param(
            pod(container("server", last=CRASH), init=[container("load", ended(1))]),
            Reason.BUNDLE_UNAVAILABLE,
            id="the bundle before the server",
        ),
        pytest.param(
            pod(container("server", waiting("ImagePullBackOff"), last=CRASH)),
            Reason.IMAGE_UNAVAILABLE,
            id="the image before the crash",
        ),
    ],
)
def test_most_fundamental_problem_is_told(body: Json, reason: Reason) -> None:
    problem = facts(body).problem
    assert problem is not None
    assert problem.reason is reason


def test_ready_pod_is_known_with_its_address_and_running_containers() -> None:
    body = pod(
        container("server", RUNNING),
        container("bridge", RUNNING),
        conditions=[condition("Ready", "True")],
        phase="Running",
        podIP="10.0.0.7",
    )
    found = facts(body)
    assert (found.ready, found.finished, found.ip) == (True, False, "10.0.0.7")
    assert found.running == {"server", "bridge"}


@pytest.mark.parametrize(
    ("phase", "finished"), [("Succeeded", True), ("Failed", True), ("Running", False), ("Pending", False)]
)
def test_pod_is_finished_when_it_will_not_run_again(phase: str, finished: bool) -> None:
    assert facts(pod(phase=phase)).finished is finished


def test_answer_of_an_intake_pod_is_its_termination_message() -> None:
    assert facts(pod(container("intake", ended(0, "Completed", '{"ok": true}')))).termination_message == '{"ok": true}'
    assert facts(pod(container("intake", RUNNING))).termination_message == ""


@pytest.mark.parametrize(
    ("load", "missed_at"),
    [
        pytest.param(ended(EXIT_BUNDLE_MISSING), "y", id="ended now"),
        pytest.param(waiting("CrashLoopBackOff"), "", id="waits"),
        pytest.param(ended(1), "", id="ended for another reason"),
        pytest.param(ended(0), "", id="loaded"),
    ],
)
def test_bundle_that_the_registry_has_lost_is_known_by_its_exit_code(load: Json, missed_at: str) -> None:
    assert facts(pod(init=[container("load", load)])).bundle_missed_at == missed_at


def test_lost_bundle_is_still_known_while_load_waits_for_its_next_start() -> None:
    body = pod(init=[container("load", waiting("CrashLoopBackOff"), last=ended(EXIT_BUNDLE_MISSING))])
    assert facts(body).bundle_missed_at == "y"


SINCE = "2026-01-01T00:00:07Z"
SCHEDULED: Json = {"type": "PodScheduled", "status": "True", "lastTransitionTime": SINCE}


@pytest.mark.parametrize(
    ("prepared", "phase", "since"),
    [
        pytest.param([{"type": "PodReadyToStartContainers", "status": "False"}], "Pending", SINCE, id="waits"),
        pytest.param([{"type": "PodReadyToStartContainers", "status": "True"}], "Pending", "", id="prepared"),
        pytest.param([], "Pending", "", id="a kubelet that does not say"),
        pytest.param([{"type": "PodReadyToStartContainers", "status": "False"}], "Failed", "", id="over"),
    ],
)
def test_pod_that_its_node_cannot_set_up_is_known_by_its_conditions(
    prepared: list[Json], phase: str, since: str
) -> None:
    assert facts(pod(conditions=[SCHEDULED, *prepared], phase=phase)).unprepared_since == since


def test_pod_without_a_node_is_not_waiting_for_its_volumes() -> None:
    conditions = [condition("PodScheduled", "False"), {"type": "PodReadyToStartContainers", "status": "False"}]
    assert facts(pod(conditions=conditions)).unprepared_since == ""


def test_projection_is_small_and_plain_json() -> None:
    big = "x" * 100_000
    body = pod(
        container("server", waiting("ImagePullBackOff", big), last=ended(1, message=big)),
        conditions=[condition("Ready", "False"), condition("Initialized", "True", big)],
        message=big,
    )
    body["spec"]["containers"] = [{"env": [{"name": "SECRET", "value": big}]}]
    projected = project_pod(body)
    text = json.dumps(projected)
    assert len(text) < 8000
    assert "SECRET" not in text
    assert json.loads(text) == projected


def test_projection_keeps_a_whole_termination_message() -> None:
    kept = project_pod(pod(container("intake", ended(0, message="y" * 4096))))
    assert kept["containers"][0]["terminated"]["message"] == "y" * 4096


def test_newest_pod_comes_first_and_the_name_breaks_a_tie() -> None:
    def made(name: str, created: str) -> PodFacts:
        body = pod(name=name)
        body["metadata"]["creationTimestamp"] = created
        return facts(body)

    pods = [made("a", "2026-01-01T00:00:00Z"), made("b", "2026-01-02T00:00:00Z"), made("c", "2026-01-01T00:00:00Z")]
    assert [entry.name for entry in newest_first(pods)] == ["b", "c", "a"]
    assert newest_first(list(reversed(pods))) == newest_first(pods)
