"""The manifest of facts that travels with a bundle: what is in it, from the bytes themselves. Pure.

Field names are those of the JSON. Counts and sizes describe what was unpacked; `integrity` is the registry's hash.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 1
_LIFECYCLE = ("preinstall", "install", "postinstall")
"""What npm would run for a package from the registry; `prepare` runs for git dependencies only."""


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """One member of the tree."""

    path: str
    """Where it is in the bundle."""
    name: str
    version: str
    integrity: str
    """Empty for a package that came inside another one's archive."""
    license: str
    unpacked_bytes: int
    files: int
    lifecycle_scripts: tuple[str, ...] = ()
    """Install-time code that is present. None of it was run."""
    executables: tuple[str, ...] = ()
    withdrawn: str = ""
    """Why the registry advises against this version (deprecated, yanked); empty when it does not, or does not say."""
    path_hooks: int = 0
    """`.pth` files: Python would run them at start if they lay in a real site-packages."""


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """The config blob of a bundle."""

    ecosystem: str
    name: str
    version: str
    platform: str
    """What the bundle was made for, for example linux/x64/glibc or cp311/manylinux_2_36_x86_64."""
    entrypoints: tuple[str, ...]
    unpacked_bytes: int
    files: int
    lock_digest: str
    layer_digest: str
    packages: tuple[PackageFacts, ...]
    skipped: tuple[str, ...] = ()
    """Optional packages for other platforms, name@version."""

    @property
    def root(self) -> PackageFacts:
        same_version = [p for p in self.packages if p.version == self.version and same_name(p.name, self.name)]
        return min(same_version, key=lambda p: (p.name != self.name, len(p.path)))

    @property
    def lifecycle_scripts(self) -> int:
        return sum(1 for package in self.packages if package.lifecycle_scripts)

    def to_json(self) -> bytes:
        """Equal facts, equal bytes."""
        return json.dumps({"schema": SCHEMA_VERSION} | asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "BundleFacts":
        """Raises ValueError for anything else than `to_json` writes."""
        try:
            raw = json.loads(text)
            if raw.pop("schema") != SCHEMA_VERSION:
                raise ValueError("another schema version")
            packages = tuple(PackageFacts(**_tuples(package)) for package in raw.pop("packages"))
            return cls(packages=packages, **_tuples(raw))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"these are no facts of a bundle: {error}") from error


def same_name(left: str, right: str) -> bool:
    """Whether two spellings mean one package; PyPI ignores case and kind of separator, npm names have one spelling."""
    return left == right or _folded(left) == _folded(right)


def _folded(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def npm_license(manifest: Mapping[str, Any]) -> str:
    """The licence as package.json states it, in any of its historic shapes."""
    value = manifest.get("license") or manifest.get("licence") or manifest.get("licenses") or ""
    items: Sequence[Any] = value if isinstance(value, list) else [value]
    names = [str(item.get("type") or item.get("name") or "") if isinstance(item, dict) else str(item) for item in items]
    return " OR ".join(name for name in names if name)[:200]


def npm_lifecycle_scripts(manifest: Mapping[str, Any], *, has_binding_gyp: bool) -> tuple[str, ...]:
    """Names of the scripts npm would run at install; `binding.gyp` stands for the build npm runs without being told."""
    scripts = manifest.get("scripts")
    named = tuple(n for n in _LIFECYCLE if isinstance(scripts, dict) and scripts.get(n))
    implicit = has_binding_gyp and manifest.get("gypfile") is not False and not {"preinstall", "install"} & set(named)
    return (*named, "binding.gyp") if implicit else named


def _tuples(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
