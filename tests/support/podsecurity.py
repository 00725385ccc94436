"""The restricted Pod Security Standard as a check on a pod's spec, and the house rules that go beyond it.

Each function returns one sentence per violation, [] for a clean pod; nothing is mutated. The checks are those of
k8s.io/pod-security-admission at the level `restricted`, the controls of `baseline` included. Annotations of the former
AppArmor and seccomp APIs are not read: nothing here writes them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
_VOLUME_TYPES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_PROFILES = frozenset({"RuntimeDefault", "Localhost"})


def restricted_violations(pod: Json) -> list[str]:
    """What the admission controller would refuse in a namespace that enforces `restricted`."""
    found = list(_pod_violations(pod))
    for name, container in containers(pod):
        found += [f"container {name}: {violation}" for violation in _container_violations(pod, container)]
    return found


def hardening_gaps(pod: Json, *, api_access: bool = False) -> list[str]:
    """What the standard allows and this project does not. `api_access`: whether the pod is meant to have a token."""
    found = []
    if pod.get("automountServiceAccountToken") is not api_access:
        found.append(f"automountServiceAccountToken is not {str(api_access).lower()}")
    if pod.get("enableServiceLinks") is not False:
        found.append("enableServiceLinks is not false")
    found += [
        f"emptyDir {volume['name']} has no sizeLimit"
        for volume in pod.get("volumes", [])
        if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit")
    ]
    for name, container in containers(pod):
        if not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
            found.append(f"container {name}: the root file system is writable")
        limits = container.get("resources", {}).get("limits", {})
        found += [f"container {name}: no {what} limit" for what in ("cpu", "memory") if what not in limits]
    return found


def containers(pod: Json) -> Iterator[tuple[str, Json]]:
    """Every container with its name, of whatever sort it is."""
    for key in _CONTAINER_LISTS:
        for container in pod.get(key, []):
            yield container["name"], container


def _pod_violations(pod: Json) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield f"{key} is set"
    context = pod.get("securityContext", {})
    yield from _context_violations(context)
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in _SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']} is not safe"
    for volume in pod.get("volumes", []):
        for kind in sorted(set(volume) - {"name"} - _VOLUME_TYPES):
            yield f"volume {volume['name']} is a {kind}"


def _container_violations(pod: Json, container: Json) -> Iterator[str]:
    context = container.get("securityContext", {})
    yield from _context_violations(context)
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if context.get("procMount", "Default") != "Default":
        yield f"procMount is {context['procMount']}"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "not all capabilities are dropped"
    for added in sorted(set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}):
        yield f"capability {added} is added"
    pod_context = pod.get("securityContext", {})
    # A container's own word counts where it has one; silence means the pod's.
    if not context.get("runAsNonRoot", pod_context.get("runAsNonRoot")):
        yield "runAsNonRoot is not true"
    if not (context.get("seccompProfile") or pod_context.get("seccompProfile")):
        yield "no seccompProfile"
    for port in container.get("ports", []):
        if port.get("hostPort"):
            yield f"hostPort {port['hostPort']}"
    yield from _handler_violations(container)


def _context_violations(context: Json) -> Iterator[str]:
    """What pods and containers can both say."""
    if context.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess is set"
    seccomp = context.get("seccompProfile", {}).get("type")
    if seccomp is not None and seccomp not in _PROFILES:
        yield f"seccompProfile is {seccomp}"
    apparmor = context.get("appArmorProfile", {}).get("type")
    if apparmor is not None and apparmor not in _PROFILES:
        yield f"appArmorProfile is {apparmor}"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type", "") not in _SELINUX_TYPES:
        yield f"seLinuxOptions.type is {selinux['type']}"
    for key in ("user", "role"):
        if selinux.get(key):
            yield f"seLinuxOptions.{key} is set"


def _handler_violations(container: Json) -> Iterator[str]:
    """Probes and hooks that name a host make the kubelet send requests anywhere."""
    handlers = {key: container.get(key, {}) for key in ("livenessProbe", "readinessProbe", "startupProbe")}
    lifecycle = container.get("lifecycle", {})
    handlers |= {key: lifecycle.get(key, {}) for key in ("postStart", "preStop")}
    for key, handler in handlers.items():
        for action in ("httpGet", "tcpSocket"):
            if handler.get(action, {}).get("host"):
                yield f"{key} names a host"
