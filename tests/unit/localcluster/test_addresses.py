import json
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.addresses import LINK_RANGE, choose, taken_networks
from localcluster.errors import LocalClusterError

identities = st.integers(min_value=0, max_value=0xFFFFFFFF).map(lambda number: f"{number:08x}")


def networks(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


@given(identity=identities)
def test_a_checkout_always_gets_the_same_two_hosts_of_one_block(identity: str) -> None:
    chosen = choose(identity, taken=[])

    assert chosen == choose(identity, taken=[])
    assert chosen.network.subnet_of(LINK_RANGE)
    assert {IPv4Address(chosen.host), IPv4Address(chosen.node)} == set(chosen.network.hosts())


@given(identity=identities, used=st.lists(identities, max_size=5))
def test_a_block_in_use_is_never_chosen(identity: str, used: list[str]) -> None:
    taken = [choose(other, taken=[]).network for other in used]

    assert not any(choose(identity, taken=taken).network.overlaps(network) for network in taken)


def test_the_next_block_is_taken_when_the_own_one_is_in_use() -> None:
    first = choose("00000001", taken=[])
    second = choose("00000001", taken=[first.network])

    assert int(IPv4Address(second.host)) - int(IPv4Address(first.host)) == 4


def test_the_search_goes_round_the_end_of_the_range() -> None:
    last = choose("00003fff", taken=[])

    assert last.network == IPv4Network("10.213.255.252/30")
    assert choose("00003fff", taken=[last.network]).network == IPv4Network("10.213.0.0/30")


def test_a_host_that_uses_the_whole_range_is_told_so() -> None:
    with pytest.raises(LocalClusterError, match=r"every /30 of 10\.213\.0\.0/16 overlaps"):
        choose("00000001", taken=networks("10.0.0.0/8"))


def test_other_networks_of_the_host_do_not_matter() -> None:
    assert choose("00000001", taken=networks("192.168.0.0/16", "10.212.0.0/16")) == choose("00000001", taken=[])


def test_addresses_and_routes_count_as_taken_but_neither_the_default_route_nor_our_own_link() -> None:
    addresses = [
        {"ifname": "eth0", "addr_info": [{"local": "192.0.2.2", "prefixlen": 24}]},
        {"ifname": "vsmours", "addr_info": [{"local": "10.213.0.1", "prefixlen": 30}]},
    ]
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.9.0.0/16", "dev": "tun0"},
        {"dst": "10.213.0.0/30", "dev": "vsmours"},
        {"type": "blackhole", "dst": "10.8.0.1"},
    ]

    taken = taken_networks(addresses_json=json.dumps(addresses), routes_json=json.dumps(routes), own_link="vsmours")

    assert taken == networks("192.0.2.0/24", "10.9.0.0/16", "10.8.0.1/32")


def test_a_host_without_any_address_has_nothing_taken() -> None:
    assert taken_networks(addresses_json="", routes_json="") == []
