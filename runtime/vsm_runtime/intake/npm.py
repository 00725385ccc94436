"""The tree of an npm package: resolve with npm, compare every hash with the registry, download, unpack, describe."""

import platform
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from vsm_operator.domain.intake import IntakeReason
from vsm_operator.domain.packages import PackageRef
from vsm_runtime.archives import ArchiveLimits
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.facts import PackageFacts
from vsm_runtime.intake.http import Budget, Registry
from vsm_runtime.intake.npm_lock import LockedPackage, NpmLock, parse_lock
from vsm_runtime.intake.npm_plan import NodePlatform, NpmPlan, is_registry_spec, make_plan, sha512_of, stripped_lock
from vsm_runtime.intake.npm_registry import NpmRegistry, NpmVersion
from vsm_runtime.intake.npm_resolve import NpmClient
from vsm_runtime.intake.npm_unpack import NpmManifest, read_manifest, repair_shebang, unpack
from vsm_runtime.intake.progress import say
from vsm_runtime.intake.settings import Limits, Settings
from vsm_runtime.intake.tree import LOCK_DIRECTORY, Tree, is_entrypoint_name

CONCURRENCY = 8
_CPUS = {"x86_64": "x64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64", "i686": "ia32"}


def node_platform() -> NodePlatform:
    machine = platform.machine()
    libc = "glibc" if platform.libc_ver()[0] == "glibc" else "musl"
    return NodePlatform(os="linux", cpu=_CPUS.get(machine, machine), libc=libc)


def platform_name() -> str:
    here = node_platform()
    return f"{here.os}/{here.cpu}/{here.libc}"


def build(package: PackageRef, *, settings: Settings, scratch: Path) -> Tree:
    """Raises IntakeError; what lies in `scratch` then is of no use to anybody."""
    client = NpmClient(scratch, registry=settings.npm_registry, environ=settings.environ)
    with Registry(settings.npm_registry or client.default_registry()) as http:
        registry = NpmRegistry(http)
        root = registry.root(package)
        check_root(root)
        say(f"found {package.name}@{package.version}, resolving its dependencies")
        lock = parse_lock(client.lock(package))
        plan = make_plan(lock, platform=node_platform(), max_packages=settings.limits.max_packages)
        say(f"resolved {len(plan.packages)} packages, {len(plan.skipped)} left out for other platforms")
        fetcher = _Fetcher(registry, lock, client, scratch=scratch, limits=settings.limits)
        versions = fetcher.install(plan, root)
    return _describe(plan, package, versions, scratch / "tree")


def check_root(root: NpmVersion) -> None:
    """Refuses early what npm would stumble over with a less useful message."""
    for name, spec in sorted(root.required.items()):
        if name not in root.bundled and not is_registry_spec(spec):
            wants = f"{root.name}@{root.version} wants {name} from {spec[:200]}"
            message = f"{wants}: only packages from the registry are accepted"
            raise IntakeError(IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE, message)


def check_entry(package: LockedPackage, entry: NpmVersion, *, chain: str, own_hosts: Iterable[str]) -> bytes:
    """The sha512 that lock and registry agree on. Pure.

    A lock inside a package (npm-shrinkwrap.json) may say anything, so its hash must be the registry's, and its
    download location the registry's own or the same file on a host in `own_hosts`.
    """
    listed, locked = sha512_of(entry.integrity), sha512_of(package.integrity)
    if listed is None:
        raise IntakeError(IntakeReason.MISSING_INTEGRITY, f"{chain}: the registry lists no sha512 for this version")
    if listed != locked:
        message = f"{chain}: the lock's integrity is not the one that the registry lists"
        raise IntakeError(IntakeReason.INTEGRITY_MISMATCH, message)
    if package.resolved != entry.tarball and urlsplit(package.resolved).netloc.rpartition("@")[2] not in own_hosts:
        message = (
            f"{chain} comes from {package.resolved[:200]}, which is not the registry: only its packages are accepted"
        )
        raise IntakeError(IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE, message)
    return listed


@dataclass(frozen=True, slots=True)
class _Download:
    archive: Path
    entry: NpmVersion


class _Fetcher:
    """Downloads with several threads; unpacks in the order of the plan, parents first: always with the same result."""

    def __init__(
        self, registry: NpmRegistry, lock: NpmLock, client: NpmClient, *, scratch: Path, limits: Limits
    ) -> None:
        self._registry = registry
        self._lock = lock
        self._client = client
        self._archives = scratch / "archives"
        self._tree = scratch / "tree"
        self._limits = limits
        self._budget = Budget(limits.max_unpacked_bytes)
        self._own_hosts: tuple[str, ...] = (urlsplit(registry.http.url).netloc,)
        self._default_host = ""

    def install(self, plan: NpmPlan, root: NpmVersion) -> Mapping[str, NpmVersion]:
        """Returns the registry's entries by path."""
        self._archives.mkdir()
        self._tree.mkdir()
        self._accept_default_host(plan)
        fetched = [package for package in plan.packages if not package.bundled]
        entries: dict[str, NpmVersion] = {}
        left = self._limits
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            pending = [pool.submit(self._fetch, n, package, root) for n, package in enumerate(fetched)]
            try:
                for done, (package, future) in enumerate(zip(fetched, pending, strict=True), start=1):
                    download = future.result()
                    left = self._unpack(package, download, left)
                    entries[package.path] = download.entry
                    if done % 20 == 0 or done == len(fetched):
                        say(f"verified {done}/{len(fetched)}")
            finally:
                pool.shutdown(cancel_futures=True)
        return entries

    def _accept_default_host(self, plan: NpmPlan) -> None:
        """npm takes its default registry's URLs in a shrinkwrap for the configured registry (replace-registry-host)."""
        foreign = {urlsplit(p.resolved).netloc for p in plan.packages if p.resolved} - set(self._own_hosts)
        if foreign:
            self._default_host = urlsplit(self._client.default_registry()).netloc
            self._own_hosts = (*self._own_hosts, self._default_host)

    def _fetch(self, number: int, package: LockedPackage, root: NpmVersion) -> _Download:
        chain = self._lock.chain(package.path)
        is_root = (package.name, package.version) == (root.name, root.version)
        entry = root if is_root else self._registry.version(package.name, package.version)
        if entry is None:
            message = f"{chain}: the registry does not have this version"
            raise IntakeError(IntakeReason.RESOLUTION_FAILED, message)
        digest = check_entry(package, entry, chain=chain, own_hosts=self._own_hosts)
        archive = self._archives / f"{number}.tgz"
        size = self._registry.http.download(
            self._location(entry.tarball), archive, algorithm="sha512", digest=digest, budget=self._budget, what=chain
        )
        if size is None:
            raise IntakeError(
                IntakeReason.RESOLUTION_FAILED, f"{chain}: the registry lists an archive that it does not have"
            )
        return _Download(archive, entry)

    def _location(self, tarball: str) -> str:
        parts = urlsplit(tarball)
        if not self._default_host or parts.netloc != self._default_host:
            return tarball
        base = urlsplit(self._registry.http.url)
        return urlunsplit((base.scheme, base.netloc, base.path + parts.path, parts.query, ""))

    def _unpack(self, package: LockedPackage, download: _Download, left: Limits) -> Limits:
        target = self._tree / package.path
        if target.is_symlink() or target.exists():
            shutil.rmtree(target)  # a copy inside the parent's archive that the lock replaces
        target.parent.mkdir(parents=True, exist_ok=True)
        limits = ArchiveLimits(max_bytes=left.max_unpacked_bytes, max_entries=left.max_files)
        unpacked = unpack(download.archive, target, what=self._lock.chain(package.path), limits=limits)
        download.archive.unlink()
        return replace(
            left,
            max_unpacked_bytes=max(left.max_unpacked_bytes - unpacked.size_bytes, 1),
            max_files=max(left.max_files - unpacked.files, 1),
        )


def _describe(plan: NpmPlan, package: PackageRef, versions: Mapping[str, NpmVersion], top: Path) -> Tree:
    nested = _children(plan)
    facts = []
    entrypoints: dict[str, str] = {}
    root_path = f"node_modules/{package.name}"
    for locked in plan.packages:
        manifest = read_manifest(top / locked.path, what=f"{locked.name}@{locked.version}")
        if locked.path == root_path:
            entrypoints = {n: f"{root_path}/{t}" for n, t in manifest.executables.items() if is_entrypoint_name(n)}
        facts.append(_package_facts(locked, manifest, versions.get(locked.path), _measure(top, locked.path, nested)))
    _make_entrypoints(top, entrypoints)
    lock = top / LOCK_DIRECTORY / "lock.json"
    lock.parent.mkdir()
    lock.write_text(stripped_lock(plan), encoding="utf-8")
    return Tree(
        top=top,
        lock=lock,
        platform=platform_name(),
        entrypoints=tuple(sorted(entrypoints)),
        packages=tuple(facts),
        skipped=tuple(f"{p.name}@{p.version}" for p in plan.skipped),
    )


def _package_facts(
    locked: LockedPackage, manifest: NpmManifest, entry: NpmVersion | None, measured: tuple[int, int]
) -> PackageFacts:
    files, size_bytes = measured
    return PackageFacts(
        path=locked.path,
        name=locked.name,
        version=locked.version,
        integrity="" if locked.bundled else locked.integrity,
        license=manifest.license,
        unpacked_bytes=size_bytes,
        files=files,
        lifecycle_scripts=manifest.lifecycle_scripts,
        executables=tuple(manifest.executables),
        withdrawn=entry.deprecated if entry is not None else "",
    )


def _children(plan: NpmPlan) -> Mapping[str, frozenset[str]]:
    """Paths of the packages directly below each package."""
    below: dict[str, set[str]] = {}
    for package in plan.packages:
        parent, nested, _ = package.path.rpartition("/node_modules/")
        if nested:
            below.setdefault(parent, set()).add(package.path)
    return {path: frozenset(paths) for path, paths in below.items()}


def _measure(top: Path, path: str, nested: Mapping[str, frozenset[str]]) -> tuple[int, int]:
    """Files and bytes of one package without the packages below it."""
    skip = {top / child for child in nested.get(path, ())}
    files = size_bytes = 0
    pending = [top / path]
    while pending:
        for child in pending.pop().iterdir():
            if child.is_dir() and not child.is_symlink():
                if child not in skip:
                    pending.append(child)
            else:
                files += 1
                size_bytes += child.lstat().st_size
    return files, size_bytes


def _make_entrypoints(top: Path, entrypoints: Mapping[str, str]) -> None:
    if not entrypoints:
        return
    (top / "bin").mkdir()
    for name, target in entrypoints.items():
        repair_shebang(top / target)
        (top / target).chmod(0o755)
        (top / "bin" / name).symlink_to(f"../{target}")
