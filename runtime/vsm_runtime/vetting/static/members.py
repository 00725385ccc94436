"""The files of one artefact, a directory or an archive, each once and in a fixed order.

In: a path. Out: Members with their bytes, and Problems for whatever could not be read. Never follows a link, opens
nothing but regular files, writes nothing. An archive is read as a stream; its bounds are those of `archives`.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vsm_operator.domain.vetting.model import Severity
from vsm_runtime.archives import (
    CHUNK_BYTES,
    ArchiveLimits,
    ArchiveTooLarge,
    Readable,
    UnsafeEntry,
    printable,
    read_tar_gz,
    safe_parts,
)
from vsm_runtime.vetting.static.limits import Deadline, Limits

_GZIP, _ZIP, _ZIP_END, _ZIP64 = b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07"
_ZIP_END_BYTES = 22
_MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_IGNORED_DIRECTORIES = frozenset({"__pycache__"})
_MAX_PROBLEMS = 50


@dataclass(frozen=True, slots=True)
class Member:
    """One regular file."""

    path: str
    """Relative, with "/", below the artefact's own top folder, printable."""
    data: bytes
    size_bytes: int
    """Of the whole file, which is more than len(data) for one that is too long."""
    mode: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an honest package does not have, or that hid bytes from us."""

    rule: str
    path: str
    why: str
    severity: Severity = "high"
    hides: bool = True
    """Whether bytes remained unread because of it."""


def members(path: Path, *, limits: Limits, deadline: Deadline) -> Iterator[Member | Problem]:
    """Everything below `path`. Damage ends the iteration with a Problem, never with an exception but OutOfTime."""
    try:
        info = path.stat()
        if stat.S_ISDIR(info.st_mode):
            yield from _Tree(limits=limits, deadline=deadline).walk(path)
        elif stat.S_ISREG(info.st_mode):
            yield from _archive_or_file(path, size_bytes=info.st_size, limits=limits, deadline=deadline)
        else:
            yield Problem("unreadable-artefact", path.name, "is neither a file nor a directory", "critical")
    except UnsafeEntry as error:
        yield Problem("unsafe-archive", error.entry, error.why, "critical")
    except ArchiveTooLarge as error:
        yield Problem("artefact-too-large", "", str(error), "critical")
    except OSError as error:
        yield Problem("unreadable-artefact", printable(path.name), f"cannot be read: {error.strerror}", "critical")


def _archive_or_file(path: Path, *, size_bytes: int, limits: Limits, deadline: Deadline) -> Iterator[Member | Problem]:
    with path.open("rb") as source:
        magic = source.read(4)
        source.seek(0)
        bounds = ArchiveLimits(max_bytes=limits.max_total_bytes, max_entries=limits.max_entries)
        if magic.startswith(_GZIP):
            yield from _tar(source, packed_bytes=size_bytes, bounds=bounds, limits=limits, deadline=deadline)
        elif magic in (_ZIP, _ZIP_END + b""):
            yield from _zip(path, packed_bytes=size_bytes, bounds=bounds, limits=limits, deadline=deadline)
        elif path.suffix.lower() in (".tgz", ".gz", ".whl", ".zip", ".egg", ".tar", ".bz2", ".xz", ".zst", ".7z"):
            yield Problem("unsafe-archive", printable(path.name), "is no gzip and no zip archive", "critical")
        else:
            data, read_all = _read(source, limits.max_file_bytes)
            yield Member(printable(path.name), data, size_bytes, 0o644)
            if not read_all:
                yield _too_long(printable(path.name), size_bytes)


def _tar(
    source: Readable, *, packed_bytes: int, bounds: ArchiveLimits, limits: Limits, deadline: Deadline
) -> Iterator[Member | Problem]:
    for entry in read_tar_gz(source, packed_bytes=packed_bytes, limits=bounds):
        deadline.check()
        name = "/".join(entry.parts)
        if len(entry.parts) > limits.max_depth:
            raise UnsafeEntry(name, f"lies more than {limits.max_depth} directories deep")
        if entry.info.issym():
            yield _link(_below_top(entry.parts), entry.info.linkname)
        elif entry.content is not None:
            data, _ = _read(entry.content, limits.max_file_bytes)
            path = _below_top(entry.parts)
            yield Member(path, data, entry.info.size, entry.info.mode)
            if len(data) < entry.info.size:
                yield _too_long(path, entry.info.size)


def _below_top(parts: tuple[str, ...]) -> str:
    """npm tarballs and sdists have one folder around everything; its name says nothing."""
    return printable("/".join(parts[1:] if len(parts) > 1 else parts), max_length=300)


def _zip(
    path: Path, *, packed_bytes: int, bounds: ArchiveLimits, limits: Limits, deadline: Deadline
) -> Iterator[Member | Problem]:
    _check_zip_directory(path, bounds)
    ceiling_bytes = max(bounds.ratio_floor_bytes, packed_bytes * bounds.max_ratio)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len(infos) > bounds.max_entries:
                raise ArchiveTooLarge(f"it has more than {bounds.max_entries} entries")
            total_bytes = sum(info.file_size for info in infos)
            if total_bytes > ceiling_bytes:
                raise UnsafeEntry("", f"is a decompression bomb: over {bounds.max_ratio} times its size")
            if total_bytes > bounds.max_bytes:
                raise ArchiveTooLarge(f"it unpacks to more than {bounds.max_bytes} bytes")
            for info in infos:
                deadline.check()
                yield from _zip_member(archive, info, limits)
    except _ZIP_DAMAGE as error:
        raise UnsafeEntry("", f"is no readable archive: {printable(str(error))}") from error


def _check_zip_directory(path: Path, bounds: ArchiveLimits) -> None:
    """zipfile keeps every entry of the table of contents in memory, so its size is looked at first."""
    with path.open("rb") as source:
        size = source.seek(0, os.SEEK_END)
        source.seek(max(0, size - 65_536 - _ZIP_END_BYTES))
        tail = source.read()
    at = tail.rfind(_ZIP_END)
    if at < 0 or len(tail) - at < _ZIP_END_BYTES:
        raise UnsafeEntry("", "is no zip archive")
    if tail.rfind(_ZIP64) >= 0:
        raise UnsafeEntry("", "uses the ZIP64 format, which no package needs")
    entries, directory_bytes = struct.unpack("<H", tail[at + 10 : at + 12])[0], 0
    directory_bytes = struct.unpack("<I", tail[at + 12 : at + 16])[0]
    if entries > bounds.max_entries or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ArchiveTooLarge("its table of contents is too long")


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits) -> Iterator[Member | Problem]:
    parts = safe_parts(info.filename)
    path = printable("/".join(parts), max_length=300)
    if len(parts) > limits.max_depth:
        raise UnsafeEntry(path, f"lies more than {limits.max_depth} directories deep")
    if info.is_dir():
        return
    mode = info.external_attr >> 16
    if info.flag_bits & 0x1:
        raise UnsafeEntry(path, "is encrypted")
    if info.compress_type not in _ZIP_METHODS:
        raise UnsafeEntry(path, "is packed with a method that no package uses")
    if stat.S_ISLNK(mode):
        yield _link(path, "")
        return
    with archive.open(info) as content:
        data, _ = _read(content, limits.max_file_bytes)
    yield Member(path, data, info.file_size, mode)
    if len(data) < info.file_size:
        yield _too_long(path, info.file_size)


def _read(source: Readable, max_bytes: int) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    left = max_bytes
    while left and (piece := source.read(min(CHUNK_BYTES, left))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces), bool(left) or not source.read(1)


def _too_long(path: str, size_bytes: int) -> Problem:
    return Problem("file-too-large", path, f"has {size_bytes} bytes, of which only the beginning was read")


def _link(path: str, target: str) -> Problem:
    leaves = target.startswith("/") or target.split("/").count("..") >= path.count("/") + 1
    severity: Severity = "high" if leaves else "info"
    return Problem("symbolic-link", path, f"is a link to {printable(target, max_length=60)!r}", severity, hides=False)


class _Tree:
    """A directory, read without recursion, links never followed, entries in the order of their names."""

    def __init__(self, *, limits: Limits, deadline: Deadline) -> None:
        self._limits = limits
        self._deadline = deadline
        self._entries = self._total_bytes = 0

    def walk(self, top: Path) -> Iterator[Member | Problem]:
        pending = [(top, "", 0)]
        while pending:
            directory, prefix, depth = pending.pop()
            self._deadline.check()
            if depth > self._limits.max_depth:
                yield Problem("too-deep", printable(prefix, max_length=300), "lies too many directories deep")
                continue
            below = []
            for entry in self._listing(directory):
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _IGNORED_DIRECTORIES:
                        below.append((Path(entry.path), f"{name}/", depth + 1))
                    continue
                yield from self._entry(entry, printable(name, max_length=300))
            pending.extend(reversed(below))

    def _listing(self, directory: Path) -> list[os.DirEntry[str]]:
        listing = []
        with os.scandir(directory) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > self._limits.max_entries:
                    raise ArchiveTooLarge(f"it has more than {self._limits.max_entries} entries")
                listing.append(entry)
        return sorted(listing, key=lambda entry: os.fsencode(entry.name))

    def _entry(self, entry: os.DirEntry[str], path: str) -> Iterator[Member | Problem]:
        try:
            if entry.is_symlink():
                yield _link(path, str(Path(entry.path).readlink()))
                return
            info = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(info.st_mode):
                yield Problem("special-file", path, "is a device, a pipe or a socket")
                return
            self._deadline.check()
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as source:
                data, read_all = _read(source, self._limits.max_file_bytes)
        except OSError as error:
            yield Problem("unreadable-file", path, f"cannot be read: {error.strerror}")
            return
        self._total_bytes += len(data)
        if self._total_bytes > self._limits.max_total_bytes:
            raise ArchiveTooLarge(f"it holds more than {self._limits.max_total_bytes} bytes")
        yield Member(path, data, info.st_size, info.st_mode)
        if not read_all:
            yield _too_long(path, info.st_size)
