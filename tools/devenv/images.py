"""The two images: what goes into them, and the name that follows from it.

An image is named after the content of everything it is made from, so that an unchanged tree builds and loads nothing
and a changed one can never be mistaken for the old image by a node that already has it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from devenv import fingerprint

PACKAGES = (Path("operator/vsm_operator"), Path("runtime/vsm_runtime"))
DEFAULT_BASE = "docker.io/library/python:3.12-slim-bookworm"
_RUN = re.compile(r"^RUN ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One image of this repository; paths are relative to its top, which is also the build context."""

    name: str
    containerfile: Path
    lock: Path

    @property
    def inputs(self) -> tuple[Path, ...]:
        return (self.containerfile, self.lock, *PACKAGES)

    def tag(self, root: Path, *, base: str) -> str:
        """Of the content; `base` names what it is built on."""
        return fingerprint.of_files(root, [root / path for path in self.inputs], also=[base])


OPERATOR = ImageSource("vsm-operator", Path("images/operator/Containerfile"), Path("requirements-operator.lock"))
RUNTIME = ImageSource("vsm-runtime", Path("images/runtime/Containerfile"), Path("requirements-runtime.lock"))
IMAGES = (OPERATOR, RUNTIME)


@dataclass(frozen=True, slots=True)
class Image:
    """An image that exists somewhere a cluster can get it from."""

    repository: str
    tag: str
    archive: Path | None = None
    """An OCI archive to load into the node; None where an engine or a registry has the image."""

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"

    @classmethod
    def parse(cls, reference: str) -> Image:
        """Of "REPOSITORY:TAG"; the repository may carry a port."""
        repository, _, tag = reference.rpartition(":")
        if not repository or "/" in tag or "@" in reference:
            raise ValueError(f"{reference!r} is not of the form REPOSITORY:TAG")
        return cls(repository=repository, tag=tag)


def with_ca_secret(containerfile: str) -> str:
    """The same file with the secret `ca` over the CA bundle of every RUN, for builders without bind mounts."""
    mount = "--mount=type=secret,id=ca,required=true,mode=0444,target=/etc/ssl/certs/ca-certificates.crt"
    return _RUN.sub(f"RUN {mount} ", containerfile)


@contextmanager
def staged_context(source: ImageSource, *, root: Path, parent: Path) -> Iterator[Path]:
    """A build context with exactly the inputs, and times and modes that do not depend on the checkout.

    Builders take both for content: without this, a fresh clone would rebuild every layer.
    """
    with TemporaryDirectory(dir=parent, prefix="context-") as folder:
        context = Path(folder)
        for path in source.inputs:
            for file in fingerprint.files_below(root / path):
                copy = context / file.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
                copy.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
        for entry in context.rglob("*"):
            if entry.is_dir():
                entry.chmod(0o755)
            os.utime(entry, (0, 0))
        yield context
