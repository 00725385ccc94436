"""The development environment: exactly what requirements-dev.lock says, by hash, and this project on top.

A stamp inside the environment names what it was made from. It is written last, so that a half-made one is made again.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devenv import fingerprint, host, prerequisites
from devenv.checkout import Checkout
from devenv.commands import Commands
from devenv.errors import DevenvError

_INSTALL_TIMEOUT_SECONDS = 1200.0
_UV = re.compile(r"^uv==(?P<version>[^ ;\\]+)[^\n]*(?:\n    --hash=[^\n]*)+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Environment:
    """Of one checkout."""

    checkout: Checkout
    commands: Commands
    environ: Mapping[str, str]

    @property
    def python(self) -> Path:
        return self.checkout.venv / "bin" / "python"

    @property
    def vsmctl(self) -> Path:
        return self.checkout.venv / "bin" / "vsmctl"

    @property
    def _stamp(self) -> Path:
        return self.checkout.venv / "vsm-stamp"

    @property
    def _lock(self) -> Path:
        return self.checkout.root / "requirements-dev.lock"

    def wanted(self) -> str:
        """What the stamp says once the environment is as it should be."""
        root = self.checkout.root
        return fingerprint.of_files(root, [self._lock, root / "pyproject.toml"], also=["1", str(root)])

    def ensure(self) -> bool:
        """Whether there was anything to do."""
        wanted = self.wanted()
        if self._is_current(wanted):
            return False
        self.checkout.state.mkdir(parents=True, exist_ok=True)
        with (self.checkout.state / "venv.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._is_current(wanted):
                self._make(wanted)
        return True

    def _is_current(self, wanted: str) -> bool:
        if not (self._stamp.exists() and self.vsmctl.exists()):
            return False
        # The interpreter is a link to the system's, which an upgrade may have taken away.
        return self._stamp.read_text(encoding="utf-8") == wanted and self.commands.answers([str(self.python), "-V"])

    def _make(self, wanted: str) -> None:
        self._stamp.unlink(missing_ok=True)
        if not self.commands.answers([str(self.python), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]):
            system = prerequisites.find_python(self.commands)
            if system is None:
                raise DevenvError(prerequisites.explain(prerequisites.for_development(None)))
            venv = [system, "-m", "venv", "--clear", "--without-pip", str(self.checkout.venv)]
            self.commands.run(venv, timeout_seconds=300)
        uv = self.uv()
        target = ["--python", str(self.python)]
        network = uv_environment(self.environ)
        self.commands.run(
            [uv, "pip", "sync", *target, "--require-hashes", str(self._lock)],
            environment=network,
            timeout_seconds=_INSTALL_TIMEOUT_SECONDS,
        )
        # Without isolation: the build backend comes from the lock as well.
        self.commands.run(
            [uv, "pip", "install", *target, "--no-deps", "--no-build-isolation", "--editable", str(self.checkout.root)],
            environment=network,
            timeout_seconds=_INSTALL_TIMEOUT_SECONDS,
        )
        self._stamp.write_text(wanted, encoding="utf-8")

    def uv(self) -> str:
        """The locked uv, in an environment of its own that all checkouts share."""
        requirement, version = uv_requirement(self._lock.read_text(encoding="utf-8"))
        home = self.checkout.cache / "uv" / version
        program = home / "bin" / "uv"
        if self.commands.answers([str(program), "--version"]):
            return str(program)
        home.parent.mkdir(parents=True, exist_ok=True)
        system = prerequisites.find_python(self.commands)
        if system is None:
            raise DevenvError(prerequisites.explain(prerequisites.for_development(None)))
        self.commands.run([system, "-m", "venv", "--clear", str(home)], timeout_seconds=300)
        lock = home / "uv.lock"
        lock.write_text(requirement, encoding="utf-8")
        self.commands.run(
            [
                *(str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", str(lock)),
            ],
            environment=pip_environment(self.environ),
            timeout_seconds=_INSTALL_TIMEOUT_SECONDS,
        )
        return str(program)


def uv_requirement(lock: str) -> tuple[str, str]:
    """uv's own entry of the lock, and its version."""
    found = _UV.search(lock)
    if found is None:
        raise DevenvError("requirements-dev.lock does not name uv; `make lock` makes it again")
    return found[0] + "\n", found["version"]


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What uv has to be told that pip finds out by itself."""
    told = {}
    if bundle := host.ca_bundle(environ):
        told["SSL_CERT_FILE"] = str(bundle)
    if index := host.package_index(environ):
        told["UV_DEFAULT_INDEX"] = index
    return told


def pip_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The same for a pip that brings its own CA bundle."""
    told = {}
    if bundle := host.ca_bundle(environ):
        told["PIP_CERT"] = str(bundle)
    if index := host.package_index(environ):
        told["PIP_INDEX_URL"] = index
    return told
