"""Where the decision on a server's pin meets the cluster: its ConfigMap is read from the Store and kept as decided."""

from dataclasses import dataclass

from vsm_operator.api.v1alpha1 import ADMIT_ANNOTATION, McpServerSpec, McpServerStatus
from vsm_operator.controllers.mcpserver.pinning import Pin, decide
from vsm_operator.kube.apply import Cluster
from vsm_operator.kube.kinds import CONFIG_MAP
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.resources.common import Owner
from vsm_operator.resources.pins import pins_name
from vsm_operator.runtime.store import Store


@dataclass(frozen=True, slots=True)
class PinDesk:
    """One for all servers; remembers nothing."""

    store: Store
    cluster: Cluster

    def decide(self, server: Snapshot, spec: McpServerSpec, before: McpServerStatus, *, artifact: str) -> Pin:
        """What is admitted, by the annotation, the status and the ConfigMap. `artifact` is a digest."""
        live = self._live(server)
        return decide(
            spec,
            artifact=artifact,
            admission=server.annotations.get(ADMIT_ANNOTATION, ""),
            before=before,
            kept=live.body.get("data") or {} if live is not None else {},
        )

    async def keep(self, server: Snapshot, pin: Pin) -> None:
        """Makes the ConfigMap say so: one write when it does not yet, none when it does."""
        if pin.worth_storing:
            manifest = pin.manifest(_owner(server))
            await self.cluster.apply([manifest], observed=(), owner=server, prune=False)
        elif pin.mode == "Off":
            left = self._live(server)
            if left is not None and not left.deleting:
                await self.cluster.delete(left)

    def _live(self, server: Snapshot) -> Snapshot | None:
        """Of this very server: a namesake's pins are on their way out with it."""
        found = self.store.get(CONFIG_MAP.key(server.key.namespace, pins_name(_owner(server))))
        return found if found is not None and found.owner_uid == server.uid else None


def _owner(server: Snapshot) -> Owner:
    return Owner(server.key.namespace, server.key.name, server.uid)
