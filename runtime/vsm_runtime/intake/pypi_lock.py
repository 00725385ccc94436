"""Reading what uv resolved: a requirements file with hashes and annotations. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError, without_credentials

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)(?P<rest>.*)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of the tree, in one version."""

    name: NormalizedName
    version: Version
    sha256: frozenset[str]
    """Hashes of all files that the index lists for this version."""
    via: tuple[str, ...]
    """Who needs it; empty for the requested package."""


def parse_lock(text: str) -> tuple[Pin, ...]:
    """Sorted by name. Raises IntakeError for a line that is not a pin with hashes."""
    pins = [_pin(requirement, comment) for requirement, comment in _statements(text)]
    return tuple(sorted(pins, key=lambda pin: pin.name))


def chain(pins: Iterable[Pin], name: str) -> str:
    """How the tree comes to have `name`: names and versions from the requested package on."""
    by_name = {pin.name: pin for pin in pins}
    steps: list[str] = []
    at = canonicalize_name(name)
    while at in by_name and len(steps) < len(by_name):
        pin = by_name[at]
        steps.append(f"{pin.name} {pin.version}")
        if not pin.via:
            break
        at = canonicalize_name(pin.via[0])
    return " → ".join(reversed(steps)) or name


def stripped_lock(pins: Iterable[tuple[Pin, str]]) -> str:
    """The lock as it goes into the bundle: each pin with the hash of the one wheel that was taken."""
    return "".join(f"{pin.name}=={pin.version} --hash=sha256:{sha256}\n" for pin, sha256 in pins)


def _statements(text: str) -> Iterable[tuple[str, str]]:
    """Requirements with continuation lines joined, each with the comments that follow it."""
    requirement, comment = "", ""
    for line in text.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("#"):
            comment += " " + line.lstrip(" #")
        elif line.strip():
            if requirement:
                yield requirement, comment
            requirement, comment = line.strip(), ""
    if requirement:
        yield requirement, comment


def _pin(requirement: str, comment: str) -> Pin:
    found = _PIN.fullmatch(requirement)
    if found is None:
        shown = without_credentials(requirement.split("--hash", 1)[0].strip())[:200]
        message = f"the tree wants {shown!r}: only packages from the index are accepted, no URL, git or path"
        raise IntakeError(IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE, message)
    name = canonicalize_name(found["name"])
    try:
        version = Version(found["version"])
    except InvalidVersion as error:
        raise IntakeError(IntakeReason.RESOLUTION_FAILED, f"uv's lock cannot be understood: {error}") from error
    hashes = frozenset(_HASH.findall(found["rest"]))
    if not hashes:
        message = f"{name} {version}: the index lists no sha256 for this version"
        raise IntakeError(IntakeReason.MISSING_INTEGRITY, message)
    names = [word for word in comment.replace("via", " ", 1).replace(",", " ").split() if word != "-r"]
    return Pin(name, version, hashes, tuple(sorted(word for word in names if not word.endswith(".in"))))
