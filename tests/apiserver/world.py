"""What these tests share: a kind of their own, and ways to make and look at objects."""

from pathlib import Path
from typing import Any

from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.kinds import Key, Kind
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.runtime.router import Router
from vsm_operator.runtime.store import Store

KUBECONFIG = Path(__file__).parents[2] / ".local" / "kubeconfig"
NAMESPACE = Kind("", "v1", "namespaces", "Namespace")
CRD = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
WIDGET = Kind("test.vsm-mcp.io", "v1", "widgets", "Widget")
"""A kind of the tests' own: whatever they prove of the runtime holds for every kind."""

_ANY: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def widget_definition(kind: Kind = WIDGET) -> dict[str, Any]:
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": _ANY, "status": _ANY}}},
        "subresources": {"status": {}},
    }
    names = {"plural": kind.plural, "singular": kind.kind.lower(), "kind": kind.kind}
    return {
        "apiVersion": CRD.api_version,
        "kind": CRD.kind,
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {"group": kind.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def make_widget(api: KubeApi, namespace: str, name: str = "w", **spec: Any) -> dict[str, Any]:
    manifest = {
        "apiVersion": WIDGET.api_version,
        "kind": WIDGET.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return await api.create(WIDGET, manifest)


async def refresh(api: KubeApi, router: Router, *kinds: Kind, namespace: str) -> None:
    """What a resync does, for tests without watches."""
    for kind in kinds:
        listing = await api.list(kind, namespace=namespace)
        for body in listing.items:
            router.observed(kind, body)
        uids = {body["metadata"]["uid"] for body in listing.items}
        router.absent(kind, listed=uids, listed_version=listing.resource_version, namespace=namespace)


def stored(store: Store, key: Key) -> Snapshot:
    found = store.get(key)
    assert found is not None, f"{key} is not in the Store"
    return found
