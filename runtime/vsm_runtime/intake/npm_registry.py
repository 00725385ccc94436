"""Questions to an npm registry. Both dialects: the full one and mirrors that know packuments and manifests only."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin

from vsm_operator.domain.intake import IntakeReason
from vsm_operator.domain.packages import PackageRef
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.http import Registry

_ABBREVIATED = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"
_IDENTIFIER = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class NpmVersion:
    """One published version as the registry describes it."""

    name: str
    version: str
    integrity: str
    tarball: str
    """Absolute URL."""
    deprecated: str
    """Empty when not deprecated or when the registry keeps that to itself."""
    required: Mapping[str, str]
    bundled: frozenset[str]


class NpmRegistry:
    """Read-only view of one registry."""

    def __init__(self, http: Registry) -> None:
        self.http = http
        self._has_manifests = True

    def version(self, name: str, version: str) -> NpmVersion | None:
        """None when the registry has no such version, or no such package."""
        if self._has_manifests:
            url = f"{self._package_url(name)}/{quote(version, safe='')}"
            answer = self.http.get(url, accept="application/json")
            if answer is not None:
                return self._parse(name, version, answer.json(), base=answer.url)
        packument = self._packument(name)
        manifest = (packument or {}).get("versions", {}).get(version)
        if packument is None or manifest is None:
            return None
        self._has_manifests = False  # a mirror without GET /name/version: ask for whole packuments from now on
        return self._parse(name, version, manifest, base=f"{self.http.url}/")

    def root(self, package: PackageRef) -> NpmVersion:
        """The requested version; raises IntakeError that says what the registry has instead."""
        found = self.version(package.name, package.version)
        if found is not None:
            return found
        packument = self._packument(package.name)
        if packument is None:
            message = f"the npm registry has no package {package.name!r}: check the spelling and the scope"
            raise IntakeError(IntakeReason.UNKNOWN_PACKAGE, message)
        versions = [str(version) for version in packument.get("versions") or {}]
        if not versions:
            message = f"npm package {package.name!r} has no versions: it has been unpublished"
            raise IntakeError(IntakeReason.NO_SUCH_VERSION, message)
        latest = str((packument.get("dist-tags") or {}).get("latest") or "")
        suggestion = suggest(package.version, versions, latest)
        message = f"npm package {package.name!r} has no version {package.version}: {suggestion}"
        raise IntakeError(IntakeReason.NO_SUCH_VERSION, message)

    def _package_url(self, name: str) -> str:
        return f"{self.http.url}/{quote(name, safe='@')}"

    def _packument(self, name: str) -> dict[str, Any] | None:
        answer = self.http.get(self._package_url(name), accept=_ABBREVIATED)
        if answer is None:
            return None
        raw = answer.json()
        if not isinstance(raw, dict) or not isinstance(raw.get("versions", {}), dict):
            raise IntakeError(IntakeReason.REGISTRY_UNREACHABLE, f"{answer.url} is no description of an npm package")
        return raw

    def _parse(self, name: str, version: str, raw: Any, *, base: str) -> NpmVersion:
        try:
            dist, described = raw["dist"], str(raw["version"])
            bundled = raw.get("bundleDependencies") or raw.get("bundledDependencies") or ()
            required = {str(k): str(v) for k, v in (raw.get("dependencies") or {}).items()}
            optional = raw.get("optionalDependencies") or {}
            found = NpmVersion(
                name=name,
                version=described,
                integrity=str(dist.get("integrity") or ""),
                tarball=urljoin(base, str(dist["tarball"])),
                deprecated=str(raw.get("deprecated") or "")[:200],
                required={k: v for k, v in required.items() if k not in optional},
                bundled=frozenset(required if bundled is True else map(str, bundled)),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            message = f"the registry's description of {name}@{version} cannot be understood: {error}"
            raise IntakeError(IntakeReason.REGISTRY_UNREACHABLE, message) from error
        if described != version:
            message = f"asked for {name}@{version}, the registry describes version {described[:80]}"
            raise IntakeError(IntakeReason.REGISTRY_UNREACHABLE, message)
        return found


def suggest(wanted: str, versions: Iterable[str], latest: str) -> str:
    """Which versions exist: the newest, and the nearest below and above the wanted one."""
    ordered = sorted(versions, key=_version_key)
    below = [v for v in ordered if _version_key(v) < _version_key(wanted)][-2:]
    above = [v for v in ordered if _version_key(v) > _version_key(wanted)][:2]
    newest = latest or ordered[-1]
    return f"the newest is {newest}, the nearest are {', '.join(below + above)}"


def _version_key(version: str) -> tuple[Any, ...]:
    """Semantic Versioning's order: a pre-release comes before its release."""
    core, _, pre = version.partition("+")[0].partition("-")
    numbers = tuple(int(n) for n in _IDENTIFIER.findall(core)[:3])
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")) if pre else ()
    return numbers, not pre, parts
