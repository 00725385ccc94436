"""The deterministic OCI artifact of a tree. Same files, same bytes: no clock, owner, umask or order of a disk.

The digest also depends on the zlib of the image (compression is its business); one image always gives one digest.
"""

import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vsm_operator.domain.packages import PackageRef
from vsm_runtime.intake.facts import BundleFacts
from vsm_runtime.intake.tree import Tree
from vsm_runtime.oci import (
    ARTIFACT_TYPE,
    FACTS_MEDIA_TYPE,
    LAYER_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
    digest_of,
)

_COMPRESSION_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that gets pushed."""

    manifest: bytes
    facts: BundleFacts
    layer: Path
    layer_digest: str
    size_bytes: int
    """Of the layer, packed."""

    @property
    def digest(self) -> str:
        """The bundle's name: the digest of its manifest."""
        return digest_of(self.manifest)

    @property
    def facts_digest(self) -> str:
        return digest_of(self.facts.to_json())


def make_bundle(tree: Tree, package: PackageRef, *, layer: Path) -> Bundle:
    """Writes the layer to `layer`."""
    files, unpacked_bytes = _write_layer(tree.top, layer)
    layer_digest = _file_digest(layer)
    facts = BundleFacts(
        ecosystem=str(package.ecosystem),
        name=package.name,
        version=package.version,
        platform=tree.platform,
        entrypoints=tree.entrypoints,
        unpacked_bytes=unpacked_bytes,
        files=files,
        lock_digest=digest_of(tree.lock.read_bytes()),
        layer_digest=layer_digest,
        packages=tree.packages,
        skipped=tree.skipped,
    )
    size_bytes = layer.stat().st_size
    manifest = manifest_of(facts, layer_digest=layer_digest, layer_bytes=size_bytes)
    return Bundle(manifest, facts, layer, layer_digest, size_bytes)


def manifest_of(facts: BundleFacts, *, layer_digest: str, layer_bytes: int) -> bytes:
    """The OCI image manifest. Pure."""
    config = facts.to_json()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": {"mediaType": FACTS_MEDIA_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER_MEDIA_TYPE, "digest": layer_digest, "size": layer_bytes}],
    }
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()


def _write_layer(top: Path, layer: Path) -> tuple[int, int]:
    """Returns the number of files and the bytes they hold."""
    files = unpacked_bytes = 0
    with (
        layer.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=_COMPRESSION_LEVEL) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in _sorted_below(top):
            info = _entry(top, path)
            if info.isreg():
                files += 1
                unpacked_bytes += info.size
                with path.open("rb") as content:
                    tar.addfile(info, content)
            else:
                tar.addfile(info)
            setattr(tar, "members", [])  # noqa: B010 - not in the stubs; tarfile keeps every header for ever
    return files, unpacked_bytes


def _entry(top: Path, path: Path) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.relative_to(top).as_posix())
    info.mtime = 0
    if path.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
    elif path.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        status = path.stat()
        info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
    return info


def _sorted_below(directory: Path) -> Iterator[Path]:
    """Depth first, by name, parents before children."""
    for name in sorted(os.listdir(directory)):  # noqa: PTH208 - names only, half the memory of iterdir
        path = directory / name
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _sorted_below(path)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
