import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from unit.intake.kit import file, npm_tarball, special, sri, tgz
from vsm_operator.domain.intake import IntakeReason
from vsm_operator.domain.packages import Ecosystem, PackageRef
from vsm_runtime.archives import ArchiveLimits
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.facts import npm_license, npm_lifecycle_scripts
from vsm_runtime.intake.http import Registry
from vsm_runtime.intake.npm import check_entry, check_root
from vsm_runtime.intake.npm_lock import LockedPackage
from vsm_runtime.intake.npm_registry import NpmRegistry, NpmVersion, suggest
from vsm_runtime.intake.npm_resolve import explain, refuses_bundles
from vsm_runtime.intake.npm_unpack import declared_executables, read_manifest, repair_shebang, unpack
from vsm_runtime.intake.tools import Finished

LIMITS = ArchiveLimits(max_bytes=10**6, max_entries=1000)
TARBALL = "https://registry.invalid/a/-/a-1.0.0.tgz"


def listed(**changes: Any) -> NpmVersion:
    base: dict[str, Any] = {
        "name": "a",
        "version": "1.0.0",
        "integrity": sri(b"a"),
        "tarball": TARBALL,
        "deprecated": "",
        "required": {},
        "bundled": frozenset(),
    }
    return NpmVersion(**base | changes)


def locked(resolved: str = TARBALL, integrity: str = sri(b"a")) -> LockedPackage:
    return LockedPackage("node_modules/a", "a", "1.0.0", resolved=resolved, integrity=integrity)


def reason_of(call: Any) -> IntakeReason:
    with pytest.raises(IntakeError) as caught:
        call()
    return caught.value.reason


def test_a_lock_whose_hash_is_not_the_registrys_is_an_integrity_mismatch() -> None:
    entry = listed(integrity=sri(b"tampered"))
    assert (
        reason_of(lambda: check_entry(locked(), entry, chain="s → a", own_hosts=())) is IntakeReason.INTEGRITY_MISMATCH
    )


def test_a_registry_that_lists_no_sha512_is_a_missing_integrity() -> None:
    entry = listed(integrity=sri(b"a", algorithm="sha1"))
    assert (
        reason_of(lambda: check_entry(locked(), entry, chain="s → a", own_hosts=())) is IntakeReason.MISSING_INTEGRITY
    )


def test_the_same_hash_from_another_host_is_a_forbidden_source() -> None:
    package = locked("https://elsewhere.invalid/a/-/a-1.0.0.tgz")
    found = reason_of(lambda: check_entry(package, listed(), chain="s → a", own_hosts=("registry.invalid",)))
    assert found is IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE


def test_a_shrinkwrap_made_with_the_default_registry_is_accepted_from_a_mirror() -> None:
    package = locked("https://default.invalid/a/-/a-1.0.0.tgz")
    assert check_entry(package, listed(), chain="s → a", own_hosts=("mirror.invalid", "default.invalid"))


def test_a_forbidden_dependency_of_the_requested_package_is_named_before_anything_is_resolved() -> None:
    with pytest.raises(IntakeError, match=r"a@1\.0\.0 wants evil from git\+ssh://code\.invalid") as caught:
        check_root(listed(required={"evil": "git+ssh://git@code.invalid/evil.git"}))
    assert caught.value.reason is IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE
    check_root(listed(required={"evil": "github:x/y"}, bundled=frozenset({"evil"})))


def registry(routes: dict[str, Any]) -> NpmRegistry:
    def answer(request: httpx.Request) -> httpx.Response:
        found = routes.get(request.url.raw_path.decode())
        return httpx.Response(404) if found is None else httpx.Response(200, json=found)

    return NpmRegistry(Registry("https://registry.invalid", transport=httpx.MockTransport(answer)))


MANIFEST = {"version": "1.0.0", "dist": {"integrity": sri(b"a"), "tarball": "/a/-/a-1.0.0.tgz"}, "deprecated": "old"}
REF = PackageRef(Ecosystem.NPM, "@scope/a", "1.0.0")


def test_a_version_is_asked_for_by_itself_and_a_relative_tarball_becomes_absolute() -> None:
    found = registry({"/@scope%2Fa/1.0.0": MANIFEST}).root(REF)
    assert (found.tarball, found.deprecated) == (TARBALL, "old")


def test_a_mirror_without_single_versions_is_asked_for_the_whole_package() -> None:
    assert registry({"/@scope%2Fa": {"versions": {"1.0.0": MANIFEST}}}).root(REF).integrity == sri(b"a")


def test_an_unknown_package_is_said_to_be_unknown() -> None:
    with pytest.raises(IntakeError, match="no package '@scope/a'") as caught:
        registry({}).root(REF)
    assert caught.value.reason is IntakeReason.UNKNOWN_PACKAGE


def test_an_unknown_version_is_answered_with_those_that_exist() -> None:
    packument = {"dist-tags": {"latest": "2.0.0"}, "versions": {v: {} for v in ("0.9.0", "0.10.0", "1.1.0", "2.0.0")}}
    with pytest.raises(IntakeError, match=r"newest is 2\.0\.0, the nearest are 0\.9\.0, 0\.10\.0, 1\.1\.0") as caught:
        registry({"/@scope%2Fa": packument}).root(REF)
    assert caught.value.reason is IntakeReason.NO_SUCH_VERSION


def test_an_unpublished_package_has_no_such_version() -> None:
    assert (
        reason_of(lambda: registry({"/@scope%2Fa": {"time": {"unpublished": {}}}}).root(REF))
        is IntakeReason.NO_SUCH_VERSION
    )


@pytest.mark.parametrize("answer", [[], {"version": "1.0.0"}, {"version": "9.9.9", "dist": {"tarball": "/x"}}])
def test_a_registry_that_answers_nonsense_is_worth_another_try(answer: Any) -> None:
    assert reason_of(lambda: registry({"/@scope%2Fa/1.0.0": answer}).root(REF)).retryable


def test_a_prerelease_sorts_before_its_release() -> None:
    said = suggest("1.0.0-rc.5", ["1.0.0", "1.0.0-rc.10", "1.0.0-rc.2"], "")
    assert said == "the newest is 1.0.0, the nearest are 1.0.0-rc.2, 1.0.0-rc.10, 1.0.0"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("EALLOWGIT", IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE),
        ("EALLOWREMOTE", IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE),
        ("ECONNREFUSED", IntakeReason.REGISTRY_UNREACHABLE),
        ("E503", IntakeReason.REGISTRY_UNREACHABLE),
        ("EINTEGRITY", IntakeReason.INTEGRITY_MISMATCH),
        ("ETARGET", IntakeReason.RESOLUTION_FAILED),
        ("ERESOLVE", IntakeReason.RESOLUTION_FAILED),
    ],
)
def test_npms_codes_become_reasons(code: str, reason: IntakeReason) -> None:
    answer = json.dumps({"error": {"code": code, "summary": "see https://u:hunter2@registry.invalid/", "detail": ""}})
    error = explain(Finished(1, answer, ""))
    assert error.reason is reason
    assert "hunter2" not in error.message


def test_the_chain_to_a_forbidden_dependency_comes_from_npms_account_of_the_tree() -> None:
    log = """\
npm silly placeDep ROOT server@1.0.0 OK for: vsm-intake@ want: 1.0.0
npm silly placeDep ROOT @s/middle@2.0.0 OK for: server@1.0.0 want: ^2.0.0
npm silly placeDep ROOT other@1.0.0 OK for: server@1.0.0 want: ^1.0.0 || ^2.0.0
npm silly placeDep node_modules/middle evil@ OK for: @s/middle@2.0.0 want: git+https://u:hunter2@code.invalid/e.git
npm error code EALLOWGIT
"""
    error = explain(Finished(1, '{"error": {"code": "EALLOWGIT", "summary": "disabled"}}', log))
    assert error.message.startswith("server@1.0.0 → @s/middle@2.0.0 wants evil from git+https://code.invalid/e.git:")


def test_npms_refusal_of_an_archive_with_bundled_packages_is_told_from_that_of_a_url_dependency() -> None:
    answer = '{"error": {"code": "EALLOWREMOTE", "summary": "disabled"}}'
    bundles = Finished(1, answer, "npm silly placeDep ROOT server@1.0.0 OK for:  want: 1.0.0\n")
    url = Finished(1, answer, "npm silly placeDep ROOT evil@ OK for: server@1.0.0 want: https://x.invalid/e.tgz\n")
    assert refuses_bundles(bundles)
    assert not refuses_bundles(url)
    assert not refuses_bundles(Finished(1, '{"error": {"code": "EALLOWGIT"}}', bundles.stderr))


def test_npm_that_dies_without_json_still_gives_its_last_lines() -> None:
    error = explain(Finished(1, "", "noise\nnpm error code ETARGET\nnpm error No matching version found for x@9\n"))
    assert error.reason is IntakeReason.RESOLUTION_FAILED
    assert "No matching version found for x@9" in error.message


@pytest.mark.parametrize(
    ("data", "reason", "named"),
    [
        pytest.param(tgz(file("package/../../x")), IntakeReason.UNSAFE_ARCHIVE, "package/../../x", id="parent"),
        pytest.param(tgz(file("/etc/x")), IntakeReason.UNSAFE_ARCHIVE, "/etc/x", id="absolute"),
        pytest.param(
            tgz(special("package/l", b"2", target="/etc")), IntakeReason.UNSAFE_ARCHIVE, "package/l", id="symlink"
        ),
        pytest.param(
            tgz(special("package/h", b"1", target="package/x")),
            IntakeReason.UNSAFE_ARCHIVE,
            "package/h",
            id="hard link",
        ),
        pytest.param(
            tgz(file("package/b", b"\0" * 2_000_000)), IntakeReason.BUNDLE_TOO_LARGE, "1000000", id="too large"
        ),
    ],
)
def test_a_bad_archive_is_refused_naming_package_and_entry(
    tmp_path: Path, data: bytes, reason: IntakeReason, named: str
) -> None:
    (tmp_path / "a.tgz").write_bytes(data)
    with pytest.raises(IntakeError) as caught:
        unpack(tmp_path / "a.tgz", tmp_path / "out", what="server@1.0.0 → a@1.0.0", limits=LIMITS)
    assert caught.value.reason is reason
    assert "a@1.0.0" in caught.value.message
    assert named in caught.value.message
    assert not (tmp_path / "x").exists()


def test_the_first_component_is_dropped_whatever_it_is_called(tmp_path: Path) -> None:
    data = tgz(file("a-1.0/package.json", b"{}"), file("other/lib/x.js", mode=0o755), file("stray"))
    (tmp_path / "a.tgz").write_bytes(data)
    done = unpack(tmp_path / "a.tgz", tmp_path / "out", what="a", limits=LIMITS)
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert found == ["lib/x.js", "package.json"]
    assert done.files == 2


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff\xfe", b'{"name": "' + b"x" * 5_000_000 + b'"}'])
def test_an_unreadable_package_json_is_an_unsafe_archive(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "package.json").write_bytes(content)
    assert reason_of(lambda: read_manifest(tmp_path, what="a@1")) is IntakeReason.UNSAFE_ARCHIVE


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"name": "@scope/tool", "bin": "./cli.js"}, {"tool": "cli.js"}),
        ({"name": "a", "bin": {"x": "dist/x.js", "../y": "y.js"}}, {"x": "dist/x.js", "y": "y.js"}),
        ({"name": "a", "bin": {"x": "../../../etc/passwd"}}, {"x": "etc/passwd"}),
        ({"name": "a", "bin": {"x": "/etc/passwd"}}, {"x": "etc/passwd"}),
        ({"name": "a", "bin": {"x": 1, "": "y.js"}}, {}),
        ({"name": "a", "bin": ["x"]}, {}),
        ({"name": "a"}, {}),
    ],
)
def test_executables_never_lead_out_of_their_package(manifest: dict[str, Any], expected: dict[str, str]) -> None:
    assert declared_executables(manifest) == expected


def test_only_executables_that_exist_are_offered(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"name": "a", "bin": {"here": "cli.js", "gone": "gone.js"}}))
    (tmp_path / "cli.js").touch()
    assert dict(read_manifest(tmp_path, what="a").executables) == {"here": "cli.js"}


@pytest.mark.parametrize(
    ("manifest", "gyp", "expected"),
    [
        ({"scripts": {"postinstall": "x", "test": "y", "prepare": "z"}}, False, ("postinstall",)),
        ({}, True, ("binding.gyp",)),
        ({"gypfile": False}, True, ()),
        ({"scripts": {"install": "x"}}, True, ("install",)),
        ({"scripts": "nonsense"}, False, ()),
    ],
)
def test_install_time_code_is_counted_as_npm_would_run_it(
    manifest: dict[str, Any], gyp: bool, expected: tuple[str, ...]
) -> None:
    assert npm_lifecycle_scripts(manifest, has_binding_gyp=gyp) == expected


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"license": "MIT"}, "MIT"),
        ({"license": {"type": "MIT", "url": "x"}}, "MIT"),
        ({"licenses": [{"type": "MIT"}, {"type": "BSD"}]}, "MIT OR BSD"),
        ({}, ""),
    ],
)
def test_a_licence_is_read_in_all_its_historic_shapes(manifest: dict[str, Any], expected: str) -> None:
    assert npm_license(manifest) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"#!/usr/bin/env node\r\nx\r\n", b"#!/usr/bin/env node\nx\r\n"),
        (b"#!/usr/bin/env node\nx\r\n", b"#!/usr/bin/env node\nx\r\n"),
        (b"x\r\n", b"x\r\n"),
        (b"", b""),
    ],
)
def test_only_a_first_line_that_no_kernel_understands_is_repaired(tmp_path: Path, before: bytes, after: bytes) -> None:
    script = tmp_path / "cli.js"
    script.write_bytes(before)
    repair_shebang(script)
    assert script.read_bytes() == after


def test_a_tarball_of_the_kit_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(npm_tarball({"name": "a", "version": "1.0.0"}, file("package/index.js")))
    assert unpack(tmp_path / "a.tgz", tmp_path / "out", what="a", limits=LIMITS).files == 2
