"""Both charts on the cluster, by Helm, and nothing at all when they are there as wanted.

What a release was made from is kept as its description, in the cluster: no local file can be wrong about it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devenv import fingerprint
from devenv.commands import Commands
from devenv.errors import CommandError
from devenv.images import Image

NAMESPACE = "vsm-system"
_TIMEOUT_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Release:
    """One chart as it is wanted. `files` are values whose content comes from a file."""

    name: str
    chart: Path
    namespace: str
    values_files: tuple[Path, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """Says what the release is made from."""
        contents = [f"{key}={path.read_text(encoding='utf-8')}" for key, path in sorted(self.files.items())]
        values = [f"{key}={value}" for key, value in sorted(self.values.items())]
        names = [str(path.relative_to(self.chart)) for path in self.values_files]
        key = fingerprint.of_files(self.chart, [self.chart], also=[self.namespace, *names, *values, *contents])
        return f"made from {key}"

    def command(self) -> list[str]:
        """Helm's. It does not wait: `rollout` does, and says what it waits for."""
        return [
            *("helm", "upgrade", "--install", self.name, str(self.chart)),
            *("--namespace", self.namespace, "--create-namespace", "--description", self.description),
            *(part for path in self.values_files for part in ("--values", str(path))),
            *(part for key, value in sorted(self.values.items()) for part in ("--set-string", f"{key}={value}")),
            *(part for key, path in sorted(self.files.items()) for part in ("--set-file", f"{key}={path}")),
            *("--timeout", f"{_TIMEOUT_SECONDS}s"),
        ]


def definitions(root: Path) -> Release:
    """The custom resources. The chart's default keeps them, and all servers with them, when it is uninstalled."""
    return Release("vsm-operator-crds", root / "charts" / "vsm-operator-crds", "default")


def operator(
    root: Path, *, operator_image: Image, runtime_image: Image, values: Mapping[str, str], ca_bundle: Path | None
) -> Release:
    """The operator with the images at hand."""
    chart = root / "charts" / "vsm-operator"
    development = chart / "values-development.yaml"
    return Release(
        name="vsm-operator",
        chart=chart,
        namespace=NAMESPACE,
        values_files=(development,) if development.exists() else (),
        values={
            **values,
            "image.repository": operator_image.repository,
            "image.tag": operator_image.tag,
            "runtime.image.repository": runtime_image.repository,
            "runtime.image.tag": runtime_image.tag,
        },
        files={"intake.caBundle": ca_bundle} if ca_bundle else {},
    )


@dataclass(frozen=True, slots=True)
class Helm:
    """helm and kubectl against one kubeconfig."""

    kubeconfig: Path
    commands: Commands

    def latest(self, release: Release) -> tuple[str, str] | None:
        """Status and description of the newest revision; None when there is no such release."""
        argv = ["helm", "history", release.name, "--namespace", release.namespace, "--max", "1", "--output", "json"]
        try:
            history = json.loads(self._run(argv))
        except CommandError as error:
            if "not found" in error.output:
                return None
            raise
        return (history[-1]["status"], history[-1]["description"]) if history else None

    def ensure(self, release: Release) -> bool:
        """Whether anything had to be done."""
        latest = self.latest(release)
        if latest == ("deployed", release.description):
            return False
        if latest is not None and latest[0].startswith("pending-"):
            self._forget_interrupted(release, status=latest[0])
        self._run(release.command(), timeout_seconds=_TIMEOUT_SECONDS + 60)
        return True

    def uninstall(self, release: Release) -> None:
        """Also when it is gone already."""
        self._run(
            ["helm", "uninstall", release.name, "--namespace", release.namespace, "--ignore-not-found", "--wait"],
            timeout_seconds=_TIMEOUT_SECONDS + 60,
        )

    def _forget_interrupted(self, release: Release, *, status: str) -> None:
        """A killed helm leaves a revision that blocks every later one; what it made is taken over by the next."""
        selector = f"owner=helm,name={release.name},status={status}"
        self._run(["kubectl", "--namespace", release.namespace, "delete", "secret", "--selector", selector])

    def _run(self, argv: list[str], *, timeout_seconds: float = 60.0) -> str:
        return self.commands.run(
            argv, environment={"KUBECONFIG": str(self.kubeconfig)}, timeout_seconds=timeout_seconds
        )
