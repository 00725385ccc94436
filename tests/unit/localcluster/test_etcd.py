from pathlib import Path

import pytest

from localcluster import builds, etcd_program
from localcluster.layout import Layout
from localcluster.progress import Progress


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(checkout=tmp_path / "checkout", cache=tmp_path / "cache")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the sets that were built; the etcd among them has the content "built"."""
    names: list[str] = []

    def ensure(wanted: builds.BuildSet, **_: object) -> Path:
        names.append(wanted.name)
        (tmp_path / "etcd").write_text("built")
        return tmp_path

    monkeypatch.setattr(builds, "ensure", ensure)
    return names


def host_etcd(directory: Path, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "etcd").write_text(f"#!/bin/sh\necho '{says}'\n")
    (directory / "etcd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_the_hosts_etcd_is_used_when_it_is_new_enough(
    layout: Layout, built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_etcd(tmp_path, "etcd Version: 3.4.23", monkeypatch)

    etcd_program.provide(layout, progress=Progress())

    assert built == []
    assert not (layout.binaries / "etcd").exists()


@pytest.mark.parametrize("says", ["etcd Version: 3.3.25", "no idea"])
def test_one_is_built_when_the_hosts_is_too_old(
    layout: Layout, built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    host_etcd(tmp_path, says, monkeypatch)

    etcd_program.provide(layout, progress=Progress())

    assert built == ["etcd"]
    assert (layout.binaries / "etcd").read_text() == "built"


def test_one_is_built_when_the_host_has_none_and_kept_from_then_on(
    layout: Layout, built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    etcd_program.provide(layout, progress=Progress())
    host_etcd(tmp_path, "etcd Version: 3.6.0", monkeypatch)

    etcd_program.provide(layout, progress=Progress())

    assert built == ["etcd"]
    assert (layout.binaries / "etcd").exists()
