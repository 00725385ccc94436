"""OSV entries out of files: a directory or zip of JSON files, or a directory that holds such zips.

The reader is bounded in number, size and time, follows no link to a directory, and never writes. An entry that cannot
be read is counted, since a body of data with holes must not pass for a whole one.
"""

import hashlib
import os
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_ENTRIES = 2_000_000
MAX_ENTRY_BYTES = 8 * 1024 * 1024
MAX_TOTAL_BYTES = 8 * 1024 * 1024 * 1024
MAX_DIRECTORY_BYTES = 128 * 1024 * 1024
"""Of a zip: its table of contents, which is held in memory whole."""
MAX_DEPTH = 8
DEADLINE_SECONDS = 300.0
_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"


class UnusableDump(Exception):  # noqa: N818 - a verdict on the input
    """The dump as a whole cannot be read; the text says why, without its path."""


@dataclass(slots=True)
class Reading:
    """One pass over a dump: bounds used up so far, what could not be read, and the digest of all that was."""

    deadline: float
    clock: Callable[[], float] = time.monotonic
    entries: int = 0
    total_bytes: int = 0
    unreadable: list[str] = field(default_factory=list)
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    def take(self, name: str, content: bytes) -> None:
        self.entries += 1
        self.total_bytes += len(content)
        self._hash.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogatepass"))
        self._hash.update(content)
        if self.entries > MAX_ENTRIES or self.total_bytes > MAX_TOTAL_BYTES:
            raise UnusableDump("the dump is larger than any that is published")
        if self.entries % 256 == 0 and self.clock() > self.deadline:
            raise UnusableDump("reading the dump took too long")

    def reject(self, name: str) -> None:
        self.unreadable.append(name if len(self.unreadable) < 10 else "")


def started(*, deadline_seconds: float = DEADLINE_SECONDS, clock: Callable[[], float] = time.monotonic) -> Reading:
    return Reading(clock() + deadline_seconds, clock)


def entries(path: Path, reading: Reading) -> Iterator[tuple[str, bytes]]:
    """Name and content of every entry, in an order that depends on the names only. Raises UnusableDump."""
    try:
        if path.is_dir():
            yield from _folder(path, reading, depth=0)
        elif path.is_file():
            yield from _zip(path, reading)
        else:
            raise UnusableDump("there is no such file or directory")
    except OSError as error:
        raise UnusableDump(f"it cannot be read: {error.strerror or type(error).__name__}") from error


def _folder(path: Path, reading: Reading, *, depth: int) -> Iterator[tuple[str, bytes]]:
    if depth > MAX_DEPTH:
        raise UnusableDump("its directories are nested too deeply")
    with os.scandir(path) as listing:
        found = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith((".", "..")):
                yield from _folder(Path(entry.path), reading, depth=depth + 1)
        elif entry.name.endswith((".json", ".zip")):
            yield from _file(Path(entry.path), reading, name=entry.name)


def _file(path: Path, reading: Reading, *, name: str) -> Iterator[tuple[str, bytes]]:
    # A mounted ConfigMap or volume shows its files as links; only regular files behind them count.
    if not stat.S_ISREG(path.stat().st_mode):
        return
    if name.endswith(".zip"):
        yield from _zip(path, reading)
        return
    with path.open("rb") as source:
        content = source.read(MAX_ENTRY_BYTES + 1)
    yield from _accepted(name, content, reading)


def _zip(path: Path, reading: Reading) -> Iterator[tuple[str, bytes]]:
    _check_directory_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(
                (each for each in archive.infolist() if each.filename.endswith(".json")), key=_name, reverse=True
            )
            # The table of contents of a large dump is a hundred megabytes of objects: they go as they are used.
            archive.filelist.clear()
            archive.NameToInfo.clear()
            while members:
                member = members.pop()
                try:
                    with archive.open(member) as source:
                        content = source.read(MAX_ENTRY_BYTES + 1)
                except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
                    reading.take(member.filename, b"")
                    reading.reject(member.filename)
                    continue
                yield from _accepted(member.filename, content, reading)
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError) as error:
        raise UnusableDump("a zip in it is damaged") from error


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename


def _accepted(name: str, content: bytes, reading: Reading) -> Iterator[tuple[str, bytes]]:
    reading.take(name, content)
    if len(content) > MAX_ENTRY_BYTES:
        reading.reject(name)
        return
    yield name, content


def _check_directory_size(path: Path) -> None:
    """zipfile reads a zip's table of contents at once and trusts its length; a lie there must not cost memory."""
    with path.open("rb") as source:
        size = source.seek(0, os.SEEK_END)
        source.seek(max(0, size - 66_000))
        tail = source.read(66_000)
        position = tail.rfind(_END)
        if position < 0 or position + 22 > len(tail):
            raise UnusableDump("a zip in it is damaged")
        directory_bytes = struct.unpack_from("<L", tail, position + 12)[0]
        if tail[max(0, position - 20) : position].startswith(_LOCATOR64):  # then zipfile believes the wide record only
            wide = tail.rfind(_END64, 0, position)
            if wide < 0 or wide + 48 > len(tail):
                raise UnusableDump("a zip in it is damaged")
            directory_bytes = struct.unpack_from("<Q", tail, wide + 40)[0]
        if min(directory_bytes, size) > MAX_DIRECTORY_BYTES:
            raise UnusableDump("a zip in it has too many entries")
