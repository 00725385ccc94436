"""The official suite: whatever passes against a server itself passes through the bridge, in both eras on both sides."""

from collections.abc import Callable

import pytest

from conformance import servers, suite
from conformance.comparison import Pairing, judge, losses, read_expected

REVISIONS = ("2025-11-25", "2026-07-28")
PAIRINGS = [Pairing(requirements, child) for requirements in REVISIONS for child in servers.CHILDREN]
MAX_CHILDREN = 9
"""As many as there may be sessions, and the one that the others are modelled on."""
Natively = Callable[[str], suite.Results]


@pytest.mark.parametrize("requirements", REVISIONS)
def test_the_fixture_itself_conforms(natively: Natively, requirements: str) -> None:
    results = natively(requirements)
    failing = [
        f"{scenario} / {name}: {check.message}"
        for scenario in suite.scored(requirements)
        for name, check in results[scenario].items()
        if check.status in ("WARNING", "FAILURE")
    ]
    assert failing == []


@pytest.mark.parametrize("pairing", PAIRINGS, ids=str)
def test_what_passes_natively_passes_through_the_bridge(natively: Natively, pairing: Pairing) -> None:
    with servers.bridged(pairing.child) as rig:
        through = suite.run(rig.url, requirements=pairing.requirements)
    complaints = judge(pairing, losses(natively(pairing.requirements), through), read_expected())
    assert complaints == [], "\n".join(complaints)


def test_a_child_of_its_own_for_each_session_loses_nothing_more(natively: Natively) -> None:
    """The suite opens and ends a session for nearly every scenario."""
    pairing = Pairing("2025-11-25", "legacy")
    with servers.bridged(pairing.child, launcher=f"--max-children {MAX_CHILDREN}", ISOLATION="session") as rig:
        through = suite.run(rig.url, requirements=pairing.requirements)
    complaints = judge(pairing, losses(natively(pairing.requirements), through), read_expected())
    assert complaints == [], "\n".join(complaints)


def test_every_expected_failure_has_a_reason_and_a_known_pairing() -> None:
    for expected in read_expected():
        assert expected.pairing in PAIRINGS, expected
        assert len(expected.reason) > 20, expected
