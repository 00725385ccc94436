"""The node's two ways out, and the way in from the host.

A veth pair joins host and namespace (a /30 of its own; no other address, route or rule of the host is touched): through
it kubectl on the host reaches the API server. Everything else leaves by slirp4netns, an unprivileged process on the
host; pods are masqueraded there and cannot cross the veth, in either direction.
"""

from __future__ import annotations

import json
from pathlib import Path

from localcluster import cgroups, processes
from localcluster.addresses import LinkAddresses, choose, taken_networks
from localcluster.commands import NODE_PATH, run
from localcluster.errors import CommandError, ComponentError
from localcluster.layout import NODE_LINK, POD_RANGE, TAP, Layout
from localcluster.node import Node
from localcluster.progress import wait_until

SLIRP = "slirp4netns"

_RULES = (
    ("nat", "POSTROUTING", ("-s", POD_RANGE, "-o", TAP, "-j", "MASQUERADE")),
    # In `mangle`, where no policy agent's ACCEPT comes first.
    ("mangle", "FORWARD", ("-o", NODE_LINK, "-j", "DROP")),
    ("mangle", "FORWARD", ("-i", NODE_LINK, "-j", "DROP")),
)


def choose_addresses(layout: Layout, *, preferred: LinkAddresses | None = None) -> LinkAddresses:
    """`preferred` (what certificates were made for) if it is still free, else the next free block."""
    taken = taken_networks(
        addresses_json=run(["ip", "-j", "-4", "address"]),
        routes_json=run(["ip", "-j", "-4", "route", "show", "table", "all"]),
        own_link=layout.host_link,
    )
    if preferred and not any(preferred.network.overlaps(network) for network in taken):
        return preferred
    return choose(layout.identity, taken=taken)


def host_is_connected(node: Node, addresses: LinkAddresses) -> bool:
    """Both ends are there: the host's may still belong to a namespace that is about to vanish."""
    show = ["ip", "-j", "-4", "address", "show", "dev"]
    host_end = run([*show, node.layout.host_link], check=False)
    node_end = node.in_network([*show, NODE_LINK], check=False)
    return _has_address(host_end, addresses.host) and _has_address(node_end, addresses.node)


def _has_address(shown: str, address: str) -> bool:
    links = json.loads(shown or "[]")
    return any(entry.get("local") == address for link in links for entry in link.get("addr_info", []))


def connect_host(node: Node, addresses: LinkAddresses) -> None:
    """Make the veth pair anew."""
    link, length = node.layout.host_link, addresses.prefix_length
    remove_host_link(node.layout)
    run(["ip", "link", "add", link, "type", "veth", "peer", "name", NODE_LINK, "netns", str(node.require_holder())])
    node.in_network(["ip", "address", "add", f"{addresses.node}/{length}", "dev", NODE_LINK])
    node.in_network(["ip", "link", "set", NODE_LINK, "up"])
    run(["ip", "address", "add", f"{addresses.host}/{length}", "dev", link])
    run(["ip", "link", "set", link, "up"])


def remove_host_link(layout: Layout) -> None:
    """The kernel removes it too, but only a moment after the namespace has gone."""
    run(["ip", "link", "delete", layout.host_link], check=False)


def has_way_out(node: Node) -> bool:
    return (
        processes.find(node.group_of(SLIRP), program=SLIRP) is not None
        and TAP in node.in_network(["ip", "-j", "route", "show", "default"], check=False)
    )  # fmt: skip


def connect_outside(node: Node, *, log: Path) -> None:
    """Start slirp4netns. It runs outside the node's mount namespace: it forwards DNS to the resolver of the host."""
    for pid in cgroups.members(node.group_of(SLIRP)):
        processes.end(pid, still_ours=lambda candidate: processes.program_of(candidate) == SLIRP, grace_seconds=1)
    node.in_network(["ip", "link", "delete", TAP], check=False)
    options = ["--configure", "--mtu=65520", "--disable-host-loopback", "--netns-type=path"]
    target = f"/proc/{node.require_holder()}/ns/net"
    node.spawn_outside(SLIRP, [SLIRP, *options, target, TAP], log=log, environ={"PATH": NODE_PATH})
    if not wait_until(lambda: has_way_out(node), timeout_seconds=10):
        raise ComponentError(SLIRP, f"{TAP} did not get its default route within 10 s", log=log)


def add_rules(node: Node) -> None:
    for table, chain, rule in _RULES:
        base = ["iptables", "-w", "-t", table]
        try:
            node.in_network([*base, "-C", chain, *rule])
        except CommandError:
            node.in_network([*base, "-A", chain, *rule])
