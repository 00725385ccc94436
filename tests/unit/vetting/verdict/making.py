"""Evidence by hand: a healthy server and its tree, of which every test spoils one thing; and the same by chance."""

import dataclasses
import itertools
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from vsm_operator.domain.vetting.model import (
    CHECK_IDS,
    GATE_IDS,
    SEVERITIES,
    Dataset,
    Evidence,
    Finding,
    PackageEvidence,
    SourceState,
)
from vsm_operator.domain.vetting.policy import DEVELOPMENT, PRODUCTION, Waiver
from vsm_operator.domain.vetting.results import Verdict
from vsm_operator.domain.vetting.verdict import evaluate

TODAY = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ROOT, DEP, DEEP = "pkg:npm/%40acme/server@1.2.3", "pkg:npm/left@2.0.0", "pkg:npm/right@3.0.0"
PACKAGE_STAGE = tuple(name for name in (*CHECK_IDS, *GATE_IDS) if name not in ("C4", "C5", "G10", "G11"))
TRIAL_STAGE = (*CHECK_IDS, *GATE_IDS)


def package(purl: str = ROOT, **changes: Any) -> PackageEvidence:
    """Everything known, nothing wrong."""
    ecosystem, _, rest = purl.removeprefix("pkg:").partition("/")
    name, _, version = rest.replace("%40", "@").rpartition("@")
    values: dict[str, Any] = {
        "purl": purl, "ecosystem": ecosystem, "name": name, "version": version,
        "integrity": "sha512-" + "A" * 86 + "==",
        "artifact_digest": f"sha256:{len(purl):064x}", "integrity_verified": True, "immutable_source": True,
        "depth": 0 if purl == ROOT else 1, "direct": purl == DEP, "paths": ((ROOT,) if purl == ROOT else (ROOT, purl),),
        "published_at": "2026-01-10T00:00:00Z", "first_published_at": "2024-01-10T00:00:00Z", "versions_count": 9,
        "deprecated": False, "yanked": False, "install_scripts": (), "licence": "MIT", "popularity_rank": 50,
        "publishers": ("ann", "bob"), "previous_publishers": ("ann",), "registry_signature": True,
        "provenance": "verified", "owner_match": True, "static_risk": 0.0, "scanned_bytes": 1000,
        "executable_bytes": 1000,
    }  # fmt: skip
    return PackageEvidence(**{**values, **changes})


def source(*feeds: str, id: str = "everything", **changes: Any) -> SourceState:  # noqa: A002 - the field's name
    return SourceState(**{"id": id, "status": "ok", "feeds": feeds or PACKAGE_STAGE, **changes})


def evidence(*packages: PackageEvidence, **changes: Any) -> Evidence:
    members = packages or (package(), package(DEP), package(DEEP))
    purls = [each.purl for each in members]
    values: dict[str, Any] = {
        "root": ROOT,
        "packages": members,
        "edges": tuple(itertools.pairwise(purls)),
        "sources": (source(),),
        "rule_pack": "2026.11",
        "datasets": (Dataset(name="advisories", digest="sha256:aa", as_of="2026-11-23"),),
        "collected_at": "2026-11-23T11:00:00Z",
    }
    return Evidence(**{**values, **changes})


def with_root(**changes: Any) -> Evidence:
    return evidence(package(ROOT, **changes), package(DEP), package(DEEP))


def with_dependency(**changes: Any) -> Evidence:
    return evidence(package(ROOT), package(DEP), package(DEEP, **changes))


def finding(check: str, purl: str = ROOT, **changes: Any) -> Finding:
    values = {"check": check, "purl": purl, "rule": "some-rule", "severity": "high", "summary": "seen"}
    return Finding(**{**values, **changes})


def with_finding(found: Finding, *, onto: Evidence | None = None) -> Evidence:
    """Added to the package that it is about, or to the whole."""
    base = onto or evidence()
    if found.purl not in {each.purl for each in base.packages}:
        return dataclasses.replace(base, findings=(*base.findings, found))
    packages = tuple(
        dataclasses.replace(each, findings=(*each.findings, found)) if each.purl == found.purl else each
        for each in base.packages
    )
    return dataclasses.replace(base, packages=packages)


def waiver(check: str, name: str = "right", **changes: Any) -> Waiver:
    values = {"check": check, "package": name, "versions": "*", "reason": "looked at", "expires": "2026-12-31"}
    return Waiver(**{**values, **changes})


purls = st.sampled_from([ROOT, DEP, DEEP])
times = st.none() | st.sampled_from(
    ["2024-01-01", "2026-10-30", "2026-11-20T12:00:00Z", "2026-11-23T10:00:00Z", "soon"]
)
scalars = (
    st.none() | st.booleans() | st.integers(-20, 20) | st.floats(-20, 20) | st.sampled_from(["", "9.9.9", "GHSA-1"])
)
findings = st.builds(
    Finding,
    check=st.sampled_from([*CHECK_IDS, *CHECK_IDS, *GATE_IDS]),
    purl=purls,
    rule=st.sampled_from(["a", "b", "GHSA-1"]),
    severity=st.sampled_from(SEVERITIES),
    summary=st.text(max_size=8),
    file=st.sampled_from(["", "index.js", "../../etc/passwd"]),
    line=st.integers(0, 3),
    data=st.dictionaries(
        st.sampled_from(["id", "cvss", "fixed", "exploited", "points", "waivable"]), scalars, max_size=3
    ),
)


def _member(purl: str) -> st.SearchStrategy[PackageEvidence]:
    maybe = st.none() | st.booleans()
    healthy = package(purl)
    return st.fixed_dictionaries(
        {},
        optional={
            "integrity": st.sampled_from(["", healthy.integrity]),
            "integrity_verified": st.sampled_from([True, True, None, False]),
            "immutable_source": st.sampled_from([True, True, None, False]),
            "newly_added": st.booleans(),
            "published_at": times,
            "published_is_lower_bound": st.booleans(),
            "first_published_at": times,
            "versions_count": st.none() | st.integers(0, 5),
            "deprecated": maybe,
            "yanked": maybe,
            "install_scripts": st.none() | st.sampled_from([(), ("postinstall",), ("sdist-only",)]),
            "licence": st.none() | st.sampled_from(["MIT", "GPL-3.0-only", "FILE", "UNKNOWN", "MIT OR (", "0BSD"]),
            "popularity_rank": st.none() | st.integers(1, 20000),
            "publishers": st.none() | st.sampled_from([("ann",), ("ann", "bob"), ()]),
            "previous_publishers": st.none() | st.sampled_from([("ann",), ("eve",), ()]),
            "registry_signature": maybe,
            "provenance": st.sampled_from([None, "verified", "absent"]),
            "owner_match": maybe,
            "static_risk": st.none() | st.floats(0, 10),
            "scanned_bytes": st.sampled_from([1000, 900]),
            "findings": st.lists(findings, max_size=2).map(tuple),
        },
    ).map(lambda changes: dataclasses.replace(healthy, **changes))


states = st.builds(
    SourceState,
    id=st.sampled_from(["one", "two", "three"]),
    status=st.sampled_from(["ok", "ok", "ok", "unavailable", "stale", "error"]),
    feeds=st.sampled_from([PACKAGE_STAGE, PACKAGE_STAGE, TRIAL_STAGE, ("C1", "G2"), ("C6", "C7", "G9"), ("C10",)]),
    as_of=st.sampled_from(["", "2026-11-23", "2026-11-23T06:00:00Z", "2026-11-01", "never"]),
    purls=st.sampled_from([(), (), (), (ROOT,), (DEP, DEEP)]),
)
waivers = st.builds(
    waiver,
    st.sampled_from([name for name in (*CHECK_IDS, *GATE_IDS) if name not in ("G1", "G3")]),
    st.sampled_from(["left", "right", "@acme/server", "pkg:pypi/left"]),
    versions=st.sampled_from(["*", "^2.0.0", "<1", "nonsense !"]),
    expires=st.sampled_from(["2026-11-22", "2026-11-23", "2027-01-01"]),
    rule=st.sampled_from(["a", "GHSA-1", "static-risk"]),
)
policies = st.builds(
    dataclasses.replace,
    st.sampled_from([DEVELOPMENT, PRODUCTION]),
    min_score=st.sampled_from([0, 20, 70, 80, 100]),
    min_coverage_percent=st.sampled_from([0, 75, 100]),
    required=st.sampled_from([PRODUCTION.required, ("C1", "G2"), ()]),
    denied_licences=st.sampled_from([(), ("GPL-3.0-only",)]),
    waivers=st.lists(waivers, max_size=2).map(tuple),
)


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Mostly healthy, spoiled in a few places: so that all four verdicts come up."""
    spoiled = draw(st.sets(purls, max_size=2))
    members = tuple(draw(_member(purl)) if purl in spoiled else package(purl) for purl in (ROOT, DEP, DEEP))
    sources = (
        (source(), *draw(st.lists(states, max_size=3)))
        if draw(st.booleans())
        else tuple(draw(st.lists(states, max_size=4)))
    )
    stage = draw(st.sampled_from(["package", "package", "trial"]))
    return evidence(*members, sources=sources, stage=stage, findings=tuple(draw(st.lists(findings, max_size=1))))


def judge(judged: Evidence, **changes: Any) -> Verdict:
    """By the production policy with these changes."""
    return evaluate(judged, dataclasses.replace(PRODUCTION, **changes), today=TODAY)
