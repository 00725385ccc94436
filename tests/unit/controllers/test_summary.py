"""Situations and what the user is told in each: phase, Ready condition, reason, and a message that says what to do."""

from dataclasses import replace
from datetime import datetime

import pytest

from support import specs
from unit.controllers.kit import (
    BUNDLE,
    COMPLETE,
    EARLIER,
    HANDSHAKE,
    NEVER_SEEN,
    NEW,
    NOW,
    NPM,
    OLD,
    OLD_SERVES,
    OTHER_TOOLS,
    SERVED_BEFORE,
    TOOLS,
    WAS_READY,
    blocked,
    facts,
    pinned,
    pod,
    status,
    verified,
)
from unit.controllers.situations import CRASH, SITUATIONS, SUSPENDED, TWO, failed, lasting, waiting
from vsm_operator.api.conditions import Condition, Reason, find_condition
from vsm_operator.api.v1alpha1 import McpServerStatus, Phase
from vsm_operator.controllers.intakestate import Bundled
from vsm_operator.controllers.mcpserver.facts import Facts, Rollout, Unverified
from vsm_operator.controllers.mcpserver.pinning import NO_PIN
from vsm_operator.controllers.mcpserver.summary import is_settled, refused, summarise
from vsm_operator.domain.intake import IntakeReason
from vsm_operator.errors import Forbidden, InvalidSpec, NameTaken, Terminal


def condition(of: McpServerStatus, kind: str = "Ready") -> Condition:
    found = find_condition(of.conditions, kind)
    assert found is not None, f"no condition {kind}"
    return found


@pytest.mark.parametrize("name", SITUATIONS)
def test_user_is_told_what_is_so(name: str) -> None:
    given, words, message = SITUATIONS[name]
    after = summarise(given, now=NOW)
    told = condition(after)
    assert f"{after.phase} {told.status} {told.reason}" == words
    assert message in told.message


@pytest.mark.parametrize("name", SITUATIONS)
def test_second_look_at_the_same_facts_says_the_same(name: str) -> None:
    given, _, _ = SITUATIONS[name]
    once = summarise(given, now=NOW)
    later = datetime.fromisoformat("2026-05-05T00:00:00+00:00")
    assert summarise(replace(given, before=once), now=later) == once


@pytest.mark.parametrize("name", SITUATIONS)
def test_only_a_terminal_phase_is_settled(name: str) -> None:
    given, words, _ = SITUATIONS[name]
    after = summarise(given, now=NOW)
    assert is_settled(after, generation=given.generation, retry="") == words.startswith(("Failed ", "Rejected "))


def test_table_has_every_reason() -> None:
    told = {words.split()[-1] for _, words, _ in SITUATIONS.values()}
    elsewhere = {
        Reason.BUNDLED, Reason.NOT_NEEDED, Reason.INVALID_SPEC, Reason.FORBIDDEN,
        Reason.IMAGE_UNAVAILABLE, Reason.BUNDLE_UNAVAILABLE, Reason.ADMIN_KEY_MISSING,
        Reason.PINNED, Reason.NOT_PINNED, Reason.NOT_LISTED,
    }  # fmt: skip
    assert {*Reason, *IntakeReason} - told == elsewhere


@pytest.mark.parametrize(
    ("given", "status_", "reason", "message"),
    [
        pytest.param(facts(), "True", "Bundled", "9 packages verified and bundled", id="bundled"),
        pytest.param(facts(specs.image()), "True", "NotNeeded", "an image brings its own content", id="image"),
        pytest.param(facts(**waiting(Reason.QUEUED, "later")), "False", "Queued", "later", id="queued"),
        pytest.param(facts(**failed(IntakeReason.NO_WHEEL, "no wheel")), "False", "NoWheel", "no wheel", id="no wheel"),
        pytest.param(facts(SUSPENDED), "True", "Bundled", "9 packages verified and bundled", id="suspended"),
    ],
)
def test_second_condition_says_whether_the_content_is_there(
    given: Facts, status_: str, reason: str, message: str
) -> None:
    told = condition(summarise(given, now=NOW), "Fetched")
    assert (told.status, told.reason, told.message) == (status_, reason, message)


def test_install_scripts_are_counted_and_not_run() -> None:
    scripts = BUNDLE.model_copy(update={"lifecycle_scripts": 2})
    told = condition(summarise(facts(intake=Bundled(scripts)), now=NOW), "Fetched")
    assert told.message == "9 packages verified and bundled; 2 carry install scripts, none was run"


@pytest.mark.parametrize(
    ("raw", "package", "version"),
    [
        (specs.npm("@scope/server", "1.2.3"), "npm/@scope/server", "1.2.3"),
        (specs.pypi("mcp-server-time", "2025.9.25"), "pypi/mcp-server-time", "2025.9.25"),
        (specs.image(), "image/registry.example.com/team/server", specs.DIGEST),
    ],
)
def test_columns_show_package_and_version(raw: specs.Spec, package: str, version: str) -> None:
    after = summarise(facts(raw), now=NOW)
    assert (after.package, after.version) == (package, version)


def test_handshake_shows_in_the_status() -> None:
    after = summarise(facts(rollout=COMPLETE, verification=verified()), now=NOW)
    assert after.endpoint == "http://mcp-memory.team.svc:8080/mcp"
    assert after.protocol_version == "2025-11-25"
    assert after.server_info is not None
    assert (after.server_info.name, after.server_info.version) == ("memory", "1.2.3")
    assert after.tools is not None
    assert (after.tools.count, after.tools.hash, after.tools.names) == (2, TOOLS, ["read", "write"])
    assert after.verified_revision == NEW
    assert after.bundle == BUNDLE


def test_pin_shows_in_the_status_with_what_it_holds_for() -> None:
    tools = summarise(facts(rollout=COMPLETE, verification=verified()), now=NOW).tools
    assert tools is not None
    assert (tools.pinned_hash, tools.pinned_artifact) == (TOOLS, BUNDLE.digest)


def test_blocked_server_shows_what_it_lists_beside_what_is_admitted() -> None:
    before = summarise(facts(rollout=COMPLETE, verification=verified()), now=NOW)
    chosen = NPM | {"toolFilter": {"deny": ["delete"]}}
    tools = summarise(facts(chosen, before=before, bridge=blocked(names=["read", "delete"])), now=NOW).tools
    assert tools is not None
    assert (tools.hash, tools.pinned_hash) == (OTHER_TOOLS, TOOLS)
    assert (tools.count, tools.names) == (1, ["read"])


def test_what_serves_stays_in_the_status_while_another_version_starts() -> None:
    before = summarise(facts(rollout=COMPLETE, verification=verified()), now=NOW)
    next_version = replace(pinned(""), artifact="sha256:" + "0" * 64)
    assert summarise(facts(before=before, rollout=OLD_SERVES, pin=next_version), now=NOW).tools == before.tools


def test_pin_goes_from_the_status_when_it_is_switched_off() -> None:
    before = summarise(facts(rollout=COMPLETE, verification=verified()), now=NOW)
    tools = summarise(facts(before=before, rollout=COMPLETE, pin=NO_PIN), now=NOW).tools
    assert tools is not None
    assert (tools.hash, tools.pinned_hash, tools.pinned_artifact) == (TOOLS, None, None)


SERVING = facts(rollout=COMPLETE, verification=verified())
UNCHANGED = summarise(SERVING, now=NOW)
CHANGED = summarise(facts(before=UNCHANGED, bridge=blocked()), now=NOW)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param(facts(), "Unknown NotListed", id="starting"),
        pytest.param(facts(pin=NO_PIN), "Unknown NotPinned", id="off"),
        pytest.param(SERVING, "True Pinned", id="serving"),
        pytest.param(facts(before=UNCHANGED), "True Pinned", id="pod restarts"),
        pytest.param(facts(before=UNCHANGED, rollout=COMPLETE), "True Pinned", id="nobody asks again"),
        pytest.param(facts(before=UNCHANGED, bridge=blocked()), "False ToolsChanged", id="changed"),
        pytest.param(facts(before=CHANGED), "False ToolsChanged", id="changed, and the bridge says nothing now"),
        pytest.param(replace(SERVING, before=CHANGED), "True Pinned", id="serving again"),
        pytest.param(facts(bridge=blocked(expected="")), "False ToolsNotAdmitted", id="never admitted"),
        pytest.param(facts(before=UNCHANGED, pin=NO_PIN), "Unknown NotPinned", id="switched off"),
        pytest.param(
            facts(before=summarise(facts(pin=NO_PIN), now=NOW)),
            "Unknown NotListed",
            id="switched on and not yet listed",
        ),
    ],
)
def test_third_condition_says_whether_the_tools_are_the_admitted_ones(given: Facts, words: str) -> None:
    told = condition(summarise(given, now=NOW), "ToolsUnchanged")
    assert f"{told.status} {told.reason}" == words
    assert told.message


def test_admission_that_is_no_hash_is_told_once_and_forgotten_when_it_is_mended() -> None:
    bad = replace(SERVING, pin=replace(pinned(), trouble="the annotation vsm-mcp.io/admit-tools is ignored"))
    once = summarise(bad, now=NOW)
    again = summarise(replace(bad, before=once, verification=Unverified()), now=NOW)
    assert condition(once, "ToolsUnchanged").message.count("is ignored") == 1
    assert condition(again, "ToolsUnchanged").message == condition(once, "ToolsUnchanged").message
    mended = summarise(replace(SERVING, before=once, verification=Unverified()), now=NOW)
    assert "ignored" not in condition(mended, "ToolsUnchanged").message


def test_admission_is_noted_so_that_it_counts_once() -> None:
    assert summarise(facts(pin=replace(pinned(), handled=TOOLS)), now=NOW).last_handled_admission == TOOLS


def test_many_tools_are_counted_and_the_first_200_named() -> None:
    found = replace(HANDSHAKE, tool_names=tuple(f"t{number}" for number in range(1000)))
    after = summarise(facts(rollout=COMPLETE, verification=replace(verified(), handshake=found)), now=NOW)
    assert after.tools is not None
    assert after.tools.count == 1000
    assert after.tools.names == [f"t{number}" for number in range(200)]


def test_bundle_that_serves_stays_in_the_status_while_the_next_is_fetched() -> None:
    before = status(Phase.READY, "True", verified=OLD, bundle=BUNDLE)
    assert summarise(facts(before=before, rollout=OLD_SERVES, **waiting(Reason.FETCHING)), now=NOW).bundle == BUNDLE


def test_revision_counts_as_verified_until_its_last_pod_is_replaced() -> None:
    updating = summarise(facts(before=SERVED_BEFORE, rollout=OLD_SERVES), now=NOW)
    assert updating.verified_revision == OLD
    replaced = summarise(facts(before=updating, rollout=COMPLETE), now=NOW)
    assert replaced.verified_revision is None
    third = facts(before=replaced, rollout=OLD_SERVES, revision="third-revision")
    assert condition(summarise(third, now=NOW)).status == "False", "what serves now has never answered a handshake"


def test_revision_that_was_changed_while_suspended_has_to_answer_first() -> None:
    asleep = summarise(facts(SUSPENDED, before=SERVED_BEFORE), now=NOW)
    awake = facts(TWO, before=asleep, rollout=Rollout(available=1))
    assert condition(summarise(awake, now=NOW)).status == "False"


def test_revision_that_was_suspended_is_remembered() -> None:
    asleep = summarise(facts(SUSPENDED, before=WAS_READY), now=NOW)
    assert asleep.verified_revision == NEW


def test_transition_time_is_kept_while_ready_is_what_it_was() -> None:
    assert condition(summarise(facts(before=WAS_READY, rollout=COMPLETE), now=NOW)).last_transition_time == EARLIER
    assert condition(summarise(facts(before=WAS_READY), now=NOW)).last_transition_time == NOW


@pytest.mark.parametrize(
    ("before", "generation", "retry", "settled"),
    [
        pytest.param(status(Phase.FAILED), 1, "", True, id="failed"),
        pytest.param(status(Phase.REJECTED), 1, "", True, id="rejected"),
        pytest.param(status(Phase.FAILED, "True"), 1, "", True, id="failed update"),
        pytest.param(status(Phase.FAILED), 2, "", False, id="the spec has changed"),
        pytest.param(status(Phase.FAILED), 1, "12:00", False, id="somebody asks for another try"),
        pytest.param(status(Phase.FAILED, last_handled_retry="12:00"), 1, "12:00", True, id="another try failed"),
        pytest.param(status(Phase.FAILED, last_handled_retry="12:00"), 1, "12:30", False, id="one more try"),
        pytest.param(status(Phase.FAILED, last_handled_retry="12:00"), 1, "", False, id="the annotation was removed"),
        pytest.param(status(Phase.PENDING), 1, "", False, id="pending"),
        pytest.param(status(Phase.DEGRADED), 1, "", False, id="degraded"),
        pytest.param(NEVER_SEEN, 0, "", False, id="new"),
    ],
)  # fmt: skip
def test_terminal_phase_holds_until_the_spec_changes_or_somebody_asks(
    before: McpServerStatus, generation: int, retry: str, settled: bool
) -> None:
    assert is_settled(before, generation=generation, retry=retry) is settled


def test_another_try_is_noted_so_that_it_happens_once() -> None:
    before = summarise(facts(pods=[pod(lasting(CRASH))]), now=NOW)
    again = summarise(facts(before=before, retry="12:00"), now=NOW)
    assert again.phase is Phase.STARTING
    assert again.last_handled_retry == "12:00"


@pytest.mark.parametrize(
    ("error", "phase", "reason"),
    [
        (InvalidSpec("InvalidSpec", "the spec cannot be read"), Phase.FAILED, "InvalidSpec"),
        (Forbidden("Forbidden", "exceeded quota"), Phase.PENDING, "Forbidden"),
        (NameTaken("NameTaken", "rename one of the two"), Phase.PENDING, "NameTaken"),
    ],
)
def test_refusal_is_told_and_only_a_bad_spec_is_the_end(error: Terminal, phase: Phase, reason: str) -> None:
    after = refused(WAS_READY, generation=5, retry="12:00", error=error, now=NOW)
    told = condition(after)
    assert (after.phase, after.observed_generation, after.last_handled_retry) == (phase, 5, "12:00")
    assert (told.status, told.reason, told.message) == ("False", reason, error.message)
    assert told.observed_generation == 5
    assert is_settled(after, generation=5, retry="12:00") == (phase is Phase.FAILED)


def test_refusal_repeated_says_the_same() -> None:
    error = Forbidden("Forbidden", "exceeded quota")
    once = refused(WAS_READY, generation=5, retry="", error=error, now=EARLIER)
    assert refused(once, generation=5, retry="", error=error, now=NOW) == once
