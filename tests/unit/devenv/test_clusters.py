"""The exact commands for clusters that cannot run everywhere, and what makes a second run start nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from devenv.checkout import Checkout
from devenv.choice import Choice, Engine
from devenv.clusters import Cluster, make
from devenv.errors import DevenvError
from devenv.images import OPERATOR, RUNTIME, Image
from devenv.settings import Settings
from unit.devenv.fake_commands import FakeCommands, failed

ROOT = Path(__file__).parents[3]


def cluster(
    choice: Choice,
    *,
    commands: FakeCommands,
    tmp_path: Path,
    settings: Settings | None = None,
    engine: Engine | None = "docker",
) -> Cluster:
    return make(
        choice,
        checkout=Checkout(root=tmp_path, cache=tmp_path / "cache"),
        settings=settings or Settings(),
        commands=commands,
        environ={},
        engine=lambda: engine,
    )


@pytest.fixture
def name(tmp_path: Path) -> str:
    return Checkout(root=tmp_path, cache=tmp_path).name


def test_kind_makes_a_cluster_of_this_checkouts_name_and_leaves_the_users_kubeconfig_alone(
    tmp_path: Path, name: str
) -> None:
    commands = FakeCommands()
    cluster(Choice("kind", "r", engine="docker"), commands=commands, tmp_path=tmp_path).up()
    assert commands.lines("kind create") == [
        (
            f"kind create cluster --name {name} --kubeconfig {tmp_path}/.local/kubeconfig"
            f" --config {tmp_path}/tools/devenv/kind.yaml --wait 180s"
        )
    ]


def test_kind_takes_an_existing_cluster_of_ours_over(tmp_path: Path, name: str) -> None:
    commands = FakeCommands(answers_to={"kind get clusters": f"kind\n{name}\n"})
    cluster(Choice("kind", "r", engine="docker"), commands=commands, tmp_path=tmp_path).up()
    assert commands.lines("kind create") == []
    assert commands.lines("kind export") == [
        f"kind export kubeconfig --name {name} --kubeconfig {tmp_path}/.local/kubeconfig"
    ]


def test_kind_is_built_where_it_is_missing(tmp_path: Path) -> None:
    commands = FakeCommands(present={"docker"})
    cluster(Choice("kind", "r", engine="docker"), commands=commands, tmp_path=tmp_path).up()
    assert commands.started[0] == [sys.executable, "-m", "localcluster", "build-kind"]


def test_kind_deletes_its_own_cluster_only(tmp_path: Path, name: str) -> None:
    commands = FakeCommands()
    cluster(Choice("kind", "r", engine="docker"), commands=commands, tmp_path=tmp_path).down()
    assert commands.started == [
        ["kind", "delete", "cluster", "--name", name, "--kubeconfig", f"{tmp_path}/.local/kubeconfig"]
    ]


def test_docker_images_are_loaded_by_name(tmp_path: Path, name: str) -> None:
    commands = FakeCommands()
    image, did = cluster(Choice("kind", "r", engine="docker"), commands=commands, tmp_path=tmp_path).provide(OPERATOR)
    assert did == "loaded"
    assert commands.lines("kind load") == [f"kind load docker-image {image.reference} --name {name}"]


def test_podman_images_are_loaded_as_an_archive(tmp_path: Path, name: str) -> None:
    commands = FakeCommands()
    cluster(Choice("kind", "r", engine="podman"), commands=commands, tmp_path=tmp_path).provide(OPERATOR)
    [save] = commands.lines("podman save")
    archive = save.split()[3]
    assert commands.lines("kind load") == [f"kind load image-archive {archive} --name {name}"]


def test_an_image_that_kinds_node_has_is_not_loaded_again(tmp_path: Path, name: str) -> None:
    commands = FakeCommands()
    kind = cluster(Choice("kind", "r", engine="docker"), commands=commands, tmp_path=tmp_path)
    image, _ = kind.provide(OPERATOR)
    listed = json.dumps({"images": [{"repoTags": [image.reference]}]})
    commands.answers_to[f"docker exec {name}-control-plane crictl images"] = listed
    assert kind.provide(OPERATOR) == (image, "there already")


def test_a_context_gets_a_kubeconfig_of_its_own_with_nothing_else_in_it(tmp_path: Path) -> None:
    commands = FakeCommands(answers_to={"kubectl config view": "minified"})
    cluster(Choice("context", "r", name="staging"), commands=commands, tmp_path=tmp_path).up()
    kubeconfig = tmp_path / ".local" / "kubeconfig"
    assert commands.started[0] == [
        *("kubectl", "config", "view", "--raw", "--flatten", "--minify", "--context=staging")
    ]
    assert kubeconfig.read_text() == "minified"
    assert kubeconfig.stat().st_mode & 0o077 == 0


def test_a_context_without_a_registry_or_images_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(DevenvError, match=r"IMAGE_REGISTRY=.*VSM_OPERATOR_IMAGE"):
        cluster(Choice("context", "r", name="x"), commands=FakeCommands(), tmp_path=tmp_path).provide(OPERATOR)


def test_a_context_with_a_registry_gets_its_images_pushed(tmp_path: Path) -> None:
    commands = FakeCommands(answers_to={"docker image inspect": failed()})
    (tmp_path / OPERATOR.containerfile).parent.mkdir(parents=True)
    (tmp_path / OPERATOR.containerfile).write_text("FROM x\n")
    settings = Settings(image_registry="r.example/team")
    image, _ = cluster(
        Choice("context", "r", name="x"), commands=commands, tmp_path=tmp_path, settings=settings
    ).provide(OPERATOR)
    assert image.repository == "r.example/team/vsm-operator"
    assert commands.lines("docker push") == [f"docker push {image.reference}"]


def test_images_named_by_the_person_are_taken_as_they_are(tmp_path: Path) -> None:
    named = Image("r.example/rt", "1")
    settings = Settings(operator_image=Image("r.example/op", "1"), runtime_image=named)
    commands = FakeCommands()
    context = cluster(Choice("context", "r", name="x"), commands=commands, tmp_path=tmp_path, settings=settings)
    assert context.provide(RUNTIME)[0] == named
    assert commands.started == []


def test_a_context_is_never_removed(tmp_path: Path) -> None:
    with pytest.raises(DevenvError, match="not ours"):
        cluster(Choice("context", "r", name="x"), commands=FakeCommands(), tmp_path=tmp_path).down()


@pytest.mark.parametrize(
    ("wanted", "status", "there"),
    [
        pytest.param("", {"healthy": True, "version": "v1.34.4"}, True, id="any version"),
        pytest.param("1.34", {"healthy": True, "version": "v1.34.4"}, True, id="the wanted minor"),
        pytest.param("1.36", {"healthy": True, "version": "v1.34.4"}, False, id="another minor"),
        pytest.param("", {"healthy": False, "version": ""}, False, id="not healthy"),
    ],
)
def test_a_local_cluster_is_there_when_it_is_healthy_and_of_the_wanted_minor(
    tmp_path: Path, wanted: str, status: dict[str, object], there: bool
) -> None:
    commands = FakeCommands(answers_to={f"{sys.executable} -m localcluster status": json.dumps(status)})
    settings = Settings(kubernetes=wanted)
    local = cluster(Choice("local", "r"), commands=commands, tmp_path=tmp_path, settings=settings)
    assert local.exists() is there


def test_a_local_cluster_uses_the_registry_image_that_it_brings(tmp_path: Path) -> None:
    listed = "localhost/vsm-pause:1\nlocalhost/vsm-registry:3.1.2\n"
    commands = FakeCommands(answers_to={f"{sys.executable} -m localcluster images": listed})
    values = cluster(Choice("local", "r"), commands=commands, tmp_path=tmp_path).chart_values
    assert values == {
        "registry.image.repository": "localhost/vsm-registry",
        "registry.image.tag": "3.1.2",
        "registry.command[0]": "/registry",
    }
