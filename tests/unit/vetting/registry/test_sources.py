"""Where bytes come from: specs, locks, hashes, repositories, dates."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.vetting.registry.making import SRI
from vsm_operator.domain.vetting.model import SourceState
from vsm_runtime.intake.npm_lock import LockedPackage
from vsm_runtime.vetting.dependencies import (
    digests,
    locked_source,
    manifest_sources,
    mutable_spec,
    requirement_sources,
    same_bytes,
)
from vsm_runtime.vetting.documents import merged, moment, rfc3339
from vsm_runtime.vetting.repositories import mcp_name_in, mcp_name_owner, parse_repository, project_repositories

PURL = "pkg:npm/widget@1.0.0"


@pytest.mark.parametrize(
    "spec",
    ["^1.2.3", "*", "", "latest", ">=1 <2 || 3.x", "npm:other@^2", "npm:@scope/other@1", "1.2.3-beta.1", 7, None],
)
def test_specs_of_the_registry_are_immutable_once_locked(spec: object) -> None:
    assert mutable_spec(spec) == ""


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("git+https://github.com/a/b.git#main", "mutable-dependency"),
        ("git@github.com:a/b.git", "mutable-dependency"),
        ("a/b", "mutable-dependency"),
        ("GitHub:a/b#semver:^1", "mutable-dependency"),
        ("gist:11081aaa281", "mutable-dependency"),
        ("https://files.invalid/x.tgz", "mutable-dependency"),
        ("file:../x", "local-dependency"),
        ("link:x", "local-dependency"),
        ("workspace:*", "local-dependency"),
        ("./x", "local-dependency"),
        ("..\\x", "local-dependency"),
    ],
)
def test_specs_whose_content_can_change(spec: str, rule: str) -> None:
    found = manifest_sources(purl=PURL, manifest={"dependencies": {"x": spec}})

    assert [(f.check, f.rule, f.field) for f in found] == [("G3", rule, "dependencies.x")]


def test_a_manifest_of_nothing_but_addresses_does_not_fill_memory() -> None:
    manifest = {"dependencies": {f"a{number}": "a/b" for number in range(10_000)}}

    assert len(manifest_sources(purl=PURL, manifest=manifest)) == 100


def test_requirements_with_an_address_are_mutable() -> None:
    found = requirement_sources(
        purl=PURL, requires=("httpx>=1", "x[y]>=2; python_version<'4'", "z @ https://files.invalid/z")
    )

    assert [f.summary for f in found] == ["requires z @ https://files.invalid/z"]


def locked(**fields: object) -> LockedPackage:
    return LockedPackage("node_modules/x", "x", "1.0.0", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("package", "rules"),
    [
        (locked(integrity=SRI), []),
        (locked(integrity=SRI, resolved="https://registry.invalid/x.tgz"), []),
        (locked(bundled=True), []),
        (locked(), ["missing-integrity"]),
        (locked(integrity="sha512-!!"), ["missing-integrity"]),
        (locked(integrity="sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="), ["weak-integrity"]),
        (locked(integrity=SRI, link=True), ["local-dependency"]),
        (locked(integrity=SRI, resolved="git+ssh://git@github.com/a/b.git#abc"), ["mutable-dependency"]),
        (locked(integrity=SRI, resolved="file:x.tgz"), ["local-dependency"]),
    ],
)
def test_entries_of_a_lock(package: LockedPackage, rules: list[str]) -> None:
    assert [f.rule for f in locked_source(purl=PURL, package=package)] == rules


def test_registry_and_lock_have_to_mean_one_file() -> None:
    other = "sha512-" + "B" * 86 + "=="

    assert same_bytes(purl=PURL, registry=SRI, lock=SRI) == ()
    assert same_bytes(purl=PURL, registry="", lock=SRI) == ()
    assert [f.rule for f in same_bytes(purl=PURL, registry=other, lock=SRI)] == ["integrity-disagrees"]


@given(st.text(max_size=200))
def test_integrity_strings_of_any_kind_are_read_or_dropped(value: str) -> None:
    assert set(digests(value)) <= {"sha256", "sha384", "sha512"}


@pytest.mark.parametrize(
    "value",
    [
        "acme/Widget",
        "github:acme/widget",
        "https://github.com/acme/widget",
        "https://www.github.com/acme/widget.git#readme",
        "git+ssh://git@github.com/acme/widget.git",
        "git@github.com:acme/widget.git",
        "git://github.com/acme/widget/tree/main/packages/x",
        "https://user:secret@github.com/acme/widget",
        {"type": "git", "url": "git+https://github.com/acme/widget.git", "directory": "src"},
    ],
    ids=str,
)
def test_spellings_of_one_repository(value: object) -> None:
    assert str(parse_repository(value)) == "https://github.com/acme/widget"


def test_a_group_of_gitlab_keeps_its_inner_slashes() -> None:
    found = parse_repository("https://gitlab.com/a/b/c/-/tree/main")

    assert found is not None
    assert (found.owner, found.name) == ("a/b", "c")


@pytest.mark.parametrize(
    "value", ["", "x", "https://github.com/acme", "javascript:alert(1)", 7, None, [], {}, {"url": {}}]
)
def test_what_names_no_repository(value: object) -> None:
    assert parse_repository(value) is None


def test_an_owner_that_only_looks_alike_is_another() -> None:
    assert parse_repository("https://github.com.evil.invalid/acme/widget") != parse_repository("acme/widget")
    assert parse_repository("https://evil.invalid/github.com/acme") != parse_repository("acme/widget")
    assert parse_repository("https://github.com@evil.invalid/acme/widget") != parse_repository("acme/widget")


def test_labels_of_source_come_before_home_pages() -> None:
    urls = {
        "Homepage": "https://github.com/site/home",
        "Source Code": "https://github.com/acme/widget",
        "Docs": "https://x.invalid/a/b",
    }

    found = project_repositories({"project_urls": urls, "home_page": None})

    assert [str(r) for r in found] == ["https://github.com/acme/widget", "https://github.com/site/home"]


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("io.github.Acme/widget", ("github.com", "acme")),
        ("com.example/widget", None),
        ("io.github./widget", None),
        ("", None),
    ],
)
def test_owner_of_an_mcp_name(name: str, want: object) -> None:
    assert mcp_name_owner(name) == want


def test_mcp_name_in_a_readme() -> None:
    assert mcp_name_in("x" * 1000 + "<!-- mcp-name: io.github.acme/widget -->") == "io.github.acme/widget"
    assert mcp_name_in("mcp-name: nothing") == ""
    assert mcp_name_in("mcp-name:" * 200_000) == ""


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-01",
        "yesterday",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "",
        7,
        None,
        "2026-01-01T00:00:00+02:00",
    ],
)
def test_what_is_no_moment(value: object) -> None:
    assert moment(value) is None


@settings(max_examples=50)
@given(st.datetimes(min_value=datetime(1991, 1, 1), max_value=datetime(2199, 1, 1)))  # noqa: DTZ001 - hypothesis wants them naive
def test_moments_are_read_back(at: datetime) -> None:
    aware = at.replace(tzinfo=UTC)

    assert moment(aware.isoformat()) == aware
    assert moment(rfc3339(aware)) == aware.replace(microsecond=0)


def test_states_of_a_tree_are_joined_by_what_they_say() -> None:
    def state(purl: str, status: str) -> SourceState:
        return SourceState(id="x", status=status, feeds=("C9",), purls=(purl,))  # type: ignore[arg-type]

    joined = merged([state("b", "ok"), state("c", "error"), state("a", "ok")])

    assert [(s.status, s.purls) for s in joined] == [("error", ("c",)), ("ok", ("a", "b"))]
