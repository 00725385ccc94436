"""Binaries from the Go module proxy, in the user's cache: <cache>/<set>-<key>/, where the key covers every input.

Guarantees: a directory under its final name is whole (it is made under another name, then renamed, and its sizes are
checked at every use); two checkouts that need the same set build it once (file lock).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcluster import toolchain
from localcluster.errors import BuildError
from localcluster.progress import Progress, wait_until

MODULES = Path(__file__).parent
MANIFEST = "manifest.json"
BUILD_TIMEOUT_SECONDS = 3600
HEARTBEAT_SECONDS = 20

_KUBERNETES_PROGRAMS = (
    "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BuildSet:
    """Programs made by one `go build` call, so that they share its compile work."""

    name: str
    module: Path
    packages: tuple[str, ...]
    ldflags: str = "-s -w"

    @property
    def programs(self) -> tuple[str, ...]:
        return tuple(package.rsplit("/", 1)[1] for package in self.packages)

    def key(self, go_version: str) -> str:
        digest = hashlib.sha256()
        for source in sorted(path for path in self.module.rglob("*") if path.suffix in {".go", ".mod", ".sum"}):
            digest.update(f"{source.relative_to(self.module)}\0{source.stat().st_size}\0".encode())
            digest.update(source.read_bytes())
        for part in (go_version, self.ldflags, platform.machine(), *self.packages):
            digest.update(f"{part}\0".encode())
        return digest.hexdigest()[:16]


def kubernetes(minor: str) -> BuildSet:
    module = MODULES / f"kubernetes-{minor}"
    version = required_version(module, "k8s.io/kubernetes")
    stamp = {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": minor.split(".")[1],
        "k8s.io/client-go/pkg/version.gitVersion": version,
    }
    return BuildSet(
        name=f"kubernetes-{minor}",
        module=module,
        packages=tuple(f"k8s.io/kubernetes/cmd/{program}" for program in _KUBERNETES_PROGRAMS),
        ldflags="-s -w " + " ".join(f"-X {variable}={value}" for variable, value in stamp.items()),
    )


def kubectl(minor: str) -> BuildSet:
    """kubectl alone, for use with a cluster that is not ours."""
    whole = kubernetes(minor)
    return BuildSet(
        name=f"kubectl-{minor}", module=whole.module, packages=("k8s.io/kubernetes/cmd/kubectl",), ldflags=whole.ldflags
    )


def addons() -> BuildSet:
    module = MODULES / "addons"
    return BuildSet(
        name="addons",
        module=module,
        packages=(
            "./cmd/pause",
            "./cmd/registry",
            "./cmd/coredns",
            "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
        ),
    )


def helm() -> BuildSet:
    module = MODULES / "addons"
    version = required_version(module, "helm.sh/helm/v4")
    return BuildSet(
        name="helm",
        module=module,
        packages=("helm.sh/helm/v4/cmd/helm",),
        ldflags=f"-s -w -X helm.sh/helm/v4/internal/version.version={version}",
    )


def etcd() -> BuildSet:
    return BuildSet(name="etcd", module=MODULES / "etcd", packages=("./cmd/etcd",))


def kind() -> BuildSet:
    return BuildSet(name="kind", module=MODULES / "kind", packages=("sigs.k8s.io/kind",))


def required_version(module: Path, path: str) -> str:
    """The version at which a go.mod requires `path`."""
    for line in (module / "go.mod").read_text(encoding="utf-8").splitlines():
        words = line.removeprefix("require").split()
        if len(words) >= 2 and words[0] == path and "=>" not in words:
            return words[1]
    raise BuildError(f"{module / 'go.mod'} does not require {path}")


def is_whole(directory: Path, programs: tuple[str, ...]) -> bool:
    """Every program is there with the size that it had when it was built (a power cut can leave empty files)."""
    try:
        sizes = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        return all((directory / name).stat().st_size == sizes[name] for name in programs)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def cached(wanted: BuildSet, *, cache: Path, progress: Progress) -> Path | None:
    """The directory with the set's programs if it has been built before."""
    directory, _ = _place(wanted, cache=cache, progress=progress)
    return directory if is_whole(directory, wanted.programs) else None


def ensure(wanted: BuildSet, *, cache: Path, progress: Progress) -> Path:
    """The directory with the set's programs, built if need be."""
    directory, go = _place(wanted, cache=cache, progress=progress)
    if is_whole(directory, wanted.programs):
        return directory
    with _locked(cache / f"{wanted.name}.lock", wanted=wanted, progress=progress):
        if is_whole(directory, wanted.programs):  # the other checkout has built it while we waited
            return directory
        # Ours is the only build of this set now: whatever is unfinished was left by one that was killed.
        for leftover in cache.glob(f".{wanted.name}-*.unfinished"):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(dir=cache, prefix=f".{directory.name}.", suffix=".unfinished"))
        unfinished.chmod(0o755)
        _go_build(wanted, go=go, target=unfinished, progress=progress)
        sizes = {name: (unfinished / name).stat().st_size for name in wanted.programs}
        (unfinished / MANIFEST).write_text(json.dumps(sizes), encoding="utf-8")
        os.sync()
        shutil.rmtree(directory, ignore_errors=True)
        unfinished.rename(directory)
    return directory


def _place(wanted: BuildSet, *, cache: Path, progress: Progress) -> tuple[Path, toolchain.Go]:
    cache.mkdir(parents=True, exist_ok=True)
    go_mod = (wanted.module / "go.mod").read_text(encoding="utf-8")
    go = toolchain.find(toolchain.needed_version(go_mod), cache=cache, progress=progress)
    return cache / f"{wanted.name}-{wanted.key(go.version)}", go


def _go_build(wanted: BuildSet, *, go: toolchain.Go, target: Path, progress: Progress) -> None:
    argv = [go.program, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags", wanted.ldflags, "-o", f"{target}/"]
    progress.step(f"building {wanted.name} ({', '.join(wanted.programs)}); the first time takes minutes")
    log = target / "build.log"
    started = time.monotonic()
    with log.open("wb") as output:
        build = subprocess.Popen(
            # A build whose starter is killed would go on for minutes beside its successor.
            ["setpriv", "--pdeathsig", "KILL", *argv, *wanted.packages], cwd=wanted.module,
            env=toolchain.environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            while not wait_until(lambda: build.poll() is not None, timeout_seconds=HEARTBEAT_SECONDS):
                if time.monotonic() - started > BUILD_TIMEOUT_SECONDS:
                    raise BuildError(f"building {wanted.name} took longer than {BUILD_TIMEOUT_SECONDS // 60} minutes")
                done = log.read_bytes().count(b"\n")
                progress.step(f"building {wanted.name}: {done} packages compiled")
        finally:
            if build.poll() is None:
                build.terminate()
                build.wait(timeout=30)
    lines = log.read_text(errors="replace").splitlines()
    if build.returncode != 0:
        said = "\n".join(line for line in lines[-12:])
        raise BuildError(
            f"building {wanted.name} failed (exit {build.returncode}):\n{said}",
            next_step=f"cd {wanted.module} && go build -mod=readonly {' '.join(wanted.packages)}",
        )
    log.unlink()
    progress.step(f"built {wanted.name} in {time.monotonic() - started:.0f} s")


@contextmanager
def _locked(lock: Path, *, wanted: BuildSet, progress: Progress) -> Iterator[None]:
    with lock.open("w", encoding="utf-8") as handle:

        def try_lock() -> bool:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not try_lock():
            progress.step(f"another checkout is building {wanted.name}: waiting for it")
            if not wait_until(try_lock, timeout_seconds=BUILD_TIMEOUT_SECONDS):
                raise BuildError(f"{lock} stayed locked for {BUILD_TIMEOUT_SECONDS // 60} minutes")
        yield
