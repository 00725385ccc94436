"""What each package of the test registries shows, where it can be seen, and what a verdict on it owes.

`gates`: at least one of them fires once the sign is seen; none for what is harmless. `seen_in`: where the sign is. A
registry that does not have that place cannot show it, and then silence must not be read as innocence.
"""

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """Where a sign can be seen."""

    NAME = "name"
    MANIFEST = "manifest"  # package.json or METADATA, as the registry or the archive tells it
    ARCHIVE = "archive"
    TIME = "time"  # true time of publication
    DEPRECATION = "deprecation"
    YANKED = "yanked"
    STATUS = "status"  # PEP 792
    ADVISORIES = "advisories"  # the registry's own; an OSV dump serves as well
    ATTESTATIONS = "attestations"


class Dialect(StrEnum):
    """Which registry answers."""

    FULL = "full"  # the loopback server in the public registries' words
    STRIPPED = "stripped"  # the loopback server in the words of a read-only mirror
    VERDACCIO = "verdaccio"
    DEVPI = "devpi"


_ALWAYS = frozenset({Place.NAME, Place.MANIFEST, Place.ARCHIVE})
SHOWS: dict[tuple[Dialect, str], frozenset[Place]] = {
    (Dialect.FULL, "npm"): frozenset(Place),
    (Dialect.FULL, "pypi"): frozenset(Place),
    (Dialect.STRIPPED, "npm"): _ALWAYS,  # its times are those of ingestion: a lower bound of the age
    (Dialect.STRIPPED, "pypi"): _ALWAYS | {Place.YANKED, Place.TIME},
    (Dialect.VERDACCIO, "npm"): _ALWAYS | {Place.TIME, Place.DEPRECATION},
    (Dialect.DEVPI, "pypi"): _ALWAYS | {Place.YANKED},
}


@dataclass(frozen=True, slots=True)
class Case:
    """A root package, and why it is here."""

    ecosystem: str
    """npm or pypi."""
    name: str
    gates: tuple[str, ...] = ()
    seen_in: Place = Place.ARCHIVE
    version: str = "1.0.0"

    @property
    def id(self) -> str:
        return f"{self.ecosystem}-{self.name.removeprefix('vsm-case-').lstrip('@').replace('/', '-')}"

    def visible_in(self, dialect: Dialect) -> bool:
        """False too where the dialect is one of the other ecosystem."""
        return self.seen_in in SHOWS.get((dialect, self.ecosystem), ())


def _both(name: str, gates: tuple[str, ...], seen_in: Place, version: str = "1.0.0") -> tuple[Case, Case]:
    return Case("npm", name, gates, seen_in, version), Case("pypi", name, gates, seen_in, version)


CASES: tuple[Case, ...] = (
    Case("npm", "@vsm-demo/notes-server", version="1.2.0"),
    Case("pypi", "vsm-demo-notes-server", version="1.2.0"),
    Case("npm", "vsm-case-postinstall", ("G7", "G6"), Place.MANIFEST),
    Case("pypi", "vsm-case-setup", ("G7", "G6")),
    *_both("vsm-case-environment", ("G6",), Place.ARCHIVE),
    Case("npm", "vsm-case-dependency-environment", ("G6",)),
    Case("npm", "vsm-case-binding-gyp", ("G7", "G6")),
    Case("pypi", "vsm-case-pth", ("G7", "G6")),
    Case("pypi", "vsm-case-dependency-pth", ("G7", "G6")),
    *_both("vsm-case-obfuscated", ("G6",), Place.ARCHIVE),
    *_both("vsm-case-hidden-unicode", ("G6",), Place.ARCHIVE),
    *_both("vsm-case-tampered", ("G3",), Place.ARCHIVE),
    *_both("vsm-case-tampered-dependency", ("G3",), Place.ARCHIVE),
    Case("npm", "expresss", ("G8",), Place.NAME),
    Case("pypi", "reqeusts", ("G8",), Place.NAME),
    Case("npm", "server-filesystem", ("G8",), Place.NAME),
    Case("npm", "@modelcontextprotoco1/server-filesystem", ("G8",), Place.NAME),
    Case("npm", "child_process", ("G1",), Place.NAME),
    Case("npm", "vsm-case-alias", ("G1",), Place.MANIFEST),
    *_both("vsm-case-builtin-name", ("G1",), Place.MANIFEST),
    *_both("vsm-case-builtin-name-below", ("G1",), Place.MANIFEST),
    *_both("vsm-case-git-dependency", ("G3",), Place.MANIFEST),
    *_both("vsm-case-http-dependency", ("G3",), Place.MANIFEST),
    *_both("vsm-case-file-dependency", ("G3",), Place.MANIFEST),
    Case("npm", "vsm-case-ssh-dependency", ("G3",), Place.MANIFEST),
    *_both("vsm-case-fresh", ("G4",), Place.TIME, "1.0.1"),
    *_both("vsm-case-fresh-dependency", ("G4",), Place.TIME),
    Case("npm", "vsm-case-deprecated", (), Place.DEPRECATION),
    Case("pypi", "vsm-case-yanked", (), Place.YANKED, "1.0.1"),
    Case("pypi", "vsm-case-quarantined", ("G2",), Place.STATUS),
    Case("pypi", "vsm-case-archived", (), Place.STATUS),
    *_both("vsm-case-vulnerable", ("G5",), Place.ADVISORIES),
    *_both("vsm-case-known-malware", ("G2",), Place.ADVISORIES),
    Case("npm", "vsm-case-holding", ("G2",), Place.MANIFEST, "0.0.1-security"),
    *_both("vsm-case-attested", (), Place.ATTESTATIONS),
    *_both("vsm-case-provenance", ("G9",), Place.ATTESTATIONS),
    *_both("vsm-case-provenance-regression", ("G9",), Place.ATTESTATIONS, "1.0.1"),
)
"""Known malware is in the OSV dump alone: neither registry tells it of a package that it serves."""
