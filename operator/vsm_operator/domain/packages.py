"""Names and versions of packages as their registries define them, checked before anything else looks at them.

What passes here is safe as one element of an argument vector and as one segment of a URL path; it still never reaches
a shell. Anything else is refused with a sentence for the person who wrote it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Ecosystem(StrEnum):
    """Where a package comes from; the values are the names that package URLs (purl) use."""

    NPM = "npm"
    PYPI = "pypi"


# These patterns are the schema's as well (api/v1alpha1.py), so they stay within RE2: no look-around.
NPM_NAME = r"^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$"
"""The npm registry's rule for new names: lower case, URL-safe, no leading dot, underscore or dash, no tilde."""
NPM_NAME_MAX_LENGTH = 214
NPM_VERSION = (
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"
)
"""Semantic Versioning 2.0.0, exact; a range or a tag does not match."""
PYPI_NAME = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
"""PEP 508 names."""
PYPI_NAME_MAX_LENGTH = 214
PYPI_VERSION = (
    r"^([1-9][0-9]*!)?(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*((a|b|rc)(0|[1-9][0-9]*))?"
    r"(\.post(0|[1-9][0-9]*))?(\.dev(0|[1-9][0-9]*))?$"
)
"""Canonical PEP 440 without a local part: an index serves no local versions."""
VERSION_MAX_LENGTH = 128

_PATTERNS = {
    Ecosystem.NPM: (re.compile(NPM_NAME), NPM_NAME_MAX_LENGTH, re.compile(NPM_VERSION)),
    Ecosystem.PYPI: (re.compile(PYPI_NAME), PYPI_NAME_MAX_LENGTH, re.compile(PYPI_VERSION)),
}


class InvalidPackage(ValueError):  # noqa: N818 - a verdict on the input, read by people
    """The name or version cannot belong to a package of that registry; the text says what to write instead."""


@dataclass(frozen=True, slots=True, order=True)
class PackageRef:
    """One exact version of one package. Construction checks it: an instance is always well-formed."""

    ecosystem: Ecosystem
    name: str
    version: str

    def __post_init__(self) -> None:
        name_pattern, max_length, version_pattern = _PATTERNS[self.ecosystem]
        shown = self.name[:40] + ("…" if len(self.name) > 40 else "")
        if len(self.name) > max_length:
            raise InvalidPackage(f"{shown!r} is no {self.ecosystem} package name: longer than {max_length} characters")
        if not name_pattern.fullmatch(self.name) or ".." in self.name:
            raise InvalidPackage(
                f"{shown!r} is no {self.ecosystem} package name: use the exact name from the registry, "
                "in ASCII, without version, path or option"
            )
        if len(self.version) > VERSION_MAX_LENGTH or not version_pattern.fullmatch(self.version):
            raise InvalidPackage(
                f"{self.version[:40]!r} is no exact {self.ecosystem} version of {shown!r}: "
                "ranges, tags and URLs are not accepted, write one version such as 1.2.3"
            )

    @property
    def purl(self) -> str:
        """The package URL, for example pkg:npm/%40scope/name@1.2.3."""
        return f"pkg:{self.ecosystem}/{self.name.replace('@', '%40')}@{self.version}"

    @property
    def unscoped_name(self) -> str:
        """`name` of `@scope/name`: what a single bin of the package is called by convention."""
        return self.name.rsplit("/", 1)[-1]
