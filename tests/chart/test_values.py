"""Values: documented, checked, and refused in words where they contradict each other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.cases import CASES, NAMESPACE, OWN_REGISTRY, PEM, Release
from chartgen import readme
from chartgen.helm import Helm, HelmFailed

CHARTS = ("vsm-operator", "vsm-operator-crds")


def _render(helm: Helm, checkout: Path, values: dict[str, Any], *, chart: str = "vsm-operator") -> None:
    helm.template(checkout / "charts" / chart, release="vsm-operator", namespace=NAMESPACE, values=values)


def _leaves(node: Any, path: str = "") -> Iterator[str]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else key)
    else:
        yield path


@pytest.mark.parametrize(
    "values",
    [
        {"operater": {}},
        {"operator": {"replica": 3}},
        {"operator": {"replicas": "2"}},
        {"operator": {"replicas": -1}},
        {"operator": {"logLevel": "info"}},
        {"operator": {"watchNamespaces": "agents"}},
        {"operator": {"watchNamespaces": ["a,b"]}},
        {"operator": {"httpTimeoutMs": 10}},
        {"operator": {"securityEnabled": "yes"}},
        {"operator": {"resources": {"limits": {"memroy": "1Gi"}}}},
        {"operator": {"podAnnotations": {"a": 1}}},
        {"image": {"digest": "sha256:short"}},
        {"image": {"tag": "-x"}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"server": {"memoryLimit": 512}},
        {"server": {"memoryLimit": "512MB"}},
        {"server": {"maxPids": 1}},
        {"server": {"metricsFrom": [{}]}},
        {"server": {"metricsFrom": "monitoring"}},
        {"intake": {"npmRegistry": "npm.example.com"}},
        {"intake": {"httpsProxy": "http://user:secret@proxy.example.com:3128"}},
        {"intake": {"caBundle": "/etc/ssl/certs/ca.pem"}},
        {"intake": {"privateRegistryCidrs": ["10.0.0.0/8"]}},
        {"intake": {"privateRegistryCidrs": [{"cidr": "10.0.0.0", "port": 443}]}},
        {"intake": {"privateRegistryCidrs": [{"cidr": "10.0.0.0/8"}]}},
        {"registry": {"repository": "Upper/Case"}},
        {"registry": {"credentialsSecret": ""}},
        {"registry": {"command": []}},
        {"registry": {"persistence": {"size": "lots"}}},
        {"registry": {"persistence": {"accessMode": "ReadOnlyMany"}}},
        {"networkPolicy": {"enabled": False}},
        {"networkPolicy": {"dns": {"podLabels": None}}},
        {"networkPolicy": {"apiServer": {"ports": None}}},
        {"networkPolicy": {"excludedCidrs": ["10.0.0.0/33"]}},
        {"networkPolicy": {"metricsFrom": [{}]}},
        {"networkPolicy": {"intakeExtraEgress": [{}]}},
        {"metrics": {"serviceMonitor": {"interval": "30"}}},
    ],
    ids=json.dumps,
)
def test_typo_or_wrong_type_is_refused_by_the_schema(helm: Helm, checkout: Path, values: dict[str, Any]) -> None:
    with pytest.raises(HelmFailed, match="values don't meet the specifications of the schema"):
        _render(helm, checkout, values)


def test_typo_is_refused_by_the_crd_charts_schema(helm: Helm, checkout: Path) -> None:
    with pytest.raises(HelmFailed, match="additional properties 'keeep' not allowed"):
        _render(helm, checkout, {"keeep": True}, chart="vsm-operator-crds")


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ({"operator": {"sandboxEnabled": False}}, "operator.sandboxEnabled=false is refused"),
        ({"operator": {"securityEnabled": False}}, "operator.securityEnabled=false is refused"),
        ({"registry": {"pushUrl": "https://registry.example.com"}}, "set registry.embedded=false with them"),
        ({"registry": {"pullSecret": "pull"}}, "registry.pullSecret is for a registry of your own"),
        ({"registry": {"embedded": False}}, "set registry.pushUrl and registry.pullUrl"),
        ({"registry": OWN_REGISTRY | {"cidrs": []}}, "registry.cidrs to its addresses"),
        ({"intake": {"caBundle": PEM, "caBundleConfigMap": "ca"}}, "are both set"),
        ({"intake": {"httpsProxy": "http://proxy.example.com:3128"}}, "set intake.httpsProxyCidr"),
    ],
)
def test_contradiction_is_refused_with_what_to_do(
    helm: Helm, checkout: Path, values: dict[str, Any], want: str
) -> None:
    with pytest.raises(HelmFailed, match=re.escape(want)):
        _render(helm, checkout, values)


def test_label_that_would_hide_a_pod_from_its_selector_is_refused(helm: Helm, checkout: Path) -> None:
    with pytest.raises(ValueError, match=r"app\.kubernetes\.io/name"):
        _render(helm, checkout, {"operator": {"podLabels": {"app.kubernetes.io/name": "other"}}})


@pytest.mark.parametrize("chart", CHARTS)
def test_every_value_is_described(checkout: Path, chart: str) -> None:
    text = (checkout / "charts" / chart / "values.yaml").read_text()
    described = {value.path for value in readme.described(text)}
    for leaf in _leaves(yaml.safe_load(text)):
        steps = leaf.split(".")
        assert any(".".join(steps[:length]) in described for length in range(1, len(steps) + 1)), leaf


def test_every_environment_variable_is_in_the_readme_beside_its_value(checkout: Path, everything: Release) -> None:
    text = (checkout / "charts" / "vsm-operator" / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    downward = {"VSM_NAMESPACE", "VSM_POD_NAME"}
    for name in set(everything.environment()) - downward:
        assert any(f"({name})" in row or f"({name}," in row for row in rows), name


@pytest.mark.parametrize("chart", CHARTS)
def test_schema_knows_exactly_the_values_that_exist(checkout: Path, chart: str) -> None:
    """All of them required: null takes a default away, and a policy without ports would be open on every port."""
    folder = checkout / "charts" / chart
    schema = json.loads((folder / "values.schema.json").read_text())

    def compare(node: dict[str, Any], values: dict[str, Any], path: str) -> None:
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
        if "properties" not in node:
            return
        assert node["additionalProperties"] is False, path
        assert set(node["properties"]) - {"global"} == set(values), path
        if not path.endswith(".resources"):  # limits may be taken away
            assert set(node["required"]) == set(values), path
        for key, value in values.items():
            if isinstance(value, dict):
                compare(node["properties"][key], value, f"{path}.{key}")

    compare(schema, yaml.safe_load((folder / "values.yaml").read_text()), "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_lint_is_clean(helm: Helm, checkout: Path, case: Any) -> None:
    chart = checkout / "charts" / "vsm-operator"
    files = [argument for name in case.files for argument in ("--values", str(chart / name))]
    report = helm.run("lint", "--strict", *files, str(chart), values=case.values)
    assert "0 chart(s) failed" in report
    assert "WARNING" not in report


def test_lint_of_the_crd_chart_is_clean(helm: Helm, checkout: Path) -> None:
    report = helm.run("lint", "--strict", str(checkout / "charts" / "vsm-operator-crds"))
    assert "0 chart(s) failed" in report
    assert "WARNING" not in report


def test_notes_say_what_to_do_next(helm: Helm, checkout: Path) -> None:
    chart = str(checkout / "charts" / "vsm-operator")
    notes = helm.run("install", "vsm-operator", chart, "--namespace", NAMESPACE, "--dry-run=client")
    assert "kind: McpServer" in notes
    assert "helm install vsm-operator-crds" in notes, "the cluster does not have the definitions here"
    assert f"kubectl -n {NAMESPACE} rollout status deployment/vsm-operator" in notes
