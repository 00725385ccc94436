"""The real packages that the issue of this software is about, asked for all at once so that their waits overlap."""

from dataclasses import dataclass
from datetime import UTC, datetime

from support.cluster import Cluster
from support.kubectl import Manifest
from support.mcpservers import Server, mcp_server, npm, pypi

VERSION_2026_8 = "2026.8.31"
DATA = "/data"

SERVING = ("memory", "filesystem", "everything", "time")
"""Those that get ready; sqlite crashes with the current SDK."""

SOURCES: dict[str, Manifest] = {
    "memory": npm("@modelcontextprotocol/server-memory", VERSION_2026_8),
    "filesystem": npm("@modelcontextprotocol/server-filesystem", VERSION_2026_8),
    "everything": npm("@modelcontextprotocol/server-everything", VERSION_2026_8),
    "time": pypi("mcp-server-time", "2026.10.19"),
    "sqlite": pypi("mcp-server-sqlite", "2025.4.25"),
}
_FURTHER_SPEC: dict[str, Manifest] = {
    # Its default is a file beside its own code, where nothing can be written.
    "memory": {"env": [{"name": "MEMORY_FILE_PATH", "value": "/home/mcp/memory.json"}]},
    "filesystem": {"args": [DATA], "storage": [{"name": "data", "mountPath": DATA, "emptyDir": {"sizeLimit": "16Mi"}}]},
    "sqlite": {"args": ["--db-path", "/tmp/test.db"]},
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of SOURCES in one namespace."""

    cluster: Cluster
    namespace: str
    applied_at: datetime

    def server(self, name: str) -> Server:
        return Server(self.cluster, name, self.namespace)

    def wait_settled(self) -> datetime:
        """When every server had told its last news: all serve, and the one that crashes was given up."""
        for name in SERVING:
            self.server(name).wait_ready()
        self.server("sqlite").wait("Failed")
        self.cluster.wait_until(lambda: not self.server("sqlite").pods(), wanted="scaling to zero", timeout_seconds=60)
        return datetime.now(UTC)


def fleet_of_real_packages(cluster: Cluster, namespace: str) -> Fleet:
    """Applied, not waited for."""
    manifests = [mcp_server(name, namespace, source, **_FURTHER_SPEC.get(name, {})) for name, source in SOURCES.items()]
    fleet = Fleet(cluster, namespace, datetime.now(UTC))
    cluster.apply(*manifests)
    return fleet
