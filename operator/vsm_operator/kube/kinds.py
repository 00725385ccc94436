"""Kinds and keys: what the API server calls things, and the one name that travels through queues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which object, never what happened to it."""

    kind: str
    namespace: str
    """Empty for cluster-scoped objects."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the API server."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def key(self, namespace: str, name: str) -> Key:
        return Key(self.kind, namespace, name)

    def key_of(self, body: Mapping[str, Any]) -> Key:
        metadata = body["metadata"]
        return Key(self.kind, metadata.get("namespace", ""), metadata["name"])

    def collection_path(self, namespace: str | None = None) -> str:
        """All namespaces when `namespace` is None or empty."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{_segment(namespace)}/{self.plural}" if namespace else f"{root}/{self.plural}"

    def object_path(self, key: Key) -> str:
        return f"{self.collection_path(key.namespace)}/{_segment(key.name)}"


def _segment(text: str) -> str:
    """A name must stay one path segment: "../secrets" in a URL would be another object."""
    if not text or text in {".", ".."} or "/" in text or "%" in text:
        raise ValueError(f"{text!r} cannot be the name of a Kubernetes object")
    return quote(text, safe="")


DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
SERVICE = Kind("", "v1", "services", "Service")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
JOB = Kind("batch", "v1", "jobs", "Job")
POD = Kind("", "v1", "pods", "Pod")
SECRET = Kind("", "v1", "secrets", "Secret")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
EVENT = Kind("events.k8s.io", "v1", "events", "Event")

CORE_KINDS = (DEPLOYMENT, SERVICE, NETWORK_POLICY, JOB, POD, SECRET, CONFIG_MAP, LEASE, EVENT)
