"""`python -m vsm_runtime.load`: a bundle from the registry, by digest, into a directory. Nothing of it is executed.

The init container may be killed and started again at any point, so everything happens in a hidden directory of the same
volume and is renamed into place at the end, `vsm/` last: a target that has `vsm/bundle-digest` is complete. Digests are
checked before anything is renamed, and every entry is checked again as if the intake had never done so.
"""

import json
import os
import posixpath
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vsm_operator.domain.intake import EXIT_BUNDLE_MISSING
from vsm_runtime.archives import ArchiveLimits, ArchiveTooLarge, TarEntry, TreeWriter, UnsafeEntry, read_tar_gz
from vsm_runtime.oci import ARTIFACT_TYPE, LAYER_MEDIA_TYPE, Manifest, OciClient, OciError, check_digest
from vsm_runtime.oci_auth import Credentials
from vsm_runtime.settle import settle

MARKER = "vsm/bundle-digest"
_STAGING = ".vsm-loading"
_MAX_ENTRIES = 400_000
_PACKING_BYTES = 1024 * 1024
"""Headers may make a tiny bundle larger packed than its files are."""
_LAST = "vsm"
_USERS = """\
root:x:0:0:root:/root:/usr/sbin/nologin
mcp:x:{uid}:10000::/home/mcp:/usr/sbin/nologin
vsm:x:10002:10000::/nonexistent:/usr/sbin/nologin
"""


_GONE = "the registry has no bundle {digest}: it was lost or deleted there and is fetched again"


class LoadError(Exception):
    """The bundle is not in place; the text says why, for a person."""

    exit_code = 1


class BundleMissing(LoadError):  # noqa: N818 - a fact, and not the loader's fault
    """The registry has lost it; the operator fetches it again when it sees this exit code."""

    exit_code = EXIT_BUNDLE_MISSING


@dataclass(frozen=True, slots=True)
class Settings:
    """What the init container is told."""

    url: str
    repository: str
    digest: str
    target: Path
    max_bytes: int
    credentials_dir: Path | None
    passwd_file: Path | None
    server_uid: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises LoadError naming the variable."""
        try:
            digest = check_digest(environ.get("VSM_BUNDLE_DIGEST", ""))
        except ValueError as error:
            raise LoadError(f"VSM_BUNDLE_DIGEST: {error}") from error
        url = environ.get("VSM_BUNDLE_URL", "")
        if not url.startswith(("http://", "https://")):
            raise LoadError("VSM_BUNDLE_URL must be an http:// or https:// URL")
        credentials, passwd = environ.get("VSM_OCI_CREDENTIALS_DIR", ""), environ.get("VSM_PASSWD_FILE", "")
        return cls(
            url=url,
            repository=environ.get("VSM_BUNDLE_REPOSITORY", "vsm/bundles"),
            digest=digest,
            target=Path(environ.get("VSM_BUNDLE_TARGET", "/bundle")),
            max_bytes=_count(environ, "VSM_BUNDLE_MAX_BYTES", 1024**3),
            credentials_dir=Path(credentials) if credentials else None,
            passwd_file=Path(passwd) if passwd else None,
            server_uid=_count(environ, "VSM_SERVER_UID", 10001),
        )


def load(settings: Settings) -> str:
    """Puts the bundle in place; returns one line on what was done. Raises LoadError."""
    if settings.passwd_file is not None:
        _write_passwd(settings.passwd_file, uid=settings.server_uid)
    marker = settings.target / MARKER
    if marker.is_file() and marker.read_text(encoding="utf-8").strip() == settings.digest:
        return f"{settings.digest} is in place already"
    staging = settings.target / _STAGING
    _clear(settings.target)
    staging.mkdir(parents=True)
    staging.chmod(0o700)
    try:
        writer = _fetch(settings, staging)
        _publish(staging / "tree", settings)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return f"{settings.digest} is in place: {writer.files} files, {writer.size_bytes} bytes"


def layer_of(manifest: Manifest, *, max_bytes: int) -> tuple[str, int]:
    """Digest and size of the one layer of a bundle. Pure; raises LoadError when it is no bundle."""
    try:
        raw = json.loads(manifest.body)
        if raw.get("artifactType") != ARTIFACT_TYPE or len(raw["layers"]) != 1:
            raise LoadError(f"{manifest.digest} is no bundle: it is a {str(raw.get('artifactType'))[:80]}")
        layer = raw["layers"][0]
        if layer["mediaType"] != LAYER_MEDIA_TYPE:
            raise LoadError(f"{manifest.digest} has a layer of an unknown kind, {str(layer['mediaType'])[:80]}")
        if int(layer["size"]) > max_bytes:
            raise LoadError(f"the bundle is larger, packed, than the {max_bytes} bytes that it may have")
        return check_digest(str(layer["digest"])), int(layer["size"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LoadError(f"{manifest.digest} is no bundle: {error}") from error


def _fetch(settings: Settings, staging: Path) -> TreeWriter:
    with _client(settings) as registry:
        try:
            manifest = registry.manifest(settings.digest)
            if manifest is None:
                raise BundleMissing(_GONE.format(digest=settings.digest))
            layer, size = layer_of(manifest, max_bytes=settings.max_bytes + _PACKING_BYTES)
            arriving = _Arriving(registry.chunks(layer, max_bytes=size))
            limits = ArchiveLimits(max_bytes=settings.max_bytes, max_entries=_MAX_ENTRIES)
            return _unpack(arriving, staging / "tree", packed_bytes=size, limits=limits)
        except OciError as error:
            raise LoadError(f"the bundle cannot be pulled: {error}") from error


class _Arriving:
    """A blob as gzip wants to read it. Unpacking while it arrives spares the volume the packed copy."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def read(self, size: int = -1, /) -> bytes:
        if not self._left:
            self._left = next(self._chunks, b"")
        taken, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
        return taken

    def finish(self) -> None:
        """Takes in what the archive's own end left over: only then is the digest known to be right."""
        for _ in self._chunks:
            pass


def _unpack(arriving: _Arriving, top: Path, *, packed_bytes: int, limits: ArchiveLimits) -> TreeWriter:
    links: dict[tuple[str, ...], str] = {}
    writer = TreeWriter(top)
    try:
        for entry in read_tar_gz(arriving, packed_bytes=packed_bytes, limits=limits):
            _place(entry, writer, links)
        for parts, target in links.items():  # last, so that nothing can be written through one
            writer.link(parts, target)
    except (UnsafeEntry, ArchiveTooLarge) as error:
        arriving.finish()  # damage on the way is the better explanation, if it is one
        raise LoadError(f"the bundle is refused: {error}") from error
    arriving.finish()
    return writer


def _place(entry: TarEntry, writer: TreeWriter, links: dict[tuple[str, ...], str]) -> None:
    if not entry.parts:
        return
    if entry.parts[0].startswith(".") or "/".join(entry.parts) == MARKER:
        raise UnsafeEntry(entry.info.name, "has a name that is reserved for the loader")
    if entry.info.issym():
        links[entry.parts] = _inner_target(entry)
    elif entry.content is not None:
        writer.file(entry.parts, entry.content, executable=entry.executable)
    else:
        writer.directory(entry.parts)


def _inner_target(entry: TarEntry) -> str:
    """bin/NAME -> ../dir/file is the only link that a bundle has."""
    target = entry.info.linkname
    landing = posixpath.normpath(posixpath.join(posixpath.dirname("/".join(entry.parts)), target))
    if target.startswith("/") or landing.startswith("..") or entry.parts[0] != "bin" or len(entry.parts) != 2:
        raise UnsafeEntry(entry.info.name, f"is a symbolic link to {target[:80]!r}")
    return target


def _publish(tree: Path, settings: Settings) -> None:
    (tree / MARKER).parent.mkdir(exist_ok=True)
    (tree / MARKER).parent.chmod(0o755)
    (tree / MARKER).write_text(settings.digest + "\n", encoding="utf-8")
    (tree / MARKER).chmod(0o644)
    for child in sorted(tree.iterdir(), key=lambda path: path.name == _LAST):
        child.rename(settings.target / child.name)


def _clear(target: Path) -> None:
    """Whatever an interrupted load or another bundle left. The volume itself stays: it is a mount point."""
    target.mkdir(parents=True, exist_ok=True)
    leftovers = sorted(target.iterdir(), key=lambda path: path.name != _LAST)  # the marker goes first
    for child in leftovers:
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def _client(settings: Settings) -> OciClient:
    try:
        directory = settings.credentials_dir
        credentials = Credentials.from_directory(directory) if directory is not None else None
        return OciClient(settings.url, settings.repository, credentials=credentials)
    except (OSError, ValueError) as error:
        raise LoadError(f"the registry cannot be used: {error}") from error


def _write_passwd(path: Path, *, uid: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_USERS.format(uid=uid), encoding="utf-8")
    path.chmod(0o644)


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name, "").strip()
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise LoadError(f"{name} must be a positive whole number, not {value[:40]!r}")
    return int(value)


def main() -> int:
    try:
        line = load(Settings.from_env(os.environ))
    except LoadError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        return _fail(f"the bundle cannot be written: {error.strerror} ({error.filename})", LoadError.exit_code)
    sys.stderr.write(f"{line}\n{settle(os.environ)}\n")
    return 0


def _fail(message: str, exit_code: int) -> int:
    sys.stderr.write(message + "\n")
    try:
        Path(os.environ.get("VSM_TERMINATION_LOG", "/dev/termination-log")).write_text(message + "\n", encoding="utf-8")
    except OSError:
        sys.stderr.write("the termination log cannot be written\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
