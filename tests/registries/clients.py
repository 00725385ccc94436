"""npm, uv and pip as people run them, against one registry and with nothing of the user's: no settings, no cache."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from registries.installs import npm
from registries.processes import environment

_TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    def __bool__(self) -> bool:
        return self.code == 0


@dataclass(frozen=True, slots=True)
class Clients:
    """`work` is an empty folder, `url` the npm registry's or the Simple API's."""

    work: Path
    url: str

    def npm(self, *arguments: str) -> Done:
        """Scripts of packages never run, and npm tries once only."""
        fixed = ["--ignore-scripts", "--no-fund", "--no-update-notifier", "--fetch-retries=0", "--loglevel=error"]
        argv = [*npm(), *arguments, *fixed, f"--registry={self.url}", f"--cache={self.work / '.npm'}"]
        argv += [f"--{kind}config={self.work / f'no-{kind}-settings'}" for kind in ("user", "global")]
        return self._run(argv, first=Path(npm()[0]).parent)

    def compile(self, *requirements: str) -> Done:
        """`uv pip compile`, wheels only, with hashes."""
        argv = [
            str(Path(sys.executable).with_name("uv")),
            "pip",
            "compile",
            "-",
            "--quiet",
            "--no-config",
            "--no-header",
        ]
        argv += ["--generate-hashes", "--only-binary", ":all:", "--index-url", self.url, "--python", sys.executable]
        argv += ["--cache-dir", str(self.work / ".uv"), "--no-annotate"]
        return self._run(argv, first=Path(sys.executable).parent, told="\n".join(requirements))

    def download(self, requirement: str, *options: str) -> Done:
        """`pip download --no-deps` into the folder `wheels`; nothing is built, since wheels only are asked for."""
        argv = [sys.executable, "-m", "pip", "--isolated", "download", "--no-deps", "--no-cache-dir", "--quiet"]
        argv += ["--index-url", self.url, "--dest", str(self.work / "wheels"), "--retries", "0", *options]
        return self._run([*argv, "--only-binary", ":all:", requirement], first=Path(sys.executable).parent)

    def _run(self, argv: Sequence[str], *, first: Path, told: str = "") -> Done:
        env = environment(self.work)
        env["PATH"] = f"{first}{os.pathsep}{env['PATH']}"
        done = subprocess.run(
            argv,
            cwd=self.work,
            env=env,
            input=told,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)
