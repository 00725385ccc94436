"""The check that the other tests lean on: it has to see each thing that it is there to see."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from support.podsecurity import hardening_gaps, restricted_violations

Pod = dict[str, Any]


def _clean() -> Pod:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [_container("first")],
        "containers": [_container("main")],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Mi"}}],
    }


def _container(name: str) -> Pod:
    return {
        "name": name,
        "image": "example.com/image:1",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"limits": {"cpu": "1", "memory": "1Mi"}},
    }


def _set(pod: Pod, path: str, value: Any) -> None:
    *parents, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    node: Any = pod
    for step in parents:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    node[last] = value


def _without(pod: Pod, path: str) -> None:
    *parents, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    node: Any = pod
    for step in parents:
        node = node[step]
    del node[last]


def test_clean_pod_has_neither_violations_nor_gaps() -> None:
    assert restricted_violations(_clean()) == []
    assert hardening_gaps(_clean()) == []


@pytest.mark.parametrize(
    ("path", "value", "want"),
    [
        ("hostNetwork", True, "hostNetwork is set"),
        ("hostPID", True, "hostPID is set"),
        ("hostIPC", True, "hostIPC is set"),
        ("securityContext/runAsUser", 0, "runAsUser is 0"),
        ("securityContext/runAsNonRoot", False, "container main: runAsNonRoot is not true"),
        ("securityContext/seccompProfile/type", "Unconfined", "seccompProfile is Unconfined"),
        ("securityContext/windowsOptions/hostProcess", True, "hostProcess is set"),
        ("securityContext/sysctls", [{"name": "kernel.msgmax", "value": "1"}], "sysctl kernel.msgmax is not safe"),
        ("volumes/0", {"name": "host", "hostPath": {"path": "/"}}, "volume host is a hostPath"),
        ("volumes/0", {"name": "share", "nfs": {}}, "volume share is a nfs"),
        ("containers/0/securityContext/privileged", True, "container main: privileged"),
        ("containers/0/securityContext/runAsUser", 0, "container main: runAsUser is 0"),
        ("containers/0/securityContext/runAsNonRoot", False, "container main: runAsNonRoot is not true"),
        ("containers/0/securityContext/procMount", "Unmasked", "container main: procMount is Unmasked"),
        (
            "containers/0/securityContext/allowPrivilegeEscalation",
            True,
            "container main: allowPrivilegeEscalation is not false",
        ),
        (
            "containers/0/securityContext/capabilities/drop",
            ["NET_RAW"],
            "container main: not all capabilities are dropped",
        ),
        (
            "containers/0/securityContext/capabilities/add",
            ["SYS_ADMIN", "NET_BIND_SERVICE"],
            "container main: capability SYS_ADMIN is added",
        ),
        (
            "containers/0/securityContext/seccompProfile",
            {"type": "Unconfined"},
            "container main: seccompProfile is Unconfined",
        ),
        (
            "containers/0/securityContext/appArmorProfile",
            {"type": "Unconfined"},
            "container main: appArmorProfile is Unconfined",
        ),
        (
            "containers/0/securityContext/seLinuxOptions",
            {"type": "spc_t"},
            "container main: seLinuxOptions.type is spc_t",
        ),
        (
            "containers/0/securityContext/seLinuxOptions",
            {"role": "sysadm_r"},
            "container main: seLinuxOptions.role is set",
        ),
        ("containers/0/ports", [{"containerPort": 80, "hostPort": 80}], "container main: hostPort 80"),
        (
            "containers/0/livenessProbe",
            {"httpGet": {"port": 1, "host": "10.0.0.1"}},
            "container main: livenessProbe names a host",
        ),
        ("ephemeralContainers", [{"name": "debug"}], "container debug: not all capabilities are dropped"),
    ],
)
def test_violation_is_named_when_a_field_is_wrong(path: str, value: Any, want: str) -> None:
    pod = copy.deepcopy(_clean())
    _set(pod, path, value)
    assert want in restricted_violations(pod)


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("securityContext/runAsNonRoot", "container first: runAsNonRoot is not true"),
        ("securityContext/seccompProfile", "container main: no seccompProfile"),
        ("initContainers/0/securityContext", "container first: allowPrivilegeEscalation is not false"),
        ("containers/0/securityContext/capabilities", "container main: not all capabilities are dropped"),
    ],
)
def test_violation_is_named_when_a_field_is_missing(path: str, want: str) -> None:
    pod = copy.deepcopy(_clean())
    _without(pod, path)
    assert want in restricted_violations(pod)


@pytest.mark.parametrize(
    ("harm", "want"),
    [
        pytest.param(lambda pod: _without(pod, "automountServiceAccountToken"), "automount", id="token"),
        pytest.param(lambda pod: _without(pod, "enableServiceLinks"), "enableServiceLinks", id="links"),
        pytest.param(lambda pod: _set(pod, "volumes/0/emptyDir", {}), "no sizeLimit", id="size"),
        pytest.param(
            lambda pod: _set(pod, "containers/0/securityContext/readOnlyRootFilesystem", False), "writable", id="root"
        ),
        pytest.param(lambda pod: _without(pod, "initContainers/0/resources/limits/cpu"), "no cpu limit", id="cpu"),
        pytest.param(lambda pod: _without(pod, "containers/0/resources"), "no memory limit", id="memory"),
    ],
)
def test_gap_is_named_when_a_house_rule_is_broken(harm: Callable[[Pod], None], want: str) -> None:
    pod = copy.deepcopy(_clean())
    harm(pod)
    assert any(want in gap for gap in hardening_gaps(pod))
