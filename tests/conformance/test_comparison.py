"""The comparison notices each way in which a bridge can be worse than the server behind it."""

from pathlib import Path

import pytest

from conformance.comparison import Expected, Loss, Pairing, judge, losses, read_expected
from conformance.suite import Check

PAIRING = Pairing("2025-11-25", "legacy")
GOOD, BAD = Check("SUCCESS"), Check("FAILURE", "no")
LOSS = Loss("s", "c", "FAILURE: no")
EXPECTED = Expected(PAIRING, "s", "c", "because")


@pytest.mark.parametrize(
    "through",
    [{"s": {"c": BAD}}, {"s": {"c": Check("WARNING")}}, {"s": {"c": Check("SKIPPED")}}, {"s": {}}, {}],
    ids=["fails", "warns", "is skipped", "is absent", "its scenario is absent"],
)
def test_a_check_that_passed_natively_and_now_does_something_else_is_lost(through: dict[str, dict[str, Check]]) -> None:
    assert [(loss.scenario, loss.check) for loss in losses({"s": {"c": GOOD}}, through)] == [("s", "c")]


def test_a_failure_that_did_not_exist_natively_is_a_loss() -> None:
    assert losses({"s": {"c": GOOD}}, {"s": {"c": GOOD, "thrown": BAD}}) == [Loss("s", "thrown", "FAILURE: no")]


@pytest.mark.parametrize("status", ["SUCCESS", "INFO"])
def test_another_permitted_answer_is_no_loss(status: str) -> None:
    assert losses({"s": {"c": GOOD}}, {"s": {"c": Check(status)}}) == []


def test_what_fails_natively_may_fail_through_the_bridge() -> None:
    assert losses({"s": {"c": BAD}}, {"s": {"c": BAD}}) == []


def test_a_loss_that_nobody_expected_is_complained_about() -> None:
    assert judge(PAIRING, [LOSS], []) == ["fails only through the bridge: s / c: FAILURE: no"]


def test_an_expected_failure_is_accepted_for_its_own_pairing_only() -> None:
    assert judge(PAIRING, [LOSS], [EXPECTED]) == []
    assert judge(Pairing("2026-07-28", "legacy"), [LOSS], [EXPECTED]) != []


def test_an_expected_failure_that_passes_is_complained_about() -> None:
    assert judge(PAIRING, [], [EXPECTED]) == ["passes now; take it out of expected-failures.toml: s / c"]


def test_the_file_of_expected_failures_names_checks_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "expected.toml"
    file.write_text(
        '[[expected]]\nclient = "2025-11-25"\nchildren = ["legacy"]\nscenario = "s"\nchecks = ["a", "b"]\nreason = "r"'
    )
    assert [(e.pairing, e.scenario, e.check, e.reason) for e in read_expected(file)] == [
        (PAIRING, "s", "a", "r"),
        (PAIRING, "s", "b", "r"),
    ]
