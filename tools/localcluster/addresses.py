"""The /30 that joins the host and a cluster's network namespace: derived from the checkout, moved on when taken.

Invariant: a chosen block overlaps no address and no route (the default route aside) that the host has at that moment.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network

from localcluster.errors import LocalClusterError

LINK_RANGE = IPv4Network("10.213.0.0/16")
"""RFC 1918, so that "private ranges are closed" covers the node; the kubelet refuses a link-local node address."""

_BLOCKS = 2 ** (30 - LINK_RANGE.prefixlen)


@dataclass(frozen=True, slots=True)
class LinkAddresses:
    host: str
    node: str

    prefix_length = 30

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(f"{self.host}/{self.prefix_length}", strict=False)


def choose(identity: str, *, taken: Collection[IPv4Network]) -> LinkAddresses:
    """The block that `identity` (hex digits) points at, or the next free one after it."""
    blocking = [network for network in taken if network.overlaps(LINK_RANGE)]
    first = int(identity, 16) % _BLOCKS
    for step in range(_BLOCKS):
        start = int(LINK_RANGE.network_address) + 4 * ((first + step) % _BLOCKS)
        block = IPv4Network((start, 30))
        if not any(block.overlaps(network) for network in blocking):
            host, node = block.hosts()
            return LinkAddresses(host=str(host), node=str(node))
    raise LocalClusterError(
        f"every /30 of {LINK_RANGE} overlaps an address or a route of this host",
        next_step="ip route show table all | grep 10.213",
    )


def taken_networks(*, addresses_json: str, routes_json: str, own_link: str = "") -> list[IPv4Network]:
    """What `ip -j -4 address` and `ip -j -4 route show table all` say is in use, except on `own_link`."""
    taken = []
    for link in json.loads(addresses_json or "[]"):
        if link.get("ifname") != own_link:
            taken += [
                IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False)
                for address in link.get("addr_info", [])
            ]
    for route in json.loads(routes_json or "[]"):
        if route.get("dev") != own_link and route.get("dst", "default") != "default":
            taken.append(IPv4Network(route["dst"], strict=False))
    return taken
