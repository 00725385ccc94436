"""What holds for every status, whatever happens to a server and in which order."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from unit.controllers.kit import BUNDLE, NOW, NPM, OTHER_TOOLS, TOOLS, blocked, bridge, facts, pinned, pod, verified
from vsm_operator.api.conditions import Reason, find_condition
from vsm_operator.api.v1alpha1 import McpServerStatus
from vsm_operator.controllers.intakestate import Bundled, NotBundled, Waiting
from vsm_operator.controllers.mcpserver.facts import Facts, Rollout, Unverified, Verified
from vsm_operator.controllers.mcpserver.pinning import NO_PIN
from vsm_operator.controllers.mcpserver.summary import summarise
from vsm_operator.controllers.podfacts import Problem
from vsm_operator.domain.intake import IntakeReason
from vsm_operator.errors import InvalidSpec, NotConfigured

some = settings(max_examples=80)
problems = st.builds(
    Problem,
    st.sampled_from([Reason.CRASH_AT_START, Reason.OOM_KILLED, Reason.UNSCHEDULABLE, Reason.CRASHED]),
    st.sampled_from(["one", "another"]),
    st.booleans(),
)
pods = st.lists(st.builds(pod, st.none() | problems, ready=st.booleans(), created=st.sampled_from("12")), max_size=2)
bridges = (
    st.none()
    | st.builds(
        bridge,
        st.sampled_from(["", "Exited", "HandshakeTimeout", "HandshakeError", "OOMKilled", "ConnectFailed"]),
        st.just("why"),
        failures=st.integers(0, 4),
        tail=st.sampled_from([[], ["last words"]]),
    )
    | st.builds(blocked, st.sampled_from([TOOLS, OTHER_TOOLS]), expected=st.sampled_from(["", TOOLS]))
)
rollouts = st.sampled_from(
    [Rollout(), Rollout(1, False), Rollout(2, False), Rollout(2, True), Rollout(0, refusal="no")]
)
intakes = st.one_of(
    st.just(Bundled(BUNDLE)),
    st.builds(Waiting, st.sampled_from([Reason.QUEUED, Reason.FETCHING, Reason.REGISTRY_NOT_FOUND]), st.just("wait")),
    st.builds(NotBundled, st.sampled_from(list(IntakeReason)), st.just("no")),
)


@st.composite
def moments(draw: st.DrawFn) -> Facts:
    """What one pass may find; `before` comes from the pass before."""
    intake = draw(intakes)
    invalid = draw(st.none() | st.sampled_from([InvalidSpec("NoEntrypoint", "no"), NotConfigured("X", "no")]))
    rendered = isinstance(intake, Bundled) and invalid is None
    revision = draw(st.sampled_from(["r1", "r2", "r3"])) if rendered else ""
    rollout = draw(rollouts)
    pin = draw(st.sampled_from([NO_PIN, pinned(), pinned(""), pinned("", "Strict"), pinned(OTHER_TOOLS, "Strict")]))
    verification: Verified | Unverified = Unverified()
    if rendered and rollout.complete:
        verification = draw(st.sampled_from([Unverified(), Unverified("HTTP 503"), verified(revision)]))
    return facts(
        NPM | {"suspend": draw(st.booleans()), "replicas": 2},
        intake=intake,
        invalid=invalid,
        revision=revision,
        rollout=rollout,
        pods=draw(pods),
        bridge=draw(bridges),
        pin=pin,
        unprepared=draw(st.booleans()),
        verification=verification,
        generation=draw(st.integers(1, 9)),
        retry=draw(st.sampled_from(["", "12:00"])),
    )


lives = st.lists(moments(), min_size=1, max_size=6)


def live(life: list[Facts]) -> list[tuple[Facts, McpServerStatus]]:
    """Pass after pass, each upon the status of the one before."""
    before, passes = McpServerStatus(), []
    for hour, moment in enumerate(life):
        found = replace(moment, before=before)
        before = summarise(found, now=NOW + timedelta(hours=hour))
        passes.append((found, before))
    return passes


def ready(status: McpServerStatus) -> str:
    condition = find_condition(status.conditions, "Ready")
    assert condition is not None
    return condition.status


@some
@given(lives)
def test_ready_needs_available_pods_of_a_revision_that_answered_a_handshake(life: list[Facts]) -> None:
    answered: set[str] = set()
    may_have_pods: set[str] = set()
    for found, status in live(life):
        if not found.rollout.available and found.spec.suspend:
            may_have_pods.clear()
        if found.revision:
            may_have_pods = {found.revision} if found.rollout.complete else may_have_pods | {found.revision}
        if isinstance(found.verification, Verified) and not found.spec.suspend:
            answered.add(found.verification.revision)
        assert status.verified_revision is None or status.verified_revision in answered
        if ready(status) == "True":
            assert found.rollout.available
            assert not found.spec.suspend or found.revision == ""
            assert status.verified_revision in may_have_pods


@some
@given(lives)
def test_every_condition_has_a_message_a_reason_and_the_generation(life: list[Facts]) -> None:
    for found, status in live(life):
        assert status.observed_generation == found.generation
        assert [condition.type for condition in status.conditions] == ["Fetched", "Ready", "ToolsUnchanged"]
        for condition in status.conditions:
            assert condition.observed_generation == found.generation
            assert condition.message.strip()
            assert condition.reason.isalpha()


@some
@given(lives)
def test_nothing_is_written_when_nothing_has_changed(life: list[Facts]) -> None:
    found, status = live(life)[-1]
    assert summarise(replace(found, before=status), now=NOW + timedelta(days=9)) == status


@some
@given(lives)
def test_ready_is_true_in_the_phase_ready_and_false_before_and_after_a_life(life: list[Facts]) -> None:
    for _, status in live(life):
        if status.phase == "Ready":
            assert ready(status) == "True"
        if status.phase in ("Pending", "Fetching", "Starting", "Suspended", "AwaitingApproval"):
            assert ready(status) == "False"


@some
@given(lives)
def test_status_survives_the_api_server(life: list[Facts]) -> None:
    status = live(life)[-1][1]
    stored: dict[str, Any] = json.loads(json.dumps(status.to_api()))
    assert McpServerStatus.read(stored) == status
    assert None not in stored.values()
