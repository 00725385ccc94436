import base64
import hashlib
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from unit.intake.kit import record_hash, wheel
from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.archives import ArchiveLimits, TreeWriter
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.pypi_install import install
from vsm_runtime.intake.wheel import inspect

DAMAGED = struct.pack("<4H2LH", 0, 0, 1, 1, 46, 0, 0)
MD5 = "md5=" + base64.urlsafe_b64encode(hashlib.md5(b"def main(): pass\n").digest()).decode()  # noqa: S324
LIMITS = ArchiveLimits(max_bytes=10**8, max_entries=100, ratio_floor_bytes=10**6)


def member(name: str, *, mode: int = 0o100644, packing: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    info.external_attr, info.compress_type = mode << 16, packing
    return info


def refused(path: Path, limits: ArchiveLimits = LIMITS) -> IntakeError:
    with pytest.raises(IntakeError) as caught:
        inspect(path, what="server 1.0 → demo 1.0", limits=limits)
    assert "server 1.0 → demo 1.0" in caught.value.message
    return caught.value


def test_an_honest_wheel_is_described(tmp_path: Path) -> None:
    path = wheel(tmp_path, files={"demo/__init__.py": b"x", "demo-hook.pth": b"import demo"})
    facts = inspect(path, what="demo", limits=LIMITS)
    assert (facts.license, facts.files, facts.path_hooks) == ("MIT", 5, 1)


@pytest.mark.parametrize(
    ("record", "named"),
    [
        pytest.param(
            {"demo/__init__.py": record_hash(b"other")}, "demo/__init__.py", id="changed after it was recorded"
        ),
        pytest.param({"demo/__init__.py": None}, "demo/__init__.py", id="not recorded"),
        pytest.param({"demo/__init__.py": ""}, "demo/__init__.py", id="recorded without a hash"),
        pytest.param({"demo/__init__.py": MD5}, "demo/__init__.py", id="recorded with md5"),
        pytest.param({"demo/gone.py": record_hash(b"x")}, "demo/gone.py", id="recorded and not there"),
    ],
)
def test_a_file_that_record_does_not_vouch_for_is_an_integrity_mismatch(
    tmp_path: Path, record: Mapping[str, str | None], named: str
) -> None:
    error = refused(wheel(tmp_path, record=record))
    assert error.reason is IntakeReason.INTEGRITY_MISMATCH
    assert named in error.message


@pytest.mark.parametrize(
    ("info", "why"),
    [
        pytest.param(member("../evil.py"), "leaves its directory", id="parent directory"),
        pytest.param(member("/evil.py"), "absolute path", id="absolute path"),
        pytest.param(member("demo//evil.py"), "not plain", id="empty component"),
        pytest.param(member("demo\\..\\evil.py"), "not plain", id="backslashes"),
        pytest.param(member("demo/link", mode=0o120777), "symbolic link", id="symbolic link"),
        pytest.param(member("demo/null", mode=0o020666), "no file or directory", id="device"),
        pytest.param(member("demo/x.py", packing=zipfile.ZIP_LZMA), "method", id="packed with lzma"),
    ],
)
def test_a_member_that_no_wheel_has_is_refused_although_it_is_recorded(
    tmp_path: Path, info: zipfile.ZipInfo, why: str
) -> None:
    error = refused(wheel(tmp_path, extra=[(info, b"x")], record={info.filename: record_hash(b"x")}))
    assert error.reason is IntakeReason.UNSAFE_ARCHIVE
    assert why in error.message


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = wheel(tmp_path, extra=[(member("demo/__init__.py"), b"second")])
    assert "occurs twice" in refused(path).message


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    assert "is encrypted" in refused(path).message


def test_a_decompression_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    error = refused(wheel(tmp_path, files={"demo/zeros": b"\0" * 2_000_000}))
    assert error.reason is IntakeReason.UNSAFE_ARCHIVE
    assert "decompression bomb" in error.message


@pytest.mark.parametrize(
    "limits", [ArchiveLimits(max_bytes=10, max_entries=100), ArchiveLimits(max_bytes=10**8, max_entries=3)]
)
def test_a_wheel_beyond_the_bounds_is_too_large(tmp_path: Path, limits: ArchiveLimits) -> None:
    assert refused(wheel(tmp_path), limits).reason is IntakeReason.BUNDLE_TOO_LARGE


def test_a_table_of_contents_beyond_memory_is_refused_unopened(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x05\x06") + 12
    data[at : at + 4] = (200_000_000).to_bytes(4, "little")
    path.write_bytes(data)
    assert refused(path).reason is IntakeReason.BUNDLE_TOO_LARGE


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "no zip archive", id="empty"),
        pytest.param(b"no zip", "no zip archive", id="no zip"),
        pytest.param(b"PK\x06\x07" + b"\0" * 16 + b"PK\x05\x06" + b"\0" * 18, "ZIP64", id="zip64"),
        pytest.param(b"?" * 46 + b"PK\x05\x06" + DAMAGED, "no readable zip", id="damaged"),
    ],
)
def test_an_unreadable_wheel_is_refused_instead_of_skipped(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    path.write_bytes(data)
    error = refused(path)
    assert error.reason is IntakeReason.UNSAFE_ARCHIVE
    assert why in error.message


def test_a_wheel_of_another_package_under_this_name_is_refused(tmp_path: Path) -> None:
    other = wheel(tmp_path, name="other")
    path = other.rename(tmp_path / "demo-1.0-py3-none-any.whl")
    assert "belongs to another package" in refused(path).message


def test_metadata_of_another_package_is_refused(tmp_path: Path) -> None:
    lie = b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"
    path = wheel(tmp_path)
    target = "demo-1.0.dist-info/METADATA"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()} | {target: lie}
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in content.items():
            archive.writestr(name, body)
    assert "describes another package" in refused(path).message


def files_of(top: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in sorted(top.rglob("*")) if path.is_file()]
    return {str(p.relative_to(top)): (p.stat().st_mode & 0o777, p.read_bytes()) for p in files}


def put(top: Path, *paths: Path) -> tuple[str, ...]:
    writer = TreeWriter(top)
    return [install(path, writer, what=path.name) for path in paths][-1]


def test_a_wheel_is_installed_with_its_scripts_and_without_any_mark_of_the_installer(tmp_path: Path) -> None:
    path = wheel(
        tmp_path,
        files={
            "demo/__init__.py": b"def main(): pass\n",
            "demo/__pycache__/__init__.cpython-311.pyc": b"bytecode",
            "demo-1.0.data/scripts/helper": b"#!python -O\nprint(1)\n",
            "demo-1.0.data/scripts/native": b"\x7fELF",
            "demo-1.0.data/data/share/x": b"x",
            "demo-1.0.data/purelib/extra.py": b"x",
        },
        scripts={"demo": "demo:main", "python3": "demo:main", "../up": "demo:main"},
    )
    assert put(tmp_path / "tree", path) == ("demo", "helper", "native")
    found = files_of(tmp_path / "tree")
    assert sorted(found) == [
        "bin/demo",
        "bin/helper",
        "bin/native",
        "data/share/x",
        "site-packages/demo-1.0.dist-info/METADATA",
        "site-packages/demo-1.0.dist-info/RECORD",
        "site-packages/demo-1.0.dist-info/WHEEL",
        "site-packages/demo-1.0.dist-info/entry_points.txt",
        "site-packages/demo/__init__.py",
        "site-packages/extra.py",
    ]
    assert found["bin/helper"] == (0o755, b"#!/usr/bin/env python3\nprint(1)\n")
    assert found["bin/native"] == (0o755, b"\x7fELF")


def test_the_installed_tree_does_not_depend_on_umask_or_directory(tmp_path: Path) -> None:
    path = wheel(tmp_path, scripts={"demo": "demo:main"})
    put(tmp_path / "one", path)
    before = os.umask(0o077)
    try:
        put(tmp_path / "a/longer/two", path)
    finally:
        os.umask(before)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "a/longer/two")


def test_of_two_wheels_with_one_file_the_later_one_wins(tmp_path: Path) -> None:
    first = wheel(tmp_path, name="a", files={"shared.py": b"from a"})
    last = wheel(tmp_path, name="b", files={"shared.py": b"from b"})
    put(tmp_path / "tree", first, last)
    assert (tmp_path / "tree/site-packages/shared.py").read_bytes() == b"from b"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"files": {"demo-1.0.data/elsewhere/x": b"x"}}, id="unknown scheme"),
        pytest.param({"files": {"demo": b"x", "demo/x": b"y"}}, id="file and directory at once"),
        pytest.param({"scripts": {"x": "demo:main\n[broken"}}, id="unreadable entry points"),
    ],
)
def test_a_wheel_that_cannot_be_installed_is_refused_by_name(tmp_path: Path, more: dict[str, Any]) -> None:
    path = wheel(tmp_path, **more)
    with pytest.raises(IntakeError, match=r"demo-1\.0-py3-none-any\.whl") as caught:
        put(tmp_path / "tree", path)
    assert caught.value.reason is IntakeReason.UNSAFE_ARCHIVE
