"""Synthetic, inert packages for the tests of the intake: archives with exactly the members that a test names."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"x", *, mode: int = 0o644) -> Member:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    return info, content


def special(name: str, kind: bytes, *, target: str = "") -> Member:
    """A link, device or directory."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def tar(members: Sequence[Member], *, tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tgz(*members: Member) -> bytes:
    return gzip.compress(tar(members), mtime=0)


def npm_tarball(manifest: Mapping[str, Any], *members: Member) -> bytes:
    return tgz(file("package/package.json", json.dumps(manifest).encode()), *members)


def sri(data: bytes, *, algorithm: str = "sha512") -> str:
    return f"{algorithm}-{base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def metadata(name: str, version: str, requires: Sequence[str] = ()) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "License-Expression: MIT"]
    return "\n".join([*lines, *(f"Requires-Dist: {item}" for item in requires), "", ""])


def wheel(
    directory: Path,
    *,
    name: str = "demo",
    version: str = "1.0",
    tag: str = "py3-none-any",
    files: Mapping[str, bytes] | None = None,
    scripts: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
    record: Mapping[str, str | None] | None = None,
    extra: Sequence[tuple[zipfile.ZipInfo, bytes]] = (),
) -> Path:
    """A wheel whose RECORD is right, unless `record` says otherwise: hash fields by path, None leaves the row out.

    `extra` members are written as they are; they are in RECORD only if `record` has them.
    """
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    body: dict[str, bytes] = dict(files if files is not None else {f"{module}/__init__.py": b"def main(): pass\n"})
    body[f"{info}/METADATA"] = metadata(name, version, requires).encode()
    body[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    if scripts:
        lines = [f"{script} = {target}" for script, target in scripts.items()]
        body[f"{info}/entry_points.txt"] = "\n".join(["[console_scripts]", *lines, ""]).encode()
    rows: dict[str, str | None] = {path: record_hash(content) for path, content in body.items()}
    rows |= dict(record or {})
    listing = "".join(f"{path},{value},\n" for path, value in rows.items() if value is not None)
    body[f"{info}/RECORD"] = (listing + f"{info}/RECORD,,\n").encode()
    path = directory / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in body.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
        for entry, content in extra:
            archive.writestr(entry, content)
    return path


def record_hash(content: bytes) -> str:
    digest = hashlib.sha256(content).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def lock(packages: Mapping[str, Mapping[str, Any]], *, root: Mapping[str, str]) -> str:
    """npm's package-lock.json, version 3."""
    return json.dumps({"lockfileVersion": 3, "packages": {"": {"dependencies": dict(root)}, **packages}})


def entry(package: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    """A lock entry as npm writes it for a package from the registry."""
    base = package.rsplit("/", 1)[-1]
    resolved = f"https://registry.invalid/{package}/-/{base}-{version}.tgz"
    return {"version": version, "resolved": resolved, "integrity": sri(f"{package}@{version}".encode())} | more


class Body(httpx.SyncByteStream):
    """A response's body as it comes from the network; `broken` ends it with a lost connection."""

    def __init__(self, data: bytes, *, broken: bool = False) -> None:
        self._data = data
        self._broken = broken

    def __iter__(self) -> Iterator[bytes]:
        yield self._data
        if self._broken:
            raise httpx.ReadError("connection reset")
