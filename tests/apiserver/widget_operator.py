"""A whole operator of fifty lines on our runtime: each Widget gets a Service and a status. Run as a process of its own.

Logs are JSON lines on stderr; metrics and health are on the port given.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apiserver.world import WIDGET
from vsm_operator.kube.apply import Cluster
from vsm_operator.kube.auth import load_credentials
from vsm_operator.kube.kinds import SERVICE, Key, Kind
from vsm_operator.kube.manifest import LABEL_MANAGED_BY, MANAGER, owner_reference
from vsm_operator.runtime import logs
from vsm_operator.runtime.controller import DONE, Result
from vsm_operator.runtime.leader import LeaseTimes
from vsm_operator.runtime.manager import Manager, ManagerOptions
from vsm_operator.runtime.router import Watch, intent_changed, itself
from vsm_operator.runtime.store import Store, keep_spec


@dataclass(frozen=True, slots=True)
class WidgetReconciler:
    store: Store
    cluster: Cluster
    kind: Kind

    async def reconcile(self, key: Key) -> Result:
        widget = self.store.get(key)
        if widget is None or widget.deleting:
            return DONE
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "labels": {LABEL_MANAGED_BY: MANAGER},
                "ownerReferences": [owner_reference(self.kind, key, widget.uid)],
            },
            "spec": {"selector": {"app": key.name}, "ports": [{"port": widget.spec.get("port", 80)}]},
        }
        (live,) = await self.cluster.apply([service], observed=self.store.children(key), owner=widget)
        port = live.spec["ports"][0]["port"]
        await self.cluster.write_status(widget, {"observedGeneration": widget.generation, "port": port})
        return DONE


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--plural", default=WIDGET.plural)
    parser.add_argument("--lease-seconds", type=int, default=15)
    arguments = parser.parse_args()
    logs.configure("INFO")
    return asyncio.run(operate(arguments))


async def operate(arguments: Any) -> int:
    kind = Kind(WIDGET.group, WIDGET.version, arguments.plural, arguments.plural.removesuffix("s").title())
    scope = (arguments.namespace,)
    third = arguments.lease_seconds / 3
    options = ManagerOptions(
        namespace=arguments.namespace,
        pod_name="widget-operator",
        http_port=arguments.port,
        lease_times=LeaseTimes(
            lease_seconds=arguments.lease_seconds, renew_deadline_seconds=2 * third, retry_seconds=third / 2
        ),
    )
    watches = [
        Watch(kind=kind, keys=itself, changed=intent_changed, selector=None, namespaces=scope),
        Watch(kind=SERVICE, project=keep_spec, namespaces=scope),
    ]
    manager = Manager(load_credentials(kubeconfig=arguments.kubeconfig), watches=watches, options=options)
    manager.add_controller("widget", kind=kind, reconciler=WidgetReconciler(manager.store, manager.cluster, kind))
    return await manager.run()


if __name__ == "__main__":
    sys.exit(main())
