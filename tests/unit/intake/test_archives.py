import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from unit.intake.kit import Member, file, special, tar, tgz
from vsm_runtime.archives import ArchiveLimits, ArchiveTooLarge, TreeWriter, UnsafeEntry, read_tar_gz

GENEROUS = ArchiveLimits(max_bytes=10**9, max_entries=10_000, ratio_floor_bytes=3_000_000)


def names(data: bytes, limits: ArchiveLimits = GENEROUS) -> list[str]:
    entries = read_tar_gz(io.BytesIO(data), packed_bytes=len(data), limits=limits)
    return ["/".join(entry.parts) for entry in entries]


@pytest.mark.parametrize(
    ("member", "why"),
    [
        pytest.param(file("package/../../evil"), "leaves its directory", id="parent directory"),
        pytest.param(file("package/.."), "leaves its directory", id="ends in the parent directory"),
        pytest.param(file("/etc/passwd"), "absolute path", id="absolute path"),
        pytest.param(file("package/a\nb"), "control character", id="newline in the name"),
        pytest.param(file("package/" + "n" * 300), "too long", id="component of 300 bytes"),
        pytest.param(file("/".join(["d" * 200] * 12)), "too long", id="path of 2400 bytes"),
        pytest.param(special("package/link", tarfile.LNKTYPE, target="/etc/passwd"), "hard link", id="hard link"),
        pytest.param(special("package/null", tarfile.CHRTYPE), "no file or directory", id="device"),
        pytest.param(special("package/pipe", tarfile.FIFOTYPE), "no file or directory", id="named pipe"),
        pytest.param(special("package/s", tarfile.GNUTYPE_SPARSE), "sparse", id="sparse file"),
    ],
)
def test_an_entry_that_no_honest_archive_has_is_refused_by_name(member: Member, why: str) -> None:
    with pytest.raises(UnsafeEntry, match=why):
        names(tgz(file("package/package.json"), member))


def test_a_name_that_is_no_utf8_is_refused() -> None:
    data = tar([file("package/caf\udce9")], tar_format=tarfile.USTAR_FORMAT)
    with pytest.raises(UnsafeEntry, match="invalid UTF-8"):
        names(gzip.compress(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"PK\x03\x04 not a tar", id="no gzip"),
        pytest.param(gzip.compress(b"no tar at all" * 100), id="no tar inside"),
        pytest.param(tgz(file("package/a", os.urandom(5000)))[:-2000], id="gzip cut off"),
        pytest.param(gzip.compress(tar([file("package/a", b"x" * 5000)])[:3000]), id="tar cut off"),
        pytest.param(gzip.compress(tar([file("a"), file("b")])[:1024] + b"\x07" * 1024), id="damaged second header"),
    ],
)
def test_an_unreadable_archive_is_refused_instead_of_skipped(data: bytes) -> None:
    with pytest.raises(UnsafeEntry, match="no readable archive"):
        list(drain(data))


def drain(data: bytes) -> list[bytes]:
    entries = read_tar_gz(io.BytesIO(data), packed_bytes=len(data), limits=GENEROUS)
    return [b"".join(iter(entry.content.read, b"")) for entry in entries if entry.content is not None]


def test_a_decompression_bomb_is_refused_before_it_unpacks() -> None:
    data = tgz(file("package/zeros", b"\0" * 4_000_000))
    with pytest.raises(UnsafeEntry, match="decompression bomb"):
        drain(data)


def test_a_bomb_behind_an_honest_size_limit_is_too_large_and_not_read() -> None:
    data = tgz(file("package/zeros", b"\0" * 1_000_000))
    with pytest.raises(ArchiveTooLarge, match="more than 999999 bytes"):
        names(data, ArchiveLimits(max_bytes=999_999, max_entries=10))


def test_a_header_of_two_megabytes_is_refused_instead_of_held_in_memory() -> None:
    info, content = file("package/a")
    info.pax_headers = {"comment": "x" * 2_000_000}
    with pytest.raises(UnsafeEntry, match="extended header"):
        names(tgz((info, content)))


def test_one_entry_more_than_allowed_is_too_large() -> None:
    data = tgz(*(file(f"package/{n}") for n in range(4)))
    assert len(names(data, ArchiveLimits(max_bytes=10**6, max_entries=4))) == 4
    with pytest.raises(ArchiveTooLarge, match="more than 3 entries"):
        names(data, ArchiveLimits(max_bytes=10**6, max_entries=3))


def test_names_are_normalised_and_long_names_survive() -> None:
    long = "package/" + "/".join(["component"] * 20)
    assert names(tgz(file("./package//a/./b"), file(long))) == ["package/a/b", long]


def test_contents_arrive_whole_when_sizes_meet_the_block_boundary() -> None:
    sizes = [0, 1, 511, 512, 513, 1024, 70_000]
    data = tgz(*(file(f"package/{size}", os.urandom(1) * size) for size in sizes))
    assert [len(content) for content in drain(data)] == sizes


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        writer = TreeWriter(tmp_path / "tree")
        writer.file(("d", "plain"), io.BytesIO(b"1"), executable=False)
        writer.file(("d", "run"), io.BytesIO(b"2"), executable=True)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "tree").rglob("*")}
    assert modes == {"d": 0o755, "plain": 0o644, "run": 0o755}


def test_the_last_of_two_entries_with_one_name_wins_and_is_counted_once(tmp_path: Path) -> None:
    writer = TreeWriter(tmp_path / "tree")
    writer.file(("a",), io.BytesIO(b"first"), executable=False)
    writer.file(("a",), io.BytesIO(b"2nd"), executable=True)
    assert (tmp_path / "tree/a").read_bytes() == b"2nd"
    assert (writer.files, writer.size_bytes) == (1, 3)


def test_names_that_differ_in_case_are_two_files(tmp_path: Path) -> None:
    writer = TreeWriter(tmp_path / "tree")
    writer.file(("README",), io.BytesIO(b"1"), executable=False)
    writer.file(("readme",), io.BytesIO(b"2"), executable=False)
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == ["README", "readme"]


def test_a_file_where_a_directory_is_needed_is_refused(tmp_path: Path) -> None:
    writer = TreeWriter(tmp_path / "tree")
    writer.file(("a",), io.BytesIO(b"1"), executable=False)
    with pytest.raises(UnsafeEntry, match="directory and a file at once"):
        writer.file(("a", "b"), io.BytesIO(b"2"), executable=False)


def test_a_directory_where_a_file_is_wanted_is_refused(tmp_path: Path) -> None:
    writer = TreeWriter(tmp_path / "tree")
    writer.directory(("a",))
    with pytest.raises(UnsafeEntry, match="something else at once"):
        writer.file(("a",), io.BytesIO(b"2"), executable=False)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    writer = TreeWriter(tmp_path / "tree")
    writer.link(("way",), str(outside))
    with pytest.raises(UnsafeEntry):
        writer.file(("way", "out"), io.BytesIO(b"x"), executable=False)
    assert not list(outside.iterdir())
