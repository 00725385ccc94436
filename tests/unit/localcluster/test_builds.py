import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from localcluster import builds, toolchain
from localcluster.builds import BuildSet
from localcluster.errors import BuildError
from localcluster.progress import Progress

GO = "go version go1.26.8 linux/amd64"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    source = tmp_path / "module" / "cmd" / "tool"
    source.mkdir(parents=True)
    (source / "main.go").write_text("package main\n\nfunc main() {}\n")
    (tmp_path / "module" / "go.mod").write_text("module example\n\ngo 1.21\n")
    (tmp_path / "module" / "go.sum").write_text("")
    return tmp_path / "module"


def build_set(module: Path) -> BuildSet:
    return BuildSet(name="example", module=module, packages=("./cmd/tool",))


def append(name: str) -> Callable[[Path], None]:
    def change(module: Path) -> None:
        (module / name).write_text((module / name).read_text() + "// more\n")

    return change


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "cmd/tool/main.go"])
def test_the_key_changes_with_every_source(module: Path, name: str) -> None:
    before = build_set(module).key(GO)
    append(name)(module)

    assert build_set(module).key(GO) != before


def test_the_key_changes_with_the_toolchain_and_the_flags(module: Path) -> None:
    wanted = build_set(module)
    keys = {
        wanted.key(GO),
        wanted.key("go version go1.27.0 linux/amd64"),
        dataclasses.replace(wanted, ldflags="-s").key(GO),
        dataclasses.replace(wanted, packages=("./cmd/tool", "./cmd/other")).key(GO),
    }

    assert len(keys) == 4


def test_the_key_does_not_depend_on_where_the_checkout_is(module: Path, tmp_path: Path) -> None:
    before = build_set(module).key(GO)
    (module / "README.md").write_text("not a source")
    moved = module.rename(tmp_path / "moved")

    assert build_set(moved).key(GO) == before


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda d: (d / "tool").write_bytes(b""), id="emptied by a power cut"),
        pytest.param(lambda d: (d / "tool").unlink(), id="program deleted"),
        pytest.param(lambda d: (d / builds.MANIFEST).unlink(), id="no manifest"),
        pytest.param(lambda d: (d / builds.MANIFEST).write_text("{"), id="broken manifest"),
        pytest.param(lambda d: (d / builds.MANIFEST).write_text("[]"), id="manifest of another shape"),
    ],
)
def test_a_damaged_directory_is_not_used(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    (tmp_path / "tool").write_bytes(b"program")
    (tmp_path / builds.MANIFEST).write_text(json.dumps({"tool": 7}))
    assert builds.is_whole(tmp_path, ("tool",))

    harm(tmp_path)

    assert not builds.is_whole(tmp_path, ("tool",))


class FakeGo:
    """Stands for `go build`: writes the programs, or fails half-way."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails = False

    def build(self, wanted: BuildSet, *, target: Path, **_: object) -> None:
        self.calls += 1
        for program in wanted.programs:
            (target / program).write_bytes(b"half" if self.fails else b"whole")
        if self.fails:
            raise BuildError("no space left on device")


@pytest.fixture
def fake_go(monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    fake = FakeGo()
    monkeypatch.setattr(builds, "_go_build", fake.build)
    monkeypatch.setattr(toolchain, "find", lambda *_, **__: toolchain.Go(program="go", version=GO))
    return fake


def test_a_set_is_built_once_and_then_taken_from_the_cache(module: Path, tmp_path: Path, fake_go: FakeGo) -> None:
    cache = tmp_path / "cache"
    first = builds.ensure(build_set(module), cache=cache, progress=Progress())
    second = builds.ensure(build_set(module), cache=cache, progress=Progress())

    assert first == second
    assert (first / "tool").read_bytes() == b"whole"
    assert fake_go.calls == 1


def test_a_failed_build_leaves_nothing_that_the_next_one_would_use(
    module: Path, tmp_path: Path, fake_go: FakeGo
) -> None:
    cache = tmp_path / "cache"
    fake_go.fails = True
    with pytest.raises(BuildError):
        builds.ensure(build_set(module), cache=cache, progress=Progress())
    fake_go.fails = False

    directory = builds.ensure(build_set(module), cache=cache, progress=Progress())

    assert (directory / "tool").read_bytes() == b"whole"
    assert list(cache.glob(".*")) == []


def test_a_damaged_directory_is_built_anew(module: Path, tmp_path: Path, fake_go: FakeGo) -> None:
    cache = tmp_path / "cache"
    directory = builds.ensure(build_set(module), cache=cache, progress=Progress())
    (directory / "tool").write_bytes(b"")

    assert builds.ensure(build_set(module), cache=cache, progress=Progress()) == directory
    assert (directory / "tool").read_bytes() == b"whole"


@pytest.mark.parametrize("minor", ["1.34", "1.36"])
def test_a_kubernetes_set_stamps_the_version_that_its_module_requires(minor: str) -> None:
    wanted = builds.kubernetes(minor)

    assert f"gitVersion=v{minor}." in wanted.ldflags
    assert f"gitMinor={minor.partition('.')[2]}" in wanted.ldflags
    assert "kubelet" in wanted.programs


def test_the_required_version_is_read_from_a_block_and_from_a_line_but_never_from_a_replacement(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text(
        "require example.org/line v1.0.0\n\nrequire (\n\texample.org/block v2.0.0 // indirect\n)\n\n"
        "replace (\n\texample.org/replaced => example.org/other v3.0.0\n)\n"
    )

    assert builds.required_version(tmp_path, "example.org/line") == "v1.0.0"
    assert builds.required_version(tmp_path, "example.org/block") == "v2.0.0"
    with pytest.raises(BuildError):
        builds.required_version(tmp_path, "example.org/replaced")
