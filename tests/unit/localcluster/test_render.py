import json
from ipaddress import IPv4Network

import pytest

from localcluster import components, manifests, render
from localcluster.layout import API_SERVICE_ADDRESS, DNS_SERVICE_ADDRESS, NODE_NAME, POD_RANGE, SERVICE_RANGE


def test_the_kubelet_stays_in_its_own_cgroup_and_changes_no_sysctl_of_the_host() -> None:
    config = json.loads(render.kubelet(cgroup="vsm-cluster-abc", containerd_socket="/run/x/containerd.sock"))

    assert config["cgroupRoot"] == "/vsm-cluster-abc"
    assert config["cgroupDriver"] == "cgroupfs"
    assert config["protectKernelDefaults"] is True
    assert config["failCgroupV1"] is False
    assert config["containerRuntimeEndpoint"] == "unix:///run/x/containerd.sock"
    assert config["podPidsLimit"] == 1024


def test_the_kubelet_answers_nobody_without_credentials() -> None:
    config = json.loads(render.kubelet(cgroup="c", containerd_socket="/s"))

    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}
    assert config["readOnlyPort"] == 0


def test_containerd_is_told_its_socket_and_works_without_a_capability_for_negative_oom_scores() -> None:
    text = render.containerd(socket="/run/x/containerd.sock", cni_directory="/usr/lib/cni", snapshotter="native")

    assert 'address = "/run/x/containerd.sock"' in text
    assert 'snapshotter = "native"' in text
    assert "restrict_oom_score_adj = true" in text
    assert f'sandbox_image = "{render.PAUSE_IMAGE}"' in text


@pytest.mark.parametrize("has_ipv6", [True, False])
def test_pods_have_no_ipv6_address_by_which_to_pass_a_policy(has_ipv6: bool) -> None:
    plugins = {plugin["type"]: plugin for plugin in json.loads(render.cni(has_ipv6=has_ipv6))["plugins"]}

    assert plugins["bridge"]["ipam"]["ranges"] == [[{"subnet": render.POD_SUBNET}]]
    # Without IPv6 in the kernel the sysctl does not exist, and the plugin would fail every pod.
    assert ("tuning" in plugins) is has_ipv6
    if has_ipv6:
        assert plugins["tuning"]["sysctl"] == {"net.ipv6.conf.eth0.disable_ipv6": "1"}


def test_the_nodes_pods_have_addresses_within_the_pod_range_for_as_many_as_it_may_run() -> None:
    subnet = IPv4Network(render.POD_SUBNET)

    assert subnet.subnet_of(IPv4Network(POD_RANGE))
    assert subnet.num_addresses - 3 >= render.MAX_PODS
    assert not subnet.overlaps(IPv4Network(SERVICE_RANGE))


def test_the_audit_log_has_one_line_per_request_and_none_of_the_clusters_own_parts() -> None:
    policy = json.loads(render.audit_policy())
    silent = [rule for rule in policy["rules"] if rule["level"] == "None"]

    assert policy["omitStages"] == ["RequestReceived"]
    assert policy["rules"][-1] == {"level": "Metadata"}
    assert "system:nodes" in silent[2]["userGroups"]
    assert "system:serviceaccounts:kube-system" in silent[2]["userGroups"]
    assert not any("system:serviceaccounts" in rule.get("userGroups", []) for rule in silent)


def test_kube_proxy_leaves_the_hosts_connection_tracking_alone() -> None:
    config = json.loads(render.kube_proxy())

    assert config["mode"] == "iptables"
    assert set(config["conntrack"].values()) == {0, "0s"}
    assert config["clientConnection"]["kubeconfig"].startswith("/run/node/state/")


def test_dns_listens_on_the_port_that_policies_name_without_a_capability() -> None:
    items = json.loads(manifests.everything(dns_image="localhost/dns:1"))["items"]
    deployment = next(item for item in items if item["kind"] == "Deployment")
    service = next(item for item in items if item["kind"] == "Service")
    pod = deployment["spec"]["template"]["spec"]

    assert {port["containerPort"] for port in pod["containers"][0]["ports"]} == {53}
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["image"] == "localhost/dns:1"
    assert service["spec"]["clusterIP"] == DNS_SERVICE_ADDRESS
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_kube_router_may_read_and_nothing_else() -> None:
    items = json.loads(manifests.everything(dns_image="x"))["items"]
    role = next(item for item in items if item["kind"] == "ClusterRole" and "kube-router" in item["metadata"]["name"])

    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_every_component_is_started_in_exactly_one_stage() -> None:
    staged = [name for stage in components.STAGES for name in stage]

    assert sorted(staged) == sorted(components.catalogue(node_address="10.213.0.2"))


def test_the_api_server_advertises_the_node_and_asks_kubelets_by_address() -> None:
    argv = components.catalogue(node_address="10.213.0.2")["kube-apiserver"].argv

    assert "--advertise-address=10.213.0.2" in argv
    assert "--kubelet-preferred-address-types=InternalIP" in argv
    assert "--authorization-mode=Node,RBAC" in argv


def test_well_known_addresses_lie_in_the_service_range() -> None:
    services = IPv4Network(SERVICE_RANGE)

    assert str(services[1]) == API_SERVICE_ADDRESS
    assert IPv4Network(DNS_SERVICE_ADDRESS).subnet_of(services)
    assert NODE_NAME.lower() == NODE_NAME
