"""Default deny both ways, with exactly the peers and ports that are meant."""

from typing import Any

import pytest
from hypothesis import given, settings

from unit.resources import kit
from unit.resources.kit import Input, inputs
from vsm_operator.resources.registry import Registry
from vsm_operator.resources.service import endpoint, service

OPERATOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "vsm-system"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "vsm-operator"}},
}
REGISTRY = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "vsm-system"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "vsm-registry"}},
}


def tcp(*ports: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def rules(given_: Input) -> dict[str, Any]:
    found: dict[str, Any] = given_.network_policy()["spec"]
    return found


@pytest.mark.parametrize("given_", [kit.npm(), kit.pypi(), kit.image(), kit.http_image()])
def test_both_directions_are_denied_but_for_the_rules(given_: Input) -> None:
    assert rules(given_)["policyTypes"] == ["Ingress", "Egress"]


@settings(max_examples=40)
@given(inputs)
def test_pods_of_the_server_are_selected_and_no_others(given_: Input) -> None:
    template = given_.deployment()["spec"]["template"]["metadata"]["labels"]
    selected = rules(given_)["podSelector"]["matchLabels"]
    assert selected.items() <= template.items()
    assert selected["app.kubernetes.io/instance"] == kit.OWNER.name


@pytest.mark.parametrize("given_", [kit.npm(), kit.pypi(), kit.image(), kit.http_image()])
def test_only_the_operator_comes_in_by_default(given_: Input) -> None:
    assert rules(given_)["ingress"] == [{"from": [OPERATOR], "ports": tcp(8080, 8081)}]


def test_allowed_peers_reach_the_tools_and_not_the_admin_port() -> None:
    peer = {"podSelector": {"matchLabels": {"app": "agent"}}}
    assert rules(kit.npm(network={"allowFrom": [peer]}))["ingress"] == [
        {"from": [OPERATOR], "ports": tcp(8080, 8081)},
        {"from": [peer], "ports": tcp(8080)},
    ]


def test_package_reaches_the_registry_and_nothing_else() -> None:
    assert rules(kit.npm())["egress"] == [{"to": [REGISTRY], "ports": tcp(5001)}]


@pytest.mark.parametrize("given_", [kit.image(), kit.http_image()])
def test_image_reaches_nothing(given_: Input) -> None:
    assert "egress" not in rules(given_)


def test_foreign_registry_is_named_by_its_addresses_and_port() -> None:
    values = {"registry_embedded": False, "registry_cidrs": ("192.0.2.0/24", "2001:db8::/32")}
    settings_ = kit.SETTINGS.model_validate(kit.SETTINGS.model_dump() | values)
    foreign = Input(kit.npm().spec, settings_, registry=Registry("https://registry.example.com", "192.0.2.9"))
    peers = [{"ipBlock": {"cidr": "192.0.2.0/24"}}, {"ipBlock": {"cidr": "2001:db8::/32"}}]
    assert rules(foreign)["egress"] == [{"to": peers, "ports": tcp(443)}]


REVIEW = {"tokenReview": {"serviceAccountName": "reviewer"}}


def with_settings(given_: Input, **values: Any) -> Input:
    return Input(given_.spec, kit.SETTINGS.model_validate(kit.SETTINGS.model_dump() | values))


def test_server_whose_bridge_asks_the_api_server_reaches_it_by_address() -> None:
    api_server = {
        "to": [{"ipBlock": {"cidr": "10.96.0.1/32"}}, {"ipBlock": {"cidr": "192.0.2.6/32"}}],
        "ports": tcp(443, 6443),
    }
    assert rules(kit.npm(auth=REVIEW))["egress"] == [{"to": [REGISTRY], "ports": tcp(5001)}, api_server]
    assert rules(kit.image(auth=REVIEW))["egress"] == [api_server]


def test_server_with_tokens_of_its_own_reaches_no_api_server() -> None:
    auth = {"tokens": {"secretRef": {"name": "clients"}}}
    assert rules(kit.npm(auth=auth))["egress"] == rules(kit.npm())["egress"]


def test_api_server_that_nobody_has_named_is_not_opened() -> None:
    """An egress rule without addresses would be one to everywhere."""
    assert "egress" not in rules(with_settings(kit.image(auth=REVIEW), api_server_cidrs=()))


def test_metrics_are_open_to_whom_the_settings_name_and_the_tools_are_not() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}, "podSelector": {}}
    given_ = with_settings(kit.npm(), server_metrics_from=(peer,))
    assert rules(given_)["ingress"][1:] == [{"from": [peer], "ports": tcp(8081)}]


@settings(max_examples=40)
@given(inputs)
def test_no_rule_is_without_ports_or_peers(given_: Input) -> None:
    spec = rules(given_)
    for rule in [*spec["ingress"], *spec.get("egress", [])]:
        assert rule["ports"]
        peers = rule.get("from", rule.get("to"))
        assert peers
        assert all(peers), "an empty peer would be everybody"
    assert len(spec["ingress"]) == 1 + bool(given_.spec.network.allow_from) + bool(given_.settings.server_metrics_from)
    asks = given_.spec.auth is not None and given_.spec.auth.token_review is not None
    assert len(spec.get("egress", [])) == (given_.spec.source.image is None) + asks


def test_empty_selector_keeps_its_meaning_and_empty_lists_inside_go() -> None:
    written = [
        {"namespaceSelector": {}},
        {"podSelector": {"matchLabels": {}, "matchExpressions": []}},
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": []}},
    ]
    assert rules(kit.npm(network={"allowFrom": written}))["ingress"][1]["from"] == [
        {"namespaceSelector": {}},
        {"podSelector": {}},
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
        {"ipBlock": {"cidr": "10.0.0.0/8"}},
    ]


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://vsm-registry.vsm-system.svc:5001", "vsm-registry.vsm-system.svc", 5001),
        ("https://registry.example.com", "registry.example.com", 443),
        ("http://registry.example.com/prefix", "registry.example.com", 80),
        ("https://[2001:db8::1]:8443", "2001:db8::1", 8443),
    ],
)
def test_registry_is_a_host_and_a_port(url: str, host: str, port: int) -> None:
    found = Registry(url, "10.0.0.1")
    assert (found.host, found.port) == (host, port)


def test_service_has_the_bridges_port_and_not_the_admin_port() -> None:
    spec = service(owner=kit.OWNER)["spec"]
    assert [(port["port"], port["targetPort"]) for port in spec["ports"]] == [(8080, 8080)]
    assert spec["selector"] == kit.npm().deployment()["spec"]["selector"]["matchLabels"]


def test_endpoint_is_the_service_in_the_cluster() -> None:
    assert endpoint(kit.OWNER) == "http://mcp-memory.team.svc:8080/mcp"
