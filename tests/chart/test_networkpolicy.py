"""Who may talk to whom, asked of the policies as a whole."""

from ipaddress import IPv6Network, ip_network

import pytest

from chart.cases import NAMESPACE, Release
from chart.reach import End, Host, Pod, lets_in, lets_out
from chartgen.yamltext import Manifest

MANAGED = {"app.kubernetes.io/managed-by": "vsm-operator"}
INTAKE = Pod(NAMESPACE, {**MANAGED, "app.kubernetes.io/component": "intake", "app.kubernetes.io/name": "vsm-intake"})
SERVER = Pod("agents", {**MANAGED, "app.kubernetes.io/component": "server", "app.kubernetes.io/name": "mcp-server"})
FORGED_INTAKE = Pod("agents", INTAKE.labels)
STRANGER = Pod("agents", {"app": "stranger"})
BYSTANDER = Pod(NAMESPACE, {"app": "bystander"})
DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
OTHER_SYSTEM_POD = Pod("kube-system", {"k8s-app": "metrics-server"})
PUBLIC: list[Host] = [Host("104.16.0.1"), Host("151.101.0.223"), Host("2606:4700::6810:1")]
CLOSED = [
    "0.0.0.1", "10.0.0.1", "10.96.0.1", "10.244.3.4", "100.64.0.1", "100.100.100.200", "127.0.0.1", "168.63.129.16",
    "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1",
    "224.0.0.1", "255.255.255.255", "::", "::1", "64:ff9b::a00:1", "64:ff9b:1::a00:1",
    "2001::1", "2002:a00:1::1", "fc00::1", "fd00:ec2::254", "fe80::1", "ff02::1",
]  # fmt: skip


@pytest.fixture
def policies(production: Release) -> list[Manifest]:
    return production.all("NetworkPolicy")


@pytest.fixture
def operator(production: Release) -> Pod:
    return Pod(NAMESPACE, production.pod("vsm-operator")["metadata"]["labels"])


@pytest.fixture
def registry(production: Release) -> Pod:
    return Pod(NAMESPACE, production.pod("vsm-registry")["metadata"]["labels"])


def test_every_policy_rules_both_directions(release: Release) -> None:
    for policy in release.all("NetworkPolicy"):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_every_exclusion_lies_inside_the_block_it_is_taken_from(release: Release) -> None:
    """The API server refuses a policy where one does not."""
    for policy in release.all("NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            for block in (peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer):
                whole = ip_network(block["cidr"])
                for text in block.get("except", []):
                    part = ip_network(text)
                    assert part.version == whole.version
                    # Go reads a mapped range as IPv4, which then lies in no IPv6 block.
                    assert not (isinstance(part, IPv6Network) and part.network_address.ipv4_mapped)
                    assert part != whole
                    assert part.supernet(new_prefix=whole.prefixlen) == whole


@pytest.mark.parametrize("pod", [INTAKE, BYSTANDER], ids=["intake", "bystander"])
@pytest.mark.parametrize("source", [STRANGER, SERVER, INTAKE, Host("192.168.1.1")], ids=str)
def test_nobody_reaches_an_intake_pod_or_a_bystander(policies: list[Manifest], pod: Pod, source: End) -> None:
    assert not any(lets_in(policies, pod, source, port) for port in (80, 443, 8080))


def test_bystanders_in_the_namespace_reach_nothing(policies: list[Manifest], registry: Pod) -> None:
    targets: list[End] = [registry, DNS, STRANGER, *PUBLIC]
    for target in targets:
        assert not any(lets_out(policies, BYSTANDER, target, port) for port in (53, 443, 5000, 5001))


def test_bystanders_are_left_alone_where_the_namespace_is_shared(shared_namespace: Release) -> None:
    policies = shared_namespace.all("NetworkPolicy")
    assert lets_out(policies, BYSTANDER, STRANGER, 80)
    assert not lets_out(policies, INTAKE, STRANGER, 80)


@pytest.mark.parametrize(
    ("source", "port", "want"),
    [
        (INTAKE, 5000, True),
        (INTAKE, 5001, True),
        (SERVER, 5000, False),
        (SERVER, 5001, True),
        (FORGED_INTAKE, 5000, False),
        (FORGED_INTAKE, 5001, False),
        (STRANGER, 5000, False),
        (STRANGER, 5001, False),
        (BYSTANDER, 5001, False),
        (Pod("agents", {"app.kubernetes.io/component": "server"}), 5001, False),
        (Host("203.0.113.9"), 5001, False),
    ],
)
def test_registry_lets_in_the_labelled_pods_only(
    policies: list[Manifest], registry: Pod, source: End, port: int, want: bool
) -> None:
    assert lets_in(policies, registry, source, port) is want


def test_registry_lets_nothing_out(policies: list[Manifest], registry: Pod) -> None:
    targets: list[End] = [DNS, INTAKE, *PUBLIC]
    for target in targets:
        assert not any(lets_out(policies, registry, target, port) for port in (53, 80, 443, 5000))


def test_intake_reaches_what_its_work_needs(policies: list[Manifest], registry: Pod) -> None:
    assert all(lets_out(policies, INTAKE, target, 443) for target in PUBLIC)
    assert all(lets_out(policies, INTAKE, DNS, 53, protocol=protocol) for protocol in ("UDP", "TCP"))
    assert lets_out(policies, INTAKE, registry, 5000)


@pytest.mark.parametrize("address", CLOSED)
def test_intake_reaches_no_address_that_is_not_public(policies: list[Manifest], address: str) -> None:
    assert not any(lets_out(policies, INTAKE, Host(address), port) for port in (53, 80, 443, 6443, 8443))


def test_intake_reaches_no_other_pod_and_no_other_port(policies: list[Manifest], operator: Pod) -> None:
    for pod in (STRANGER, SERVER, OTHER_SYSTEM_POD, operator, INTAKE):
        assert not any(lets_out(policies, INTAKE, pod, port) for port in (53, 80, 443, 8080, 8090))
    assert not any(lets_out(policies, INTAKE, PUBLIC[0], port) for port in (22, 25, 53, 80, 8443))
    assert not lets_out(policies, INTAKE, DNS, 443)


def test_intake_reaches_private_mirrors_and_the_proxy_only_where_named(everything: Release) -> None:
    policies = everything.all("NetworkPolicy")
    allowed = {("10.1.2.3", 8443), ("fd12:3456::7", 443), ("10.9.8.7", 3128), ("169.254.20.10", 53)}
    for address in ("10.1.2.3", "10.1.3.3", "fd12:3456::7", "fd12:3457::7", "10.9.8.7", "10.9.8.8", "169.254.20.10"):
        for port in (53, 443, 3128, 8443):
            assert lets_out(policies, INTAKE, Host(address), port) == ((address, port) in allowed), (address, port)
    mirror = Pod(NAMESPACE, {"app": "mirror"})
    assert lets_out(policies, INTAKE, mirror, 4873)
    assert not lets_out(policies, INTAKE, mirror, 443)


def test_public_ranges_of_the_cluster_can_be_closed(everything: Release, policies: list[Manifest]) -> None:
    for address in ("198.51.7.7", "2a00:1234::1"):
        assert lets_out(policies, INTAKE, Host(address), 443)
        assert not lets_out(everything.all("NetworkPolicy"), INTAKE, Host(address), 443)


def test_proxy_is_reached_at_its_named_range_and_port(shared_namespace: Release) -> None:
    policies = shared_namespace.all("NetworkPolicy")
    assert lets_out(policies, INTAKE, Host("10.7.0.5"), 443)
    assert not lets_out(policies, INTAKE, Host("10.7.0.5"), 80)
    assert not lets_out(policies, INTAKE, Host("10.7.1.5"), 443)


def test_intake_reaches_a_registry_of_ones_own_where_it_is(own_registry: Release) -> None:
    policies = own_registry.all("NetworkPolicy")
    assert lets_out(policies, INTAKE, Host("10.20.0.9"), 443)
    assert not lets_out(policies, INTAKE, Host("10.20.0.9"), 5000)
    assert not lets_out(policies, INTAKE, Host("10.20.1.9"), 443)


def test_operator_reaches_the_api_server_dns_and_its_servers_only(policies: list[Manifest], operator: Pod) -> None:
    assert all(lets_out(policies, operator, Host("10.96.0.1"), port) for port in (443, 6443))
    assert lets_out(policies, operator, DNS, 53, protocol="UDP")
    assert all(lets_out(policies, operator, SERVER, port) for port in (8080, 8081))
    assert not lets_out(policies, operator, SERVER, 8082)
    assert not lets_out(policies, operator, STRANGER, 8080)
    assert not lets_out(policies, operator, Host("104.16.0.1"), 80)


def test_operators_egress_narrows_to_the_api_servers_addresses(everything: Release) -> None:
    policies = everything.all("NetworkPolicy")
    operator = Pod(NAMESPACE, everything.pod("vsm-operator")["metadata"]["labels"])
    assert lets_out(policies, operator, Host("10.96.0.1"), 443)
    assert not lets_out(policies, operator, Host("10.96.0.2"), 443)
    assert not lets_out(policies, operator, Host("10.96.0.1"), 6443)


def test_operator_is_asked_on_its_one_port(policies: list[Manifest], operator: Pod, everything: Release) -> None:
    assert lets_in(policies, operator, STRANGER, 8090)
    assert not lets_in(policies, operator, STRANGER, 8080)
    narrowed = everything.all("NetworkPolicy")
    assert lets_in(narrowed, operator, Pod("monitoring"), 8090)
    assert not lets_in(narrowed, operator, STRANGER, 8090)
