"""Every name and path of one checkout's cluster, derived from where the checkout is: two checkouts never share one.

Unix socket paths are limited to 107 bytes, hence the short runtime directory under /run. Paths that only exist inside
the node's mount namespace (see node-setup.sh) are the same for every cluster and are the NODE_* constants below.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NODE_NAME = "vsm-local"
NODE_STATE = "/run/node/state"
NODE_KUBERNETES = "/run/node/kubernetes"
NODE_ADDONS = "/run/node/addons"
NODE_LINK = "vsm0"
TAP = "tap0"

POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_SERVICE_ADDRESS = "10.96.0.10"
UPSTREAM_DNS_ADDRESS = "10.0.2.3"
API_PORT = 6443
CLUSTER_CA = "ca.crt"


@dataclass(frozen=True, slots=True)
class Layout:
    checkout: Path
    cache: Path
    """Built binaries, shared by every checkout of this user."""

    @classmethod
    def of(cls, checkout: Path, environ: Mapping[str, str]) -> Layout:
        home = Path(environ.get("HOME") or Path.home())
        cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
        return cls(checkout=checkout.resolve(), cache=cache / "vsm-operator" / "localcluster")

    @property
    def identity(self) -> str:
        """Eight hex digits that stand for this checkout in names with a length limit."""
        return hashlib.sha256(str(self.checkout).encode()).hexdigest()[:8]

    @property
    def local(self) -> Path:
        return self.checkout / ".local"

    @property
    def kubeconfig(self) -> Path:
        return self.local / "kubeconfig"

    @property
    def tools(self) -> Path:
        """kubectl and helm, as links into the cache."""
        return self.local / "bin"

    @property
    def lock(self) -> Path:
        """Beside the state directory, not in it: `down` removes that one."""
        return self.local / "cluster.lock"

    @property
    def state(self) -> Path:
        return self.local / "cluster"

    @property
    def record(self) -> Path:
        return self.state / "cluster.json"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def binaries(self) -> Path:
        """Programs of this cluster alone, before the host's own on the node's search path."""
        return self.state / "bin"

    @property
    def kubectl_cache(self) -> Path:
        """Instead of the one in the user's home: it is worth nothing after this cluster."""
        return self.state / "kubectl-cache"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def runtime(self) -> Path:
        """Sockets and the mount point from which the node's /run is made."""
        return Path(f"/run/vsm-cluster-{self.identity}")

    @property
    def containerd_socket(self) -> Path:
        return self.runtime / "containerd.sock"

    @property
    def cgroup(self) -> str:
        """Parent of the cluster's processes and pods, in every cgroup hierarchy."""
        return f"vsm-cluster-{self.identity}"

    @property
    def host_link(self) -> str:
        """At most 15 bytes, the kernel's limit for interface names."""
        return f"vsm{self.identity}"

    @property
    def context(self) -> str:
        return f"vsm-local-{self.identity}"
