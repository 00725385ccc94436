"""Names, labels and security settings that every object of ours shares."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from vsm_operator.api.v1alpha1 import MCP_SERVER
from vsm_operator.domain.quantity import canonical
from vsm_operator.kube.manifest import LABEL_MANAGED_BY, MANAGER, Manifest, owner_reference

LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_COMPONENT = "app.kubernetes.io/component"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"

SHARED_GID = 10_000
"""Group of the sockets between the server and its bridge."""
TRUSTED_UID = 10_002
"""Our own containers: load and bridge."""
_SERVER_UIDS = 1_000_000, 900_000_000
"""First uid and how many: the kernel counts RLIMIT_NPROC per uid and node, so each server gets its own."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The McpServer that a manifest belongs to."""

    namespace: str
    name: str
    uid: str

    @property
    def child_name(self) -> str:
        """Of every child. The schema keeps server names short enough for a Service."""
        return f"mcp-{self.name}"

    @property
    def labels(self) -> dict[str, str]:
        """Of every child and pod; also what selects the pods."""
        return {
            LABEL_NAME: "mcp-server",
            LABEL_INSTANCE: self.name,
            LABEL_COMPONENT: "server",
            LABEL_MANAGED_BY: MANAGER,
        }

    @property
    def server_uid(self) -> int:
        """Uid of the untrusted process: the same for every pod of this server, and unlikely to be another server's."""
        first, count = _SERVER_UIDS
        digest = hashlib.sha256(f"{self.namespace}/{self.name}".encode()).digest()
        return first + int.from_bytes(digest[:8]) % count

    def metadata(self) -> Manifest:
        """Deterministic name, so that a retry after a lost answer meets the same object."""
        return {
            "name": self.child_name,
            "namespace": self.namespace,
            "labels": self.labels,
            "ownerReferences": [owner_reference(MCP_SERVER, MCP_SERVER.key(self.namespace, self.name), self.uid)],
        }


def container_security(uid: int, gid: int = SHARED_GID) -> Manifest:
    """What the restricted Pod Security Standard asks for, and a read-only root beyond it."""
    return {
        "runAsUser": uid,
        "runAsGroup": gid,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def resources(*, requests: Mapping[str, str | int], limits: Mapping[str, str | int]) -> Manifest:
    """core/v1 ResourceRequirements with canonical quantities."""
    return {
        "requests": {name: canonical(amount) for name, amount in requests.items()},
        "limits": {name: canonical(amount) for name, amount in limits.items()},
    }


def empty_dir(name: str, size_limit: str | int, *, medium: str | None = None) -> Manifest:
    """A bounded scratch volume."""
    source: Manifest = {"sizeLimit": canonical(size_limit)}
    if medium:
        source["medium"] = medium
    return {"name": name, "emptyDir": source}


def literal_env(values: Mapping[str, str]) -> list[Manifest]:
    """core/v1 EnvVars; empty values are left out, since absent and empty mean the same to our own programs."""
    return [{"name": name, "value": value} for name, value in values.items() if value]
