"""What the operator asks an intake Job and what it answers: the one contract between the two, as JSON both ways.

The answer travels in the container's termination message, which the kubelet cuts at 4096 bytes; `to_json` stays below.
It is data from a pod that parsed untrusted archives: `parse_outcome` accepts the documented shape and nothing else.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from vsm_operator.domain.packages import Ecosystem, InvalidPackage, PackageRef
from vsm_operator.domain.text import storable

INTAKE_VERSION = 1
"""Part of every key: raise it when the same package would give another bundle than before."""
MAX_MESSAGE_BYTES = 4000
MAX_ENTRYPOINTS = 20
EXIT_OK, EXIT_TERMINAL, EXIT_RETRYABLE = 0, 10, 11
"""Exit codes of the intake container; any other code is a crash and counts as retryable."""
EXIT_BUNDLE_MISSING = 12
"""Of the load container: the registry has lost the bundle, so it has to be fetched again."""

_MAX_COUNT = 1 << 50
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ENTRYPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class IntakeReason(StrEnum):
    """Why an intake failed; the value is the reason of the McpServer's condition."""

    UNKNOWN_PACKAGE = "UnknownPackage"
    NO_SUCH_VERSION = "NoSuchVersion"
    REGISTRY_UNREACHABLE = "RegistryUnreachable"
    INTEGRITY_MISMATCH = "IntegrityMismatch"
    MISSING_INTEGRITY = "MissingIntegrity"
    FORBIDDEN_DEPENDENCY_SOURCE = "ForbiddenDependencySource"
    UNSAFE_ARCHIVE = "UnsafeArchive"
    BUNDLE_TOO_LARGE = "BundleTooLarge"
    NO_WHEEL = "NoWheel"
    RESOLUTION_FAILED = "ResolutionFailed"
    INVALID_REQUEST = "InvalidRequest"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    INTERNAL_ERROR = "InternalError"

    @property
    def retryable(self) -> bool:
        """Whether time alone can change the answer."""
        return self in (self.REGISTRY_UNREACHABLE, self.STORAGE_UNAVAILABLE, self.INTERNAL_ERROR)


@dataclass(frozen=True, slots=True)
class IntakeRequest:
    """Fetch this package's whole tree. Equal keys mean equal bundles, so one Job serves all who ask."""

    package: PackageRef
    key: str

    @classmethod
    def of(cls, package: PackageRef, *, registries: tuple[str, ...]) -> "IntakeRequest":
        """`registries` are the configured index URLs: another index may serve another tree under the same name."""
        identity = json.dumps([INTAKE_VERSION, package.purl, sorted(registries)])
        return cls(package, hashlib.sha256(identity.encode()).hexdigest()[:32])

    def to_json(self) -> str:
        return json.dumps(
            {
                "ecosystem": str(self.package.ecosystem),
                "name": self.package.name,
                "version": self.package.version,
                "key": self.key,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "IntakeRequest":
        """Raises InvalidPackage for anything that is not a request."""
        try:
            raw = json.loads(text)
            package = PackageRef(Ecosystem(raw["ecosystem"]), str(raw["name"]), str(raw["version"]))
            key = str(raw["key"])
        except InvalidPackage:
            raise
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidPackage(f"the intake request is malformed: {error}") from error
        if not re.fullmatch(r"[0-9a-f]{32}", key):
            raise InvalidPackage("the intake request has no valid key")
        return cls(package, key)


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """A bundle that is in the registry under `digest`, and what the operator has to know of it."""

    key: str
    digest: str
    size_bytes: int
    unpacked_bytes: int
    name: str
    version: str
    integrity: str
    license: str
    packages: int
    """Members of the dependency tree, the package itself included."""
    lifecycle_scripts: int
    """Packages that carry install scripts. None was run."""
    entrypoints: tuple[str, ...]
    """Names of executables of the package itself, each present as bin/NAME in the bundle."""
    cached: bool
    duration_ms: int

    def to_json(self) -> str:
        raw = asdict(self)
        raw["entrypoints"] = list(self.entrypoints[:MAX_ENTRYPOINTS])
        return _bounded({"ok": True} | raw, "license")


@dataclass(frozen=True, slots=True)
class IntakeFailure:
    """Why there is no bundle; `message` is a sentence for the person who asked."""

    key: str
    reason: IntakeReason
    message: str

    def to_json(self) -> str:
        return _bounded({"ok": False} | asdict(self), "message")


def parse_outcome(text: str) -> IntakeResult | IntakeFailure | None:
    """The last JSON line of a termination message; None when there is no outcome in it, so the Job just crashed."""
    for line in reversed(text.strip().splitlines()):
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(raw, dict):
            return _outcome(raw)
    return None


def _outcome(raw: Mapping[str, object]) -> IntakeResult | IntakeFailure | None:
    try:
        if raw["ok"] is False:
            return IntakeFailure(_text(raw["key"]), IntakeReason(_text(raw["reason"])), _text(raw["message"]))
        entrypoints = raw["entrypoints"]
        if raw["ok"] is not True or not isinstance(entrypoints, list):
            return None
        result = IntakeResult(
            key=_text(raw["key"]),
            digest=_text(raw["digest"]),
            size_bytes=_count(raw["size_bytes"]),
            unpacked_bytes=_count(raw["unpacked_bytes"]),
            name=_text(raw["name"]),
            version=_text(raw["version"]),
            integrity=_text(raw["integrity"]),
            license=_text(raw["license"]),
            packages=_count(raw["packages"]),
            lifecycle_scripts=_count(raw["lifecycle_scripts"]),
            entrypoints=tuple(_text(name) for name in entrypoints[:MAX_ENTRYPOINTS]),
            cached=raw["cached"] is True,
            duration_ms=_count(raw["duration_ms"]),
        )
    except (KeyError, ValueError):
        return None
    well_formed = _DIGEST.fullmatch(result.digest) and all(_ENTRYPOINT.fullmatch(name) for name in result.entrypoints)
    return result if well_formed else None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} is no text")  # noqa: TRY004 - one kind of refusal for its caller
    return storable(value, max_length=MAX_MESSAGE_BYTES)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_COUNT:
        raise ValueError("no count")
    return value


def _bounded(raw: dict[str, object], elastic: str) -> str:
    """One line below the kubelet's limit; only the field named `elastic` is ever shortened."""
    text = json.dumps(raw, ensure_ascii=True)
    if len(text) > MAX_MESSAGE_BYTES:
        kept = str(raw[elastic])
        while kept and len(text) > MAX_MESSAGE_BYTES:
            kept = kept[: len(kept) // 2]
            text = json.dumps(raw | {elastic: kept + "…"}, ensure_ascii=True)
    return text
