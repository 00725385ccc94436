"""Helm is called for a change and for nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from devenv.charts import Helm, Release, operator
from devenv.errors import CommandError
from devenv.images import Image
from unit.devenv.fake_commands import FakeCommands, failed


@pytest.fixture
def release(tmp_path: Path) -> Release:
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart" / "values.yaml").write_text("a: 1")
    (tmp_path / "ca.pem").write_text("certificate")
    return Release(
        "r", tmp_path / "chart", "ns", values={"image.tag": "1"}, files={"intake.caBundle": tmp_path / "ca.pem"}
    )


def history(status: str, description: str) -> str:
    return json.dumps([{"revision": 3, "status": status, "description": description}])


def helm(commands: FakeCommands) -> Helm:
    return Helm(kubeconfig=Path("/k"), commands=commands)


def test_a_release_made_from_the_same_things_is_left_alone(release: Release) -> None:
    commands = FakeCommands(answers_to={"helm history": history("deployed", release.description)})
    assert helm(commands).ensure(release) is False
    assert commands.lines("helm upgrade") == []


@pytest.mark.parametrize("status", ["failed", "superseded", "uninstalled"])
def test_a_release_that_is_not_deployed_is_installed_again(release: Release, status: str) -> None:
    commands = FakeCommands(answers_to={"helm history": history(status, release.description)})
    assert helm(commands).ensure(release) is True
    assert len(commands.lines("helm upgrade --install r")) == 1


def test_a_first_installation_passes_values_as_text_and_files_by_name(release: Release, tmp_path: Path) -> None:
    commands = FakeCommands(answers_to={"helm history": failed("Error: release: not found")})
    assert helm(commands).ensure(release) is True
    [line] = commands.lines("helm upgrade")
    assert "--namespace ns --create-namespace" in line
    assert "--set-string image.tag=1" in line
    assert f"--set-file intake.caBundle={tmp_path}/ca.pem" in line
    assert release.description in line


def test_a_revision_left_by_a_killed_helm_is_removed_first(release: Release) -> None:
    commands = FakeCommands(answers_to={"helm history": history("pending-upgrade", "x")})
    helm(commands).ensure(release)
    line = "kubectl --namespace ns delete secret --selector owner=helm,name=r,status=pending-upgrade"
    assert commands.lines("kubectl") == [line]


def test_an_unreachable_cluster_is_not_taken_for_a_missing_release(release: Release) -> None:
    commands = FakeCommands(answers_to={"helm history": failed("Error: Kubernetes cluster unreachable")})
    with pytest.raises(CommandError):
        helm(commands).ensure(release)


def test_every_input_changes_the_description(release: Release) -> None:
    descriptions = [release.description, replace(release, values={"image.tag": "2"}).description]
    (release.chart / "values.yaml").write_text("a: 2")
    descriptions.append(release.description)
    release.files["intake.caBundle"].write_text("another certificate")
    descriptions.append(release.description)
    assert len(set(descriptions)) == len(descriptions)


def test_the_operators_release_names_both_images_and_the_ca_only_where_there_is_one(tmp_path: Path) -> None:
    def wanted(ca_bundle: Path | None) -> Release:
        return operator(
            tmp_path,
            operator_image=Image("r/op", "1"),
            runtime_image=Image("r/rt", "2"),
            values={"registry.image.tag": "3"},
            ca_bundle=ca_bundle,
        )

    assert wanted(None).values == {
        "image.repository": "r/op",
        "image.tag": "1",
        "runtime.image.repository": "r/rt",
        "runtime.image.tag": "2",
        "registry.image.tag": "3",
    }
    assert wanted(None).files == {}
    assert wanted(Path("/ca.pem")).files == {"intake.caBundle": Path("/ca.pem")}
