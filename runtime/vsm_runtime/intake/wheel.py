"""Looking into a wheel before anything of it is written: names, kinds, sizes, and every byte against its RECORD.

The zip format has two tables of contents and more ways to lie than a tar: what zipfile would read into memory is
bounded before it is opened, and everything that no honest wheel needs is refused.
"""

import base64
import csv
import hashlib
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.archives import CHUNK_BYTES, ArchiveLimits, ArchiveTooLarge, UnsafeEntry, safe_parts
from vsm_runtime.intake.errors import IntakeError

_MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
_MAX_METADATA_BYTES = 8 * 1024 * 1024
_MAX_RECORD_BYTES = 32 * 1024 * 1024
_END, _ZIP64_LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_END_BYTES = 22
_HASHES = frozenset({"sha256", "sha384", "sha512"})
_UNSIGNED = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""Files of .dist-info that cannot be listed with a hash of themselves."""


@dataclass(frozen=True, slots=True)
class WheelFacts:
    """What the wheel says of itself, all of it verified against RECORD."""

    license: str
    files: int
    unpacked_bytes: int
    path_hooks: int


class _RecordMismatchError(Exception):
    """A file is not what RECORD says."""


def inspect(path: Path, *, what: str, limits: ArchiveLimits) -> WheelFacts:
    """Raises IntakeError(UnsafeArchive, IntegrityMismatch or BundleTooLarge) naming `what` and the entry."""
    try:
        _check_directory_size(path)
        with zipfile.ZipFile(path) as archive:
            members = _checked_members(archive, limits)
            info = _dist_info(path.name, members)
            metadata = _metadata(archive, f"{info}/METADATA", path.name)
            _check_record(archive, members, info)
    except UnsafeEntry as error:
        raise IntakeError(IntakeReason.UNSAFE_ARCHIVE, f"the wheel of {what} is refused: {error}") from error
    except ArchiveTooLarge as error:
        raise IntakeError(IntakeReason.BUNDLE_TOO_LARGE, f"the wheel of {what} is too large: {error}") from error
    except _RecordMismatchError as error:
        raise IntakeError(IntakeReason.INTEGRITY_MISMATCH, f"the wheel of {what} is refused: {error}") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, OSError) as error:
        message = f"the wheel of {what} is refused: it is no readable zip archive: {str(error)[:200]}"
        raise IntakeError(IntakeReason.UNSAFE_ARCHIVE, message) from error
    sizes = [member.file_size for member in members.values()]
    hooks = sum(1 for name in members if name.endswith(".pth") and name.count("/") in (0, 2))
    return WheelFacts(license_of(metadata), len(sizes), sum(sizes), hooks)


def license_of(metadata: Message) -> str:
    """The expression (PEP 639), else the short free text, else the classifiers."""
    text = str(metadata.get("License-Expression") or "").strip()
    free = str(metadata.get("License") or "").strip()
    if not text and free and free.upper() != "UNKNOWN" and "\n" not in free:
        text = free
    if not text:
        classifiers = [str(c) for c in metadata.get_all("Classifier") or () if str(c).startswith("License ::")]
        text = ", ".join(classifier.rsplit("::", 1)[-1].strip() for classifier in classifiers)
    return text[:200]


def _check_directory_size(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - _END_BYTES - 0xFFFF))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise UnsafeEntry("", "is no zip archive")
    if tail.rfind(_ZIP64_LOCATOR) >= 0:
        raise UnsafeEntry("", "uses the ZIP64 format, which no wheel needs")
    (directory_bytes,) = struct.unpack_from("<L", tail, at + 12)
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ArchiveTooLarge("its table of contents is too long")


def _checked_members(archive: zipfile.ZipFile, limits: ArchiveLimits) -> Mapping[str, zipfile.ZipInfo]:
    """Files by name."""
    infos = archive.infolist()
    if len(infos) > limits.max_entries:
        raise ArchiveTooLarge(f"it has more than {limits.max_entries} entries")
    members: dict[str, zipfile.ZipInfo] = {}
    total_bytes = packed_bytes = 0
    for member in infos:
        _check_member(member)
        if member.is_dir():
            continue
        if member.filename in members:
            raise UnsafeEntry(member.filename, "occurs twice")
        members[member.filename] = member
        total_bytes += member.file_size
        packed_bytes += member.compress_size
        if total_bytes > limits.max_bytes:
            raise ArchiveTooLarge(f"it unpacks to more than {limits.max_bytes} bytes")
    if total_bytes > max(limits.ratio_floor_bytes, packed_bytes * limits.max_ratio):
        raise UnsafeEntry("", f"is a decompression bomb: unpacked it is over {limits.max_ratio} times its size")
    return members


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    mode = member.external_attr >> 16
    if "\\" in name or name != "/".join(safe_parts(name)) + ("/" if member.is_dir() else ""):
        raise UnsafeEntry(name, "has a path that is not plain and relative")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeEntry(name, "is a symbolic link" if stat.S_ISLNK(mode) else "is no file or directory")
    if member.flag_bits & 0x1:
        raise UnsafeEntry(name, "is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnsafeEntry(name, "is packed with a method that wheels do not use")


def _dist_info(filename: str, members: Mapping[str, zipfile.ZipInfo]) -> str:
    """The one .dist-info directory, which must be that of the file's own name and version."""
    name, version, _, _ = parse_wheel_filename(filename)
    found = {path.split("/", 1)[0] for path in members if path.split("/", 1)[0].endswith(".dist-info")}
    if len(found) != 1:
        raise UnsafeEntry("", f"must have one .dist-info directory, it has {len(found)}")
    directory = found.pop()
    own_name, _, own_version = directory.removesuffix(".dist-info").partition("-")
    try:
        same = canonicalize_name(own_name) == name and Version(own_version) == version
    except InvalidVersion:
        same = False
    if not same:
        raise UnsafeEntry(directory, "belongs to another package")
    return directory


def _metadata(archive: zipfile.ZipFile, path: str, filename: str) -> Message:
    name, version, _, _ = parse_wheel_filename(filename)
    message = HeaderParser().parsestr(_text(archive, path, _MAX_METADATA_BYTES))
    try:
        same = canonicalize_name(str(message["Name"])) == name and Version(str(message["Version"])) == version
    except InvalidVersion:
        same = False
    if not same:
        raise UnsafeEntry(path, "describes another package")
    return message


def _check_record(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], info: str) -> None:
    record = dict(_record_rows(_text(archive, f"{info}/RECORD", _MAX_RECORD_BYTES)))
    exempt = {f"{info}/{name}" for name in _UNSIGNED}
    for name, member in members.items():
        if name in exempt:
            continue
        listed = record.pop(name, "")
        algorithm, _, expected = listed.partition("=")
        if algorithm not in _HASHES:
            raise _RecordMismatchError(f"RECORD has no secure hash for {name!r}")
        if _hash(archive, member, algorithm) != expected.rstrip("="):
            raise _RecordMismatchError(f"{name!r} is not the file that RECORD lists")
    missing = sorted(name for name, listed in record.items() if listed and name not in exempt)
    if missing:
        raise _RecordMismatchError(f"RECORD lists {missing[0][:120]!r}, which is not there")


def _record_rows(text: str) -> Iterator[tuple[str, str]]:
    for row in csv.reader(io.StringIO(text)):
        if row:
            yield row[0], row[1] if len(row) > 1 else ""


def _hash(archive: zipfile.ZipFile, member: zipfile.ZipInfo, algorithm: str) -> str:
    hasher = hashlib.new(algorithm)
    with archive.open(member) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            hasher.update(chunk)
    return base64.urlsafe_b64encode(hasher.digest()).decode().rstrip("=")


def _text(archive: zipfile.ZipFile, path: str, max_bytes: int) -> str:
    try:
        member = archive.getinfo(path)
    except KeyError as error:
        raise UnsafeEntry(path, "is missing") from error
    if member.file_size > max_bytes:
        raise UnsafeEntry(path, f"is larger than {max_bytes} bytes")
    return archive.read(member).decode("utf-8", errors="replace")
