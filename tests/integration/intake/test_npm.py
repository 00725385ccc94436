import json
import subprocess
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.intake.conftest import PASSWORD, USERNAME, Intake
from unit.intake.kit import file, npm_tarball, special, sri, tgz
from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.oci import FACTS_MEDIA_TYPE

MANIFEST = file("package/package.json", b"{}")


def publish_server(intake: Intake, **more: Any) -> None:
    """A server with a dependency tree of three, one of them below another."""
    intake.npm.publish(
        "@demo/server",
        bin={"demo-server": "cli.js"},
        dependencies={"left": "^1.0.0", "right": "^1.0.0"},
        members=[file("package/cli.js", b"#!/usr/bin/env node\r\nconsole.log(require('left'))\n")],
        **more,
    )
    intake.npm.publish("left", dependencies={"shared": "^1.0.0"})
    intake.npm.publish("right", dependencies={"shared": "^2.0.0"}, scripts={"postinstall": "touch /pwned"})
    intake.npm.publish("shared", "1.0.0")
    intake.npm.publish("shared", "2.0.0")


def facts(intake: Intake, digest: str) -> dict[str, Any]:
    base = f"{intake.oci.pull_url}/v2/vsm/bundles"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = httpx.get(f"{base}/manifests/{digest}", headers=accept, trust_env=False).json()
    assert manifest["config"]["mediaType"] == FACTS_MEDIA_TYPE
    found: dict[str, Any] = httpx.get(f"{base}/blobs/{manifest['config']['digest']}", trust_env=False).json()
    return found


def files(top: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(top)): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file() and not p.is_symlink()
    }


def test_a_tree_becomes_a_bundle_with_everything_in_its_place(intake: Intake) -> None:
    publish_server(intake)
    done = intake.success("@demo/server")
    assert (done.packages, done.lifecycle_scripts, done.entrypoints) == (5, 1, ("demo-server",))
    assert (done.license, done.cached) == ("MIT", False)
    top = intake.load(done.digest)
    manifests = {name: json.loads(text) for name, text in files(top).items() if name.endswith("package.json")}
    assert {name.removesuffix("/package.json"): manifest["version"] for name, manifest in manifests.items()} == {
        "node_modules/@demo/server": "1.0.0",
        "node_modules/left": "1.0.0",
        "node_modules/right": "1.0.0",
        "node_modules/right/node_modules/shared": "2.0.0",
        "node_modules/shared": "1.0.0",
    }
    link = top / "bin/demo-server"
    assert str(link.readlink()) == "../node_modules/@demo/server/cli.js"
    assert link.read_bytes().startswith(b"#!/usr/bin/env node\n")
    assert link.stat().st_mode & 0o777 == 0o755
    assert "resolved 5 packages" in intake.log
    assert "verified 5/5" in intake.log


def test_facts_say_what_is_in_the_bundle(intake: Intake) -> None:
    publish_server(intake, deprecated="use another one")
    found = facts(intake, intake.success("@demo/server").digest)
    by_name = {f"{p['name']}@{p['version']}": p for p in found["packages"]}
    assert by_name["right@1.0.0"]["lifecycle_scripts"] == ["postinstall"]
    assert by_name["@demo/server@1.0.0"]["withdrawn"] == "use another one"
    assert by_name["@demo/server@1.0.0"]["executables"] == ["demo-server"]
    assert by_name["left@1.0.0"]["integrity"] == intake.npm.manifests["left"]["1.0.0"]["dist"]["integrity"]
    assert sum(p["files"] for p in found["packages"]) + 1 == found["files"]  # and the lock
    lock = files(intake.load(intake.success("@demo/server").digest))["vsm/lock.json"]
    assert b"127.0.0.1" not in json.dumps(found).encode() + lock


def test_the_same_package_is_the_same_bundle_whatever_the_scratch_directory_and_the_umask(intake: Intake) -> None:
    publish_server(intake)
    first = intake.success("@demo/server", key="1" * 32)
    second = intake.success("@demo/server", key="2" * 32, scratch="elsewhere", umask=0o077)
    assert not second.cached
    assert second.digest == first.digest


def test_a_plain_mirror_gives_the_same_bundle_as_the_full_registry(make_intake: Callable[..., Intake]) -> None:
    digests = []
    for number, mirror in enumerate((False, True)):
        intake = make_intake(mirror=mirror)
        publish_server(intake)
        digests.append(intake.success("@demo/server", key=str(number) * 32).digest)
    assert digests[0] == digests[1]


def test_a_second_request_for_a_stored_bundle_asks_no_registry(intake: Intake) -> None:
    publish_server(intake)
    first = intake.success("@demo/server")
    intake.npm.asked.clear()
    second = intake.success("@demo/server")
    assert second.cached
    assert (second.digest, second.packages, second.integrity) == (first.digest, first.packages, first.integrity)
    assert (second.unpacked_bytes, second.size_bytes) == (first.unpacked_bytes, first.size_bytes)
    assert intake.npm.asked == []


def test_identical_intakes_at_the_same_time_do_no_harm(intake: Intake) -> None:
    publish_server(intake)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(intake.success, "@demo/server", scratch=f"s{n}") for n in range(3)]
        digests = {run.result().digest for run in runs}
    assert len(digests) == 1


def test_a_package_without_an_executable_has_no_entry_points(intake: Intake) -> None:
    intake.npm.publish("library")
    done = intake.success("library")
    assert done.entrypoints == ()
    assert not (intake.load(done.digest) / "bin").exists()


def test_an_executable_that_is_not_in_the_archive_is_not_offered(intake: Intake) -> None:
    intake.npm.publish("hollow", bin={"hollow": "gone.js", "node": "index.js"})
    assert intake.success("hollow").entrypoints == ()


def test_an_unknown_package_and_an_unknown_version_are_told_apart(intake: Intake) -> None:
    assert intake.failure("nobody-has-this").reason is IntakeReason.UNKNOWN_PACKAGE
    intake.npm.publish("library", "1.0.0")
    intake.npm.publish("library", "1.2.0")
    failure = intake.failure("library", "1.1.0")
    assert failure.reason is IntakeReason.NO_SUCH_VERSION
    assert "newest is 1.2.0" in failure.message


@pytest.mark.parametrize("status", [503, 500])
def test_a_registry_that_fails_is_unreachable_and_worth_another_try(intake: Intake, status: int) -> None:
    intake.npm.failing = status
    failure = intake.failure("library")
    assert failure.reason is IntakeReason.REGISTRY_UNREACHABLE
    assert str(status) in failure.message


def test_a_registry_that_does_not_listen_is_unreachable(intake: Intake) -> None:
    failure = intake.failure("library", VSM_NPM_REGISTRY="http://user:hunter2@127.0.0.1:1")
    assert failure.reason is IntakeReason.REGISTRY_UNREACHABLE
    assert "hunter2" not in failure.message + intake.log


def test_a_dependency_that_nobody_published_fails_the_resolution_with_npms_words(intake: Intake) -> None:
    intake.npm.publish("@demo/server", dependencies={"gone": "^1.0.0"})
    failure = intake.failure("@demo/server")
    assert failure.reason is IntakeReason.RESOLUTION_FAILED
    assert "gone" in failure.message


def test_an_archive_that_is_not_the_listed_one_is_an_integrity_mismatch(intake: Intake) -> None:
    publish_server(intake)
    intake.npm.tarballs["/left/-/left-1.0.0.tgz"] = npm_tarball({"name": "left", "version": "1.0.0", "evil": True})
    failure = intake.failure("@demo/server")
    assert failure.reason is IntakeReason.INTEGRITY_MISMATCH
    assert "@demo/server@1.0.0 → left@1.0.0" in failure.message


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    "dist",
    [
        pytest.param({"integrity": None, "shasum": None}, id="no hash at all"),
        pytest.param({"integrity": None}, id="sha1 only"),
        pytest.param({"integrity": sri(b"x", algorithm="sha1")}, id="integrity of sha1"),
    ],
)
def test_a_package_without_a_strong_hash_is_refused_with_the_chain_to_it(
    make_intake: Callable[..., Intake], mirror: bool, dist: dict[str, Any]
) -> None:
    intake = make_intake(mirror=mirror)
    intake.npm.publish("@demo/server", dependencies={"loose": "1.0.0"})
    intake.npm.publish("loose", dist=dist)
    failure = intake.failure("@demo/server")
    assert failure.reason is IntakeReason.MISSING_INTEGRITY
    assert "@demo/server@1.0.0 → loose@1.0.0" in failure.message


@pytest.mark.parametrize(
    "spec",
    [
        "git+ssh://git@127.0.0.1:1/evil.git",
        "git+https://127.0.0.1:1/evil.git",
        "github:demo/evil",
        "http://127.0.0.1:1/evil.tgz",
        "file:../evil",
    ],
)
@pytest.mark.parametrize("depth", ["direct", "transitive"])
def test_a_dependency_from_outside_the_registry_is_refused(intake: Intake, spec: str, depth: str) -> None:
    if depth == "direct":
        intake.npm.publish("@demo/server", dependencies={"evil": spec})
    else:
        intake.npm.publish("@demo/server", dependencies={"middle": "1.0.0"})
        intake.npm.publish("middle", dependencies={"evil": spec})
    failure = intake.failure("@demo/server")
    assert failure.reason is IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE
    chain = "@demo/server@1.0.0" if depth == "direct" else "@demo/server@1.0.0 → middle@1.0.0"
    assert failure.message.startswith(f"{chain} wants evil from ")


def test_a_shrinkwrap_that_points_elsewhere_is_refused_although_the_hash_is_its_own(intake: Intake) -> None:
    evil = npm_tarball({"name": "left", "version": "1.0.0"})
    shrinkwrap = {
        "name": "@demo/server",
        "version": "1.0.0",
        "lockfileVersion": 3,
        "packages": {
            "": {"name": "@demo/server", "version": "1.0.0", "dependencies": {"left": "1.0.0"}},
            "node_modules/left": {
                "version": "1.0.0",
                "resolved": "http://127.0.0.1:1/left-1.0.0.tgz",
                "integrity": sri(evil),
            },
        },
    }
    intake.npm.publish("left")
    intake.npm.publish(
        "@demo/server",
        dependencies={"left": "1.0.0"},
        members=[file("package/npm-shrinkwrap.json", json.dumps(shrinkwrap).encode())],
        _hasShrinkwrap=True,
    )
    failure = intake.failure("@demo/server")
    assert failure.reason is IntakeReason.INTEGRITY_MISMATCH
    assert "left" in failure.message


def test_a_shrinkwrap_of_the_package_is_honoured(intake: Intake) -> None:
    intake.npm.publish("left", "1.0.0")
    intake.npm.publish("left", "1.1.0")
    old = intake.npm.manifests["left"]["1.0.0"]["dist"]["integrity"]
    pinned = {"version": "1.0.0", "resolved": f"{intake.npm.origin}/left/-/left-1.0.0.tgz", "integrity": old}
    root = {"name": "@demo/server", "version": "1.0.0", "dependencies": {"left": "^1.0.0"}}
    shrinkwrap = {"name": "@demo/server", "version": "1.0.0", "lockfileVersion": 3}
    shrinkwrap |= {"packages": {"": root, "node_modules/left": pinned}}
    intake.npm.publish(
        "@demo/server",
        dependencies={"left": "^1.0.0"},
        members=[file("package/npm-shrinkwrap.json", json.dumps(shrinkwrap).encode())],
        _hasShrinkwrap=True,
    )
    found = facts(intake, intake.success("@demo/server").digest)
    assert [p["version"] for p in found["packages"] if p["name"] == "left"] == ["1.0.0"]


def test_bundled_dependencies_come_from_their_parents_archive(intake: Intake) -> None:
    inner = json.dumps({"name": "inner", "version": "3.0.0"}).encode()
    intake.npm.publish(
        "@demo/server",
        dependencies={"inner": "github:demo/inner"},
        bundleDependencies=["inner"],
        members=[
            file("package/node_modules/inner/package.json", inner),
            file("package/node_modules/inner/index.js", b"bundled"),
        ],
    )
    done = intake.success("@demo/server")
    assert done.packages == 2
    assert files(intake.load(done.digest))["node_modules/@demo/server/node_modules/inner/index.js"] == b"bundled"
    (bundled,) = (p for p in facts(intake, done.digest)["packages"] if p["name"] == "inner")
    assert (bundled["version"], bundled["integrity"]) == ("3.0.0", "")


def test_optional_packages_for_other_systems_are_left_out(intake: Intake) -> None:
    intake.npm.publish("@demo/server", optionalDependencies={"mac": "1.0.0", "here": "1.0.0", "gone": "1.0.0"})
    intake.npm.publish("mac", os=["darwin"])
    intake.npm.publish("here", os=["linux"])
    found = facts(intake, intake.success("@demo/server").digest)
    assert sorted(p["name"] for p in found["packages"]) == ["@demo/server", "here"]
    assert found["skipped"] == ["mac@1.0.0"]


def test_an_alias_is_installed_where_it_is_asked_for_under_its_real_name(intake: Intake) -> None:
    intake.npm.publish("@demo/server", dependencies={"short": "npm:@demo/real@^1.0.0"})
    intake.npm.publish("@demo/real")
    found = facts(intake, intake.success("@demo/server").digest)
    assert {p["path"]: p["name"] for p in found["packages"]} == {
        "node_modules/@demo/server": "@demo/server",
        "node_modules/short": "@demo/real",
    }


def test_a_copy_of_a_dependency_hidden_in_an_archive_gives_way_to_the_locked_one(intake: Intake) -> None:
    hidden = [
        file("package/node_modules/shared/package.json", b'{"name": "shared", "version": "9.9.9"}'),
        file("package/node_modules/shared/index.js", b"evil"),
    ]
    intake.npm.publish("@demo/server", dependencies={"holder": "1.0.0", "shared": "1.0.0"})
    intake.npm.publish("holder", dependencies={"shared": "2.0.0"}, members=hidden)
    intake.npm.publish("shared", "1.0.0")
    intake.npm.publish("shared", "2.0.0")
    tree = files(intake.load(intake.success("@demo/server").digest))
    assert b"evil" not in tree.values()


@pytest.mark.parametrize(
    ("tarball", "named"),
    [
        pytest.param(
            tgz(file("package/package.json", b"{}"), file("package/../../../evil")),
            "package/../../../evil",
            id="parent",
        ),
        pytest.param(tgz(file("package/package.json", b"{}"), file("/tmp/evil")), "/tmp/evil", id="absolute path"),
        pytest.param(
            tgz(MANIFEST, special("package/l", tarfile.SYMTYPE, target="../../..")),
            "package/l",
            id="symlink out of the tree",
        ),
        pytest.param(
            tgz(MANIFEST, special("package/h", tarfile.LNKTYPE, target="/etc/passwd")),
            "package/h",
            id="hard link",
        ),
        pytest.param(
            tgz(file("package/package.json", b"{}"), file("package/zeros", b"\0" * 40_000_000)), "bomb", id="bomb"
        ),
        pytest.param(b"no archive", "no readable archive", id="no archive"),
        pytest.param(tgz(file("package/index.js")), "package.json of evil@1.0.0 is missing", id="no package.json"),
    ],
)
def test_an_unsafe_archive_is_refused_naming_package_and_entry(intake: Intake, tarball: bytes, named: str) -> None:
    intake.npm.publish("@demo/server", dependencies={"evil": "1.0.0"})
    intake.npm.publish("evil", tarball=tarball)
    failure = intake.failure("@demo/server")
    assert failure.reason is IntakeReason.UNSAFE_ARCHIVE
    assert "evil@1.0.0" in failure.message
    assert named in failure.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VSM_INTAKE_MAX_UNPACKED_BYTES", "3000"),
        ("VSM_INTAKE_MAX_PACKAGES", "4"),
        ("VSM_INTAKE_MAX_FILES", "5"),
    ],
)
def test_a_tree_beyond_the_bounds_is_too_large(intake: Intake, name: str, value: str) -> None:
    publish_server(intake)
    intake.npm.publish("left", dependencies={"shared": "^1.0.0"}, members=[file("package/big", bytes(range(256)) * 12)])
    failure = intake.failure("@demo/server", **{name: value})
    assert failure.reason is IntakeReason.BUNDLE_TOO_LARGE


def test_a_failed_intake_leaves_no_tag(intake: Intake) -> None:
    intake.npm.publish("broken", tarball=b"no archive")
    key = "f" * 32
    intake.failure("broken", key=key)
    url = f"{intake.oci.push_url}/v2/vsm/bundles/manifests/k-{key}"
    assert httpx.get(url, auth=(USERNAME, PASSWORD), trust_env=False).status_code == 404


def test_a_bundle_registry_that_is_away_is_worth_another_try(intake: Intake) -> None:
    intake.npm.publish("library")
    failure = intake.failure("library", VSM_OCI_URL="http://127.0.0.1:1")
    assert failure.reason is IntakeReason.STORAGE_UNAVAILABLE


def test_a_push_into_the_read_only_registry_is_refused_with_a_reason(intake: Intake) -> None:
    intake.npm.publish("library")
    failure = intake.failure("library", key="d" * 32, VSM_OCI_URL=intake.oci.pull_url)
    assert failure.reason is IntakeReason.STORAGE_UNAVAILABLE
    assert "answered 405" in failure.message


def test_wrong_credentials_are_said_and_not_shown(intake: Intake, tmp_path: Path) -> None:
    intake.npm.publish("library")
    (tmp_path / "username").write_text("vsm")
    (tmp_path / "password").write_text("hunter2")
    failure = intake.failure("library", VSM_OCI_CREDENTIALS_DIR=str(tmp_path))
    assert failure.reason is IntakeReason.STORAGE_UNAVAILABLE
    assert "credentials are not accepted" in failure.message
    assert "hunter2" not in failure.message + intake.log


def test_an_intake_killed_in_the_middle_leaves_nothing_that_the_next_one_minds(intake: Intake) -> None:
    publish_server(intake)
    env = intake.environment("@demo/server", "1.0.0", ecosystem="npm", key="c" * 32)
    process = subprocess.Popen(intake.argv(), env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    assert "found" in process.stderr.readline()
    process.kill()
    process.communicate()
    assert not intake.success("@demo/server", key="c" * 32, scratch="next").cached
