"""The helm program: where it is, and what we ask of it. It never talks to a cluster from here."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from chartgen.yamltext import Manifest, parsed

_TIMEOUT_SECONDS = 120


class HelmFailed(Exception):  # noqa: N818 - what the person at the terminal reads
    """helm refused; the text is its own."""


@dataclass(frozen=True, slots=True)
class Helm:
    program: Path

    @classmethod
    def find(cls, checkout: Path, environ: Mapping[str, str]) -> Self | None:
        """HELM, then the checkout's own .local/bin, then PATH."""
        named = environ.get("HELM")
        candidates = [Path(named)] if named else [checkout / ".local" / "bin" / "helm"]
        on_path = None if named else shutil.which("helm", path=environ.get("PATH"))
        if on_path:
            candidates.append(Path(on_path))
        return next((cls(candidate) for candidate in candidates if candidate.is_file()), None)

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Standard output. `values` are handed over as a values file."""
        command = [str(self.program), *arguments]
        if values is not None:
            command += ["--values", "-"]
        done = subprocess.run(
            command,
            input=None if values is None else yaml.safe_dump(dict(values)),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise HelmFailed(f"helm {arguments[0]} {arguments[-1]}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def template(
        self,
        chart: Path,
        *,
        release: str,
        namespace: str,
        values: Mapping[str, Any] | None = None,
        value_files: Sequence[Path] = (),
    ) -> list[Manifest]:
        """What an installation would create, in helm's order."""
        files = [argument for path in value_files for argument in ("--values", str(path))]
        text = self.run("template", release, "--namespace", namespace, *files, str(chart), values=values or {})
        return list(parsed(text))
