"""Does a package carry a name that is made to be taken for another one? Findings for C8 and the gate G8.

G8 fires on what no honest name has (look-alike letters, invisible characters), and on a copy of a known MCP server's
name only together with another owner and a young project; either unknown, and it stays with C8. Without a list of
popular names the resemblance to them is not answered: the source is unavailable, never clean.
"""

from dataclasses import dataclass

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting import catalogue, confusables
from vsm_operator.domain.vetting.model import Dataset, Finding, Severity, SourceState
from vsm_operator.domain.vetting.names import Name, parse_name
from vsm_operator.domain.vetting.popular import STRENGTH, PopularIndex, RankedList, Similar

YOUNG_DAYS, SETTLED_DAYS = 90, 365
_SERVER_WORDS = frozenset({"mcp", "server", "modelcontextprotocol", "official"})


@dataclass(frozen=True, slots=True)
class IdentityFacts:
    """What else is known about the project; None is unknown."""

    age_days: int | None = None
    """Since the first release."""
    owner: str | None = None
    """Of the source repository, lower case."""


class Names:
    """The lists of one run, indexed. Build once, ask for each member of a tree."""

    def __init__(self, lists: tuple[RankedList, ...]) -> None:
        self._lists = lists
        self._indexes: dict[Ecosystem, PopularIndex] = {
            each.ecosystem: PopularIndex(
                each.ecosystem,
                each.names,
                others=[name for other in lists if other.ecosystem is not each.ecosystem for name in other.names],
            )
            for each in lists
            if each.names
        }
        self._servers: dict[Ecosystem, PopularIndex] = {
            ecosystem: PopularIndex(ecosystem, [s.name for s in catalogue.KNOWN_SERVERS if s.ecosystem is ecosystem])
            for ecosystem in Ecosystem
        }
        self._owners = {(s.ecosystem, s.name): s.owner for s in catalogue.KNOWN_SERVERS}
        self._copies = {
            (s.ecosystem, copy): s
            for s in catalogue.KNOWN_SERVERS
            if s.name.startswith("@")
            for copy in _copies(s.name)
        }

    def datasets(self) -> tuple[Dataset, ...]:
        own = Dataset(name=catalogue.CATALOGUE, digest=catalogue.CATALOGUE_DIGEST, as_of=catalogue.CATALOGUE_AS_OF)
        letters = Dataset(name="look-alikes", digest=confusables.UNICODE_DATA)
        return (own, letters, *(Dataset(name=e.dataset, digest=e.digest, as_of=e.as_of) for e in self._lists))

    def source(self, ecosystem: Ecosystem) -> SourceState:
        """Whether C8, G8 and C10 are answered for packages of this registry."""
        feeds = ("C8", "G8", "C10")
        found = next((each for each in self._lists if each.ecosystem is ecosystem and each.names), None)
        if found is None:
            reason = f"no list of popular {ecosystem} names: names cannot be compared"
            return SourceState(id=f"popular-names-{ecosystem}", status="unavailable", feeds=feeds, reason=reason)
        return SourceState(
            id=f"popular-names-{ecosystem}", status="ok", feeds=feeds, as_of=found.as_of, digest=found.digest
        )

    def rank(self, ecosystem: Ecosystem, name: str) -> int | None:
        index = self._indexes.get(ecosystem)
        return index.rank(name) if index else None

    def findings(
        self, ecosystem: Ecosystem, name: str, *, purl: str, facts: IdentityFacts = IdentityFacts(), alias: str = ""
    ) -> tuple[Finding, ...]:
        """Everything deceptive about one name, and about the alias it is installed under."""
        parsed = parse_name(ecosystem, name)
        found = _letters(parsed, purl) + (_letters(parse_name(ecosystem, alias), purl) if alias else [])
        if self.rank(ecosystem, name) is not None or (ecosystem, parsed.identity) in self._owners:
            return tuple(found)
        found += _module_name(parsed, purl)
        server = self._copies.get((ecosystem, parsed.looks_like))
        if server is not None:
            found += _copy(parsed, server, purl=purl, facts=facts)
        else:
            found += self._similar(parsed, purl=purl, facts=facts)
        return tuple(found)

    def _similar(self, name: Name, *, purl: str, facts: IdentityFacts) -> list[Finding]:
        known = self._servers[name.ecosystem].similar(name.given)
        index = self._indexes.get(name.ecosystem)
        near = sorted((*known, *(index.similar(name.given) if index else ())), key=lambda s: not s.confident)
        if not near:
            return []
        best = near[0]
        found = [_near(name, best, purl=purl, facts=facts)]
        owner = self._owners.get((name.ecosystem, best.target))
        if owner and best.confident and _stranger(facts, owner) and _young(facts):
            found.append(
                _finding("G8", purl, "server-name-deception", "critical", f"{name.given} imitates {best.target}")
            )
        return found


def _copies(name: str) -> set[str]:
    """How an official scoped name is written without its scope."""
    scope, _, base = name.removeprefix("@").partition("/")
    written = {f"{scope}-{base}"}
    if base.count("-") or base not in _SERVER_WORDS | {"sdk", "inspector", "conformance"}:
        written.add(base)
    if base.startswith("server-"):
        written |= {f"mcp-{base}", f"{base.removeprefix('server-')}-mcp-server"}
    return written


def _copy(name: Name, server: catalogue.KnownServer, *, purl: str, facts: IdentityFacts) -> list[Finding]:
    if facts.owner == server.owner:
        return []
    summary = f"{name.given} is the name of {server.name} without its scope"
    if _stranger(facts, server.owner) and _young(facts):
        return [_finding("G8", purl, "scope-dropped", "critical", summary, target=server.name)]
    settled = facts.age_days is not None and facts.age_days >= YOUNG_DAYS
    severity: Severity = "low" if settled else "medium"
    return [_finding("C8", purl, "scope-dropped", severity, summary, target=server.name, points=1 if settled else 4)]


def _near(name: Name, similar: Similar, *, purl: str, facts: IdentityFacts) -> Finding:
    settled = facts.age_days is not None and facts.age_days >= SETTLED_DAYS
    points = STRENGTH[similar.kind]
    severity: Severity = "high"
    if settled:
        points, severity = 1, "low"
    elif not similar.confident:
        points, severity = (2, "low") if _young(facts) else (0, "info")
    summary = f"{name.given} resembles the better known {similar.target} ({similar.kind})"
    return _finding(
        "C8",
        purl,
        f"near-name-{similar.kind}",
        severity,
        summary,
        target=similar.target,
        points=points,
        rank=similar.rank,
    )


def _letters(name: Name, purl: str) -> list[Finding]:
    shown = name.given.encode("ascii", "backslashreplace").decode()
    return [
        _finding("G8", purl, flaw.rule, "critical", f"the name {shown[:60]} contains {flaw.detail}")
        for flaw in name.flaws
    ]


def _module_name(name: Name, purl: str) -> list[Finding]:
    npm = name.ecosystem is Ecosystem.NPM
    modules = catalogue.NODE_MODULES if npm else catalogue.PYTHON_MODULES
    plain = {module.replace("_", ""): module for module in modules}
    module = plain.get(name.base.replace("-", ""))
    if module is None or (name.scope and len(module) < 6):
        return []
    severity: Severity = "low" if name.scope else "medium"
    summary = f"{name.given} has the name of {module}, a module that {'Node.js' if npm else 'Python'} brings itself"
    return [
        _finding("C8", purl, "built-in-module-name", severity, summary, target=module, points=1 if name.scope else 4)
    ]


def _stranger(facts: IdentityFacts, owner: str) -> bool:
    return facts.owner is not None and facts.owner != owner


def _young(facts: IdentityFacts) -> bool:
    return facts.age_days is not None and facts.age_days < YOUNG_DAYS


def _finding(check: str, purl: str, rule: str, severity: Severity, summary: str, **data: str | int) -> Finding:
    remedy = "check the name with its publisher; if it is meant, waive this finding"
    return Finding(
        check=check, purl=purl, rule=rule, severity=severity, summary=summary, field="name", remedy=remedy, data=data
    )
