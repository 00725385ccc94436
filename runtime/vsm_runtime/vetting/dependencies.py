"""Where dependencies come from: can their bytes change under the same name, and does a hash hold them? Pure.

Gate G3. A registry's release cannot be replaced once a lock holds its hash; a branch, a URL or a folder can.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from vsm_operator.domain.vetting.model import Finding, Severity
from vsm_runtime.intake.npm_lock import LockedPackage
from vsm_runtime.vetting.documents import entries, text

_LOCAL = ("file:", "link:", "portal:", "workspace:", "./", "../", "/", "~/")
_REMOTE = ("git:", "git@", "git+", "github:", "gitlab:", "bitbucket:", "gist:", "http:", "https:", "ssh:")
_STRONG = {"sha256": 32, "sha384": 48, "sha512": 64}
_MAX_FINDINGS = 100
"""Of one package: the first already closes the gate."""


def mutable_spec(spec: object) -> str:
    """The rule that an npm spec breaks: "" for ranges, tags, exact versions and aliases of the registry."""
    raw = text(spec, max_length=500).strip().lower()
    if raw.startswith(_LOCAL) or "\\" in raw:
        return "local-dependency"
    if raw.startswith("npm:"):
        return ""
    return "mutable-dependency" if "/" in raw or raw.startswith(_REMOTE) else ""


def manifest_sources(*, purl: str, manifest: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Specs in package.json that no registry answers for."""
    found = (
        _finding(purl, rule, f"{name} comes from {text(spec, max_length=80)}", field=f"{key}.{name}")
        for key in ("dependencies", "optionalDependencies", "peerDependencies")
        for name, spec in entries(manifest.get(key))
        if (rule := mutable_spec(spec))
    )
    return tuple(islice(found, _MAX_FINDINGS))


def requirement_sources(*, purl: str, requires: Iterable[str]) -> tuple[Finding, ...]:
    """Requires-Dist with `name @ URL`: fetched from anywhere, and no index checks it."""
    direct = (row for row in requires if "@" in row.partition(";")[0])
    found = (_finding(purl, "mutable-dependency", f"requires {row}", field="Requires-Dist") for row in direct)
    return tuple(islice(found, _MAX_FINDINGS))


def locked_source(*, purl: str, package: LockedPackage) -> tuple[Finding, ...]:
    """One entry of npm's lock. A bundled package has no hash of its own, its archive has."""
    rule = "local-dependency" if package.link else mutable_url(package.resolved)
    if rule:
        return (_finding(purl, rule, f"the lock takes it from {package.resolved or 'a folder'}", field=package.path),)
    if package.bundled or digests(package.integrity):
        return ()
    if package.integrity.startswith(("sha1-", "md5-")):
        summary = "the lock holds it with a broken hash algorithm only"
        return (_finding(purl, "weak-integrity", summary, field=package.path),)
    return (_finding(purl, "missing-integrity", "the lock has no hash for it", field=package.path),)


def mutable_url(resolved: str) -> str:
    """Of a lock's `resolved`: "" for a tarball over HTTP, which the hash beside it holds, and for nothing at all."""
    folded = resolved.lower()
    if folded.startswith(("git", "ssh:", "github:")):
        return "mutable-dependency"
    return "local-dependency" if folded.startswith(_LOCAL) else ""


def same_bytes(*, purl: str, registry: str, lock: str) -> tuple[Finding, ...]:
    """Whether registry and lock can mean one file: the hashes that both give must agree (SRI strings)."""
    left, right = digests(registry), digests(lock)
    both = sorted(left.keys() & right.keys())
    if any(left[algorithm] != right[algorithm] for algorithm in both):
        summary = "the registry lists other bytes for this version than the lock holds"
        return (_finding(purl, "integrity-disagrees", summary, severity="critical", field="dist.integrity"),)
    return ()


def digests(integrity: str) -> dict[str, bytes]:
    """The well-formed strong hashes of a Subresource Integrity string."""
    found: dict[str, bytes] = {}
    for part in integrity[:4096].split():
        algorithm, _, encoded = part.partition("?")[0].partition("-")
        try:
            value = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(value) == _STRONG.get(algorithm):
            found[algorithm] = value
    return found


def _finding(purl: str, rule: str, summary: str, *, severity: Severity = "high", field: str = "") -> Finding:
    return Finding(check="G3", purl=purl, rule=rule, severity=severity, summary=summary, field=field)
