"""What a set of NetworkPolicies lets through, worked out as the specification says it.

Cluster pods are described by namespace and labels, everything else by address. A pod is not reached through an ipBlock
here: plugins differ on that, so no policy of ours may depend on it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from chartgen.yamltext import Manifest

NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Pod:
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """Something that is not a pod."""

    address: str


End = Pod | Host


def lets_out(policies: Iterable[Manifest], source: Pod, target: End, port: int, *, protocol: str = "TCP") -> bool:
    return _lets("Egress", policies, here=source, there=target, port=port, protocol=protocol)


def lets_in(policies: Iterable[Manifest], target: Pod, source: End, port: int, *, protocol: str = "TCP") -> bool:
    return _lets("Ingress", policies, here=target, there=source, port=port, protocol=protocol)


def _lets(direction: str, policies: Iterable[Manifest], *, here: Pod, there: End, port: int, protocol: str) -> bool:
    bound = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == here.namespace
        and direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], here.labels)
    ]
    if not bound:
        return True
    rules, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    return any(
        _has_port(rule, port, protocol) and _has_peer(rule.get(peers), there, policy["metadata"]["namespace"])
        for policy in bound
        for rule in policy["spec"].get(rules, [])
    )


def _has_port(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(entry["port"] == port and entry.get("protocol", "TCP") == protocol for entry in ports)


def _has_peer(peers: list[Mapping[str, Any]] | None, end: End, home: str) -> bool:
    return not peers or any(_is(peer, end, home) for peer in peers)


def _is(peer: Mapping[str, Any], end: End, home: str) -> bool:
    block = peer.get("ipBlock")
    if block:
        return isinstance(end, Host) and _inside(block, end.address)
    if isinstance(end, Host):
        return False
    namespaces = peer.get("namespaceSelector")
    in_namespace = (
        end.namespace == home if namespaces is None else _selects(namespaces, {NAMESPACE_NAME: end.namespace})
    )
    return in_namespace and _selects(peer.get("podSelector", {}), end.labels)


def _inside(block: Mapping[str, Any], address: str) -> bool:
    found = ip_address(address)
    return found in ip_network(block["cidr"]) and not any(
        found in ip_network(excluded) for excluded in block.get("except", [])
    )


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    unknown = set(selector) - {"matchLabels"}
    if unknown:
        raise NotImplementedError(f"selectors with {sorted(unknown)} are not used by the chart")
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
