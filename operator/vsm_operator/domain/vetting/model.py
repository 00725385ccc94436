"""What the collectors saw, as values: findings, sources, packages, one tree of evidence.

Invariants: everything is immutable, JSON-able and safe to print. Text from packages is hostile, so it is made visible
and short when a value is built, not by each collector. `to_json` and `from_json` are inverse: evidence is stored and
judged again when the policy changes. None means "nobody could tell", which is never the same as "no".
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Severity: TypeAlias = Literal["critical", "high", "medium", "low", "info"]
SourceStatus: TypeAlias = Literal["ok", "unavailable", "stale", "error"]
Stage: TypeAlias = Literal["package", "trial"]
Provenance: TypeAlias = Literal["verified", "absent"]

SEVERITIES: Final = ("critical", "high", "medium", "low", "info")
"""Worst first."""
CHECK_IDS: Final = tuple(f"C{n}" for n in range(1, 12))
GATE_IDS: Final = tuple(f"G{n}" for n in range(1, 13))
STATUSES: Final = ("ok", "unavailable", "stale", "error")

SUMMARY_MAX_CHARS: Final = 160
PATH_MAX_CHARS: Final = 300
NAME_MAX_CHARS: Final = 400
DATA_MAX_KEYS: Final = 16


def clean(text: str, *, max_chars: int) -> str:
    """One printable line: what would hide, reorder or end text is shown as <U+202E>, what is too long ends in "…"."""
    shown = "".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in text[:max_chars])
    return shown if len(shown) <= max_chars and len(text) <= max_chars else shown[: max_chars - 1] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that somebody saw, with the place where it can be looked at.

    `check` is the check it counts in ("C1".."C11") or the gate it fires ("G1".."G12"; severity "info" fires nothing).
    Checks C4 and C8 may say how many of the ten points it costs in `data["points"]`; else the severity decides.
    C1 says `data["id"]`, and where known `cvss` (number), `fixed` (first version without it, "" for none) and
    `exploited` (bool). `data["waivable"] = False` takes a finding out of reach of every waiver.
    """

    check: str
    purl: str
    rule: str
    severity: Severity
    summary: str
    file: str = ""
    line: int = 0
    field: str = ""
    snippet_sha256: str = ""
    remedy: str = ""
    data: Mapping[str, Scalar] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.check not in CHECK_IDS and self.check not in GATE_IDS:
            raise ValueError(f"no such check or gate: {self.check[:20]!r}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"no such severity: {self.severity[:20]!r}")
        if len(self.data) > DATA_MAX_KEYS:
            raise ValueError(f"a finding carries at most {DATA_MAX_KEYS} data")
        _clean(self, summary=SUMMARY_MAX_CHARS, remedy=SUMMARY_MAX_CHARS, file=PATH_MAX_CHARS, field=PATH_MAX_CHARS)
        _clean(self, purl=NAME_MAX_CHARS, rule=100, snippet_sha256=100)
        # A plain dict, not a proxy: findings travel between processes.
        object.__setattr__(self, "data", {clean(k, max_chars=40): _scalar(v) for k, v in sorted(self.data.items())})

    @property
    def where(self) -> str:
        """The place for a person: file:line, the field, or the package."""
        spot = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return " ".join(part for part in (spot, self.field) if part) or self.purl

    def key(self) -> tuple[str, ...]:
        """Sorts worst first and never depends on the order of collection."""
        severity = str(SEVERITIES.index(self.severity))
        place = (self.file, f"{self.line:09d}", self.field)
        return (severity, self.check, self.purl, self.rule, *place, self.summary, self.remedy, repr(self.data))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What one source of evidence said about being asked.

    A check or gate is answered for a package only if some source with status "ok" names it in `feeds` and covers the
    package (`purls`; empty means the whole tree) without the same `id` reporting trouble for that package elsewhere.
    So a collector states success as well as failure: silence is "not answered". Two ids that feed the same check are
    alternatives (ordered providers): one that answers is enough.
    """

    id: str
    status: SourceStatus
    feeds: tuple[str, ...]
    reason: str = ""
    as_of: str = ""
    """When the source's data was made: RFC 3339 date or date-time; "" for an answer that was given live."""
    digest: str = ""
    purls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"no such status: {self.status[:20]!r}")
        unknown = [name for name in self.feeds if name not in CHECK_IDS and name not in GATE_IDS]
        if unknown:
            raise ValueError(f"no such check or gate: {unknown[0][:20]!r}")
        _clean(self, id=100, reason=SUMMARY_MAX_CHARS, as_of=40, digest=140)
        object.__setattr__(self, "feeds", tuple(sorted(set(self.feeds))))
        object.__setattr__(self, "purls", tuple(sorted(set(self.purls))))


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Dataset:
    """A body of data that judged: advisories, lists of names, rules. Its digest is part of the verdict's cache key."""

    name: str
    digest: str
    as_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageEvidence:
    """One member of the tree. Times are RFC 3339 in UTC; digests are "sha512-<base64>" or "sha256:<hex>"."""

    purl: str
    ecosystem: Literal["npm", "pypi"]
    name: str
    """As the registry knows it, not as it is imported or aliased."""
    version: str
    aliases: tuple[str, ...] = ()
    """Other names that it is installed under (npm:)."""
    integrity: str = ""
    artifact_digest: str = ""
    integrity_verified: bool | None = None
    """Whether the bytes matched the lock and the registry."""
    immutable_source: bool | None = None
    """False for git, http and file dependencies: their content can change under the same lock."""
    depth: int = 0
    direct: bool = False
    paths: tuple[tuple[str, ...], ...] = ()
    """At most three shortest ways from the root, as purls."""
    newly_added: bool = True
    """False if an approved verdict of this subject already contained this version: it has passed its cooldown."""
    published_at: str | None = None
    published_is_lower_bound: bool = False
    """True where a mirror gives the time of its own copy: the release is at least that old, perhaps much older."""
    first_published_at: str | None = None
    versions_count: int | None = None
    deprecated: bool | None = None
    yanked: bool | None = None
    project_status: str | None = None
    """PEP 792: active, archived, quarantined, deprecated."""
    install_scripts: tuple[str, ...] | None = None
    """What would run at install time: preinstall, install, postinstall, binding.gyp, sdist-only, pth:<file>."""
    licence: str | None = None
    """SPDX expression; "FILE" when only a licence file says it, "UNKNOWN" when read but not understood."""
    repository: str | None = None
    popularity_rank: int | None = None
    """Place in the bundled list of popular names, from 1; None if not in it."""
    publishers: tuple[str, ...] | None = None
    previous_publishers: tuple[str, ...] | None = None
    """Who published earlier versions; () for a first version."""
    registry_signature: bool | None = None
    provenance: Provenance | None = None
    owner_match: bool | None = None
    """Whether mcpName, repository and provenance name one owner."""
    static_risk: float | None = None
    """0 harmless to 10, before any discount."""
    scanned_bytes: int = 0
    executable_bytes: int = 0
    capabilities: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        _clean(self, purl=NAME_MAX_CHARS, name=NAME_MAX_CHARS, version=140, integrity=200, artifact_digest=200)
        if self.static_risk is not None and not 0 <= self.static_risk <= 10:
            raise ValueError("static_risk is between 0 and 10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything known about one subject and its whole tree at one time. `packages` contains the root."""

    root: str
    packages: tuple[PackageEvidence, ...]
    edges: tuple[tuple[str, str], ...] = ()
    """(dependent, dependency), as purls."""
    sources: tuple[SourceState, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Those that are not tied to one package: tool surface, trial."""
    rule_pack: str = ""
    datasets: tuple[Dataset, ...] = ()
    collected_at: str = ""
    stage: Stage = "package"
    """"package": before anything ran, C4 and C5 do not apply; "trial": the server was started once and listed."""
    tools_hash: str = ""

    def all_findings(self) -> Iterator[Finding]:
        yield from self.findings
        for package in self.packages:
            yield from package.findings

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars, with the names of the fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Evidence":
        """Inverse of to_json, also through JSON text. Raises TypeError, KeyError or ValueError on anything else."""
        return cls(
            **{
                **_known(cls, value),
                "packages": tuple(_package(item) for item in value["packages"]),
                "edges": tuple((str(a), str(b)) for a, b in value.get("edges", ())),
                "sources": tuple(
                    SourceState(**{**item, "feeds": tuple(item["feeds"]), "purls": tuple(item.get("purls", ()))})
                    for item in value.get("sources", ())
                ),
                "findings": tuple(Finding(**item) for item in value.get("findings", ())),
                "datasets": tuple(Dataset(**item) for item in value.get("datasets", ())),
            }
        )


_TUPLES: Final = ("aliases", "install_scripts", "publishers", "previous_publishers", "capabilities")


def _package(item: Mapping[str, Any]) -> PackageEvidence:
    changed: dict[str, Any] = {name: tuple(item[name]) for name in _TUPLES if item.get(name) is not None}
    changed["paths"] = tuple(tuple(path) for path in item.get("paths", ()))
    changed["findings"] = tuple(Finding(**finding) for finding in item.get("findings", ()))
    return PackageEvidence(**{**_known(PackageEvidence, item), **changed})


def _known(kind: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Refuses what a newer writer added: half of the evidence must not be judged as the whole."""
    names = {each.name for each in dataclasses.fields(kind)}
    if unknown := sorted(set(value) - names):
        raise ValueError(f"{kind.__name__}: no field {unknown[0][:40]!r}")
    return dict(value)


def _clean(value: object, **limits: int) -> None:
    for name, max_chars in limits.items():
        object.__setattr__(value, name, clean(getattr(value, name), max_chars=max_chars))


def _scalar(value: Scalar) -> Scalar:
    if isinstance(value, str):
        return clean(value, max_chars=PATH_MAX_CHARS)
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"finding data are scalars, not {type(value).__name__}")
