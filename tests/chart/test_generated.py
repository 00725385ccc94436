"""Generated files are up to date, and the generators do what the charts rely on."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from chart.cases import NAMESPACE
from chartgen import crds, install, outputs, readme
from chartgen.helm import Helm
from chartgen.yamltext import DuplicateKey, Manifest, parsed
from vsm_operator import __version__

DEFINITION = """# a comment
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: things.vsm-mcp.io
spec:
  names:
    plural: things
  description: Speaks of {{ .Values.x }} and `{{`.
"""


def test_generated_parts_of_the_charts_are_up_to_date(checkout: Path) -> None:
    stale = outputs.settle(checkout, outputs.chart_files(checkout), write=False)
    assert stale == [], "run `python -m chartgen`"


def test_plain_manifests_are_up_to_date(checkout: Path, helm: Helm) -> None:
    stale = outputs.settle(checkout, outputs.install_files(checkout, helm), write=False)
    assert stale == [], "run `python -m chartgen`"


def test_crd_chart_installs_the_very_definitions_of_crds(checkout: Path, helm: Helm) -> None:
    wanted = [yaml.safe_load(path.read_text()) for path in sorted((checkout / "crds").glob("*.yaml"))]
    rendered = [m for m in _crd_chart(helm, checkout) if m["kind"] == "CustomResourceDefinition"]
    assert wanted
    assert [m["spec"] for m in rendered] == [m["spec"] for m in wanted]
    assert [m["metadata"]["name"] for m in rendered] == [m["metadata"]["name"] for m in wanted]


@pytest.mark.parametrize("keep", [True, False])
def test_definitions_stay_on_uninstall_unless_told_otherwise(checkout: Path, helm: Helm, keep: bool) -> None:
    for manifest in _crd_chart(helm, checkout, keep=keep):
        if manifest["kind"] == "CustomResourceDefinition":
            annotations = manifest["metadata"].get("annotations", {})
            assert (annotations.get("helm.sh/resource-policy") == "keep") is keep


def test_built_in_roles_learn_the_custom_resources(checkout: Path, helm: Helm) -> None:
    roles = {m["metadata"]["name"]: m for m in _crd_chart(helm, checkout) if m["kind"] == "ClusterRole"}
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {name: [key for key in m["metadata"]["labels"] if key.startswith(prefix)] for name, m in roles.items()} == {
        "vsm-mcp-view": [prefix + "view"],
        "vsm-mcp-edit": [prefix + "edit"],
    }
    assert all(m["rules"][0]["resources"] == ["mcpservers"] for m in roles.values())
    assert set(roles["vsm-mcp-view"]["rules"][0]["verbs"]) == {"get", "list", "watch"}
    assert not [m for m in _crd_chart(helm, checkout, aggregateRoles=False) if m["kind"] == "ClusterRole"]


@pytest.mark.parametrize("chart", ["vsm-operator", "vsm-operator-crds"])
def test_charts_carry_the_operators_version(checkout: Path, chart: str) -> None:
    metadata = yaml.safe_load((checkout / "charts" / chart / "Chart.yaml").read_text())
    assert metadata["version"] == metadata["appVersion"] == __version__


def test_braces_in_a_definition_are_not_run_by_helm() -> None:
    text = crds.templates({"things.vsm-mcp.io.yaml": DEFINITION})["things.vsm-mcp.io.yaml"]
    assert "{{ .Values.x }}" not in text
    assert 'Speaks of {{ "{{" }} .Values.x }} and `{{ "{{" }}`.' in text


def test_definition_with_metadata_of_its_own_is_refused() -> None:
    with pytest.raises(crds.UnexpectedDefinition, match=r"crds/things\.vsm-mcp\.io\.yaml"):
        crds.templates({"things.vsm-mcp.io.yaml": DEFINITION.replace("  name: t", "  labels: {a: b}\n  name: t")})


def test_template_of_a_definition_that_is_gone_is_removed(tmp_path: Path, checkout: Path) -> None:
    for name in ("charts", "crds"):
        shutil.copytree(checkout / name, tmp_path / name)
    former = tmp_path / "charts/vsm-operator-crds/templates/former.vsm-mcp.io.yaml"
    former.write_text("former")
    changed = outputs.settle(tmp_path, outputs.chart_files(tmp_path), write=True)
    assert changed == [former.relative_to(tmp_path)]
    assert not former.exists()


def test_comments_become_descriptions_of_the_key_below() -> None:
    text = "# not one\n# -- First,\n# continued.\na: 1\nb:\n  # -- Second | with a bar.\n  c: []\n  d: 2\n"
    values = list(readme.described(text))
    assert [(value.path, value.default, value.description) for value in values] == [
        ("a", 1, "First, continued."),
        ("b.c", [], "Second | with a bar."),
    ]
    table = readme.with_table(f"x\n{readme.START}\nold\n{readme.END}\ny\n", text)
    assert table.startswith("x\n")
    assert table.endswith(f"{readme.END}\ny\n")
    assert "| `b.c` | `[]` | Second \\| with a bar. |" in table
    assert "old" not in table


def test_readme_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(readme.MissingMarkers):
        readme.with_table("# Chart\n", "a: 1\n")


def test_field_that_two_templates_write_is_noticed() -> None:
    with pytest.raises(DuplicateKey, match="'a'"):
        list(parsed("a: 1\nb: 2\na: 3\n"))


def test_plain_manifests_do_not_speak_of_helm(checkout: Path) -> None:
    for name in ("crds.yaml", "operator.yaml"):
        for manifest in parsed((checkout / "manifests" / "install" / name).read_text()):
            for metadata in (manifest["metadata"], manifest.get("spec", {}).get("template", {}).get("metadata", {})):
                marks = {**metadata.get("labels", {}), **metadata.get("annotations", {})}
                assert "Helm" not in marks.values()
                assert not [key for key in marks if key.startswith("helm.sh/")]


def test_plain_namespace_enforces_the_restricted_standard(checkout: Path) -> None:
    (namespace,) = parsed((checkout / "manifests" / "install" / "namespace.yaml").read_text())
    assert namespace["metadata"]["name"] == install.NAMESPACE == NAMESPACE
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_kustomize_builds_every_object_once(checkout: Path, kubectl: Path) -> None:
    built = _kustomize(kubectl, checkout / "manifests" / "install")
    listed = [
        manifest
        for name in ("namespace.yaml", "crds.yaml", "operator.yaml")
        for manifest in parsed((checkout / "manifests" / "install" / name).read_text())
    ]
    assert sorted(map(_identity, built)) == sorted(map(_identity, listed))


def test_overlay_changes_every_image_by_name(checkout: Path, kubectl: Path, tmp_path: Path) -> None:
    shutil.copytree(checkout / "manifests" / "install", tmp_path / "install")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    shutil.copy(tmp_path / "install" / "image-fields.yaml", overlay)
    digest = "sha256:" + "b" * 64
    names = {
        "localhost/vsm-operator": "registry.example.com/operator",
        "localhost/vsm-runtime": "registry.example.com/runtime",
        "docker.io/library/registry": "registry.example.com/distribution",
    }
    (overlay / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": ["../install"],
                "configurations": ["image-fields.yaml"],
                "images": [{"name": name, "newName": new, "digest": digest} for name, new in names.items()],
            }
        )
    )
    before = {_identity(manifest): manifest for manifest in _kustomize(kubectl, tmp_path / "install")}
    after = {_identity(manifest): manifest for manifest in _kustomize(kubectl, overlay)}
    changed = {identity for identity, manifest in after.items() if manifest != before[identity]}
    assert changed == {("Deployment", "vsm-operator"), ("Deployment", "vsm-registry")}
    text = yaml.safe_dump([after[identity] for identity in sorted(changed)])
    for name, new in names.items():
        assert f"{name}:" not in text
        assert f"{new}@{digest}" in text


def _crd_chart(helm: Helm, checkout: Path, **values: bool) -> list[Manifest]:
    chart = checkout / "charts" / "vsm-operator-crds"
    return helm.template(chart, release="vsm-operator-crds", namespace="default", values=values)


def _kustomize(kubectl: Path, folder: Path) -> list[Manifest]:
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return list(parsed(done.stdout))


def _identity(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]
