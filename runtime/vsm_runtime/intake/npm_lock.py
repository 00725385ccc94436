"""Reading npm's package-lock.json, version 3. Pure: text in, facts out.

Invariant: the key of an entry is where Node finds the package, and what a package's dependency resolves to is the
nearest entry upwards from it, exactly as Node's own algorithm walks. Everything else follows from these two.
"""

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError

ROOT = ""
_NAME = r"(?:@[A-Za-z0-9~!'()*_-][A-Za-z0-9._~!'()*-]*/)?[A-Za-z0-9~!'()*_-][A-Za-z0-9._~!'()*-]*"
_PATH = re.compile(rf"node_modules/{_NAME}(?:/node_modules/{_NAME})*")
_FULL_NAME = re.compile(_NAME)


@dataclass(frozen=True, slots=True)
class Edge:
    """One dependency of a package; `target` is the path of the entry that satisfies it, None when nothing does."""

    name: str
    spec: str
    optional: bool
    target: str | None


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One entry of the lock."""

    path: str
    name: str
    """The registry's name, which differs from the last part of `path` for an alias."""
    version: str
    resolved: str = ""
    integrity: str = ""
    link: bool = False
    bundled: bool = False
    """Comes inside the archive of a package above it, so it has no integrity of its own."""
    optional: bool = False
    development: bool = False
    os: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    libc: tuple[str, ...] = ()
    required: Mapping[str, str] = field(default_factory=dict)
    """dependencies and peers that must be there: name -> spec."""
    welcome: Mapping[str, str] = field(default_factory=dict)
    """optional dependencies and optional peers."""


class NpmLock:
    """All entries, sorted by path, parents before children."""

    def __init__(self, packages: Mapping[str, LockedPackage]) -> None:
        self.root = packages[ROOT]
        self.packages = tuple(package for path, package in sorted(packages.items()) if path != ROOT)
        self._by_path = packages

    def __getitem__(self, path: str) -> LockedPackage:
        return self._by_path[path]

    @cached_property
    def edges(self) -> Mapping[str, tuple[Edge, ...]]:
        return {path: tuple(self._edges_of(package)) for path, package in self._by_path.items()}

    def _edges_of(self, package: LockedPackage) -> Iterator[Edge]:
        for optional, specs in ((False, package.required), (True, package.welcome)):
            for name, spec in sorted(specs.items()):
                yield Edge(name, spec, optional, self._resolve(package.path, name))

    def _resolve(self, origin: str, name: str) -> str | None:
        at = origin
        while True:
            candidate = f"{at}/node_modules/{name}" if at else f"node_modules/{name}"
            if candidate in self._by_path:
                return candidate
            if not at:
                return None
            at = at[: at.rfind("/node_modules/")] if "/node_modules/" in at else ROOT

    def chain(self, path: str) -> str:
        """How the tree comes to have this entry: the shortest way from the requested package, names and versions."""
        came_from: dict[str, str] = {ROOT: ROOT}
        queue = deque([ROOT])
        while queue and path not in came_from:
            here = queue.popleft()
            for edge in self.edges[here]:
                if edge.target is not None and edge.target not in came_from:
                    came_from[edge.target] = here
                    queue.append(edge.target)
        steps: list[str] = []
        at = path
        while at != ROOT:
            package = self._by_path[at]
            steps.append(f"{package.name}@{package.version}" if package.version else package.name)
            at = came_from.get(at, ROOT)
        return " → ".join(reversed(steps))


def parse_lock(text: str) -> NpmLock:
    """Raises IntakeError(ResolutionFailed) for anything that npm would not write."""
    try:
        raw = json.loads(text)
        version = raw["lockfileVersion"]
        packages = {str(path): _package(str(path), entry) for path, entry in raw["packages"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise IntakeError(IntakeReason.RESOLUTION_FAILED, f"npm's lock cannot be understood: {error}") from error
    if version != 3 or ROOT not in packages:
        message = f"npm wrote a lock of version {version!r} with {len(packages)} packages, which cannot be understood"
        raise IntakeError(IntakeReason.RESOLUTION_FAILED, message)
    return NpmLock(packages)


def _package(path: str, raw: Mapping[str, Any]) -> LockedPackage:
    if path != ROOT and not raw.get("link") and not _PATH.fullmatch(path):
        message = (
            f"the dependency at {path[:120]!r} lies outside node_modules: only packages from the registry are accepted"
        )
        raise IntakeError(IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE, message)
    name = str(raw.get("name") or path.rsplit("node_modules/", 1)[-1])
    if path != ROOT and not raw.get("link") and not _FULL_NAME.fullmatch(name):
        raise ValueError(f"package name {name[:120]!r}")
    peers = _strings(raw, "peerDependencies")
    optional_peers = {
        peer for peer, meta in dict(raw.get("peerDependenciesMeta") or {}).items() if meta.get("optional")
    }
    welcome = _strings(raw, "optionalDependencies") | {n: s for n, s in peers.items() if n in optional_peers}
    required = {n: s for n, s in peers.items() if n not in optional_peers} | _strings(raw, "dependencies")
    return LockedPackage(
        path=path,
        name=name,
        version=str(raw.get("version") or ""),
        resolved=str(raw.get("resolved") or ""),
        integrity=str(raw.get("integrity") or ""),
        link=bool(raw.get("link")),
        bundled=bool(raw.get("inBundle")),
        optional=bool(raw.get("optional") or raw.get("devOptional")),
        development=bool(raw.get("dev")),
        os=_list(raw, "os"),
        cpu=_list(raw, "cpu"),
        libc=_list(raw, "libc"),
        required={n: s for n, s in required.items() if n not in welcome},
        welcome=welcome,
    )


def _strings(raw: Mapping[str, Any], key: str) -> dict[str, str]:
    return {str(name): str(spec) for name, spec in dict(raw.get(key) or {}).items()}


def _list(raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = raw.get(key) or ()
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value)
