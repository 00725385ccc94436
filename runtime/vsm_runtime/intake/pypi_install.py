"""Verified wheels into one tree, site-packages/ and bin/: no bytecode, no installer's marks, nothing from the clock."""

import base64
import configparser
import hashlib
import io
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Literal

import installer
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, InvalidRecordEntry, RecordEntry
from installer.sources import WheelFile
from installer.utils import Scheme, construct_record_file

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.archives import CHUNK_BYTES, Readable, TreeWriter, UnsafeEntry, safe_parts
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.tree import is_entrypoint_name

SITE_PACKAGES = "site-packages"
_DIRECTORIES = {"purelib": SITE_PACKAGES, "platlib": SITE_PACKAGES, "data": "data", "headers": "include"}
_SHEBANG = b"#!/usr/bin/env python3\n"
_SCRIPT = "import sys\nfrom {module} import {first}\nsys.exit({attr}())\n"


def install(wheel: Path, writer: TreeWriter, *, what: str) -> tuple[str, ...]:
    """Returns the names of the executables that went to bin/. The wheel must have passed `wheel.inspect`."""
    destination = _Destination(writer)
    try:
        with WheelFile.open(wheel) as source, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # bytecode in a wheel is left out: we want that
            installer.install(source, destination, additional_metadata={})
    except UnsafeEntry as error:
        raise IntakeError(IntakeReason.UNSAFE_ARCHIVE, f"the wheel of {what} is refused: {error}") from error
    except (InstallerError, InvalidRecordEntry, configparser.Error, ValueError, AssertionError, KeyError) as error:
        message = f"the wheel of {what} cannot be installed: {str(error)[:300]}"
        raise IntakeError(IntakeReason.UNSAFE_ARCHIVE, message) from error
    return tuple(sorted(destination.executables))


class _Destination(WheelDestination):
    """Where `installer` puts things. Executables with a name we do not offer are left out."""

    def __init__(self, writer: TreeWriter) -> None:
        self._writer = writer
        self.executables: set[str] = set()

    def write_script(self, name: str, module: str, attr: str, section: Literal["console", "gui"]) -> RecordEntry:  # noqa: ARG002
        body = script(module, attr)
        if body is None or not is_entrypoint_name(name):
            return RecordEntry(f"../bin/{name}", None, None)
        return self._executable(name, io.BytesIO(body))

    def write_file(
        self,
        scheme: Scheme,
        path: str | os.PathLike[str],
        stream: BinaryIO,
        is_executable: bool,
    ) -> RecordEntry:
        name = os.fspath(path)
        if scheme == "scripts":
            return self._script_file(name, stream)
        parts = (_DIRECTORIES[scheme], *safe_parts(name))
        hashing = _Hashing(stream)
        self._writer.file(parts, hashing, executable=is_executable)
        return hashing.record(name)

    def finalize_installation(
        self,
        scheme: Scheme,  # noqa: ARG002
        record_file_path: str,
        records: Iterable[tuple[Scheme, RecordEntry]],
    ) -> None:
        prefixes = {"scripts": "../bin/", "data": "../data/", "headers": "../include/"}
        written = [(kind, entry) for kind, entry in records if not entry.path.startswith("../")]
        with construct_record_file(written, prefixes.get) as text:
            self._writer.file((SITE_PACKAGES, *safe_parts(record_file_path)), text, executable=False)

    def _script_file(self, name: str, stream: BinaryIO) -> RecordEntry:
        if not is_entrypoint_name(name):
            return RecordEntry(f"../bin/{name}", None, None)
        first = stream.readline(4096)
        if first.startswith(b"#!python"):
            first = _SHEBANG
        return self._executable(name, _Chained(first, stream))

    def _executable(self, name: str, content: Readable) -> RecordEntry:
        hashing = _Hashing(content)
        self._writer.file(("bin", name), hashing, executable=True)
        self.executables.add(name)
        return hashing.record(name)


def script(module: str, attr: str) -> bytes | None:
    """The four lines that call an entry point; None when it names no callable of a module. Pure."""
    if not all(part.isidentifier() for part in (*module.split("."), *attr.split("."))):
        return None
    return _SHEBANG + _SCRIPT.format(module=module, first=attr.partition(".")[0], attr=attr).encode()


class _Hashing:
    """Passes a stream through and knows what went by."""

    def __init__(self, inner: Readable) -> None:
        self._inner = inner
        self._hasher = hashlib.sha256()
        self._size = 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._inner.read(size)
        self._hasher.update(chunk)
        self._size += len(chunk)
        return chunk

    def record(self, path: str) -> RecordEntry:
        digest = base64.urlsafe_b64encode(self._hasher.digest()).decode().rstrip("=")
        return RecordEntry(path, Hash("sha256", digest), self._size)


class _Chained:
    """`first`, then the rest of a stream."""

    def __init__(self, first: bytes, rest: Readable) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        return self._rest.read(CHUNK_BYTES if size < 0 else size)
