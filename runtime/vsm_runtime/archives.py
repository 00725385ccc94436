"""Reading archives that somebody hostile may have written.

Nothing here trusts a length, a name or a type in a header: every entry is checked before a byte of it is written,
all reads are bounded, and no link or device is ever created. Callers translate the two errors into their own.
"""

import gzip
import io
import stat
import tarfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 64 * 1024
MAX_HEADER_BYTES = 1024 * 1024
"""tarfile reads extended headers whole; a longer one is an attack on our memory."""
MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 2048
_DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, OverflowError)
_ENTRY_OVERHEAD_BYTES = 4096
"""Headers and padding that one entry may add to the unpacked stream."""


class UnsafeEntry(Exception):  # noqa: N818 - a verdict on the input
    """The archive holds something that no honest archive of its kind holds."""

    def __init__(self, entry: str, why: str) -> None:
        self.entry = printable(entry)
        self.why = why
        super().__init__(f"entry {self.entry!r} {why}" if entry else why)


class ArchiveTooLarge(Exception):  # noqa: N818 - a verdict on the input
    """The archive is well-formed but exceeds a bound that was set for it."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much one archive may become."""

    max_bytes: int
    max_entries: int
    max_ratio: int = 250
    """Unpacked to packed; text packs at 4 to 20, a bomb at 1000."""
    ratio_floor_bytes: int = 32 * 1024 * 1024
    """Below this many unpacked bytes the ratio says nothing: a small file of zeros is no attack."""


def printable(text: str, *, max_length: int = 120) -> str:
    """`text` fit for a log line and a JSON string."""
    cleaned = "".join(c if c.isprintable() else "�" for c in text)
    return cleaned if len(cleaned) <= max_length else cleaned[: max_length - 1] + "…"


def safe_parts(name: str) -> tuple[str, ...]:
    """The components of a relative path inside an archive, without `.` and empty ones; () for the top itself.

    Raises UnsafeEntry for whatever could land elsewhere or mislead a reader of the list.
    """
    if name.startswith("/"):
        raise UnsafeEntry(name, "has an absolute path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise UnsafeEntry(name, "leaves its directory with '..'")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise UnsafeEntry(name, "has a control character or invalid UTF-8 in its name")
    if len(name.encode()) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_COMPONENT_BYTES for part in parts):
        raise UnsafeEntry(name, "has a name that is too long")
    return parts


class Readable(Protocol):
    """As much of a binary stream as a copy needs."""

    def read(self, size: int = ..., /) -> bytes: ...


class InflatedStream(io.RawIOBase):
    """A gzip stream as tarfile wants it: forward only (one byte back is allowed), counted, every read bounded."""

    def __init__(self, source: Readable, *, packed_bytes: int, limits: ArchiveLimits) -> None:
        super().__init__()
        self._inner = gzip.GzipFile(fileobj=source, mode="rb")  # type: ignore[call-overload]  # reads only
        self._limits = limits
        self._ceiling_bytes = limits.max_bytes + limits.max_entries * _ENTRY_OVERHEAD_BYTES
        self._ratio_bytes = max(limits.ratio_floor_bytes, packed_bytes * limits.max_ratio)
        self._position = 0
        self._last = b""
        self._stepped_back = False
        self.last_read = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position - self._stepped_back

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > MAX_HEADER_BYTES:
            raise UnsafeEntry("", "has an extended header of more than 1 MiB")
        if size == 0:
            return b""
        if self._stepped_back:
            self._stepped_back = False
            return self._last + (self.read(size - 1) if size > 1 else b"")
        pieces = []
        wanted = size
        while wanted and (piece := self._inner.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        data = self.last_read = b"".join(pieces)
        if data:
            self._position += len(data)
            self._last = data[-1:]
            self._check()
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only absolute positions")
        if offset == self._position - 1 and self._last:
            self._stepped_back = True
            return offset
        self._stepped_back = False
        while self._position < offset:
            if not self.read(min(CHUNK_BYTES, offset - self._position)):
                break
        if self._position != offset:
            raise tarfile.ReadError("the archive ends too early")
        return offset

    def _check(self) -> None:
        if self._position > self._ratio_bytes:
            raise UnsafeEntry(
                "", f"is a decompression bomb: unpacked it is over {self._limits.max_ratio} times its size"
            )
        if self._position > self._ceiling_bytes:
            raise ArchiveTooLarge(f"it unpacks to more than {self._limits.max_bytes} bytes")


class _Content:
    """The bytes of one entry, at most CHUNK_BYTES at a time; damage shows as UnsafeEntry here as everywhere."""

    def __init__(self, inner: Readable, name: str) -> None:
        self._inner = inner
        self._name = name

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        try:
            return self._inner.read(CHUNK_BYTES if size < 0 else min(size, CHUNK_BYTES))
        except _DAMAGE as error:
            raise UnsafeEntry(self._name, f"is no readable archive member: {printable(str(error))}") from error


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One checked entry; `content` must be read before the next entry is asked for."""

    parts: tuple[str, ...]
    info: tarfile.TarInfo
    content: Readable | None
    """None for anything but a regular file."""

    @property
    def executable(self) -> bool:
        return bool(self.info.mode & 0o111)


def read_tar_gz(source: Readable, *, packed_bytes: int, limits: ArchiveLimits) -> Iterator[TarEntry]:
    """The entries in order, names, types and sizes checked. Symlinks are passed on unresolved; hard links are refused.

    Raises UnsafeEntry or ArchiveTooLarge, also for data that is no gzip or no tar.
    """
    stream = InflatedStream(source, packed_bytes=packed_bytes, limits=limits)
    entries = total_bytes = 0
    try:
        with tarfile.TarFile(fileobj=stream, mode="r", errorlevel=2) as tar:
            while (info := tar.next()) is not None:
                setattr(tar, "members", [])  # noqa: B010 - not in the stubs; tarfile keeps every header for ever; we never go back
                entries += 1
                total_bytes += max(info.size, 0)
                if entries > limits.max_entries:
                    raise ArchiveTooLarge(f"it has more than {limits.max_entries} entries")
                if total_bytes > limits.max_bytes:
                    raise ArchiveTooLarge(f"it unpacks to more than {limits.max_bytes} bytes")
                yield _checked(tar, info)
            if stream.last_read.strip(b"\0"):
                raise tarfile.ReadError("a header is damaged")  # tarfile itself takes that for the end
    except _DAMAGE as error:
        raise UnsafeEntry("", f"is no readable archive: {printable(str(error))}") from error


def _checked(tar: tarfile.TarFile, info: tarfile.TarInfo) -> TarEntry:
    parts = safe_parts(info.name)
    if info.size < 0:
        raise UnsafeEntry(info.name, "has a negative size")
    if info.issparse():
        raise UnsafeEntry(info.name, "is a sparse file")
    if info.islnk():
        raise UnsafeEntry(info.name, "is a hard link")
    if not (info.isreg() or info.isdir() or info.issym()):
        raise UnsafeEntry(info.name, "is no file or directory")
    inner = tar.extractfile(info) if info.isreg() else None
    return TarEntry(parts, info, _Content(inner, info.name) if inner is not None else None)


class TreeWriter:
    """Writes checked entries below one directory: never through a link, never a file over a directory, modes fixed.

    The last of two entries with one name wins, as with the ecosystems' own tools.
    """

    def __init__(self, top: Path) -> None:
        self._top = top
        self._directories: set[Path] = set()
        self.files = 0
        self.size_bytes = 0
        self.directory(())

    def directory(self, parts: tuple[str, ...]) -> Path:
        path = self._top.joinpath(*parts)
        if path in self._directories:
            return path
        if parts:
            self.directory(parts[:-1])
        if not _is(path, stat.S_ISDIR):
            if _exists(path):
                raise UnsafeEntry("/".join(parts), "is a directory and a file at once")
            path.mkdir(parents=not parts)
            path.chmod(0o755)
        self._directories.add(path)
        return path

    def file(self, parts: tuple[str, ...], content: Readable, *, executable: bool) -> int:
        """Returns the number of bytes written."""
        path = self.directory(parts[:-1]) / parts[-1]
        if _exists(path):
            if not _is(path, stat.S_ISREG):
                raise UnsafeEntry("/".join(parts), "is a file and something else at once")
            self.size_bytes -= path.lstat().st_size
            self.files -= 1
            path.unlink()
        written = 0
        with path.open("xb") as sink:
            while chunk := content.read(CHUNK_BYTES):
                sink.write(chunk)
                written += len(chunk)
        path.chmod(0o755 if executable else 0o644)
        self.files += 1
        self.size_bytes += written
        return written

    def link(self, parts: tuple[str, ...], target: str) -> None:
        """The caller answers for `target`, and makes links only after all files: nothing is written through one."""
        path = self.directory(parts[:-1]) / parts[-1]
        if _exists(path):
            raise UnsafeEntry("/".join(parts), "is a link and something else at once")
        path.symlink_to(target)


def _exists(path: Path) -> bool:
    return _is(path, lambda _: True)


def _is(path: Path, predicate: Callable[[int], bool]) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return predicate(mode)
