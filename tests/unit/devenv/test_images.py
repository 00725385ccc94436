"""Images are named after everything they are made from, and builds see nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from devenv.base import BaseImage
from devenv.buildah import Buildah, command_prefix
from devenv.engines import EngineBuilder
from devenv.images import IMAGES, OPERATOR, RUNTIME, Image, staged_context, with_ca_secret
from unit.devenv.fake_commands import FakeCommands, failed

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for source in IMAGES:
        for path in source.inputs:
            file = root / path if path.suffix or path.name == "Containerfile" else root / path / "module.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("FROM x\nRUN y\n")
    return root


def builder(root: Path, cache: Path, *, commands: FakeCommands, environ: dict[str, str] | None = None) -> Buildah:
    return Buildah(root=root, cache=cache, commands=commands, environ=environ or {})


@pytest.mark.parametrize(
    ("changed", "renamed"),
    [
        pytest.param("operator/vsm_operator/module.py", {"vsm-operator", "vsm-runtime"}, id="source of the operator"),
        pytest.param("requirements-runtime.lock", {"vsm-runtime"}, id="lock of the runtime"),
        pytest.param("images/operator/Containerfile", {"vsm-operator"}, id="recipe of the operator"),
    ],
)
def test_a_change_renames_the_images_that_contain_it(checkout: Path, changed: str, renamed: set[str]) -> None:
    before = {source.name: source.tag(checkout, base="b") for source in IMAGES}
    (checkout / changed).write_text("something else")
    after = {source.name: source.tag(checkout, base="b") for source in IMAGES}
    assert {name for name in before if before[name] != after[name]} == renamed


def test_another_base_is_another_image(checkout: Path) -> None:
    assert RUNTIME.tag(checkout, base="a") != RUNTIME.tag(checkout, base="b")


def test_the_build_context_holds_the_inputs_and_nothing_else(checkout: Path, tmp_path: Path) -> None:
    (checkout / "secret").write_text("s")
    (checkout / "operator/vsm_operator/__pycache__").mkdir()
    (checkout / "operator/vsm_operator/__pycache__/module.pyc").touch()
    with staged_context(OPERATOR, root=checkout, parent=tmp_path) as context:
        files = {str(file.relative_to(context)) for file in context.rglob("*") if file.is_file()}
        times = {file.stat().st_mtime for file in context.rglob("*")}
    assert files == {
        "images/operator/Containerfile",
        "requirements-operator.lock",
        "operator/vsm_operator/module.py",
        "runtime/vsm_runtime/module.py",
    }
    assert times == {0}
    assert not context.exists()


def test_an_image_whose_archive_is_there_starts_no_program(checkout: Path, tmp_path: Path) -> None:
    commands = FakeCommands()
    buildah = builder(checkout, tmp_path, commands=commands)
    archive = buildah.image(OPERATOR).archive
    assert archive is not None
    archive.parent.mkdir()
    archive.touch()
    assert buildah.build(OPERATOR) == (buildah.image(OPERATOR), False)
    assert commands.started == []


class WritingCommands(FakeCommands):
    """buildah and mmdebstrap, as far as the files that they leave."""

    def run(self, argv, **options):  # type: ignore[no-untyped-def]
        answer = super().run(argv, **options)
        for argument in argv:
            if found := re.match(r"oci-archive:([^:]*):", argument):
                Path(found[1]).touch()
            if argv[0] == "mmdebstrap" and argument.endswith(".tar"):
                Path(argument).touch()
        return answer


def test_a_build_mounts_the_ca_and_the_index_and_names_neither(checkout: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    commands = WritingCommands()
    environ = {"VSM_CA_BUNDLE": str(bundle), "PIP_INDEX_URL": "https://user:password@mirror.example/simple"}
    image, built = builder(checkout, tmp_path / "cache", commands=commands, environ=environ).build(RUNTIME)
    line = next(line for line in map(" ".join, commands.started) if " bud --layers" in line)
    assert built
    assert f"--volume {bundle}:/etc/ssl/certs/ca-certificates.crt:ro" in line
    assert "/pip.conf:/etc/pip.conf:ro" in line
    assert "mirror.example" not in "".join(" ".join(argv) for argv in commands.started)
    assert image.archive is not None
    assert image.archive.exists()
    assert not (tmp_path / "cache" / "containers" / "scratch").exists()


def test_a_failed_push_leaves_no_archive_under_the_final_name(checkout: Path, tmp_path: Path) -> None:
    class Failing(WritingCommands):
        def run(self, argv, **options):  # type: ignore[no-untyped-def]
            answer = super().run(argv, **options)
            if "push" in argv:
                raise failed("disk full")
            return answer

    buildah = builder(checkout, tmp_path / "cache", commands=Failing())
    with pytest.raises(Exception, match="disk full"):
        buildah.build(RUNTIME)
    archive = buildah.image(RUNTIME).archive
    assert archive is not None
    assert not archive.exists()


def test_what_a_killed_build_left_is_cleared_before_the_next(checkout: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "containers" / "scratch"
    scratch.mkdir(parents=True)
    (scratch / "half-written").touch()
    commands = WritingCommands()
    builder(checkout, tmp_path, commands=commands).build(RUNTIME)
    assert any(argv[-2:] == ["rm", "--all"] for argv in commands.started)
    assert not scratch.exists()


def test_only_the_newest_archives_of_an_image_are_kept(checkout: Path, tmp_path: Path) -> None:
    buildah = builder(checkout, tmp_path, commands=WritingCommands())
    for number in range(6):
        (checkout / "operator/vsm_operator/module.py").write_text(str(number))
        buildah.build(RUNTIME)
    left = list((tmp_path / "images").glob("vsm-runtime-*.oci.tar"))
    assert len(left) == 3
    assert buildah.image(RUNTIME).archive in left


def test_root_builds_in_a_mount_namespace_of_its_own() -> None:
    assert command_prefix(Path("/s"), root_user=True)[:2] == ["unshare", "--mount"]
    assert command_prefix(Path("/s"), root_user=False)[0] == "buildah"


def test_the_base_forgets_the_hosts_mirrors() -> None:
    argv = BaseImage().command(Path("/t.tar"), mirrors=["deb http://m.example/ bookworm main"], apt_options=["A 1"])
    hook = next(argument for argument in argv if argument.startswith("--customize-hook"))
    assert '"$1"/etc/apt/sources.list.d' in hook
    assert "99mmdebstrap" in hook  # where --aptopt goes
    assert argv[-3:] == ["bookworm", "/t.tar", "deb http://m.example/ bookworm main"]


def test_another_package_is_another_base() -> None:
    assert BaseImage(packages=("python3", "x")).key != BaseImage().key


def test_an_engine_builds_with_the_ca_as_a_secret_of_every_run(checkout: Path, tmp_path: Path) -> None:
    commands = FakeCommands(answers_to={"docker image inspect": failed()})
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    engine = EngineBuilder(
        root=checkout,
        engine="docker",
        repository="localhost",
        base="base:1",
        commands=commands,
        environ={"VSM_CA_BUNDLE": str(bundle)},
    )
    image, built = engine.build(OPERATOR)
    assert built
    [line] = commands.lines("docker build")
    assert f"--tag {image.reference} --build-arg BASE=base:1 --secret id=ca,src={bundle} " in line


def test_an_image_that_the_engine_has_is_not_built(checkout: Path) -> None:
    commands = FakeCommands()
    engine = EngineBuilder(
        root=checkout, engine="podman", repository="r.example/x", base="b", commands=commands, environ={}
    )
    image, built = engine.build(OPERATOR)
    assert not built
    assert image.repository == "r.example/x/vsm-operator"
    assert commands.lines("podman build") == []


def test_the_secret_is_put_into_every_run_and_nowhere_else() -> None:
    text = "FROM x\nRUN a; \\\n    RUN_not b\nRUN c\n"
    assert len(re.findall(r"^RUN --mount=type=secret,id=ca,", with_ca_secret(text), re.MULTILINE)) == 2


@pytest.mark.parametrize("bad", ["x", "x@sha256:abc", "r:5000/x", ""])
def test_a_reference_without_a_tag_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="REPOSITORY:TAG"):
        Image.parse(bad)


@pytest.mark.parametrize("source", IMAGES, ids=lambda source: source.name)
def test_the_recipes_install_by_hash_as_a_number_and_without_git(source) -> None:  # type: ignore[no-untyped-def]
    text = (ROOT / source.containerfile).read_text()
    assert "--require-hashes" in text
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)
    assert "--mount" not in text
    assert "apt-get" not in text
    assert not re.search(r"install[^\n]* git\b", text)
    ignored = (ROOT / f"{source.containerfile}.dockerignore").read_text().split()
    assert {f"!{path}" for path in source.inputs[1:]} <= set(ignored)


def test_every_input_exists_in_this_checkout() -> None:
    assert all((ROOT / path).exists() for source in IMAGES for path in source.inputs)
