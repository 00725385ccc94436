"""The sets of values that the operator chart is rendered with, and what comes out."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from chartgen.helm import Helm
from chartgen.yamltext import Manifest

NAMESPACE = "vsm-system"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
DIGEST = "sha256:" + "a" * 64
OWN_REGISTRY = {
    "embedded": False,
    "pushUrl": "https://registry.example.com",
    "pullUrl": "https://registry.example.com",
    "pullSecret": "bundle-pull",
    "cidrs": ["10.20.0.0/24"],
}


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    values: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    """Values files of the chart that are laid over the default ones."""


@dataclass(frozen=True, slots=True)
class Release:
    case: Case
    objects: tuple[Manifest, ...]

    @classmethod
    def of(cls, case: Case, *, helm: Helm, checkout: Path) -> Self:
        chart = checkout / "charts" / "vsm-operator"
        objects = helm.template(
            chart,
            release="vsm-operator",
            namespace=NAMESPACE,
            values=case.values,
            value_files=[chart / name for name in case.files],
        )
        return cls(case, tuple(objects))

    def all(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.objects if manifest["kind"] == kind]

    def one(self, kind: str, name: str) -> Manifest:
        (found,) = (manifest for manifest in self.all(kind) if manifest["metadata"]["name"] == name)
        return found

    def has(self, kind: str, name: str) -> bool:
        return any(manifest["metadata"]["name"] == name for manifest in self.all(kind))

    def pod(self, deployment: str) -> Manifest:
        """The pod template of a Deployment."""
        template: Manifest = self.one("Deployment", deployment)["spec"]["template"]
        return template

    def environment(self) -> dict[str, str]:
        """The operator's environment as its process would see it."""
        (container,) = self.pod("vsm-operator")["spec"]["containers"]
        return {entry["name"]: entry.get("value", _stand_in(entry["name"])) for entry in container["env"]}


CASES = (
    Case("defaults"),
    Case("development", files=("values-development.yaml",)),
    Case("own registry", {"registry": OWN_REGISTRY}),
    Case("named namespaces", {"operator": {"watchNamespaces": ["agents", NAMESPACE]}}),
    Case(
        "everything",
        {
            "global": {"team": "platform"},
            "image": {"repository": "registry.example.com:5000/vsm-operator", "tag": "1.2.3", "digest": DIGEST},
            "imagePullSecrets": ["pull"],
            "operator": {
                "replicas": 3,
                "logLevel": "WARNING",
                "anthropicApiKey": {"existingSecret": "anthropic"},
                "podAnnotations": {"example.com/a": "b"},
                "podLabels": {"example.com/c": "d"},
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "tolerations": [{"key": "dedicated", "operator": "Exists"}],
                "affinity": {"nodeAffinity": {}},
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
                ],
                "priorityClassName": "system-cluster-critical",
            },
            "serviceAccount": {"annotations": {"example.com/role": "x"}},
            "runtime": {
                "image": {"repository": "registry.example.com/vsm-runtime", "digest": DIGEST},
                "imagePullSecrets": ["pull", "pull-too"],
            },
            "server": {
                "runtimeClassName": "gvisor",
                "cpuLimit": "1",
                "maxPids": 100,
                "metricsFrom": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
                    {"ipBlock": {"cidr": "10.9.0.0/16"}},
                ],
            },
            "intake": {
                "npmRegistry": "https://npm.example.com/",
                "pypiIndex": "https://pypi.example.com/simple",
                "httpsProxy": "http://10.9.8.7:3128",
                "noProxy": "example.com,.svc",
                "caBundle": PEM,
                "privateRegistryCidrs": [
                    {"cidr": "10.1.2.0/24", "port": 8443},
                    {"cidr": "fd12:3456::/64", "port": 443},
                ],
            },
            "registry": {
                "command": ["/registry"],
                "credentialsSecret": "other-credentials",
                "image": {"repository": "registry.example.com/distribution", "tag": "3.1.2", "digest": DIGEST},
                "persistence": {"storageClassName": "fast", "accessMode": "ReadWriteOncePod", "size": "5Gi"},
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "tolerations": [{"key": "dedicated", "operator": "Exists"}],
                "affinity": {"nodeAffinity": {}},
                "priorityClassName": "system-cluster-critical",
            },
            "networkPolicy": {
                "dns": {"ports": [53, 5353], "cidrs": ["169.254.20.10/32"]},
                "apiServer": {"cidrs": ["10.96.0.1/32", "192.168.5.5/32"], "ports": [443]},
                "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
                "excludedCidrs": ["198.51.0.0/16", "2a00:1234::/32"],
                "intakeExtraEgress": [
                    {
                        "to": [{"podSelector": {"matchLabels": {"app": "mirror"}}}],
                        "ports": [{"port": 4873, "protocol": "TCP"}],
                    }
                ],
            },
            "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
        },
    ),
    Case(
        "shared namespace",
        {
            "networkPolicy": {"defaultDeny": False},
            "registry": {"persistence": {"existingClaim": "bundles"}},
            "podDisruptionBudget": {"enabled": False},
            "intake": {
                "caBundleConfigMap": "company-ca",
                "httpsProxy": "https://proxy.example.com",
                "httpsProxyCidr": "10.7.0.0/28",
            },
        },
    ),
)


def _stand_in(variable: str) -> str:
    """For a value that only the cluster knows, such as the pod's own name."""
    return f"from-{variable.lower().replace('_', '-')}"
