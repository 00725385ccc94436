import json
from pathlib import Path
from typing import Any

import pytest
from packaging.tags import Tag
from packaging.version import Version

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.http import Document
from vsm_runtime.intake.pypi import choose
from vsm_runtime.intake.pypi_index import IndexFile, best_wheel, check_root, parse_page
from vsm_runtime.intake.pypi_install import script
from vsm_runtime.intake.pypi_lock import chain, parse_lock, stripped_lock
from vsm_runtime.intake.pypi_resolve import Interpreter, explain
from vsm_runtime.intake.tools import Finished

TAGS = tuple(
    Tag(*text.split("-")) for text in ("cp311-cp311-manylinux_2_36_x86_64", "cp311-abi3-linux_x86_64", "py3-none-any")
)
PYTHON = Version("3.11.2")
HERE = Interpreter(PYTHON, TAGS)
SHA = "a" * 64


def page(*files: dict[str, Any]) -> tuple[IndexFile, ...]:
    body = json.dumps({"meta": {"api-version": "1.1"}, "files": list(files)}).encode()
    return parse_page(Document("https://index.invalid/simple/demo/", "application/vnd.pypi.simple.v1+json", body))


def listed(filename: str, **more: Any) -> dict[str, Any]:
    return {"filename": filename, "url": f"../../files/{filename}", "hashes": {"sha256": SHA}} | more


def root(*files: dict[str, Any], version: str = "1.0") -> IndexFile:
    return check_root(page(*files), name="demo", version=version, tags=TAGS, python=PYTHON)


def refused(*files: dict[str, Any], version: str = "1.0") -> IntakeError:
    with pytest.raises(IntakeError) as caught:
        root(*files, version=version)
    return caught.value


def test_relative_urls_of_a_mirror_become_absolute() -> None:
    (found,) = page(listed("demo-1.0-py3-none-any.whl"))
    assert found.url == "https://index.invalid/files/demo-1.0-py3-none-any.whl"


def test_html_and_json_say_the_same() -> None:
    html = f"""<!DOCTYPE html><html><head><title>demo</title></head><body>
    <a href="../../files/demo-1.0-py3-none-any.whl#sha256={SHA}" data-requires-python="&gt;=3.9"
    data-yanked="broken">x</a>
    <a href="../../files/demo-1.0.tar.gz#md5=abc">demo-1.0.tar.gz</a>
    <a href="https://elsewhere.invalid/">home</a></body></html>"""
    from_html = parse_page(Document("https://index.invalid/simple/demo/", "text/html; charset=utf-8", html.encode()))
    more = {"requires-python": ">=3.9", "yanked": "broken"}
    assert from_html == page(
        listed("demo-1.0-py3-none-any.whl", **more), listed("demo-1.0.tar.gz", hashes={"md5": "abc"})
    )


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"files": 1}', b"<html>"])
def test_a_page_that_is_no_json_although_it_says_so_is_worth_another_try(body: bytes) -> None:
    with pytest.raises(IntakeError) as caught:
        parse_page(Document("https://index.invalid/simple/demo/", "application/json", body))
    assert caught.value.reason is IntakeReason.REGISTRY_UNREACHABLE


def test_eggs_installers_and_unreadable_names_are_ignored() -> None:
    assert page(listed("demo-1.0.egg"), listed("demo-1.0.exe"), listed("demo-x-y.whl"), {"filename": 1}) == ()


def test_the_most_specific_wheel_wins_then_the_highest_build() -> None:
    files = page(
        listed("demo-1.0-py3-none-any.whl"),
        listed("demo-1.0-1-cp311-abi3-linux_x86_64.whl"),
        listed("demo-1.0-2-cp311-abi3-linux_x86_64.whl"),
        listed("demo-1.0-cp311-cp311-win_amd64.whl"),
        listed("demo-1.0-cp311-cp311-manylinux_2_36_x86_64.whl", **{"requires-python": ">=3.12"}),
    )
    found = best_wheel(files, tags=TAGS, python=PYTHON)
    assert found is not None
    assert found.filename == "demo-1.0-2-cp311-abi3-linux_x86_64.whl"


def test_an_unknown_project_is_said_to_be_unknown() -> None:
    with pytest.raises(IntakeError, match="no project 'demo'") as caught:
        check_root(None, name="demo", version="1.0", tags=TAGS, python=PYTHON)
    assert caught.value.reason is IntakeReason.UNKNOWN_PACKAGE


def test_an_unknown_version_is_answered_with_those_that_exist() -> None:
    files = [listed(f"demo-{version}-py3-none-any.whl") for version in ("0.8", "0.9", "0.10", "1.1", "1.2", "2.0rc1")]
    error = refused(*files)
    assert error.reason is IntakeReason.NO_SUCH_VERSION
    assert "the newest is 1.2, the nearest are 0.9, 0.10, 1.1, 1.2" in error.message


def test_a_version_that_is_source_only_has_no_wheel() -> None:
    error = refused(listed("demo-1.0.tar.gz"))
    assert error.reason is IntakeReason.NO_WHEEL
    assert "source only" in error.message


def test_wheels_for_other_systems_only_are_no_wheel_and_are_named() -> None:
    error = refused(listed("demo-1.0-cp311-cp311-win_amd64.whl"))
    assert error.reason is IntakeReason.NO_WHEEL
    assert "cp311-cp311-win_amd64" in error.message


def test_a_version_for_another_python_says_which() -> None:
    error = refused(listed("demo-1.0-py3-none-any.whl", **{"requires-python": ">=3.13"}))
    assert error.reason is IntakeReason.RESOLUTION_FAILED
    assert "requires Python >=3.13, servers run on 3.11.2" in error.message


def test_a_yanked_version_is_taken_and_its_reason_kept() -> None:
    assert root(listed("demo-1.0-py3-none-any.whl", yanked="broken on Tuesdays")).yanked == "broken on Tuesdays"
    assert root(listed("demo-1.0-py3-none-any.whl", yanked=True)).yanked == "yanked"
    assert root(listed("demo-1.0-py3-none-any.whl", yanked=False)).yanked == ""


LOCK = f"""\
demo==1.0 \\
    --hash=sha256:{SHA} \\
    --hash=sha256:{"b" * 64}
    # via -r requirements.in
Inner.Thing==2.0 \\
    --hash=sha256:{"c" * 64}
    # via
    #   demo
    #   other
other==3 --hash=sha256:{"d" * 64}
    # via demo
"""


def test_uvs_answer_is_read_with_hashes_and_who_needs_what() -> None:
    pins = parse_lock(LOCK)
    assert [(pin.name, str(pin.version), len(pin.sha256), pin.via) for pin in pins] == [
        ("demo", "1.0", 2, ()),
        ("inner-thing", "2.0", 1, ("demo", "other")),
        ("other", "3", 1, ("demo",)),
    ]
    assert chain(pins, "inner.thing") == "demo 1.0 → inner-thing 2.0"


@pytest.mark.parametrize(
    "line",
    [
        "evil @ https://files.invalid/evil.whl --hash=sha256:" + SHA,
        "evil @ git+https://code.invalid/evil",
        "-e ./evil",
        "./evil",
        "--index-url https://elsewhere.invalid",
    ],
)
def test_a_line_that_pins_no_version_of_the_index_is_a_forbidden_source(line: str) -> None:
    with pytest.raises(IntakeError) as caught:
        parse_lock(line + "\n")
    assert caught.value.reason is IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE


def test_a_pin_without_sha256_is_a_missing_integrity() -> None:
    with pytest.raises(IntakeError) as caught:
        parse_lock("demo==1.0 --hash=md5:abc\n")
    assert caught.value.reason is IntakeReason.MISSING_INTEGRITY


def test_circular_needs_do_not_hang_the_chain() -> None:
    pins = parse_lock(f"a==1 --hash=sha256:{SHA}\n    # via b\nb==1 --hash=sha256:{SHA}\n    # via a\n")
    assert chain(pins, "a") == "b 1 → a 1"


def test_the_lock_in_the_bundle_names_one_wheel_a_package_and_no_host() -> None:
    pins = parse_lock(LOCK)
    assert stripped_lock([(pins[0], SHA)]) == f"demo==1.0 --hash=sha256:{SHA}\n"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        pytest.param([listed("demo-1.0.tar.gz")], IntakeReason.NO_WHEEL, id="source only"),
        pytest.param(
            [listed("demo-1.0-py3-none-any.whl", hashes={})], IntakeReason.MISSING_INTEGRITY, id="index without a hash"
        ),
        pytest.param(
            [listed("demo-1.0-py3-none-any.whl", hashes={"sha256": "e" * 64})],
            IntakeReason.INTEGRITY_MISMATCH,
            id="index changed its mind",
        ),
    ],
)
def test_a_wheel_is_taken_only_if_index_and_lock_agree_on_its_hash(
    files: list[dict[str, Any]], reason: IntakeReason
) -> None:
    pin = parse_lock(LOCK)[0]
    with pytest.raises(IntakeError) as caught:
        choose(pin, page(*files), python=HERE, chain_text="demo 1.0")
    assert caught.value.reason is reason
    assert choose(pin, page(listed("demo-1.0-py3-none-any.whl")), python=HERE, chain_text="demo 1.0").sha256 == SHA


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (
            "error: Failed to fetch: `http://127.0.0.1:1/simple/x/`\n  Caused by: tcp connect error",
            IntakeReason.REGISTRY_UNREACHABLE,
        ),
        (
            "No solution found\n  Because x==1 has no usable wheels and building from source is disabled",
            IntakeReason.NO_WHEEL,
        ),
        (
            "error: Package `evil` was included as a URL dependency. URL dependencies must be expressed as direct",
            IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE,
        ),
        (
            "No solution found\n  Because a==1 depends on b==1 and b==2, we can conclude that …",
            IntakeReason.RESOLUTION_FAILED,
        ),
    ],
)
def test_uvs_words_become_reasons(stderr: str, reason: IntakeReason) -> None:
    assert explain(Finished(1, "", stderr)).reason is reason


@pytest.mark.parametrize("target", ["os;import evil:main", "a b:main", ":main", "mod:", "mod:a()", "mod:a\nb", "..:x"])
def test_an_entry_point_that_is_no_dotted_name_gives_no_script(target: str) -> None:
    module, _, attr = target.partition(":")
    assert script(module, attr) is None


def test_an_entry_point_becomes_four_lines() -> None:
    body = script("pkg.cli", "app.main")
    assert body == b"#!/usr/bin/env python3\nimport sys\nfrom pkg.cli import app\nsys.exit(app.main())\n"


def test_the_default_index_is_not_ours_to_choose(tmp_path: Path) -> None:
    from vsm_runtime.intake.pypi_resolve import default_index  # noqa: PLC0415 - imports pip, which is slow

    assert default_index().startswith("https://")
