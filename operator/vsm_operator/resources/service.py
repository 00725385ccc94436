"""The stable address of a server."""

from vsm_operator.api.v1alpha1 import BRIDGE_PORT
from vsm_operator.kube.manifest import Manifest
from vsm_operator.resources.common import Owner


def service(*, owner: Owner) -> Manifest:
    """One port, the bridge's. The admin port is not part of the Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": owner.metadata(),
        "spec": {
            "selector": owner.labels,
            "ports": [
                {
                    "name": "mcp",
                    "port": BRIDGE_PORT,
                    "targetPort": BRIDGE_PORT,
                    "protocol": "TCP",
                    "appProtocol": "http",
                }
            ],
        },
    }


def endpoint(owner: Owner) -> str:
    """Streamable HTTP URL inside the cluster."""
    return f"http://{owner.child_name}.{owner.namespace}.svc:{BRIDGE_PORT}/mcp"
