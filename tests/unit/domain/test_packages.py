"""What passes as a package reference is harmless wherever it ends up."""

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.specs import REFUSED, Case
from vsm_operator.domain.packages import (
    NPM_NAME_MAX_LENGTH,
    PYPI_NAME_MAX_LENGTH,
    VERSION_MAX_LENGTH,
    Ecosystem,
    InvalidPackage,
    PackageRef,
)

# "!" is absent: it means something at an interactive prompt only, and PEP 440 epochs need it.
SHELL = set(" \t\n\r\v\f\0;&|<>()$`\"'\\*?[]#~=%{}^,")
GOOD = {Ecosystem.NPM: ("left-pad", "1.2.3"), Ecosystem.PYPI: ("requests", "1.2.3")}
TEMPTING = "".join(sorted(SHELL)) + "ab@/.-_~!+:09AZ\u0430\u202e\u200d\uff41"


def accepted(ecosystem: Ecosystem, name: str, version: str) -> PackageRef | None:
    try:
        return PackageRef(ecosystem, name, version)
    except InvalidPackage:
        return None


def assert_harmless(text: str) -> None:
    assert text.isascii()
    assert text.isprintable()
    assert not SHELL & set(text)
    assert not text.startswith(("-", ".", "/", "+", ":"))
    assert ".." not in text
    assert "://" not in text


texts = st.text(TEMPTING, max_size=12) | st.text(max_size=12)


@given(st.sampled_from(list(Ecosystem)), texts)
@example(Ecosystem.NPM, "~root")
@example(Ecosystem.NPM, "a..b")
@example(Ecosystem.NPM, "@~a/b")
@example(Ecosystem.PYPI, "a..b")
@example(Ecosystem.PYPI, "a\n")
def test_accepted_name_has_no_meaning_to_a_shell_a_path_or_an_option_parser(ecosystem: Ecosystem, name: str) -> None:
    found = accepted(ecosystem, name, GOOD[ecosystem][1])
    if found is None:
        return
    assert_harmless(found.name)
    scope, _, rest = found.name.rpartition("/")
    assert scope == "" or (ecosystem is Ecosystem.NPM and re.fullmatch(r"@[a-z0-9][a-z0-9._-]*", scope))
    assert "@" not in rest


@given(st.sampled_from(list(Ecosystem)), texts | st.from_regex(r"[0-9]+\.[0-9]+(\.[0-9]+)?[-+.!a-z0-9]{0,12}"))
def test_accepted_version_has_no_meaning_to_a_shell_a_path_or_an_option_parser(
    ecosystem: Ecosystem, version: str
) -> None:
    found = accepted(ecosystem, GOOD[ecosystem][0], version)
    if found is not None:
        assert_harmless(found.version)
        assert found.version[0] in string.digits
        assert "@" not in version
        assert "/" not in version


@pytest.mark.parametrize(
    "case",
    [case for case in REFUSED if case.name.startswith(("npm name", "npm version", "pypi name", "pypi version"))],
    ids=lambda case: case.name,
)
def test_bad_reference_is_refused_on_its_own(case: Case) -> None:
    ((ecosystem, source),) = case.spec["source"].items()
    with pytest.raises(InvalidPackage, match=r"is no (exact )?(npm|pypi) (package name|version)") as caught:
        PackageRef(Ecosystem(ecosystem), source["package"], source["version"])
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300


def test_message_about_a_range_says_what_to_write() -> None:
    with pytest.raises(
        InvalidPackage, match=r"ranges, tags and URLs are not accepted, write one version such as 1\.2\.3"
    ):
        PackageRef(Ecosystem.NPM, "left-pad", "^1.0.0")


@pytest.mark.parametrize(
    ("ecosystem", "longest"), [(Ecosystem.NPM, NPM_NAME_MAX_LENGTH), (Ecosystem.PYPI, PYPI_NAME_MAX_LENGTH)]
)
def test_length_of_a_name_is_bounded(ecosystem: Ecosystem, longest: int) -> None:
    assert accepted(ecosystem, "a" * longest, "1.2.3")
    assert accepted(ecosystem, "a" * (longest + 1), "1.2.3") is None


@pytest.mark.parametrize("ecosystem", list(Ecosystem))
def test_length_of_a_version_is_bounded(ecosystem: Ecosystem) -> None:
    version = "1.2." + "1" * (VERSION_MAX_LENGTH - 4)
    assert accepted(ecosystem, "a", version)
    assert accepted(ecosystem, "a", version + "1") is None


def test_matching_a_hostile_name_takes_no_time() -> None:
    """A pattern that backtracks would hang here for years."""
    assert accepted(Ecosystem.PYPI, "a" + "-" * (PYPI_NAME_MAX_LENGTH - 1), "1.2.3") is None
    assert accepted(Ecosystem.NPM, "a", "1.2.3-" + "a." * 61) is None


@pytest.mark.parametrize(
    ("ref", "purl"),
    [
        (PackageRef(Ecosystem.NPM, "left-pad", "1.3.0"), "pkg:npm/left-pad@1.3.0"),
        (PackageRef(Ecosystem.NPM, "@scope/name", "1.0.0"), "pkg:npm/%40scope/name@1.0.0"),
        (PackageRef(Ecosystem.PYPI, "mcp-server-time", "2025.9.25"), "pkg:pypi/mcp-server-time@2025.9.25"),
    ],
)
def test_package_url_follows_the_purl_specification(ref: PackageRef, purl: str) -> None:
    assert ref.purl == purl


def test_name_without_scope_is_what_a_single_executable_is_called() -> None:
    assert PackageRef(Ecosystem.NPM, "@scope/name", "1.0.0").unscoped_name == "name"
    assert PackageRef(Ecosystem.NPM, "name", "1.0.0").unscoped_name == "name"
