"""The tree of a Python package: resolve with uv, compare hashes with the index, download wheels, verify, install."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore

from packaging.utils import NormalizedName, canonicalize_name

from vsm_operator.domain.intake import IntakeReason
from vsm_operator.domain.packages import PackageRef
from vsm_runtime.archives import ArchiveLimits, TreeWriter
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.facts import PackageFacts
from vsm_runtime.intake.http import Budget, Registry
from vsm_runtime.intake.progress import say
from vsm_runtime.intake.pypi_index import IndexFile, PypiIndex, best_wheel, check_root
from vsm_runtime.intake.pypi_install import SITE_PACKAGES, install
from vsm_runtime.intake.pypi_lock import Pin, chain, parse_lock, stripped_lock
from vsm_runtime.intake.pypi_resolve import Interpreter, default_index, interpreter, resolve
from vsm_runtime.intake.settings import Limits, Settings
from vsm_runtime.intake.tree import LOCK_DIRECTORY, Tree
from vsm_runtime.intake.wheel import WheelFacts, inspect

CONCURRENCY = 8
_PAGES_AT_ONCE = 3
"""A project's page can have megabytes; parsed, several times as much."""


def platform_name(settings: Settings) -> str:
    return interpreter(settings.server_python).name


def build(package: PackageRef, *, settings: Settings, scratch: Path) -> Tree:
    """Raises IntakeError; what lies in `scratch` then is of no use to anybody."""
    python = interpreter(settings.server_python)
    name = canonicalize_name(package.name)
    configured = settings.pypi_index or default_index()
    with Registry(configured) as http:
        index = PypiIndex(http)
        found = check_root(
            index.files(name), name=package.name, version=package.version, tags=python.tags, python=python.version
        )
        say(f"found {found.filename}, resolving its dependencies")
        pins = parse_lock(
            resolve(
                package,
                index=configured,
                python=settings.server_python,
                environ=settings.environ,
                scratch=scratch,
            )
        )
        if len(pins) > settings.limits.max_packages:
            allowed = settings.limits.max_packages
            message = f"the tree has {len(pins)} packages, more than the {allowed} that are allowed"
            raise IntakeError(IntakeReason.BUNDLE_TOO_LARGE, message)
        say(f"resolved {len(pins)} packages")
        wheels = _Fetcher(index, http, pins, python=python, scratch=scratch, limits=settings.limits).fetch()
    return _Assembly(pins, wheels, name, scratch=scratch, limits=settings.limits).assemble(python.name)


@dataclass(frozen=True, slots=True)
class _Wheel:
    path: Path
    listed: IndexFile


def choose(pin: Pin, files: tuple[IndexFile, ...] | None, *, python: Interpreter, chain_text: str) -> IndexFile:
    """The wheel of a pin, its hash known to the index and to uv's lock alike. Pure."""
    here = [file for file in files or () if file.version == pin.version and file.is_wheel]
    found = best_wheel(here, tags=python.tags, python=python.version)
    if found is None:
        raise IntakeError(IntakeReason.NO_WHEEL, f"{chain_text}: there is no wheel for {python.name}")
    if not found.sha256:
        message = f"{chain_text}: the index lists no sha256 for {found.filename}"
        raise IntakeError(IntakeReason.MISSING_INTEGRITY, message)
    if found.sha256 not in pin.sha256:
        message = f"{chain_text}: the index lists another hash for {found.filename} than the resolver saw"
        raise IntakeError(IntakeReason.INTEGRITY_MISMATCH, message)
    return found


class _Fetcher:
    """Downloads exactly the locked wheels with several threads."""

    def __init__(
        self,
        index: PypiIndex,
        http: Registry,
        pins: tuple[Pin, ...],
        *,
        python: Interpreter,
        scratch: Path,
        limits: Limits,
    ) -> None:
        self._index = index
        self._http = http
        self._pins = pins
        self._python = python
        self._directory = scratch / "wheels"
        self._budget = Budget(limits.max_unpacked_bytes)
        self._pages = BoundedSemaphore(_PAGES_AT_ONCE)

    def fetch(self) -> Mapping[NormalizedName, _Wheel]:
        self._directory.mkdir()
        wheels: dict[NormalizedName, _Wheel] = {}
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            pending = [pool.submit(self._fetch, pin) for pin in self._pins]
            try:
                for done, (pin, future) in enumerate(zip(self._pins, pending, strict=True), start=1):
                    wheels[pin.name] = future.result()
                    if done % 20 == 0 or done == len(pending):
                        say(f"downloaded {done}/{len(pending)}")
            finally:
                pool.shutdown(cancel_futures=True)
        return wheels

    def _fetch(self, pin: Pin) -> _Wheel:
        text = chain(self._pins, pin.name)
        with self._pages:
            listed = choose(pin, self._index.files(pin.name), python=self._python, chain_text=text)
        path = self._directory / listed.filename
        size = self._http.download(
            listed.url, path, algorithm="sha256", digest=bytes.fromhex(listed.sha256), budget=self._budget, what=text
        )
        if size is None:
            raise IntakeError(IntakeReason.RESOLUTION_FAILED, f"{text}: the index lists a wheel that it does not have")
        return _Wheel(path, listed)


class _Assembly:
    """Verifies and installs wheel after wheel, in the order of their names, the requested one last: its files win."""

    def __init__(
        self,
        pins: tuple[Pin, ...],
        wheels: Mapping[NormalizedName, _Wheel],
        root: NormalizedName,
        *,
        scratch: Path,
        limits: Limits,
    ) -> None:
        self._pins = tuple(sorted(pins, key=lambda pin: (pin.name == root, pin.name)))
        self._wheels = wheels
        self._root = root
        self._top = scratch / "tree"
        self._limits = limits

    def assemble(self, platform: str) -> Tree:
        writer = TreeWriter(self._top)
        writer.directory((SITE_PACKAGES,))
        left_bytes, left_files = self._limits.max_unpacked_bytes, self._limits.max_files
        packages: list[PackageFacts] = []
        entrypoints: tuple[str, ...] = ()
        for pin in self._pins:
            wheel, what = self._wheels[pin.name], chain(self._pins, pin.name)
            limits = ArchiveLimits(max_bytes=max(left_bytes, 1), max_entries=max(left_files, 1))
            facts = inspect(wheel.path, what=what, limits=limits)
            left_bytes, left_files = left_bytes - facts.unpacked_bytes, left_files - facts.files
            executables = install(wheel.path, writer, what=what)
            wheel.path.unlink()
            packages.append(_package_facts(pin, wheel.listed, facts, executables))
            entrypoints = executables if pin.name == self._root else entrypoints
        say(f"verified {len(packages)}/{len(packages)}")
        lock = self._top / LOCK_DIRECTORY / "requirements.lock"
        lock.parent.mkdir()
        ordered = sorted(self._pins, key=lambda pin: pin.name)
        lock.write_text(stripped_lock((pin, self._wheels[pin.name].listed.sha256) for pin in ordered), encoding="utf-8")
        return Tree(
            top=self._top,
            lock=lock,
            platform=platform,
            entrypoints=entrypoints,
            packages=tuple(sorted(packages, key=lambda package: package.name)),
        )


def _package_facts(pin: Pin, listed: IndexFile, facts: WheelFacts, executables: tuple[str, ...]) -> PackageFacts:
    return PackageFacts(
        path=SITE_PACKAGES,
        name=pin.name,
        version=str(pin.version),
        integrity=f"sha256:{listed.sha256}",
        license=facts.license,
        unpacked_bytes=facts.unpacked_bytes,
        files=facts.files,
        executables=executables,
        withdrawn=listed.yanked,
        path_hooks=facts.path_hooks,
    )
