"""Ranges in policies: like the registries' own tools where both can read them, and honest where not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.ranges import satisfies

_numbers = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
_versions = st.builds(
    "".join,
    st.tuples(
        _numbers,
        st.sampled_from(["", "a1", "b2", "rc1"]),
        st.sampled_from(["", ".post1"]),
        st.sampled_from(["", ".dev1"]),
    ),
)


@given(
    _versions,
    st.lists(st.tuples(st.sampled_from(["==", "!=", ">=", "<=", ">", "<"]), _numbers), min_size=1, max_size=3),
)
def test_python_ranges_agree_with_packaging(version: str, parts: list[tuple[str, str]]) -> None:
    wanted = ",".join(operator + operand for operator, operand in parts)
    assert satisfies(Ecosystem.PYPI, version, wanted) is SpecifierSet(wanted).contains(
        Version(version), prereleases=True
    )


@pytest.mark.parametrize(
    ("version", "wanted", "answer"),
    [
        ("1.4.0", "~=1.2", True), ("2.0", "~=1.2", False), ("1.3", "~=1.2.0", False), ("1.2.9", "==1.2.*", True),
        ("1.20", "==1.2.*", False), ("1!1.0", ">=2", True), ("1.0.0", "1.0", True), ("1.0", "nonsense", None),
        ("nonsense", ">=1", None), ("1.0", ">=1;rm", None), ("1.0", "*", True),
    ],
)  # fmt: skip
def test_python_ranges(version: str, wanted: str, answer: bool | None) -> None:
    assert satisfies(Ecosystem.PYPI, version, wanted) is answer


@pytest.mark.parametrize(
    ("version", "wanted", "answer"),
    [
        ("1.2.3", "1.2.3", True), ("1.9.0", "^1.2.3", True), ("2.0.0", "^1.2.3", False), ("0.2.9", "^0.2.3", True),
        ("0.3.0", "^0.2.3", False), ("0.0.4", "^0.0.3", False), ("1.2.9", "~1.2.3", True), ("1.3.0", "~1.2.3", False),
        ("1.5.0", "1.x", True), ("2.1.0", "1 - 2", True), ("3.0.0", "1 - 2", False), ("3.1.0", "^1 || >=3", True),
        ("2.0.0-rc.1", ">=1", False), ("2.0.0-rc.2", ">=2.0.0-rc.1", True), ("1.0.0", "> 0.9 <1.0.0", False),
        ("1.0.0", ">=1 &&", None), ("1.0", "^1", None), ("1.0.0", "git+ssh://x", None), ("1.0.0", "latest", None),
        ("2.0.0-rc.1", "*", True), ("1.2.3+build", "1.2.3", True), ("1.0.0", "x" * 200, None),
    ],
)  # fmt: skip
def test_npm_ranges(version: str, wanted: str, answer: bool | None) -> None:
    assert satisfies(Ecosystem.NPM, version, wanted) is answer


@given(st.text(max_size=150), st.text(max_size=150), st.sampled_from(list(Ecosystem)))
def test_no_text_breaks_it(version: str, wanted: str, ecosystem: Ecosystem) -> None:
    assert satisfies(ecosystem, version, wanted) in (True, False, None)
