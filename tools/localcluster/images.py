"""Images in the cluster's containerd: the three that the cluster brings, and archives that somebody loads.

Loading is skipped when the same archive is already there under the same name; the state directory remembers digests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

from localcluster import archives, builds
from localcluster.commands import run
from localcluster.errors import LocalClusterError
from localcluster.layout import Layout
from localcluster.render import PAUSE_IMAGE

IMPORT_TIMEOUT_SECONDS = 300

_REGISTRY_CONFIG = """\
version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
"""


def coredns_reference() -> str:
    return "localhost/vsm-coredns:" + _addon_version("github.com/coredns/coredns")


def registry_reference() -> str:
    return "localhost/vsm-registry:" + _addon_version("github.com/distribution/distribution/v3")


def own_images(binaries: Path) -> list[archives.StaticImage]:
    """From the addons' directory: pause, CoreDNS and the CNCF distribution registry."""
    config = "etc/distribution/config.yml"
    return [
        archives.StaticImage(PAUSE_IMAGE, binaries / "pause"),
        archives.StaticImage(coredns_reference(), binaries / "coredns"),
        archives.StaticImage(
            registry_reference(),
            binaries / "registry",
            arguments=("serve", f"/{config}"),
            files={config: _REGISTRY_CONFIG},
        ),
    ]


class ImageStore:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._remembered = layout.state / "images.json"

    def names(self) -> list[str]:
        listed = self._ctr("images", "ls", "-q").split()
        return sorted(name for name in listed if not name.startswith("sha256:"))

    def load_own(self, binaries: Path) -> list[str]:
        """The cluster's own images, as far as they are missing. Returns the names loaded."""
        present = set(self.names())
        loaded = []
        for image in own_images(binaries):
            if image.reference not in present:
                with tempfile.TemporaryDirectory(dir=self._layout.state) as directory:
                    archive = Path(directory) / "image.tar"
                    image.write(archive)
                    self._import(archive, name="")
                loaded.append(image.reference)
        return loaded

    def load(self, archive: Path, *, name: str = "") -> tuple[str, bool]:
        """Load an OCI or Docker archive. Returns its name and whether anything had to be done."""
        found = [entry for entry in archives.names_in(archive) if entry]
        if not name and not found:
            raise LocalClusterError(
                f"{archive} carries no image name", next_step=f"load-image {archive} --name localhost/NAME:TAG"
            )
        reference = name or found[0]
        with archive.open("rb") as stream:
            digest = _sha256(stream.fileno())
        remembered = self._read()
        if remembered.get(reference) == digest and reference in self.names():
            return reference, False
        self._import(archive, name=name)
        if reference not in self.names():
            raise LocalClusterError(f"containerd imported {archive} but has no image {reference}: {self.names()}")
        self._write({**remembered, reference: digest})
        return reference, True

    def _import(self, archive: Path, *, name: str) -> None:
        naming = ["--index-name", name] if name else []
        self._ctr("images", "import", *naming, str(archive))

    def _ctr(self, *arguments: str) -> str:
        client = ["ctr", "--address", str(self._layout.containerd_socket), "--namespace", "k8s.io"]
        return run([*client, *arguments], timeout_seconds=IMPORT_TIMEOUT_SECONDS)

    def _read(self) -> dict[str, str]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._remembered.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
        return {}

    def _write(self, remembered: dict[str, str]) -> None:
        unfinished = self._remembered.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(remembered, indent=1), encoding="utf-8")
        unfinished.replace(self._remembered)


def _sha256(descriptor: int) -> str:
    digest = hashlib.sha256()
    while block := os.read(descriptor, 1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _addon_version(path: str) -> str:
    return builds.required_version(builds.MODULES / "addons", path).removeprefix("v")
