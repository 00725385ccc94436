"""What the cluster itself runs or needs as objects: CoreDNS, and the rights of kube-router. Pure."""

from __future__ import annotations

import json
from typing import Any

from localcluster.layout import DNS_SERVICE_ADDRESS, UPSTREAM_DNS_ADDRESS

Manifest = dict[str, Any]

_DNS_LABELS = {"k8s-app": "kube-dns"}
_READ = ["get", "list", "watch"]


def corefile() -> str:
    return f"""\
.:53 {{
    errors
    health :8080
    ready :8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    forward . {UPSTREAM_DNS_ADDRESS}
    cache 30
    reload
}}
"""


def everything(*, dns_image: str) -> str:
    """One JSON List for `kubectl apply`."""
    items = [*_dns(dns_image), *_kube_router_rights()]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1)


def _dns(image: str) -> list[Manifest]:
    ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
    container = {
        "name": "coredns",
        "image": image,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"name": name, "containerPort": 53, "protocol": protocol} for name, protocol in ports],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 30},
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "170Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
            # Port 53 without a capability: policies that allow "DNS, port 53" are evaluated against the pod's own port.
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
        },
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    return [
        _named("v1", "ServiceAccount", "coredns"),
        _named("v1", "ConfigMap", "coredns", data={"Corefile": corefile()}),
        *_cluster_role(
            "vsm-local:coredns",
            rules=[
                {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": _READ},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
            ],
            subject={"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"},
        ),
        _named(
            "apps/v1",
            "Deployment",
            "coredns",
            spec={
                "replicas": 1,
                "selector": {"matchLabels": _DNS_LABELS},
                "template": {"metadata": {"labels": _DNS_LABELS}, "spec": pod},
            },
        ),
        _named(
            "v1",
            "Service",
            "kube-dns",
            spec={
                "clusterIP": DNS_SERVICE_ADDRESS,
                "selector": _DNS_LABELS,
                "ports": [{"name": name, "port": 53, "protocol": protocol} for name, protocol in ports],
            },
        ),
    ]


def _kube_router_rights() -> list[Manifest]:
    return _cluster_role(
        "vsm-local:kube-router",
        rules=[
            {"apiGroups": [""], "resources": ["namespaces", "pods", "services", "nodes", "endpoints"], "verbs": _READ},
            {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": _READ},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
        ],
        subject={"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "vsm-local:kube-router"},
    )


def _named(version: str, kind: str, name: str, **content: Any) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "kube-system"}, **content}


def _cluster_role(name: str, *, rules: list[Manifest], subject: Manifest) -> list[Manifest]:
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    ]
