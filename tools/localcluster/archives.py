"""OCI image archives of one static program, written with nothing but Python; and the names that an archive carries.

Guarantee: the same program and settings give the same bytes, hence the same image digest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcluster.errors import LocalClusterError

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_NAME_ANNOTATION = "io.containerd.image.name"
_UNPRIVILEGED = "65532:65532"


@dataclass(frozen=True, slots=True)
class StaticImage:
    """A program at /NAME of an otherwise empty root, run by an unprivileged user."""

    reference: str
    program: Path
    arguments: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Text files beside it: path without the leading slash -> content."""

    def write(self, archive: Path) -> None:
        layer = self._layer()
        config = _encoded(
            {
                "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": {
                    "User": _UNPRIVILEGED,
                    "Entrypoint": [f"/{self.program.name}"],
                    "Cmd": list(self.arguments),
                    "WorkingDir": "/",
                },
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            }
        )
        manifest = _encoded(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
                "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
            }
        )
        entry = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
        named = {**entry, "annotations": {_NAME_ANNOTATION: self.reference}}
        index = _encoded({"schemaVersion": 2, "manifests": [named]})
        with tarfile.open(archive, "w") as tar:
            _add(tar, "oci-layout", _encoded({"imageLayoutVersion": "1.0.0"}))
            _add(tar, "index.json", index)
            for blob in (config, manifest, layer):
                _add(tar, f"blobs/sha256/{_digest(blob).partition(':')[2]}", blob)

    def _layer(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            _add(tar, self.program.name, self.program.read_bytes(), mode=0o755)
            for path, content in sorted(self.files.items()):
                _add(tar, path, content.encode())
        return buffer.getvalue()


def names_in(archive: Path) -> list[str]:
    """Image references inside an OCI or Docker archive, "" for an image without a usable one.

    Errors: LocalClusterError when the file is no such archive.
    """
    try:
        with tarfile.open(archive) as tar:
            members = {name.removeprefix("./"): name for name in tar.getnames()}
            if "index.json" in members:
                return [_oci_name(entry) for entry in _json_member(tar, members["index.json"])["manifests"]]
            if "manifest.json" in members:
                entries = _json_member(tar, members["manifest.json"])
                return [tag for entry in entries for tag in entry["RepoTags"] or [""]]
    except FileNotFoundError as error:
        raise LocalClusterError(f"{archive} does not exist") from error
    except (tarfile.TarError, gzip.BadGzipFile, ValueError, KeyError, TypeError) as error:
        raise LocalClusterError(f"{archive} cannot be read as an image archive: {error}") from error
    raise LocalClusterError(f"{archive} is neither an OCI nor a Docker archive: no index.json and no manifest.json")


def _oci_name(entry: dict[str, Any]) -> str:
    annotations = entry.get("annotations") or {}
    name = str(annotations.get(_NAME_ANNOTATION) or annotations.get("org.opencontainers.image.ref.name") or "")
    return name if "/" in name or ":" in name else ""  # a bare tag names no image


def _json_member(tar: tarfile.TarFile, name: str) -> Any:
    stream = tar.extractfile(name)
    return json.load(stream) if stream else None


def _encoded(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
