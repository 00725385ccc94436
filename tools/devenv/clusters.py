"""The three kinds of cluster behind one shape: be there, take images, name a kubeconfig, go away."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devenv import engines
from devenv.buildah import Buildah
from devenv.checkout import Checkout
from devenv.choice import Choice, Engine
from devenv.commands import Commands
from devenv.errors import CommandError, DevenvError
from devenv.images import DEFAULT_BASE, IMAGES, Image, ImageSource
from devenv.settings import Settings

_UP_TIMEOUT_SECONDS = 3600.0
_LOAD_TIMEOUT_SECONDS = 600.0


class Cluster(Protocol):
    """What the orchestration asks of a cluster."""

    @property
    def kubeconfig(self) -> Path:
        """With the cluster as its current context."""
        ...

    @property
    def chart_values(self) -> Mapping[str, str]:
        """Helm values that this kind of cluster needs."""
        ...

    def exists(self) -> bool:
        """Whether it is there and well, so that `up` has nothing to do."""
        ...

    def up(self) -> None:
        """May talk to the person."""
        ...

    def provide(self, source: ImageSource) -> tuple[Image, str]:
        """The image, built and where the cluster finds it, and what had to be done for that."""
        ...

    def down(self) -> None:
        """Only for a cluster that we made."""
        ...


def localcluster(verb: str, *arguments: str) -> list[str]:
    """The command line of the package next to this one."""
    return [sys.executable, "-m", "localcluster", verb, *arguments]


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """A node of our own in its own namespaces."""

    checkout: Checkout
    settings: Settings
    commands: Commands
    builder: Buildah

    @property
    def kubeconfig(self) -> Path:
        return self.checkout.kubeconfig

    @property
    def chart_values(self) -> Mapping[str, str]:
        reference = next(name for name in self._images() if name.startswith("localhost/vsm-registry:"))
        registry = Image.parse(reference)
        return {
            "registry.image.repository": registry.repository,
            "registry.image.tag": registry.tag,
            "registry.command[0]": "/registry",  # nothing else is in that image, and its search path is not ours
        }

    def exists(self) -> bool:
        try:
            found = json.loads(self.commands.run(localcluster("status", "--json"), environment=self._environment))
        except (CommandError, ValueError):
            return False
        version = str(found.get("version") or "").removeprefix("v")
        return bool(found.get("healthy")) and f"{version}.".startswith(
            f"{self.settings.kubernetes}." if self.settings.kubernetes else ""
        )

    def up(self) -> None:
        chosen = ["--kubernetes", self.settings.kubernetes] if self.settings.kubernetes else []
        self.commands.show(
            localcluster("up", *chosen), environment=self._environment, timeout_seconds=_UP_TIMEOUT_SECONDS
        )

    def provide(self, source: ImageSource) -> tuple[Image, str]:
        image, built = self.builder.build(source)
        if image.reference in self._images():
            return image, "there already"
        self.commands.run(
            localcluster("load-image", str(image.archive)),
            environment=self._environment,
            timeout_seconds=_LOAD_TIMEOUT_SECONDS,
        )
        return image, "built and loaded" if built else "loaded"

    def down(self) -> None:
        self.commands.show(localcluster("down"), environment=self._environment, timeout_seconds=300)

    def _images(self) -> list[str]:
        return self.commands.run(localcluster("images"), environment=self._environment).split()

    @property
    def _environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.checkout.root / "tools")}


@dataclass(frozen=True, slots=True)
class KindCluster:
    """A cluster in containers of Docker or Podman."""

    checkout: Checkout
    engine: Engine
    commands: Commands
    builder: engines.EngineBuilder

    @property
    def kubeconfig(self) -> Path:
        return self.checkout.kubeconfig

    @property
    def chart_values(self) -> Mapping[str, str]:
        return {}

    def exists(self) -> bool:
        if self.commands.which("kind") is None:
            return False
        names = self.commands.run(["kind", "get", "clusters"], environment=self._environment).split()
        return self.checkout.name in names and self.kubeconfig.exists()

    def up(self) -> None:
        if self.commands.which("kind") is None:
            tools = {"PYTHONPATH": str(self.checkout.root / "tools")}
            self.commands.show(localcluster("build-kind"), environment=tools, timeout_seconds=_UP_TIMEOUT_SECONDS)
        names = self.commands.run(["kind", "get", "clusters"], environment=self._environment).split()
        target = ["--name", self.checkout.name, "--kubeconfig", str(self.kubeconfig)]
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        if self.checkout.name in names:
            argv = ["kind", "export", "kubeconfig", *target]
        else:
            config = self.checkout.root / "tools" / "devenv" / "kind.yaml"
            argv = ["kind", "create", "cluster", *target, "--config", str(config), "--wait", "180s"]
        self.commands.show(argv, environment=self._environment, timeout_seconds=900)

    def provide(self, source: ImageSource) -> tuple[Image, str]:
        image, built = self.builder.build(source)
        if self._has(image):
            return image, "there already"
        if self.engine == "docker":
            self._load(["kind", "load", "docker-image", image.reference])
        else:
            with self.builder.saved(image) as archive:
                self._load(["kind", "load", "image-archive", str(archive)])
        return image, "built and loaded" if built else "loaded"

    def down(self) -> None:
        argv = ["kind", "delete", "cluster", "--name", self.checkout.name, "--kubeconfig", str(self.kubeconfig)]
        self.commands.run(argv, environment=self._environment, timeout_seconds=300)

    def _load(self, argv: list[str]) -> None:
        self.commands.run(
            [*argv, "--name", self.checkout.name], environment=self._environment, timeout_seconds=_LOAD_TIMEOUT_SECONDS
        )

    def _has(self, image: Image) -> bool:
        node = f"{self.checkout.name}-control-plane"
        listed = self.commands.run([self.engine, "exec", node, "crictl", "images", "--output", "json"])
        return f'"{image.reference}"' in listed

    @property
    def _environment(self) -> dict[str, str]:
        return {"KIND_EXPERIMENTAL_PROVIDER": self.engine}


@dataclass(frozen=True, slots=True)
class ContextCluster:
    """A cluster of the user's. We keep a kubeconfig with nothing but the named context, and never touch theirs."""

    checkout: Checkout
    context: str
    settings: Settings
    commands: Commands
    engine: Callable[[], Engine | None]

    @property
    def kubeconfig(self) -> Path:
        return self.checkout.kubeconfig

    @property
    def chart_values(self) -> Mapping[str, str]:
        return {}

    def exists(self) -> bool:
        return False

    def up(self) -> None:
        minified = self.commands.run(
            ["kubectl", "config", "view", "--raw", "--flatten", "--minify", f"--context={self.context}"]
        )
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(minified, encoding="utf-8")
        self.commands.run(["kubectl", "--kubeconfig", str(self.kubeconfig), "get", "--raw", "/readyz"])

    def provide(self, source: ImageSource) -> tuple[Image, str]:
        named = {"vsm-operator": self.settings.operator_image, "vsm-runtime": self.settings.runtime_image}[source.name]
        if named is not None:
            return named, "taken as named"
        if not self.settings.image_registry:
            raise DevenvError(
                f"CLUSTER=context:{self.context} needs images that the cluster can pull: IMAGE_REGISTRY=HOST/PATH to "
                "build them and push them there, or VSM_OPERATOR_IMAGE and VSM_RUNTIME_IMAGE=REPOSITORY:TAG"
            )
        engine = self.engine()
        if engine is None:
            raise DevenvError("pushing to IMAGE_REGISTRY needs Docker or Podman, logged in to that registry")
        builder = engines.EngineBuilder(
            root=self.checkout.root,
            engine=engine,
            repository=self.settings.image_registry,
            base=self.settings.base_image or DEFAULT_BASE,
            commands=self.commands,
            environ=os.environ,
        )
        image, built = builder.build(source)
        self.commands.run([engine, "push", image.reference], timeout_seconds=_LOAD_TIMEOUT_SECONDS)
        return image, "built and pushed" if built else "pushed"

    def down(self) -> None:
        raise DevenvError(f"the cluster of context {self.context} is not ours to remove")


def make(
    choice: Choice,
    *,
    checkout: Checkout,
    settings: Settings,
    commands: Commands,
    environ: Mapping[str, str],
    engine: Callable[[], Engine | None],
) -> Cluster:
    """The cluster behind the choice; nothing is started."""
    if choice.kind == "local":
        builder = local_builder(checkout, settings=settings, commands=commands, environ=environ)
        return LocalCluster(checkout=checkout, settings=settings, commands=commands, builder=builder)
    if choice.kind == "kind":
        assert choice.engine is not None  # noqa: S101  # choose() says so
        engine_builder = engines.EngineBuilder(
            root=checkout.root,
            engine=choice.engine,
            repository="localhost",
            base=settings.base_image or DEFAULT_BASE,
            commands=commands,
            environ=environ,
        )
        return KindCluster(checkout=checkout, engine=choice.engine, commands=commands, builder=engine_builder)
    return ContextCluster(checkout=checkout, context=choice.name, settings=settings, commands=commands, engine=engine)


def local_builder(checkout: Checkout, *, settings: Settings, commands: Commands, environ: Mapping[str, str]) -> Buildah:
    """The builder that needs no engine."""
    return Buildah(
        root=checkout.root,
        cache=checkout.cache,
        commands=commands,
        environ=environ,
        base_reference=settings.base_image or None,
    )


def build_all(builder: Buildah) -> list[tuple[Image, bool]]:
    """Both images as archives, and whether each had to be built."""
    return [builder.build(source) for source in IMAGES]
