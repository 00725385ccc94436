"""One npm archive into its place in the tree, checked entry by entry, and what its package.json says."""

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.archives import ArchiveLimits, ArchiveTooLarge, TarEntry, TreeWriter, UnsafeEntry, read_tar_gz
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.facts import npm_license, npm_lifecycle_scripts

_MAX_MANIFEST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What one archive added to the tree."""

    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class NpmManifest:
    """The facts of one package.json in the tree."""

    name: str
    version: str
    license: str
    lifecycle_scripts: tuple[str, ...]
    executables: Mapping[str, str]
    """Name -> path inside the package, only for files that exist."""


def unpack(archive: Path, target: Path, *, what: str, limits: ArchiveLimits) -> Unpacked:
    """Unpacks below `target`, which must not exist yet. The first component of every name is dropped, as npm does.

    Raises IntakeError(UnsafeArchive or BundleTooLarge) that names `what` and the entry.
    """
    try:
        writer = TreeWriter(target)
        with archive.open("rb") as source:
            for entry in read_tar_gz(source, packed_bytes=archive.stat().st_size, limits=limits):
                _place(entry, writer)
    except UnsafeEntry as error:
        raise IntakeError(IntakeReason.UNSAFE_ARCHIVE, f"the archive of {what} is refused: {error}") from error
    except ArchiveTooLarge as error:
        raise IntakeError(IntakeReason.BUNDLE_TOO_LARGE, f"the archive of {what} is too large: {error}") from error
    return Unpacked(writer.files, writer.size_bytes)


def _place(entry: TarEntry, writer: TreeWriter) -> None:
    if entry.info.issym():
        raise UnsafeEntry(entry.info.name, f"is a symbolic link to {entry.info.linkname[:80]!r}")
    parts = entry.parts[1:]
    if parts and entry.content is None:
        writer.directory(parts)
    elif parts and entry.content is not None:
        writer.file(parts, entry.content, executable=entry.executable)


def read_manifest(package: Path, *, what: str) -> NpmManifest:
    """Raises IntakeError(UnsafeArchive): a package that cannot be read cannot be judged."""
    path = package / "package.json"
    try:
        with path.open("rb") as file:
            raw = json.loads(file.read(_MAX_MANIFEST_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"is unreadable: {error}"
        raise IntakeError(IntakeReason.UNSAFE_ARCHIVE, f"package.json of {what} {why}") from error
    if not isinstance(raw, dict):
        raise IntakeError(IntakeReason.UNSAFE_ARCHIVE, f"package.json of {what} is no object")
    return NpmManifest(
        name=str(raw.get("name") or ""),
        version=str(raw.get("version") or ""),
        license=npm_license(raw),
        lifecycle_scripts=npm_lifecycle_scripts(raw, has_binding_gyp=(package / "binding.gyp").is_file()),
        executables=_existing(package, declared_executables(raw)),
    )


def declared_executables(manifest: Mapping[str, Any]) -> dict[str, str]:
    """`bin` of a package.json as npm normalises it: no directory in a name, no way out in a target."""
    declared = manifest.get("bin")
    if isinstance(declared, str):
        declared = {str(manifest.get("name") or "").rsplit("/", 1)[-1]: declared}
    if not isinstance(declared, dict):
        return {}
    found = {}
    for name, target in declared.items():
        base = posixpath.basename(str(name).replace("\\", "/").replace(":", "/"))
        relative = posixpath.normpath(posixpath.join("/", str(target).replace("\\", "/"))).lstrip("/")
        if base and isinstance(target, str) and relative:
            found[base] = relative
    return found


def _existing(package: Path, executables: Mapping[str, str]) -> dict[str, str]:
    return {name: target for name, target in sorted(executables.items()) if (package / target).is_file()}


def repair_shebang(script: Path) -> None:
    """A first line that ends in CR LF names an interpreter that does not exist; npm repairs it at install as well."""
    with script.open("rb+") as file:
        head = file.read(512)
        end = head.find(b"\r\n")
        if not head.startswith(b"#!") or end < 0 or b"\n" in head[:end]:
            return
        rest = head[end + 2 :] + file.read()
        file.seek(0)
        file.write(head[:end] + b"\n" + rest)
        file.truncate()
