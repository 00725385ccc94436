import gzip
import json
import os
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from unit.intake.kit import Member, file, special, tar
from vsm_operator.domain.packages import Ecosystem, PackageRef
from vsm_runtime import load as loader
from vsm_runtime.intake.bundle import Bundle, make_bundle
from vsm_runtime.intake.facts import BundleFacts, PackageFacts
from vsm_runtime.intake.tree import Tree, is_entrypoint_name
from vsm_runtime.load import LoadError, Settings, layer_of, load
from vsm_runtime.oci import ARTIFACT_TYPE, LAYER_MEDIA_TYPE, Manifest, OciCorruptError, digest_of

PACKAGE = PackageRef(Ecosystem.NPM, "demo", "1.0.0")
ROOT = PackageFacts("node_modules/demo", "demo", "1.0.0", "sha512-x", "MIT", 5, 1, lifecycle_scripts=("install",))


def tree(top: Path, names: list[str]) -> Tree:
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (top / "bin").mkdir(parents=True, exist_ok=True)
    (top / "bin/demo").symlink_to("../node_modules/demo/cli.js")
    (top / "node_modules/demo/cli.js").chmod(0o700)
    return Tree(top, top / "vsm/lock.json", "linux/x64/glibc", ("demo",), (ROOT,))


NAMES = ["node_modules/demo/cli.js", "node_modules/demo/a/b.js", "node_modules/demo/a.js", "vsm/lock.json"]


def bundle(directory: Path, names: list[str] = NAMES) -> Bundle:
    return make_bundle(tree(directory / "tree", names), PACKAGE, layer=directory / "layer.tar.gz")


def test_a_bundle_does_not_depend_on_place_order_time_or_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bundle(tmp_path / "one")
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listed(path), reverse=True))
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    before = os.umask(0o077)
    try:
        (tmp_path / "another/place").mkdir(parents=True)
        second_tree = tree(tmp_path / "another/place", NAMES[::-1])
        for path in second_tree.top.rglob("*"):
            os.utime(path, (1, 1), follow_symlinks=False)
        second = make_bundle(second_tree, PACKAGE, layer=tmp_path / "x.tar.gz")
    finally:
        os.umask(before)
    assert second.digest == first.digest
    assert second.layer.read_bytes() == first.layer.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda top: (top / "node_modules/demo/a.js").write_text("other"), id="content"),
        pytest.param(lambda top: (top / "node_modules/demo/a.js").chmod(0o755), id="executable bit"),
        pytest.param(lambda top: (top / "node_modules/demo/new.js").touch(), id="one more file"),
    ],
)
def test_another_tree_is_another_bundle(tmp_path: Path, change: Any) -> None:
    first = bundle(tmp_path / "one")
    changed = tree(tmp_path / "two", NAMES)
    change(changed.top)
    assert make_bundle(changed, PACKAGE, layer=tmp_path / "two.tar.gz").digest != first.digest


def test_the_layer_names_no_owner_and_no_time(tmp_path: Path) -> None:
    with tarfile.open(bundle(tmp_path).layer) as archive:
        entries = {entry.name: entry for entry in archive}
    assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in entries.values()} == {(0, 0, "", "", 0)}
    assert {name: entry.mode for name, entry in entries.items() if entry.isfile()} == {
        "node_modules/demo/cli.js": 0o755,
        "node_modules/demo/a.js": 0o644,
        "node_modules/demo/a/b.js": 0o644,
        "vsm/lock.json": 0o644,
    }


def test_facts_survive_the_registry() -> None:
    facts = BundleFacts("npm", "demo", "1.0.0", "linux", ("demo",), 5, 1, "sha256:l", "sha256:m", (ROOT,), ("x@1",))
    assert BundleFacts.from_json(facts.to_json()) == facts
    with pytest.raises(ValueError, match="another schema"):
        BundleFacts.from_json(facts.to_json().replace(b'"schema":1', b'"schema":2'))
    assert facts.lifecycle_scripts == 1
    assert facts.root is ROOT


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"schema": 2}', b'{"schema": 1, "packages": [1]}'])
def test_what_are_no_facts_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own texts are among them
        BundleFacts.from_json(text)


@pytest.mark.parametrize("name", ["python3", "node", "npm", "sh", "env", "../x", "-x", "a/b", "", "x" * 101, "ünicode"])
def test_a_package_cannot_offer_an_executable_that_stands_in_for_another(name: str) -> None:
    assert not is_entrypoint_name(name)


class Shelf:
    """A registry in memory with one bundle; `layer` may be exchanged for a forged one."""

    def __init__(self, layer: bytes, *, manifest: Mapping[str, Any] | None = None) -> None:
        self.layer = layer
        self.corrupt = False
        described = {"mediaType": LAYER_MEDIA_TYPE, "digest": digest_of(layer), "size": len(layer)}
        self.body = json.dumps(manifest or {"artifactType": ARTIFACT_TYPE, "layers": [described]}).encode()

    def __enter__(self) -> "Shelf":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def manifest(self, reference: str) -> Manifest | None:
        return Manifest(self.body, reference) if reference == digest_of(self.body) else None

    def chunks(self, digest: str, *, max_bytes: int) -> Iterator[bytes]:
        assert digest == digest_of(self.layer)
        assert max_bytes == len(self.layer)
        yield from (self.layer[at : at + 1000] for at in range(0, len(self.layer), 1000))
        if self.corrupt:
            raise OciCorruptError("the registry delivers other content")


def settings(shelf: Shelf, target: Path, **more: Any) -> Settings:
    base: dict[str, Any] = {
        "url": "http://oci.invalid",
        "repository": "vsm/bundles",
        "digest": digest_of(shelf.body),
        "target": target,
        "max_bytes": 10**6,
        "credentials_dir": None,
        "passwd_file": None,
        "server_uid": 1_000_001,
    }
    return Settings(**base | more)


def put(monkeypatch: pytest.MonkeyPatch, shelf: Shelf, target: Path, **more: Any) -> str:
    monkeypatch.setattr(loader, "_client", lambda _: shelf)
    return load(settings(shelf, target, **more))


def packed(*members: Member) -> bytes:
    return gzip.compress(tar(members), mtime=0)


def test_a_bundle_arrives_as_it_was_made_and_readable_for_everyone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bundle(tmp_path / "made")
    target = tmp_path / "target"
    before = os.umask(0o077)
    try:
        put(monkeypatch, Shelf(made.layer.read_bytes()), target)
    finally:
        os.umask(before)
    assert (target / "bin/demo").resolve() == target / "node_modules/demo/cli.js"
    assert (target / "bin/demo").read_text() == "node_modules/demo/cli.js"
    modes = {str(p.relative_to(target)): p.stat().st_mode & 0o777 for p in target.rglob("*")}
    assert {name for name, mode in modes.items() if mode & 0o044 != 0o044} == set()
    assert modes["node_modules/demo/cli.js"] == 0o755
    assert {p.name for p in target.iterdir()} == {"bin", "node_modules", "vsm"}


def test_a_restarted_loader_finds_its_work_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(packed(file("vsm/lock.json")))
    put(monkeypatch, shelf, tmp_path)
    monkeypatch.setattr(shelf, "chunks", None)
    assert "in place already" in put(monkeypatch, shelf, tmp_path)


def test_leftovers_of_a_killed_loader_and_of_another_bundle_are_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".vsm-loading/tree/half").mkdir(parents=True)
    (tmp_path / "node_modules/old").mkdir(parents=True)
    (tmp_path / "vsm").mkdir()
    (tmp_path / "vsm/bundle-digest").write_text("sha256:" + "0" * 64)
    (tmp_path / "link").symlink_to("/etc")
    put(monkeypatch, Shelf(packed(file("vsm/lock.json"), file("node_modules/new/x.js"))), tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "node_modules/new/x.js",
        "vsm/bundle-digest",
        "vsm/lock.json",
    ]
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize(
    ("member", "why"),
    [
        pytest.param(file("../evil"), "leaves its directory", id="parent directory"),
        pytest.param(file("/evil"), "absolute path", id="absolute path"),
        pytest.param(special("bin/x", tarfile.SYMTYPE, target="/etc/passwd"), "symbolic link", id="absolute link"),
        pytest.param(special("bin/x", tarfile.SYMTYPE, target="../../etc/passwd"), "symbolic link", id="link out"),
        pytest.param(special("lib/x", tarfile.SYMTYPE, target="y"), "symbolic link", id="link outside bin"),
        pytest.param(special("bin/x", tarfile.LNKTYPE, target="a"), "hard link", id="hard link"),
        pytest.param(special("bin/x", tarfile.BLKTYPE), "no file or directory", id="device"),
        pytest.param(file("vsm/bundle-digest", b"sha256:"), "reserved", id="forged marker"),
        pytest.param(file(".vsm-loading/x"), "reserved", id="staging directory"),
        pytest.param(file("big", b"\0" * 1_000_001), "more than 1000000 bytes", id="too large"),
    ],
)
def test_a_forged_bundle_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: Member, why: str
) -> None:
    with pytest.raises(LoadError, match=why):
        put(monkeypatch, Shelf(packed(file("vsm/lock.json"), member)), tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(packed(file("vsm/lock.json")), id="archive in order"),
        pytest.param(packed(file("vsm/lock.json")) + b"\0" * 100_000, id="more after the end of the archive"),
        pytest.param(b"no archive", id="no archive"),
        pytest.param(packed(file("../evil")), id="unsafe archive"),
    ],
)
def test_a_layer_that_is_not_its_digest_leaves_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: bytes
) -> None:
    shelf = Shelf(layer)
    shelf.corrupt = True
    with pytest.raises(LoadError, match="delivers other content"):
        put(monkeypatch, shelf, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_behind_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = special("bin/x", tarfile.SYMTYPE, target="../lib")
    with pytest.raises(LoadError):
        put(monkeypatch, Shelf(packed(link, file("bin/x/evil"), file("lib/ok"))), tmp_path)


def test_a_bundle_that_was_deleted_is_said_to_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LoadError, match="has no bundle sha256:000"):
        put(monkeypatch, Shelf(b""), tmp_path, digest="sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        json.dumps(
            {
                "artifactType": "application/vnd.oci.image",
                "layers": [{"mediaType": LAYER_MEDIA_TYPE, "digest": digest_of(b""), "size": 1}],
            }
        ).encode(),
        json.dumps({"artifactType": ARTIFACT_TYPE, "layers": []}).encode(),
        json.dumps({"artifactType": ARTIFACT_TYPE, "layers": [{"mediaType": "x", "digest": "y", "size": 1}]}).encode(),
        json.dumps(
            {"artifactType": ARTIFACT_TYPE, "layers": [{"mediaType": LAYER_MEDIA_TYPE, "digest": "../x", "size": 1}]}
        ).encode(),
        json.dumps(
            {
                "artifactType": ARTIFACT_TYPE,
                "layers": [{"mediaType": LAYER_MEDIA_TYPE, "digest": digest_of(b""), "size": 10**7}],
            }
        ).encode(),
    ],
    ids=["empty", "no object", "an image", "no layer", "unknown layer", "no digest", "too large"],
)
def test_what_is_no_bundle_is_refused(body: bytes) -> None:
    with pytest.raises(LoadError):
        layer_of(Manifest(body, digest_of(body)), max_bytes=10**6)


def test_the_users_of_the_pod_are_written_for_the_servers_own_uid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, Shelf(packed(file("vsm/lock.json"))), tmp_path / "b", passwd_file=tmp_path / "etc/passwd")
    assert "mcp:x:1000001:10000::/home/mcp:/usr/sbin/nologin" in (tmp_path / "etc/passwd").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VSM_BUNDLE_DIGEST", "latest"),
        ("VSM_BUNDLE_URL", "oci.invalid"),
        ("VSM_BUNDLE_MAX_BYTES", "many"),
        ("VSM_SERVER_UID", "-1"),
    ],
)
def test_a_malformed_setting_names_its_variable(name: str, value: str) -> None:
    environ = {"VSM_BUNDLE_DIGEST": digest_of(b""), "VSM_BUNDLE_URL": "http://oci.invalid"}
    with pytest.raises(LoadError, match=name):
        Settings.from_env(environ | {name: value})


def test_a_failure_is_one_line_in_the_termination_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VSM_TERMINATION_LOG", str(tmp_path / "log"))
    monkeypatch.delenv("VSM_BUNDLE_DIGEST", raising=False)
    assert loader.main() == 1
    assert (tmp_path / "log").read_text().startswith("VSM_BUNDLE_DIGEST: ")
    assert "VSM_BUNDLE_DIGEST" in capsys.readouterr().err
