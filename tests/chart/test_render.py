"""Objects that the operator chart makes: valid, confined, consistent with each other and with the operator."""

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from chart.cases import NAMESPACE, PEM, Release
from support.podsecurity import containers, hardening_gaps, restricted_violations
from vsm_operator.permissions import LEASE_NAME, REGISTRY_CREDENTIALS_SECRET
from vsm_operator.settings import Settings

KUBERNETES_VERSIONS = ("1.34", "1.36")
FOREIGN_KINDS = {"ServiceMonitor"}
"""Kinds that are not Kubernetes' own: there is no schema to validate them with."""
CLUSTER_KINDS = {"ClusterRole", "ClusterRoleBinding"}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_object_passes_strict_validation(release: Release, version: str) -> None:
    for manifest in release.objects:
        if manifest["kind"] not in FOREIGN_KINDS:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_every_pod_satisfies_the_restricted_standard_and_the_house_rules(release: Release) -> None:
    deployments = release.all("Deployment")
    assert deployments
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        name = deployment["metadata"]["name"]
        assert (name, restricted_violations(pod)) == (name, [])
        assert (name, hardening_gaps(pod, api_access=name == "vsm-operator")) == (name, [])


def test_every_namespaced_object_says_its_namespace(release: Release) -> None:
    watched = set(release.case.values.get("operator", {}).get("watchNamespaces", []))
    for manifest in release.objects:
        if manifest["kind"] in CLUSTER_KINDS:
            assert "namespace" not in manifest["metadata"]
        else:
            assert manifest["metadata"]["namespace"] in watched | {NAMESPACE}


def test_no_object_carries_the_label_of_the_operators_own_children(release: Release) -> None:
    """The operator looks its children up by this label; an object of the chart among them would be deleted."""
    for manifest in release.objects:
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


def test_selectors_find_the_pods_they_are_meant_for(release: Release) -> None:
    for deployment in release.all("Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for kind, path in (("Service", ("spec", "selector")), ("PodDisruptionBudget", ("spec", "selector", "matchLabels"))):
        for manifest in release.all(kind):
            selector = manifest
            for step in path:
                selector = selector[step]
            owner = "vsm-registry" if manifest["metadata"]["name"] == "vsm-registry" else "vsm-operator"
            assert selector.items() <= release.pod(owner)["metadata"]["labels"].items()


def test_services_point_at_ports_that_exist(release: Release) -> None:
    for service in release.all("Service"):
        owner = "vsm-registry" if service["metadata"]["name"] == "vsm-registry" else "vsm-operator"
        ports = {
            port["name"]: port["containerPort"]
            for _, container in containers(release.pod(owner)["spec"])
            for port in container["ports"]
        }
        assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports


def test_no_image_is_referred_to_as_latest_or_without_a_version(release: Release) -> None:
    images = [
        container["image"]
        for d in release.all("Deployment")
        for _, container in containers(d["spec"]["template"]["spec"])
    ]
    images.append(release.environment()["VSM_RUNTIME_IMAGE"])
    for image in images:
        name, _, digest = image.partition("@")
        tag = name.rpartition("/")[2].partition(":")[2]
        assert digest or tag, image
        assert tag != "latest"


def test_digest_decides_when_one_is_given(everything: Release) -> None:
    (container,) = everything.pod("vsm-operator")["spec"]["containers"]
    digest = "sha256:" + "a" * 64
    assert container["image"] == f"registry.example.com:5000/vsm-operator:1.2.3@{digest}"
    assert everything.environment()["VSM_RUNTIME_IMAGE"] == f"registry.example.com/vsm-runtime@{digest}"


def test_operator_accepts_its_environment(release: Release) -> None:
    settings = Settings.from_env(release.environment())
    assert settings.registry_embedded == release.has("Deployment", "vsm-registry")


def test_every_setting_of_the_operator_can_be_set_by_the_chart(production: Release) -> None:
    fixed = {"http_port", "anthropic_api_key"}
    names = {name.removeprefix("VSM_").lower() for name in production.environment()}
    assert names == set(Settings.model_fields) - fixed
    (container,) = production.pod("vsm-operator")["spec"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [Settings.model_fields["http_port"].default]


def test_defaults_of_the_chart_are_the_operators_own(production: Release) -> None:
    """Two places say a default; they have to say the same."""
    environment = production.environment()
    identity = {"VSM_NAMESPACE", "VSM_POD_NAME"}
    runtime_image = environment["VSM_RUNTIME_IMAGE"]
    bare = Settings.from_env({"VSM_RUNTIME_IMAGE": runtime_image})
    full = Settings.from_env({name: value for name, value in environment.items() if name not in identity})
    assert full == bare


def test_api_key_comes_from_the_named_secret_only(production: Release, everything: Release) -> None:
    assert "ANTHROPIC_API_KEY" not in production.environment()
    (container,) = everything.pod("vsm-operator")["spec"]["containers"]
    (entry,) = (entry for entry in container["env"] if entry["name"] == "ANTHROPIC_API_KEY")
    assert entry == {
        "name": "ANTHROPIC_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "anthropic", "key": "api-key"}},
    }


def test_production_has_standbys_that_survive_a_drain_and_a_rollout(production: Release) -> None:
    deployment = production.one("Deployment", "vsm-operator")
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert production.one("PodDisruptionBudget", "vsm-operator")["spec"]["maxUnavailable"] == 1
    pod = deployment["spec"]["template"]["spec"]
    assert "requiredDuringSchedulingIgnoredDuringExecution" not in pod["affinity"]["podAntiAffinity"]
    assert {spread["whenUnsatisfiable"] for spread in pod["topologySpreadConstraints"]} == {"ScheduleAnyway"}


def test_single_replica_has_no_disruption_budget(development: Release) -> None:
    assert development.one("Deployment", "vsm-operator")["spec"]["replicas"] == 1
    assert not development.all("PodDisruptionBudget")


def test_operator_is_probed_for_each_phase_of_its_life(production: Release) -> None:
    (container,) = production.pod("vsm-operator")["spec"]["containers"]
    paths = {key: container[key]["httpGet"]["path"] for key in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


def test_registry_pushes_with_credentials_and_pulls_read_only(production: Release) -> None:
    pod = production.pod("vsm-registry")["spec"]
    configuration = production.one("ConfigMap", "vsm-registry")["data"]
    by_name = dict(containers(pod))
    assert set(by_name) == {"read-write", "read-only"}
    mounts = {name: {m["name"]: m.get("readOnly", False) for m in c["volumeMounts"]} for name, c in by_name.items()}
    assert mounts == {
        "read-write": {"config": True, "data": False, "credentials": True},
        "read-only": {"config": True, "data": True},
    }
    assert "htpasswd" in configuration["read-write.yml"]
    assert "htpasswd" not in configuration["read-only.yml"]
    assert "readonly:\n      enabled: true" in configuration["read-only.yml"]
    assert {name: c["args"][1] for name, c in by_name.items()} == {
        name: f"/etc/vsm-registry/{name}.yml" for name in by_name
    }
    assert production.one("Deployment", "vsm-registry")["spec"]["strategy"] == {"type": "Recreate"}


def test_registry_finishes_running_requests_before_its_pod_is_killed(production: Release) -> None:
    for text in production.one("ConfigMap", "vsm-registry")["data"].values():
        configuration = yaml.safe_load(text)
        drain_seconds = int(configuration["http"]["draintimeout"].removesuffix("s"))
        assert drain_seconds < production.pod("vsm-registry")["spec"].get("terminationGracePeriodSeconds", 30)


def test_registry_shows_its_pod_only_the_hash_of_the_credentials(production: Release) -> None:
    (volume,) = (v for v in production.pod("vsm-registry")["spec"]["volumes"] if v["name"] == "credentials")
    assert volume["secret"]["secretName"] == REGISTRY_CREDENTIALS_SECRET
    assert [item["key"] for item in volume["secret"]["items"]] == ["htpasswd"]


@pytest.mark.parametrize(
    ("case", "want"),
    [
        ("production", {"persistentVolumeClaim": {"claimName": "vsm-registry"}}),
        ("development", {"emptyDir": {"sizeLimit": "5Gi"}}),
        ("shared_namespace", {"persistentVolumeClaim": {"claimName": "bundles"}}),
    ],
)
def test_bundles_are_kept_where_the_values_say(
    request: pytest.FixtureRequest, case: str, want: dict[str, object]
) -> None:
    release: Release = request.getfixturevalue(case)
    (volume,) = (v for v in release.pod("vsm-registry")["spec"]["volumes"] if v["name"] == "data")
    assert {key: value for key, value in volume.items() if key != "name"} == want
    made_here = want == {"persistentVolumeClaim": {"claimName": "vsm-registry"}}
    assert release.has("PersistentVolumeClaim", "vsm-registry") == made_here


def test_own_registry_leaves_nothing_of_the_embedded_one(own_registry: Release) -> None:
    assert not [m for m in own_registry.objects if m["metadata"]["name"] == "vsm-registry"]
    assert own_registry.environment()["VSM_REGISTRY_EMBEDDED"] == "false"


def test_certificate_authorities_reach_the_operator_by_name(everything: Release, shared_namespace: Release) -> None:
    assert everything.one("ConfigMap", "vsm-ca-bundle")["data"] == {"ca.crt": PEM}
    assert everything.environment()["VSM_CA_BUNDLE_CONFIGMAP"] == "vsm-ca-bundle"
    assert not shared_namespace.has("ConfigMap", "vsm-ca-bundle")
    assert shared_namespace.environment()["VSM_CA_BUNDLE_CONFIGMAP"] == "company-ca"


def test_service_monitor_selects_the_metrics_service(everything: Release) -> None:
    monitor = everything.one("ServiceMonitor", "vsm-operator")
    service = everything.one("Service", "vsm-operator-metrics")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_names_that_others_rely_on_are_the_operators_constants(production: Release) -> None:
    assert LEASE_NAME == "vsm-operator"
    settings = Settings.from_env(production.environment())
    service = production.one("Service", "vsm-registry")["metadata"]
    for url in (settings.registry_push_url, settings.registry_pull_url):
        assert url.startswith(f"http://{service['name']}.{service['namespace']}.svc:")
