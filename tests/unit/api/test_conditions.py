"""Conditions: one of each type, and a transition time that moves with the status and with nothing else."""

from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason, find_condition, set_condition
from vsm_operator.domain.intake import IntakeReason

START = datetime(2026, 1, 1, tzinfo=UTC)


def condition(
    kind: str = "Ready",
    status: ConditionStatus = "True",
    reason: str = "Serving",
    *,
    at_seconds: int = 0,
    message: str = "",
) -> Condition:
    at = START + timedelta(seconds=at_seconds)
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=at)


news = st.builds(
    condition,
    st.sampled_from(["Ready", "Fetched", "Other"]),
    st.sampled_from(get_args(ConditionStatus)),
    st.sampled_from(["A", "B"]),
    message=st.sampled_from(["x", "y"]),
)


@given(st.lists(news, max_size=12))
def test_transition_time_is_that_of_the_last_change_of_status(history: list[Condition]) -> None:
    kept: list[Condition] = []
    status: dict[str, str] = {}
    changed: dict[str, datetime] = {}
    for second, new in enumerate(history):
        at = START + timedelta(seconds=second)
        kept = set_condition(kept, new.model_copy(update={"last_transition_time": at}))
        if status.get(new.type) != new.status:
            changed[new.type] = at
        status[new.type] = new.status
    assert {entry.type: entry.last_transition_time for entry in kept} == changed


@given(st.lists(news, max_size=12))
def test_each_type_appears_once_and_says_the_latest(history: list[Condition]) -> None:
    kept: list[Condition] = []
    for new in history:
        kept = set_condition(kept, new)
    latest = {new.type: (new.status, new.reason, new.message) for new in history}
    assert len(kept) == len(latest)
    assert {entry.type: (entry.status, entry.reason, entry.message) for entry in kept} == latest


@given(st.lists(news, max_size=6), news)
def test_what_was_there_is_not_changed(existing: list[Condition], new: Condition) -> None:
    before = list(existing)
    set_condition(existing, new)
    assert existing == before


def test_order_stays_so_that_nothing_moves_in_a_list_of_conditions() -> None:
    kept = set_condition([condition("Fetched"), condition("Ready")], condition("Fetched", "False", "NoWheel"))
    assert [entry.type for entry in kept] == ["Fetched", "Ready"]


def test_new_reason_alone_moves_no_time() -> None:
    (kept,) = set_condition([condition()], condition(reason="Updating", message="m", at_seconds=9))
    assert (kept.reason, kept.message, kept.last_transition_time) == ("Updating", "m", START)


def test_new_status_moves_the_time() -> None:
    (kept,) = set_condition([condition()], condition(status="False", at_seconds=9))
    assert kept.last_transition_time == START + timedelta(seconds=9)


def test_condition_is_found_by_its_type() -> None:
    existing = [condition("Fetched"), condition("Ready")]
    assert find_condition(existing, ConditionType.READY) is existing[1]
    assert find_condition(existing, "Nothing") is None


def test_written_condition_has_the_shape_of_metav1() -> None:
    assert condition(message="m").to_api() == {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "m",
        "observedGeneration": 0,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def test_reasons_are_camel_case_words_for_programs() -> None:
    for reason in (*Reason, *IntakeReason):
        assert reason.isalpha()
        assert reason[0].isupper()


def test_no_reason_means_two_things() -> None:
    assert not set(Reason) & set(IntakeReason)
