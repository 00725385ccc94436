"""McpServers and their manifests for these tests: a valid example of everything, and strategies for what may vary."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from support import specs
from vsm_operator.api.v1alpha1 import BundleStatus, McpServerSpec
from vsm_operator.domain.intake import IntakeRequest
from vsm_operator.domain.packages import Ecosystem, PackageRef
from vsm_operator.kube.manifest import Manifest
from vsm_operator.resources.common import Owner
from vsm_operator.resources.deployment import deployment
from vsm_operator.resources.intakejob import intake_job
from vsm_operator.resources.networkpolicy import network_policy
from vsm_operator.resources.pins import pins
from vsm_operator.resources.registry import Registry
from vsm_operator.resources.service import service
from vsm_operator.settings import Settings

SETTINGS = Settings(
    runtime_image="registry.example.com/vsm-runtime@sha256:" + "b" * 64,
    api_server_cidrs=("10.96.0.1/32", "192.0.2.6/32"),
)
OWNER = Owner("team", "memory", "11111111-2222-3333-4444-555555555555")
REGISTRY = Registry("http://vsm-registry.vsm-system.svc:5001", "10.96.0.7")
BUNDLE = BundleStatus(
    key="0" * 32, digest="sha256:" + "c" * 64, packages=7, unpacked_bytes=40 << 20, entrypoints=["mcp-server"]
)
ADMIN_TOKEN_SHA256 = "d" * 64
REQUEST = IntakeRequest.of(PackageRef(Ecosystem.NPM, "@scope/mcp-server", "1.2.3"), registries=SETTINGS.registries)


@dataclass(frozen=True, slots=True)
class Input:
    """All that a server's manifests follow from."""

    spec: McpServerSpec
    settings: Settings = SETTINGS
    owner: Owner = OWNER
    registry: Registry = REGISTRY

    @property
    def bundle(self) -> BundleStatus | None:
        return None if self.spec.source.image else BUNDLE

    def deployment(self) -> Manifest:
        return deployment(
            self.spec,
            owner=self.owner,
            bundle=self.bundle,
            registry=self.registry,
            admin_token_sha256=ADMIN_TOKEN_SHA256,
            settings=self.settings,
        )

    def pod(self) -> Manifest:
        found: Manifest = self.deployment()["spec"]["template"]["spec"]
        return found

    def server(self) -> Manifest:
        return container(self.pod(), "server")

    def bridge(self) -> Manifest:
        return container(self.pod(), "bridge")

    def network_policy(self) -> Manifest:
        return network_policy(self.spec, owner=self.owner, registry=self.registry, settings=self.settings)

    def manifests(self) -> list[Manifest]:
        job = intake_job(REQUEST, settings=self.settings)
        return [self.deployment(), self.network_policy(), service(owner=self.owner), self.pins(), job]

    def pins(self) -> Manifest:
        return pins({"sha256-" + "c" * 64: "sha256:" + "e" * 64}, owner=self.owner)


def read(raw: specs.Spec) -> McpServerSpec:
    return McpServerSpec.read(raw)


def npm(**fields: Any) -> Input:
    return Input(read(specs.npm(**fields)))


def pypi(**fields: Any) -> Input:
    return Input(read(specs.pypi(**fields)))


def image(**fields: Any) -> Input:
    return Input(read(specs.image(**fields)))


def http_image(**fields: Any) -> Input:
    return Input(read(specs.http(port=8000, **fields)))


def container(pod: Manifest, name: str) -> Manifest:
    every = [*pod.get("initContainers", []), *pod["containers"]]
    found: Manifest = next(entry for entry in every if entry["name"] == name)
    return found


def environment(of: Manifest) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in of["env"]}


SOURCES = {
    "npm": {"npm": {"package": "@scope/mcp-server", "version": "1.2.3"}},
    "pypi": {"pypi": {"package": "mcp-server", "version": "1.2.3"}},
    "image": {"image": {"ref": specs.IMAGE}},
}
_SELECTORS = st.sampled_from(
    [
        {},
        {"matchLabels": {"app": "agent"}},
        {"matchLabels": {}},
        {"matchExpressions": []},
        {"matchExpressions": [{"key": "tier", "operator": "Exists", "values": []}]},
        {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}]},
    ]
)
_PEERS = st.one_of(
    st.builds(lambda one: {"podSelector": one}, _SELECTORS),
    st.builds(lambda one: {"namespaceSelector": one}, _SELECTORS),
    st.builds(lambda one, other: {"podSelector": one, "namespaceSelector": other}, _SELECTORS, _SELECTORS),
    st.sampled_from(
        [
            {"ipBlock": {"cidr": "10.0.0.0/8"}},
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": []}},
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        ]
    ),
)
_VOLUMES = st.sampled_from(
    [
        {"emptyDir": {}},
        {"emptyDir": {"sizeLimit": "1.5Gi"}, "readOnly": False},
        {"persistentVolumeClaim": {"claimName": "data"}},
        {"persistentVolumeClaim": {"claimName": "data"}, "readOnly": True},
    ]
)
_VARIABLES = st.sampled_from(
    [
        {"value": "x"},
        {"value": ""},
        {},
        {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": True}}},
    ]
)
_NAMES = ["A", "HOME", "PATH", "TMPDIR", "LANG", "PYTHONPATH", "VSM_BRIDGE_PORT"]
_LIMITS = {"cpu": ["2", 1, "0.5", "1500m"], "memory": ["1Gi", "0.5Gi", 536870912], "ephemeral-storage": ["2G", "100Mi"]}
_REQUESTS = {"cpu": ["1m", "0.1", 0], "memory": ["1Mi", "1000k"], "ephemeral-storage": ["1Mi"]}

_ISOLATIONS = st.sampled_from(
    [{}, {"isolation": "Session"}, {"isolation": "Session", "sessions": {"maxCount": 3, "idleSeconds": 60}}]
)
_GUARDS = st.fixed_dictionaries(
    {},
    optional={
        "toolPin": st.sampled_from(["TrustOnFirstUse", "Strict", "Off"]),
        "toolFilter": st.sampled_from([{}, {"allow": ["read_*"]}, {"allow": [], "deny": ["[a-c]*", "x"]}]),
        "limits": st.sampled_from([{}, {"maxMessageSize": "64Mi", "callsPerSecondPerClient": "0.5"}]),
    },
)
_AUTHS = st.sampled_from(
    [
        {},
        {"auth": {"tokens": {"secretRef": {"name": "clients"}}}},
        {"auth": {"tokenReview": {"serviceAccountName": "reviewer"}}},
        {
            "auth": {
                "tokenReview": {
                    "serviceAccountName": "reviewer",
                    "audiences": ["mcp", "https://example.com"],
                    "allowed": ["system:serviceaccount:agents:*"],
                }
            }
        },
    ]
)


@st.composite
def server_specs(draw: st.DrawFn) -> McpServerSpec:
    """Anything that the API server accepts, and that has something to run."""
    source = draw(st.sampled_from(sorted(SOURCES)))
    raw: specs.Spec = {"source": SOURCES[source]}
    if draw(st.booleans()):
        raw |= {"transport": "streamable-http", "port": 8000} | draw(st.sampled_from([{}, {"path": "/x"}]))
    words = st.lists(st.text(max_size=8), max_size=3)
    if draw(st.booleans()) or (source == "image" and "port" not in raw):
        raw["command"] = ["/bin/tool", *draw(words)]
    if draw(st.booleans()):
        raw["args"] = draw(words)
    names = draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=4))
    raw["env"] = [{"name": name} | draw(_VARIABLES) for name in names]
    volumes = draw(st.lists(st.sampled_from(["bundle", "run", "tmp", "data"]), unique=True, max_size=3))
    raw["storage"] = [{"name": name, "mountPath": f"/data/{name}"} | draw(_VOLUMES) for name in volumes]
    raw |= draw(_GUARDS) | draw(_AUTHS)
    if "port" not in raw:
        raw |= draw(_ISOLATIONS)
    raw["network"] = {"allowFrom": draw(st.lists(_PEERS, max_size=3))}
    raw["resources"] = {
        "limits": draw(st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in _LIMITS.items()})),
        "requests": draw(st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in _REQUESTS.items()})),
    }
    replicas = 1 if "isolation" in raw else draw(st.integers(1, 3))
    return McpServerSpec.read(raw | {"suspend": draw(st.booleans()), "replicas": replicas})


@st.composite
def settings(draw: st.DrawFn) -> Settings:
    """Every setting that shows in a manifest, on and off."""
    optional = {
        "runtime_class_name": "gvisor",
        "image_pull_secrets": ("one", "two"),
        "registry_pull_secret": "pull",
        "ca_bundle_configmap": "company-ca",
        "https_proxy": "http://proxy.example.com:3128",
        "no_proxy": "10.0.0.0/8",
        "npm_registry": "https://npm.example.com/",
        "server_cpu_limit": "0.25",
        "server_memory_limit": "32Mi",
        "server_metrics_from": ({"namespaceSelector": {"matchLabels": {"team": "monitoring"}}},),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional))))
    values: dict[str, Any] = {name: optional[name] for name in chosen}
    if draw(st.booleans()):
        values |= {"registry_embedded": False, "registry_cidrs": ("192.0.2.0/24", "2001:db8::/32")}
    return SETTINGS.model_validate(SETTINGS.model_dump() | values)


inputs = st.builds(Input, server_specs(), settings())
