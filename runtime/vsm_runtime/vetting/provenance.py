"""Who built an artefact, compared with who the package says it is. Checks C6 and gate G9.

A verified attestation is worth this much: the named build service ran in the named repository and made these bytes.
It does not say that the source is harmless, so it may raise a score and never rescues one. What cannot be verified is
inconclusive; only a *verified* statement about other bytes or another repository closes the gate.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from vsm_operator.domain.vetting.model import Finding, Severity, SourceState, SourceStatus
from vsm_runtime.vetting.attestations import BundleVerifier, Statement, Unverifiable, from_pep740, registry_signed
from vsm_runtime.vetting.dependencies import digests
from vsm_runtime.vetting.documents import Answer, mapping, moment, sequence, text
from vsm_runtime.vetting.repositories import Repository, mcp_name_owner

FEEDS = ("C6", "G9")
MAX_ATTESTATIONS = 16
_SLSA = "https://slsa.dev/provenance/"


@dataclass(frozen=True, slots=True)
class ProvenanceFacts:
    """`provenance` None: nobody could tell."""

    provenance: Literal["verified", "absent"] | None
    source: SourceState
    findings: tuple[Finding, ...] = ()
    repository: Repository | None = None
    """The repository that a verified attestation names."""


def npm_provenance(
    *,
    purl: str,
    integrity: str,
    attested: bool | None,
    declared: Sequence[Repository],
    answer: Answer | None,
    verifier: BundleVerifier,
) -> ProvenanceFacts:
    """`attested` from the packument, `answer` from the registry's attestations of it (None: not asked)."""
    rows = [mapping(row) for row in sequence((answer.said if answer else {}).get("attestations"))]
    bundles = [mapping(row.get("bundle")) for row in rows if text(row.get("predicateType")).startswith(_SLSA)]
    digest = digests(integrity).get("sha512", b"").hex()
    check = _Check(purl=purl, algorithm="sha512", digest=digest, declared=tuple(declared))
    return _judge(check, answer=answer, attested=attested, verify=verifier.verify, bundles=bundles)


def pypi_provenance(
    *,
    purl: str,
    sha256: str,
    attested: bool | None,
    declared: Sequence[Repository],
    answer: Answer | None,
    verifier: BundleVerifier,
) -> ProvenanceFacts:
    """`attested` from the Simple API's `provenance` key, `answer` the PEP 740 object of that file (None: not asked)."""
    groups = sequence((answer.said if answer else {}).get("attestation_bundles"))[:MAX_ATTESTATIONS]
    rows = [row for group in groups for row in sequence(mapping(group).get("attestations"))]
    bundles = [from_pep740(row) for row in rows]
    check = _Check(purl=purl, algorithm="sha256", digest=sha256.lower(), declared=tuple(declared))
    return _judge(check, answer=answer, attested=attested, verify=verifier.verify, bundles=bundles)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """What an attestation has to say. Bytes count, names do not: equal bytes are this artefact under any name."""

    purl: str
    algorithm: str
    digest: str
    declared: tuple[Repository, ...]

    def state(self, status: SourceStatus, reason: str = "") -> SourceState:
        return SourceState(id="provenance", status=status, feeds=FEEDS, reason=reason, purls=(self.purl,))

    def finding(self, check: str, rule: str, severity: Severity, summary: str, *, remedy: str = "") -> Finding:
        return Finding(check=check, purl=self.purl, rule=rule, severity=severity, summary=summary, remedy=remedy)


def _judge(
    check: _Check,
    *,
    answer: Answer | None,
    attested: bool | None,
    bundles: Sequence[Any],
    verify: Callable[[Any], Statement],
) -> ProvenanceFacts:
    if not bundles:
        return _without(check, answer=answer, attested=attested)
    if not check.digest:
        return ProvenanceFacts(None, check.state("error", f"no {check.algorithm} of the artefact to compare with"))
    statements: list[Statement] = []
    reasons: list[str] = []
    for bundle in bundles[:MAX_ATTESTATIONS]:
        try:
            statements.append(verify(bundle))
        except Unverifiable as error:
            reasons.append(str(error))
    if not statements:
        finding = check.finding("C6", "attestation-not-verified", "info", f"an attestation exists: {reasons[0]}")
        return ProvenanceFacts(None, check.state("error", reasons[0]), (finding,))
    matching = [s for s in statements if check.digest in s.digests(check.algorithm)]
    if not matching:
        summary = "the verified attestation is about other bytes than those of this version"
        finding = check.finding("G9", "provenance-other-artefact", "critical", summary)
        return ProvenanceFacts(None, check.state("ok"), (finding,))
    # One of the declared repository is enough: only that repository's builds can have made it, for these very bytes.
    ours = next((s for s in matching if s.repository in check.declared), matching[0])
    return ProvenanceFacts("verified", check.state("ok"), (_compared(check, ours),), ours.repository)


def _without(check: _Check, *, answer: Answer | None, attested: bool | None) -> ProvenanceFacts:
    if attested is False:
        return ProvenanceFacts("absent", check.state("ok"))
    if attested:
        reason = (answer.reason if answer else "") or "the registry lists an attestation and does not serve it"
        return ProvenanceFacts(None, check.state("unavailable", reason))
    if answer is not None and answer.content is not None:
        return ProvenanceFacts("absent", check.state("ok"))  # the registry serves attestations and has none of a build
    reason = "the registry does not say whether it is attested"
    return ProvenanceFacts(None, check.state("unavailable", answer.reason if answer and answer.reason else reason))


def _compared(check: _Check, statement: Statement) -> Finding:
    built = statement.repository
    if not check.declared:
        summary = f"built in {built}; the package itself names no repository to compare with"
        return check.finding("C6", "provenance-only-repository", "low", summary)
    if built not in check.declared:
        return check.finding(
            "G9",
            "provenance-other-repository",
            "critical",
            f"it was built in {built}, and says that its source is {check.declared[0]}",
            remedy="ask the maintainers which repository is theirs",
        )
    summary = f"built by {statement.workflow or built} at {statement.commit[:12] or 'an unknown commit'}"
    return check.finding("C6", "provenance-verified", "info", summary)


def owner_match(
    *, purl: str, mcp_name: str, declared: Sequence[Repository], built: Repository | None = None
) -> tuple[bool | None, tuple[Finding, ...]]:
    """Whether MCP name, declared repository and provenance name one owner; None when there is nothing to compare."""
    claimed = mcp_name_owner(mcp_name) if mcp_name else None
    owners: set[tuple[str, str] | None] = {(r.host, r.owner) for r in declared}
    if claimed is not None and owners and claimed not in owners:
        finding = Finding(
            check="C8",
            purl=purl,
            rule="mcp-name-of-another-owner",
            severity="medium",
            summary=f"its MCP name {mcp_name} belongs to {claimed[1]}, its repository to {declared[0].owner}",
            field="mcpName",
            remedy="check which of the two is the publisher",
        )
        return False, (finding,)
    if built is not None and (owners or claimed is not None):
        return (built.host, built.owner) in (owners or {claimed}), ()
    return (True if claimed is not None and owners else None), ()


def registry_signature(
    *,
    purl: str,
    message: str,
    signatures: Iterable[tuple[str, str]] | None,
    keys: Answer,
    published_at: datetime | None,
) -> tuple[bool | None, tuple[Finding, ...]]:
    """npm's own signature over `name@version:integrity`.

    With keys from the same registry it proves that nobody between the registry and us changed the packument; it is no
    word of the publisher. None when the registry does not sign, or its keys are not served or not known.
    """
    known = {text(mapping(row).get("keyid"), max_length=200): mapping(row) for row in sequence(keys.said.get("keys"))}
    for keyid, signature in signatures or ():
        key = known.get(keyid)
        expires = moment(key.get("expires")) if key else None
        if key is None or (expires is not None and (published_at is None or published_at > expires)):
            continue
        try:
            good = registry_signed(message=message, signature=signature, key=text(key.get("key")))
        except Unverifiable:
            continue
        if good:
            return True, ()
        summary = "the registry's signature is not over this version's hash: the description was changed on its way"
        finding = Finding(check="G3", purl=purl, rule="registry-signature", severity="critical", summary=summary)
        return False, (finding,)
    return None, ()
