"""What the children of a server are called, and under which uid its process runs."""

import math

import pytest

from vsm_operator.api.v1alpha1 import NAME_MAX_LENGTH
from vsm_operator.resources.common import Owner

FIRST_UID, UIDS = 1_000_000, 900_000_000


def test_uid_is_the_same_every_time() -> None:
    """A changed uid would be a new revision of every server, and orphan the files on its volumes."""
    assert Owner("team", "memory", "a").server_uid == Owner("team", "memory", "b").server_uid == 118_479_545


def test_uid_of_a_server_is_no_uid_of_a_system_or_of_ours() -> None:
    for number in range(2000):
        assert FIRST_UID <= Owner("ns", f"s{number}", "u").server_uid < FIRST_UID + UIDS < 2**31


def test_different_servers_get_different_uids_up_to_the_birthday_bound() -> None:
    """The kernel counts processes by uid. Two of 10 000 servers share one with probability 5 %, two of 1000 0.06 %."""
    servers = 10_000
    expected_twins = servers * (servers - 1) / 2 / UIDS
    assert 1 - math.exp(-expected_twins) < 0.06
    uids = {Owner(f"ns{number % 100}", f"s{number // 100}", "u").server_uid for number in range(servers)}
    assert servers - len(uids) <= 2


def test_namespace_and_name_are_not_run_together() -> None:
    assert Owner("a", "b-c", "u").server_uid != Owner("a-b", "c", "u").server_uid


@pytest.mark.parametrize("name", ["a", "7zip", "n" * NAME_MAX_LENGTH])
def test_child_name_fits_a_service_and_says_whose_it_is(name: str) -> None:
    child = Owner("ns", name, "u").child_name
    assert child == f"mcp-{name}"
    assert len(child) <= 63
    assert child[0].isalpha()


def test_namesakes_in_two_namespaces_stay_apart() -> None:
    one, two = Owner("a", "s", "u").metadata(), Owner("b", "s", "u").metadata()
    assert (one["namespace"], two["namespace"]) == ("a", "b")
