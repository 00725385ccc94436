"""What a person would look at first when a test on the cluster fails.

Never raises: it runs while something else did.
"""

from support.cluster import OPERATOR, SYSTEM_NAMESPACE, Cluster
from support.kubectl import KubectlFailed

_MAX_CHARACTERS = 6000


def diagnose(cluster: Cluster, namespace: str) -> str:
    """Objects, servers, events and log ends of one namespace; intakes and the operator's log beside them."""
    parts = [
        _ask(
            cluster,
            "get",
            "mcpservers,deployments,replicasets,pods,services,networkpolicies",
            "-n",
            namespace,
            "-o",
            "wide",
        ),
        _ask(cluster, "describe", "mcpservers", "-n", namespace),
        _ask(cluster, "get", "events", "-n", namespace, "--sort-by=.lastTimestamp"),
    ]
    for pod in _names(cluster, namespace, "app.kubernetes.io/managed-by=vsm-operator")[:6]:
        parts.append(_ask(cluster, "describe", pod, "-n", namespace))
        parts.append(_ask(cluster, "logs", pod, "-n", namespace, "--all-containers", "--prefix", "--tail=30"))
    parts.append(_ask(cluster, "get", "jobs,pods", "-n", SYSTEM_NAMESPACE, "-o", "wide"))
    for selector, lines in (("app.kubernetes.io/component=intake", 20), (f"app.kubernetes.io/name={OPERATOR}", 60)):
        parts += [
            _ask(cluster, "logs", pod, "-n", SYSTEM_NAMESPACE, f"--tail={lines}")
            for pod in _names(cluster, SYSTEM_NAMESPACE, selector)[-4:]
        ]
    return "\n\n".join(parts)


def _ask(cluster: Cluster, *arguments: str) -> str:
    try:
        said = cluster.kubectl.run(*arguments, timeout_seconds=20)
    except (KubectlFailed, OSError) as error:
        said = str(error)
    return f"$ kubectl {' '.join(arguments)}\n{said.strip()[-_MAX_CHARACTERS:]}"


def _names(cluster: Cluster, namespace: str, selector: str) -> list[str]:
    try:
        said = cluster.kubectl.run("get", "pods", "-n", namespace, "-l", selector, "-o", "name", timeout_seconds=20)
    except (KubectlFailed, OSError):
        return []
    return said.split()
