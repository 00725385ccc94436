"""Who may reach a server, and what it may reach: as good as nothing."""

from vsm_operator.api.v1alpha1 import ADMIN_PORT, BRIDGE_PORT, McpServerSpec, NetworkPeer
from vsm_operator.kube.manifest import Manifest
from vsm_operator.resources.common import LABEL_NAME, NAMESPACE_NAME_LABEL, Owner
from vsm_operator.resources.registry import Registry
from vsm_operator.settings import Settings


def network_policy(spec: McpServerSpec, *, owner: Owner, registry: Registry, settings: Settings) -> Manifest:
    """Default deny both ways; in: the operator, `allowFrom`, and who reads metrics; out: the bundle registry, without
    DNS, and the API server where the bridge has to ask it about tokens."""
    operator = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME_LABEL: settings.namespace}},
        "podSelector": {"matchLabels": {LABEL_NAME: "vsm-operator"}},
    }
    ingress: list[Manifest] = [{"from": [operator], "ports": [_tcp(BRIDGE_PORT), _tcp(ADMIN_PORT)]}]
    if spec.network.allow_from:
        peers = [_peer(peer) for peer in spec.network.allow_from]
        ingress.append({"from": peers, "ports": [_tcp(BRIDGE_PORT)]})
    if settings.server_metrics_from:
        readers = [_peer(NetworkPeer.read(peer)) for peer in settings.server_metrics_from]
        ingress.append({"from": readers, "ports": [_tcp(ADMIN_PORT)]})
    egress: list[Manifest] = []
    if spec.source.image is None:
        egress.append({"to": registry.peers(settings), "ports": [_tcp(registry.port)]})
    if spec.auth is not None and spec.auth.token_review is not None and settings.api_server_cidrs:
        addresses = [{"ipBlock": {"cidr": cidr}} for cidr in settings.api_server_cidrs]
        egress.append({"to": addresses, "ports": [_tcp(port) for port in settings.api_server_ports]})
    rules: Manifest = {
        "podSelector": {"matchLabels": owner.labels},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
    }
    if egress:
        rules["egress"] = egress
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": owner.metadata(),
        "spec": rules,
    }


def _peer(peer: NetworkPeer) -> Manifest:
    """As the API server prints it: an empty selector stays and means everything, an empty list or map inside goes."""
    return {name: _without_empty(value) for name, value in peer.to_api().items()}


def _without_empty(node: Manifest) -> Manifest:
    kept = {name: value for name, value in node.items() if value not in ([], {})}
    if expressions := kept.get("matchExpressions"):
        kept["matchExpressions"] = [_without_empty(expression) for expression in expressions]
    return kept


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}
