"""Builds images with Docker or Podman, for clusters that take them from an engine or a registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from devenv import host
from devenv.choice import Engine
from devenv.commands import Commands
from devenv.images import Image, ImageSource, staged_context, with_ca_secret

_BUILD_TIMEOUT_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class EngineBuilder:
    """`repository` is put in front of the image's name: "localhost", or a registry to push to."""

    root: Path
    engine: Engine
    repository: str
    base: str
    commands: Commands
    environ: Mapping[str, str]

    def image(self, source: ImageSource) -> Image:
        """What `build` will answer."""
        return Image(repository=f"{self.repository}/{source.name}", tag=source.tag(self.root, base=self.base))

    def build(self, source: ImageSource) -> tuple[Image, bool]:
        """The image and whether it had to be built."""
        image = self.image(source)
        if self.commands.answers([self.engine, "image", "inspect", image.reference]):
            return image, False
        with TemporaryDirectory(prefix="vsm-") as folder:
            parent = Path(folder)
            with staged_context(source, root=self.root, parent=parent) as context:
                containerfile = parent / "Containerfile"
                text = (context / source.containerfile).read_text(encoding="utf-8")
                bundle = host.ca_bundle(self.environ)
                containerfile.write_text(with_ca_secret(text) if bundle else text, encoding="utf-8")
                argv = self.command(image, containerfile=containerfile, context=context, ca_bundle=bundle)
                self.commands.run(argv, environment={"DOCKER_BUILDKIT": "1"}, timeout_seconds=_BUILD_TIMEOUT_SECONDS)
        return image, True

    def command(self, image: Image, *, containerfile: Path, context: Path, ca_bundle: Path | None) -> list[str]:
        """Of one build. The CA goes in as a secret: Docker's builder knows no bind mounts from the command line."""
        secret = ["--secret", f"id=ca,src={ca_bundle}"] if ca_bundle else []
        return [
            *(self.engine, "build", "--file", str(containerfile), "--tag", image.reference),
            *("--build-arg", f"BASE={self.base}"),
            *secret,
            str(context),
        ]

    @contextmanager
    def saved(self, image: Image) -> Iterator[Path]:
        """The image as an archive for as long as the block runs."""
        with TemporaryDirectory(prefix="vsm-") as folder:
            archive = Path(folder) / "image.tar"
            self.commands.run([self.engine, "save", "--output", str(archive), image.reference], timeout_seconds=300)
            yield archive
