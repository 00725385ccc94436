"""Who wrote which field of the content."""

from typing import Any

import pytest

from vsm_operator.kube.ownership import MAX_FOREIGN_FIELDS, additions, foreign_fields

OURS = "vsm-operator"


def entry(manager: str, spec: dict[str, Any], *, operation: str = "Update", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": spec}, **more}


def applied(spec: dict[str, Any]) -> dict[str, Any]:
    return entry(OURS, spec, operation="Apply")


def data(fields: dict[str, Any], manager: str, operation: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:data": fields}}


BASE = applied({"f:selector": {}})
SERVER = 'k:{"name":"server"}'


@pytest.mark.parametrize(
    ("managed", "want"),
    [
        pytest.param([applied({"f:replicas": {}})], (), id="ours alone"),
        pytest.param(
            [applied({"f:replicas": {}}), entry("kubectl-edit", {"f:hostNetwork": {}})],
            (("f:spec", "f:hostNetwork"),),
            id="added by hand",
        ),
        pytest.param(
            [applied({"f:replicas": {}}), entry("kubectl-edit", {"f:replicas": {}})], (), id="ours as well: drift's job"
        ),
        pytest.param([BASE, entry("hpa", {"f:replicas": {}}, subresource="scale")], (), id="through a subresource"),
        pytest.param(
            [BASE, entry("kubectl", {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}})],
            (),
            id="rollout restart",
        ),
        pytest.param(
            [BASE, entry("kubectl-edit", {"f:containers": {'k:{"name":"evil"}': {".": {}, "f:name": {}}}})],
            (("f:spec", "f:containers", 'k:{"name":"evil"}', "f:name"),),
            id="added list item",
        ),
        pytest.param(
            [BASE, entry(OURS, {"f:runtimeClassName": {}})],
            (("f:spec", "f:runtimeClassName"),),
            id="our own update, which no apply would undo",
        ),
        pytest.param([BASE, {"manager": "x", "operation": "Update"}], (), id="no fields at all"),
        pytest.param([entry("kubectl-edit", {"f:hostNetwork": {}})], (), id="never applied by us"),
        pytest.param(
            [data({"f:one": {}}, OURS, "Apply"), data({"f:two": {}}, "kubectl-edit", "Update")],
            (("f:data", "f:two"),),
            id="added to a ConfigMap",
        ),
        pytest.param(
            [{"manager": OURS, "operation": "Apply", "fieldsV1": {}}, data({"f:two": {}}, "kubectl-edit", "Update")],
            (("f:data", "f:two"),),
            id="added to a ConfigMap of ours without content",
        ),
    ],
)
def test_foreign_fields(managed: list[dict[str, Any]], want: tuple[tuple[str, ...], ...]) -> None:
    assert foreign_fields(managed, ours=OURS) == want


def test_foreign_fields_are_bounded() -> None:
    spec: dict[str, Any] = {f"f:field{number}": {} for number in range(500)}
    assert len(foreign_fields([BASE, entry("flood", spec)], ours=OURS)) == MAX_FOREIGN_FIELDS


@pytest.mark.parametrize(
    ("path", "want"),
    [
        pytest.param(("f:spec", "f:replicas"), False, id="spoken about"),
        pytest.param(("f:spec", "f:hostNetwork"), True, id="not spoken about"),
        pytest.param(("f:spec", "f:containers", SERVER, "f:image"), False, id="inside an item of ours"),
        pytest.param(("f:spec", "f:containers", SERVER, "f:tty"), True, id="added to an item of ours"),
        pytest.param(("f:spec", "f:containers", 'k:{"name":"evil"}', "f:image"), True, id="an item of others"),
        pytest.param(
            ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:port"), False, id="defaulted key field"
        ),
        pytest.param(("f:spec", "f:args", "i:0"), False, id="plain list"),
        pytest.param(("f:spec", "f:selector"), True, id="atomic map"),
    ],
)
def test_additions_are_what_we_do_not_speak_about(path: tuple[str, ...], want: bool) -> None:
    desired = {
        "spec": {
            "replicas": 1,
            "containers": [{"name": "server", "image": "a"}],
            "ports": [{"port": 80}],
            "args": ["x"],
            "selector": {"app": "x"},
        }
    }
    assert bool(additions([path], desired)) is want
