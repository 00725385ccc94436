"""Builds images with buildah, as archives in the user's cache, without a daemon and without the user's own storage.

One build at a time per cache (a lock): a second checkout waits, and then finds most layers made. What a killed build
left (working containers, half-written layers) is cleared at the start of the next one; its mounts went with its mount
namespace. An archive under its final name is complete.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from devenv import base, host
from devenv.commands import Commands
from devenv.errors import CommandError
from devenv.images import Image, ImageSource, staged_context

KEPT_PER_IMAGE = 3
_BUILD_TIMEOUT_SECONDS = 1800.0
_CONTAINER_PIP_CONF = "/etc/pip.conf"
_BASE_CONTAINERFILE = "FROM scratch\nADD base.tar /\nCMD []\n"


@dataclass(frozen=True, slots=True)
class Buildah:
    """The builder of one checkout over the cache that it shares with others."""

    root: Path
    cache: Path
    commands: Commands
    environ: Mapping[str, str]
    base_reference: str | None = None
    """A base image that the user named; None makes the local one."""

    @property
    def base_name(self) -> str:
        return self.base_reference or base.BaseImage().reference

    def image(self, source: ImageSource) -> Image:
        """What `build` will answer; its archive may not be there yet."""
        tag = source.tag(self.root, base=self.base_name)
        archive = self.cache / "images" / f"{source.name}-{tag}.oci.tar"
        return Image(repository=f"localhost/{source.name}", tag=tag, archive=archive)

    def build(self, source: ImageSource) -> tuple[Image, bool]:
        """The image and whether it had to be built."""
        image = self.image(source)
        assert image.archive is not None  # noqa: S101  # for the type checker: image() always names one
        if image.archive.exists():
            os.utime(image.archive)  # the oldest ones are removed first
            return image, False
        with self._session() as session:
            if not image.archive.exists():
                self._build(source, image, archive=image.archive, session=session)
                self._remove_old(source, session=session)
        return image, True

    def _build(self, source: ImageSource, image: Image, *, archive: Path, session: _Session) -> None:
        if self.base_reference is None:
            self._ensure_base(session)
        with staged_context(source, root=self.root, parent=session.scratch) as context:
            session.run(
                [
                    *("bud", "--layers", "--format", "oci", "--file", str(context / source.containerfile)),
                    *("--build-arg", f"BASE={self.base_name}", "--tag", image.reference),
                    *self._mounts(session.scratch),
                    str(context),
                ],
                timeout_seconds=_BUILD_TIMEOUT_SECONDS,
            )
        unfinished = archive.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        session.run(["push", image.reference, f"oci-archive:{unfinished}:{image.reference}"], timeout_seconds=300)
        unfinished.rename(archive)

    def _ensure_base(self, session: _Session) -> None:
        wanted = base.BaseImage()
        archive = base.ensure(wanted, cache=self.cache, commands=self.commands)
        if wanted.reference in session.run(["images", "--format", "{{.Name}}:{{.Tag}}"]).split():
            return
        with TemporaryDirectory(dir=session.scratch, prefix="base-") as folder:
            context = Path(folder)
            (context / "base.tar").hardlink_to(archive)
            (context / "Containerfile").write_text(_BASE_CONTAINERFILE, encoding="utf-8")
            session.run(["bud", "--tag", wanted.reference, str(context)], timeout_seconds=300)

    def _mounts(self, scratch: Path) -> list[str]:
        """What a build may see of this machine while it runs; none of it stays in the image."""
        mounts = []
        if bundle := host.ca_bundle(self.environ):
            mounts += ["--volume", f"{bundle}:{host.SYSTEM_CA_BUNDLE}:ro"]
        if index := host.package_index(self.environ):
            conf = scratch / "pip.conf"
            conf.touch(mode=0o600)
            conf.write_text(f"[global]\nindex-url = {index}\n", encoding="utf-8")
            mounts += ["--volume", f"{conf}:{_CONTAINER_PIP_CONF}:ro"]
        return mounts

    def _remove_old(self, source: ImageSource, *, session: _Session) -> None:
        archives = sorted(
            (self.cache / "images").glob(f"{source.name}-*.oci.tar"), key=lambda path: path.stat().st_mtime
        )
        for archive in archives[:-KEPT_PER_IMAGE]:
            tag = archive.name.removeprefix(f"{source.name}-").removesuffix(".oci.tar")
            archive.unlink()
            try:
                session.run(["rmi", f"localhost/{source.name}:{tag}"])
            except CommandError:
                continue  # not in the storage any more

    @contextmanager
    def _session(self) -> Iterator[_Session]:
        storage = self.cache / "containers"
        storage.mkdir(parents=True, exist_ok=True)
        (self.cache / "images").mkdir(exist_ok=True)
        with (self.cache / "containers.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            session = _Session(storage=storage, commands=self.commands)
            session.clear_leftovers()
            try:
                yield session
            finally:
                session.end()


@dataclass(frozen=True, slots=True)
class _Session:
    storage: Path
    commands: Commands

    @property
    def scratch(self) -> Path:
        return self.storage / "scratch"

    def run(self, arguments: Sequence[str], *, timeout_seconds: float = 120.0) -> str:
        return self.commands.run(
            [*command_prefix(self.storage, root_user=os.geteuid() == 0), *arguments],
            environment={
                "STORAGE_DRIVER": "overlay",
                "BUILDAH_ISOLATION": "chroot",
                "TMPDIR": str(self.scratch),
            },
            timeout_seconds=timeout_seconds,
        )

    def clear_leftovers(self) -> None:
        """The scratch folder is there during a session only: finding it means that the last one was killed."""
        killed = self.scratch.exists()
        if killed:
            shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(exist_ok=True)
        if killed:
            try:
                self.run(["rm", "--all"])
                self.run(["images", "--all", "--quiet"])
            except CommandError:
                self._start_over()

    def _start_over(self) -> None:
        remove = ["rm", "-rf", "--", str(self.storage / "root"), str(self.storage / "run")]
        self.commands.run(remove if os.geteuid() == 0 else ["buildah", "unshare", *remove])

    def end(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)


def command_prefix(storage: Path, *, root_user: bool) -> list[str]:
    """buildah over storage of its own. As root it leaves a mount behind, hence the mount namespace; for others it makes
    one itself."""
    buildah = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
    return ["unshare", "--mount", *buildah] if root_user else buildah
