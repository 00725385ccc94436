import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.intake.kit import entry, lock, sri
from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.npm_lock import parse_lock
from vsm_runtime.intake.npm_plan import NodePlatform, NpmPlan, is_registry_spec, make_plan, sha512_of, stripped_lock

LINUX = NodePlatform(os="linux", cpu="x64", libc="glibc")


def plan(packages: dict[str, dict[str, Any]], *, max_packages: int = 100, root: str = "server") -> NpmPlan:
    text = lock(packages, root={root: "1.0.0"})
    return make_plan(parse_lock(text), platform=LINUX, max_packages=max_packages)


def paths(made: NpmPlan) -> list[str]:
    return [package.path for package in made.packages]


def refused(packages: dict[str, dict[str, Any]], **more: Any) -> IntakeError:
    with pytest.raises(IntakeError) as caught:
        plan(packages, **more)
    return caught.value


def test_the_plan_has_everything_once_and_parents_before_children() -> None:
    made = plan(
        {
            "node_modules/b/node_modules/a": entry("a", "2.0.0"),
            "node_modules/server": entry("server", dependencies={"a": "^1", "b": "^1"}),
            "node_modules/b": entry("b", dependencies={"a": "^2"}),
            "node_modules/a": entry("a"),
        }
    )
    assert paths(made) == [
        "node_modules/a",
        "node_modules/b",
        "node_modules/b/node_modules/a",
        "node_modules/server",
    ]


@pytest.mark.parametrize(
    "resolved",
    [
        pytest.param("git+ssh://git@code.invalid/a/b.git#0123", id="git"),
        pytest.param("git+https://code.invalid/a/b.git#0123", id="git over https"),
        pytest.param("file:../evil.tgz", id="file"),
        pytest.param("", id="no location"),
    ],
)
def test_a_dependency_from_outside_the_registry_is_refused_with_the_chain_to_it(resolved: str) -> None:
    error = refused(
        {
            "node_modules/server": entry("server", dependencies={"middle": "^1"}),
            "node_modules/middle": entry("middle", dependencies={"evil": "^1"}),
            "node_modules/evil": entry("evil", resolved=resolved),
        }
    )
    assert error.reason is IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE
    assert "server@1.0.0 → middle@1.0.0 → evil@1.0.0" in error.message


@pytest.mark.parametrize(
    "spec",
    [
        "git+ssh://git@code.invalid/a/b.git",
        "github:owner/repo",
        "owner/repo#semver:^1",
        "https://files.invalid/evil.tgz",
        "http://files.invalid/evil.tgz",
        "file:../evil",
        "link:../evil",
        "workspace:*",
        "./evil",
        "npm:../evil",
        "npm:owner/repo",
    ],
)
def test_a_specification_that_is_no_registry_version_is_refused_although_the_lock_looks_honest(spec: str) -> None:
    error = refused(
        {
            "node_modules/server": entry("server", dependencies={"evil": spec}),
            "node_modules/evil": entry("evil"),
        }
    )
    assert error.reason is IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE
    assert "server@1.0.0 wants evil from" in error.message


@pytest.mark.parametrize(
    "spec", ["^1.2.3", ">=1 <2 || 3.x", "*", "", "latest", "1.0.0-rc.1+build", "npm:other@^2", "npm:@scope/other@^2"]
)
def test_ranges_tags_and_aliases_belong_to_the_registry(spec: str) -> None:
    assert is_registry_spec(spec)


def test_credentials_in_a_refused_location_are_not_repeated() -> None:
    error = refused(
        {
            "node_modules/server": entry("server", dependencies={"evil": "1"}),
            "node_modules/evil": entry("evil", resolved="git+https://user:hunter2@code.invalid/x.git"),
        }
    )
    assert "hunter2" not in error.message
    assert "code.invalid" in error.message


def test_a_link_to_a_directory_is_refused() -> None:
    error = refused(
        {
            "node_modules/server": entry("server", dependencies={"evil": "1"}),
            "node_modules/evil": {"resolved": "../evil", "link": True},
        }
    )
    assert error.reason is IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE


@pytest.mark.parametrize(
    "path", ["../evil", "packages/evil", "node_modules/../evil", "node_modules/.evil", "node_modules/a/b/c", "/evil"]
)
def test_a_lock_entry_outside_node_modules_is_refused(path: str) -> None:
    error = refused({"node_modules/server": entry("server"), path: entry("evil")})
    assert error.reason is IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE


@pytest.mark.parametrize(
    "integrity",
    [
        pytest.param("", id="none"),
        pytest.param(sri(b"x", algorithm="sha1"), id="sha1 only"),
        pytest.param(sri(b"x", algorithm="md5"), id="md5 only"),
        pytest.param(sri(b"x").replace("sha512", "sha3"), id="another hash of the same length"),
        pytest.param("sha512-AAAA", id="too short for a sha512"),
        pytest.param("sha512-!!!", id="no base64"),
    ],
)
def test_a_package_without_a_sha512_is_refused_with_the_chain_to_it(integrity: str) -> None:
    error = refused(
        {
            "node_modules/server": entry("server", dependencies={"loose": "1"}),
            "node_modules/loose": entry("loose", integrity=integrity),
        }
    )
    assert error.reason is IntakeReason.MISSING_INTEGRITY
    assert "server@1.0.0 → loose@1.0.0" in error.message


def test_the_sha512_among_several_hashes_counts() -> None:
    both = f"{sri(b'x', algorithm='sha1')} {sri(b'x')}?foo"
    assert sha512_of(both) == sha512_of(sri(b"x"))


def test_a_bundled_package_needs_no_integrity_of_its_own() -> None:
    made = plan(
        {
            "node_modules/server": entry("server", dependencies={"inner": "github:a/b"}),
            "node_modules/server/node_modules/inner": {"version": "1.0.0", "inBundle": True},
        }
    )
    assert [package.bundled for package in made.packages] == [False, True]


def test_an_alias_keeps_its_place_and_its_real_name() -> None:
    made = plan(
        {
            "node_modules/server": entry("server", dependencies={"short": "npm:@scope/real@^1"}),
            "node_modules/short": entry("@scope/real", name="@scope/real"),
        }
    )
    assert [(p.path, p.name) for p in made.packages if p.name != "server"] == [("node_modules/short", "@scope/real")]


def test_optional_packages_for_other_platforms_are_left_out_with_all_that_only_they_need() -> None:
    made = plan(
        {
            "node_modules/server": entry(
                "server", dependencies={"shared": "1"}, optionalDependencies={"mac": "1", "native": "1"}
            ),
            "node_modules/mac": entry(
                "mac", optional=True, os=["darwin"], dependencies={"mac-only": "1", "shared": "1"}
            ),
            "node_modules/mac-only": entry("mac-only", optional=True, dependencies={"deeper": "1"}),
            "node_modules/deeper": entry("deeper", optional=True),
            "node_modules/native": entry("native", optional=True, os=["linux"], cpu=["x64"], libc=["glibc"]),
            "node_modules/shared": entry("shared"),
        }
    )
    assert paths(made) == ["node_modules/native", "node_modules/server", "node_modules/shared"]
    assert [package.name for package in made.skipped] == ["deeper", "mac", "mac-only"]


def test_an_optional_package_goes_when_what_it_requires_does_not_fit() -> None:
    made = plan(
        {
            "node_modules/server": entry("server", optionalDependencies={"wrapper": "1"}),
            "node_modules/wrapper": entry("wrapper", optional=True, dependencies={"engine": "1"}),
            "node_modules/engine": entry("engine", optional=True, cpu=["arm64"]),
        }
    )
    assert paths(made) == ["node_modules/server"]


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"os": ["!win32"]}, True),
        ({"os": ["!linux"]}, False),
        ({"os": ["any"]}, True),
        ({"os": "linux"}, True),
        ({"libc": ["musl"]}, False),
        ({"cpu": ["ia32", "x64"]}, True),
    ],
)
def test_platform_conditions_follow_npm(condition: dict[str, Any], fits: bool) -> None:
    made = plan(
        {
            "node_modules/server": entry("server", optionalDependencies={"native": "1"}),
            "node_modules/native": entry("native", optional=True, **condition),
        }
    )
    assert ("node_modules/native" in paths(made)) is fits


def test_a_required_package_for_another_platform_fails_the_whole_tree() -> None:
    error = refused(
        {
            "node_modules/server": entry("server", dependencies={"mac": "1"}),
            "node_modules/mac": entry("mac", os=["darwin"]),
        }
    )
    assert error.reason is IntakeReason.RESOLUTION_FAILED
    assert "linux/x64" in error.message


def test_bundled_packages_of_a_skipped_one_go_with_it() -> None:
    made = plan(
        {
            "node_modules/server": entry("server", optionalDependencies={"mac": "1"}),
            "node_modules/mac": entry("mac", optional=True, os=["darwin"], dependencies={}),
            "node_modules/mac/node_modules/inner": {"version": "1.0.0", "inBundle": True, "optional": True},
        }
    )
    assert paths(made) == ["node_modules/server"]


def test_development_dependencies_of_a_shrinkwrap_are_left_out() -> None:
    made = plan({"node_modules/server": entry("server"), "node_modules/mocha": entry("mocha", dev=True)})
    assert paths(made) == ["node_modules/server"]


def test_more_packages_than_allowed_are_too_large() -> None:
    tree = {"node_modules/server": entry("server"), "node_modules/a": entry("a")}
    assert len(plan(tree, max_packages=2).packages) == 2
    assert refused(tree, max_packages=1).reason is IntakeReason.BUNDLE_TOO_LARGE


def test_the_lock_in_the_bundle_is_the_same_for_a_registry_and_its_mirror() -> None:
    def tree(host: str) -> dict[str, dict[str, Any]]:
        more = {"funding": {"url": host}, "deprecated": "no"} if host == "mirror" else {}
        return {"node_modules/server": entry("server", resolved=f"https://{host}/server.tgz", **more)}

    text = stripped_lock(plan(tree("registry")))
    assert text == stripped_lock(plan(tree("mirror")))
    assert "://" not in text
    assert json.loads(text)["packages"]["node_modules/server"]["integrity"].startswith("sha512-")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"lockfileVersion": 2, "packages": {"": {}}}', '{"lockfileVersion": 3, "packages": {}}']
)
def test_a_lock_of_another_kind_is_a_failed_resolution(text: str) -> None:
    with pytest.raises(IntakeError) as caught:
        parse_lock(text)
    assert caught.value.reason is IntakeReason.RESOLUTION_FAILED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["node_modules/a", "node_modules/a/node_modules/b", "", "node_modules/@s/c", "x"]),
        st.dictionaries(
            st.sampled_from(["version", "resolved", "integrity", "dependencies", "peerDependenciesMeta", "os", "name"]),
            json_values,
        ),
    )
)
def test_no_lock_whatsoever_ends_in_anything_but_a_plan_or_a_reason(packages: dict[str, Any]) -> None:
    text = json.dumps({"lockfileVersion": 3, "packages": packages})
    try:
        made = make_plan(parse_lock(text), platform=LINUX, max_packages=10)
    except IntakeError:
        return
    assert all(sha512_of(package.integrity) for package in made.packages if not package.bundled)
