from pathlib import Path

import pytest

from localcluster import toolchain
from localcluster.errors import BuildError
from localcluster.progress import Progress
from localcluster.toolchain import needed_version, parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go1.26.8 linux/amd64", (1, 26, 8)),
        ("go1.26 linux/amd64", (1, 26, 0)),
        ("1.24.0", (1, 24, 0)),
        ("devel +abc", (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_versions_are_read_in_every_form_that_go_writes(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version


def test_the_need_of_a_module_is_its_go_directive_not_a_dependencys() -> None:
    assert needed_version("module x\n\ngo 1.24.0\n\nrequire go.uber.org/multierr v1.11.0\n") == (1, 24, 0)


def fake_go(directory: Path, version: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "go").write_text(f"#!/bin/sh\necho go version {version} linux/amd64\n")
    (directory / "go").chmod(0o755)


def test_the_users_go_is_taken_when_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path / "bin", "go1.24.2")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    found = toolchain.on_path((1, 24, 0))

    assert found is not None
    assert found.version == "go version go1.24.2 linux/amd64"
    assert toolchain.on_path((1, 26, 0)) is None


def test_a_go_in_the_cache_is_used_when_the_users_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    locked = f"go-{toolchain._locked_version()}"
    (tmp_path / locked / "go").mkdir(parents=True)
    fake_go(tmp_path / locked / "go" / "bin", "go1.26.6")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(toolchain, "on_path", lambda _: None)

    assert toolchain.find((1, 26, 0), cache=tmp_path, progress=Progress()).program == f"{tmp_path}/{locked}/go/bin/go"
    with pytest.raises(BuildError, match=r"older than 1\.99\.0"):
        toolchain.find((1, 99, 0), cache=tmp_path, progress=Progress())


def test_the_locked_go_satisfies_every_module() -> None:
    modules = list(toolchain.REQUIREMENTS.parent.glob("*/go.mod"))
    needs = [needed_version(path.read_text()) for path in modules]

    assert len(needs) >= 4
    assert parse_version(toolchain._locked_version()) >= max(needs)


def test_a_build_never_downloads_another_toolchain_and_keeps_the_users_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("GOTOOLCHAIN", "auto")

    environ = toolchain.environment()

    assert environ["GOTOOLCHAIN"] == "local"
    assert environ["CGO_ENABLED"] == "0"
    assert environ["GOPROXY"] == "off"
