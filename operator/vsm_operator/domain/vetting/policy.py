"""What is demanded of a package and its tree: thresholds, lists, licences, waivers; with the built-in defaults.

Invariants: a Policy is complete (every field has a value), validated on construction and identified by `digest()`:
two policies that judge alike have one digest, whatever the order of their lists. Block beats allow, and neither a
waiver nor a list lifts an integrity failure or a block.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, TypeAlias

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.model import CHECK_IDS, GATE_IDS, NAME_MAX_CHARS, Finding, PackageEvidence, clean
from vsm_operator.domain.vetting.names import Entry, matching_entry
from vsm_operator.domain.vetting.ranges import satisfies

Profile: TypeAlias = Literal["development", "production"]
LifecycleScripts: TypeAlias = Literal["Deny", "Allow"]

UNWAIVABLE: Final = ("G1", "G3")
"""A block is lifted by editing the list that blocks; bytes that are not those that were vetted, by nothing."""
NAMED_RULE_ONLY: Final = ("G2",)
"""A waiver for known malware names the one entry of the list that is wrong."""

BLOCKED_PACKAGES: Final = (
    "child_process", "cluster", "dgram", "dns", "net", "tls", "crypto", "fs", "path", "os", "process", "eval", "vm",
    "domain",
)  # fmt: skip
"""Built-in modules of Node.js: a package of that name is a trap for those who mistype an import."""
LICENCES: Final = ("Apache-2.0", "BSD-3-Clause", "ISC", "MIT")
INSTALL_SCRIPTS: Final = tuple(
    f"pkg:npm/{name}"
    for name in (
        "better-sqlite3", "bufferutil", "core-js", "cpu-features", "esbuild", "protobufjs", "puppeteer", "sharp",
        "sqlite3", "ssh2", "utf-8-validate",
    )
)  # fmt: skip
"""Widely used packages that build or fetch a native part. Their scripts are still scanned, and are never run by us."""
REQUIRED: Final = ("C1", "C2", "C3", "C4", "C5", "C8", "G2", "G3", "G4", "G10", "G11")
"""What must have been answered, where it applies; without it the verdict is Inconclusive at any score."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Waiver:
    """One person's decision that findings of one check about one package are acceptable until a day."""

    check: str
    package: str
    """One name as the registry knows it, or with its ecosystem: pkg:npm/name."""
    versions: str
    """A range of that registry, "*" for all."""
    reason: str
    expires: str
    """The last day on which it holds, RFC 3339 date."""
    rule: str = ""
    """Only findings of this rule or advisory id; "" for all of the check."""

    def __post_init__(self) -> None:
        if self.check not in CHECK_IDS and self.check not in GATE_IDS:
            raise ValueError(f"waiver: no such check or gate: {self.check[:20]!r}")
        if self.check in UNWAIVABLE:
            raise ValueError(f"waiver: {self.check} cannot be waived")
        if self.check in NAMED_RULE_ONLY and not self.rule:
            raise ValueError(f"waiver: {self.check} needs `rule`: the id of the one entry that does not apply")
        if not self.package or not self.versions.strip() or not self.reason.strip():
            raise ValueError("waiver: package, versions and reason are needed")
        entry = Entry.parse(self.package)
        if not entry.name or entry.range:
            raise ValueError("waiver: package is one name, without scope pattern or range")
        date.fromisoformat(self.expires)
        for name in ("package", "versions", "reason", "rule"):
            object.__setattr__(self, name, clean(getattr(self, name), max_chars=NAME_MAX_CHARS))

    def expired(self, today: date) -> bool:
        return today > date.fromisoformat(self.expires)

    def covers(self, finding: Finding, package: PackageEvidence) -> bool:
        """Whether it is about this finding, expired or not. A range that nobody understands covers nothing."""
        ecosystem = Ecosystem(package.ecosystem)
        return (
            finding.check == self.check
            and finding.data.get("waivable") is not False
            and matching_entry((self.package,), ecosystem, package.name, package.version) is not None
            and self.rule in ("", finding.rule, finding.data.get("id"))
            and (self.versions.strip() == "*" or satisfies(ecosystem, package.version, self.versions) is True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Entries of lists are `name`, `name@range`, `@scope/*`, or a package URL for one ecosystem (pkg:npm/name)."""

    profile: Profile = "production"
    allowed_servers: tuple[str, ...] = ()
    """Packages that may be servers; empty: not checked."""
    allowed_dependencies: tuple[str, ...] = ()
    """Packages that may be in a tree below the root; empty: not checked."""
    blocked_packages: tuple[str, ...] = BLOCKED_PACKAGES
    whitelist_enforced: bool = True
    """False: what is not on a list is shown and not refused. Blocking is always enforced."""
    min_score: int = 80
    min_review_score: int = 50
    """From here up to `min_score` a person decides; below, the score alone refuses."""
    min_release_age_hours: int = 72
    require_integrity: bool = True
    lifecycle_scripts: LifecycleScripts = "Deny"
    allowed_install_scripts: tuple[str, ...] = INSTALL_SCRIPTS
    licences: tuple[str, ...] = LICENCES
    """SPDX ids without reservations; empty: any. Others cost points, they are not refused."""
    denied_licences: tuple[str, ...] = ()
    min_coverage_percent: int = 75
    max_data_age_hours: int = 48
    """Of advisories and malware lists."""
    inconclusive_allowed: bool = False
    """Whether the operator may go on without an answer; the verdict itself still says Inconclusive."""
    required: tuple[str, ...] = REQUIRED
    waivers: tuple[Waiver, ...] = ()

    def __post_init__(self) -> None:
        if self.profile not in ("development", "production"):
            raise ValueError(f"policy: no such profile: {str(self.profile)[:40]!r}")
        if self.lifecycle_scripts not in ("Deny", "Allow"):
            raise ValueError("policy: lifecycleScripts is Deny or Allow")
        for name, highest in (("min_score", 100), ("min_review_score", 100), ("min_coverage_percent", 100)):
            if not 0 <= getattr(self, name) <= highest:
                raise ValueError(f"policy: {_camel(name)} is between 0 and {highest}")
        for name in ("min_release_age_hours", "max_data_age_hours"):
            if not 0 <= getattr(self, name) <= 24 * 366:
                raise ValueError(f"policy: {_camel(name)} is between 0 and {24 * 366}")
        for name in ("allowed_servers", "allowed_dependencies", "blocked_packages", "allowed_install_scripts"):
            for text in getattr(self, name):
                entry = Entry.parse(text)
                if not entry.name and not entry.scope:
                    # An entry of a block list that nobody understands would block nothing.
                    raise ValueError(f"policy: {_camel(name)} has an entry that names no package: {text[:80]!r}")
        if unknown := [name for name in self.required if name not in CHECK_IDS and name not in GATE_IDS]:
            raise ValueError(f"policy: no such check or gate: {unknown[0][:20]!r}")

    def to_json(self) -> dict[str, Any]:
        """camelCase, lists sorted: what `digest` is made of and what `from_json` reads."""
        shown: dict[str, Any] = {}
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if each.name == "waivers":
                value = [dataclasses.asdict(waiver) for waiver in sorted(set(value))]
            elif isinstance(value, tuple):
                value = sorted(set(value))
            shown[_camel(each.name)] = value
        return shown

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, base: "Policy | None" = None) -> "Policy":
        """What is absent comes from `base`, or from the defaults of its profile. ValueError names what is wrong."""
        if base is None:
            base = DEFAULTS.get(str(value.get("profile", "production")), PRODUCTION)
        fields = {_camel(each.name): each for each in dataclasses.fields(cls)}
        given: dict[str, Any] = {}
        for key, item in value.items():
            if key not in fields:
                raise ValueError(f"policy: no such field: {str(key)[:40]!r}")
            given[fields[key].name] = _typed(key, item, like=getattr(PRODUCTION, fields[key].name))
        return dataclasses.replace(base, **given)

    def digest(self) -> str:
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _typed(key: str, item: object, *, like: object) -> object:
    """Refuses a wrong type here: `"false"` must not switch something on."""
    if key == "waivers":
        return tuple(_waiver(each) for each in _list(key, item))
    if isinstance(like, tuple):
        values = _list(key, item)
        if not all(isinstance(each, str) and each for each in values):
            raise ValueError(f"policy: {key} is a list of strings")
        return tuple(values)
    if type(item) is not type(like):
        raise ValueError(f"policy: {key} is of type {type(like).__name__}")
    return item


def _list(key: str, item: object) -> list[Any]:
    if not isinstance(item, list | tuple):
        raise ValueError(f"policy: {key} is a list")  # noqa: TRY004 - what a person wrote is wrong, not a program
    return list(item)


def _waiver(item: object) -> Waiver:
    names = {each.name for each in dataclasses.fields(Waiver)}
    if not isinstance(item, Mapping) or not set(item) <= names or not all(isinstance(v, str) for v in item.values()):
        raise ValueError(f"policy: a waiver has only {', '.join(sorted(names))}, each a string")
    if missing := sorted(names - {"rule"} - set(item)):
        raise ValueError(f"policy: a waiver needs {missing[0]}")
    return Waiver(**item)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


PRODUCTION: Final = Policy()
DEVELOPMENT: Final = Policy(profile="development", min_score=70, max_data_age_hours=7 * 24)
DEFAULTS: Final[Mapping[str, Policy]] = {"development": DEVELOPMENT, "production": PRODUCTION}
