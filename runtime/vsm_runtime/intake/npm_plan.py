"""What of npm's lock gets installed, and whether it may be. Pure.

Skipped is what npm itself would leave out on this platform: an optional package for another system, together with what
only it needs. All else must come from the registry with a sha512, or the whole tree is refused.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError, without_credentials
from vsm_runtime.intake.npm_lock import ROOT, LockedPackage, NpmLock


@dataclass(frozen=True, slots=True)
class NodePlatform:
    """In Node's own words: process.platform, process.arch and the C library."""

    os: str
    cpu: str
    libc: str


@dataclass(frozen=True, slots=True)
class NpmPlan:
    """Everything to install, parents before children, and what was left out for another platform."""

    packages: tuple[LockedPackage, ...]
    skipped: tuple[LockedPackage, ...]


def make_plan(lock: NpmLock, *, platform: NodePlatform, max_packages: int) -> NpmPlan:
    """Raises IntakeError with the chain of dependencies that leads to the first package that is not acceptable."""
    skipped = _skipped(lock, platform)
    wanted = tuple(p for p in lock.packages if p.path not in skipped and not p.development)
    if len(wanted) > max_packages:
        message = f"the tree has {len(wanted)} packages, more than the {max_packages} that are allowed"
        raise IntakeError(IntakeReason.BUNDLE_TOO_LARGE, message)
    for package in wanted:
        _check_source(lock, package)
    _check_specs(lock, wanted)
    for package in wanted:
        if not package.bundled and sha512_of(package.integrity) is None:
            found = "only " + package.integrity.split("-", 1)[0] if package.integrity else "none"
            message = f"{lock.chain(package.path)}: a sha512 integrity is required and npm's lock has {found}"
            raise IntakeError(IntakeReason.MISSING_INTEGRITY, message)
    return NpmPlan(wanted, tuple(p for p in lock.packages if p.path in skipped))


def is_registry_spec(spec: str) -> bool:
    """Whether npm looks this up in the registry: a range, a tag, or an alias of one. All else has a / or a :."""
    if spec.startswith("npm:"):
        target = spec.removeprefix("npm:")
        scope, slash, rest = target.partition("/")
        return not any(c in (rest if scope.startswith("@") and slash else target) for c in "/:\\")
    return not any(c in spec for c in "/:\\")


def sha512_of(integrity: str) -> bytes | None:
    """The sha512 of a Subresource Integrity string; None without a well-formed one."""
    for item in integrity.split():
        algorithm, _, encoded = item.partition("-")
        if algorithm != "sha512":
            continue
        try:
            digest = base64.b64decode(encoded.split("?", 1)[0], validate=True)
        except binascii.Error:
            continue
        if len(digest) == 64:
            return digest
    return None


def stripped_lock(plan: NpmPlan) -> str:
    """The lock as it goes into the bundle: no URL, nothing that differs between a registry and its mirror."""
    packages: dict[str, dict[str, object]] = {}
    for p in plan.packages:
        entry: dict[str, object] = {"name": p.name, "version": p.version}
        entry |= {"integrity": p.integrity} if not p.bundled else {"inBundle": True}
        entry |= {"optional": True} if p.optional else {}
        entry |= {"dependencies": dict(sorted(p.required.items()))} if p.required else {}
        entry |= {"optionalDependencies": dict(sorted(p.welcome.items()))} if p.welcome else {}
        packages[p.path] = entry
    return json.dumps({"lockfileVersion": 3, "packages": packages}, indent=1, sort_keys=True) + "\n"


def _check_source(lock: NpmLock, package: LockedPackage) -> None:
    if package.link:
        what = "is a link to a local directory"
    elif package.bundled or package.resolved.startswith(("https://", "http://")):
        return
    elif not package.resolved:
        what = "has no download location in npm's lock"
    else:
        what = f"comes from {without_credentials(package.resolved)[:200]}"
    _refuse(f"{lock.chain(package.path)} {what}")


def _check_specs(lock: NpmLock, wanted: Iterable[LockedPackage]) -> None:
    present = {package.path for package in wanted} | {ROOT}
    for path in sorted(present):
        for edge in lock.edges[path]:
            target = edge.target if edge.target in present else None
            if is_registry_spec(edge.spec) or (target is None and edge.optional):
                continue
            if target is None or not lock[target].bundled:
                wants = f"{edge.name} from {without_credentials(edge.spec)[:200]}"
                _refuse(f"{lock.chain(path)} wants {wants}" if path != ROOT else f"the request wants {wants}")


def _refuse(message: str) -> None:
    hint = "only packages from the registry are accepted, no git, URL, file or link"
    raise IntakeError(IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE, f"{message}: {hint}")


def _fits(package: LockedPackage, platform: NodePlatform) -> bool:
    checks = ((platform.os, package.os), (platform.cpu, package.cpu), (platform.libc, package.libc))
    return all(_listed(value, allowed) for value, allowed in checks)


def _listed(value: str, allowed: tuple[str, ...]) -> bool:
    """npm's rule: any positive entry must match, no negated one may; `any` alone matches all."""
    if allowed in ((), ("any",)):
        return True
    if f"!{value}" in allowed:
        return False
    positive = [item for item in allowed if not item.startswith("!")]
    return not positive or value in positive


def _skipped(lock: NpmLock, platform: NodePlatform) -> set[str]:
    """The paths npm would not install here (arborist's optional sets)."""
    dependants: dict[str, list[tuple[str, bool]]] = {}
    for origin, edges in lock.edges.items():
        for edge in edges:
            if edge.target is not None:
                dependants.setdefault(edge.target, []).append((origin, edge.optional))
    skipped: set[str] = set()
    for package in lock.packages:
        if package.bundled and any(package.path.startswith(f"{path}/") for path in skipped):
            skipped.add(package.path)  # inside an archive that is not fetched
        if package.path in skipped or package.bundled or _fits(package, platform):
            continue
        if not package.optional:
            message = f"{lock.chain(package.path)} does not run on {platform.os}/{platform.cpu}"
            raise IntakeError(IntakeReason.RESOLUTION_FAILED, message)
        skipped |= _optional_set(lock, package.path, dependants)
    return skipped


def _optional_set(lock: NpmLock, start: str, dependants: dict[str, list[tuple[str, bool]]]) -> set[str]:
    upward = [start]
    for path in upward:  # grows while it is walked: everything that cannot live without `start`
        upward += [o for o, optional in dependants.get(path, ()) if not optional and o != ROOT and o not in upward]
    doomed = set(upward)
    below = list(upward)
    for path in below:
        below += [e.target for e in lock.edges[path] if e.target is not None and e.target not in below]
    candidates = set(below)
    while True:  # whoever is needed from outside stays, and so does all that it needs
        kept = {p for p in candidates - doomed if any(o not in candidates for o, _ in dependants.get(p, ()))}
        if not kept:
            return candidates
        candidates -= kept
