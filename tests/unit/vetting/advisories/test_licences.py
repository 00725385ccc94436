"""What packages say about their licence, in every historic form, as one expression or an honest UNKNOWN."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.domain.vetting.spdx import satisfied, unavoidable
from vsm_runtime.vetting.licences import licence_state, npm_licence, pypi_fields, pypi_info, pypi_licence, spdx


@pytest.mark.parametrize(
    ("manifest", "wanted"),
    [
        ({"license": "MIT"}, "MIT"),
        ({"license": "mit"}, "MIT"),
        ({"license": "(MIT OR Apache-2.0)"}, "MIT OR Apache-2.0"),
        ({"license": "MIT AND (BSD-3-Clause OR ISC)"}, "MIT AND (BSD-3-Clause OR ISC)"),
        ({"license": "GPL-2.0+"}, "GPL-2.0-or-later"),
        ({"license": "GPL-2.0 WITH Classpath-exception-2.0"}, "GPL-2.0-only WITH Classpath-exception-2.0"),
        ({"license": "Apache 2.0"}, "Apache-2.0"),
        ({"license": "BSD"}, "BSD-2-Clause OR BSD-3-Clause"),
        ({"license": "LicenseRef-acme"}, "LicenseRef-acme"),
        ({"license": "SEE LICENSE IN LICENSE"}, "FILE"),
        ({"license": "see licence in ./legal/LICENCE.txt"}, "FILE"),
        ({"license": "UNLICENSED"}, "LicenseRef-UNLICENSED"),
        ({"license": {"type": "MIT", "url": "x"}}, "MIT"),
        ({"license": {"type": {"type": "MIT"}}}, "UNKNOWN"),
        ({"licenses": [{"type": "MIT"}, {"type": "GPL-3.0"}]}, "GPL-3.0-only OR MIT"),
        ({"license": ["MIT", "Beerware-ish"]}, "MIT"),
        ({"license": ["Beerware-ish"]}, "UNKNOWN"),
        ({"license": [["MIT"]]}, "UNKNOWN"),
        ({"licence": "ISC"}, "ISC"),
        ({}, "UNKNOWN"),
        ({"license": ""}, "UNKNOWN"),
        ({"license": 7}, "UNKNOWN"),
        ({"license": "MIT AND"}, "UNKNOWN"),
        ({"license": "WTF-9.9"}, "UNKNOWN"),
        ({"license": "MIT\u200b"}, "UNKNOWN"),
    ],
    ids=str,
)
def test_forms_of_package_json(manifest: dict[str, Any], wanted: str) -> None:
    assert npm_licence(manifest) == wanted


def metadata(*lines: str) -> str:
    return "\n".join(["Metadata-Version: 2.4", "Name: thing", "Version: 1.0", *lines, "", "License: GPL-3.0"])


OSI = "Classifier: License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["License-Expression: MIT OR Apache-2.0"], "MIT OR Apache-2.0"),
        (["License-Expression: nonsense", "License: MIT"], "UNKNOWN"),
        (["License: MIT"], "MIT"),
        (["License: The MIT License"], "MIT"),
        ([OSI + "MIT License"], "MIT"),
        (["License: MIT", OSI + "MIT License"], "MIT"),
        (["License: MIT", OSI + "GNU General Public License v3 (GPLv3)"], "GPL-3.0-only AND MIT"),
        (["License: Apache-2.0 OR BSD-3-Clause", OSI + "Apache Software License"], "Apache-2.0 OR BSD-3-Clause"),
        ([OSI + "Apache Software License", OSI + "MIT License"], "Apache-2.0 AND MIT"),
        ([OSI + "BSD License"], "BSD-2-Clause OR BSD-3-Clause"),
        ([OSI.removesuffix(":: ")], "UNKNOWN"),
        ([OSI + "Brand New License"], "UNKNOWN"),
        ([OSI + "MIT License", OSI + "Brand New License"], "UNKNOWN"),
        (["License: something odd", OSI + "MIT License"], "MIT"),
        (["License: " + "Permission is hereby granted. " * 60], "FILE"),
        (["License-File: LICENSE"], "FILE"),
        ([], "UNKNOWN"),
    ],
    ids=lambda each: str(each)[:70],
)
def test_forms_of_python_metadata(lines: list[str], wanted: str) -> None:
    assert pypi_licence(metadata(*lines)) == wanted


def test_the_index_tells_the_same_as_the_metadata() -> None:
    assert pypi_info({"license": None, "license_expression": "MIT", "classifiers": []}) == "MIT"
    assert pypi_info({"license": "", "classifiers": ["License :: OSI Approved :: MIT License"]}) == "MIT"
    assert pypi_info({"license": 5, "classifiers": 7, "license_files": 9}) == "UNKNOWN"


def test_the_verdict_can_evaluate_what_is_produced() -> None:
    assert satisfied(npm_licence({"license": ["MIT", "GPL-3.0"]}), ["MIT"]) is True
    assert unavoidable(npm_licence({"license": "UNLICENSED"}), ["LicenseRef-UNLICENSED"]) is True
    assert unavoidable(npm_licence({"license": "MIT OR AGPL-3.0"}), ["AGPL-3.0-only"]) is False
    assert satisfied(pypi_fields(expression=None, text="BSD", classifiers=None, files=None), ["BSD-3-Clause"]) is True


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500,
        "(" * 200 + "MIT" + ")" * 200,
        "MIT AND " * 60 + "MIT",
        "MIT OR " * 5000,
        "A" * 100_000,
        "-" * 499,
        " " * 499 + "x",
    ],
    ids=["open", "nested", "long chain", "too long", "one word", "dashes", "blanks"],
)
def test_hostile_expressions_cost_little_time(text: str) -> None:
    begun = time.perf_counter()
    spdx(text)
    npm_licence({"license": text})
    pypi_licence(metadata("License: " + text, "License-Expression: " + text))
    assert time.perf_counter() - begun < 2


@given(st.text(max_size=300) | st.text("MIT()ANDOR WH-.+0:\n", max_size=300))
def test_no_text_makes_it_raise_and_every_answer_can_be_read(text: str) -> None:
    for answer in (npm_licence({"license": text}), pypi_licence(metadata("License: " + text.replace("\n", " ")))):
        assert answer in ("FILE", "UNKNOWN") or satisfied(answer, ["MIT"]) is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "name", "x"]), inner),
    max_leaves=15,
)


@given(json_values)
def test_any_value_in_the_field_is_read_or_unknown(value: object) -> None:
    assert isinstance(npm_licence({"license": value}), str)
    assert isinstance(pypi_fields(expression=value, text=value, classifiers=value, files=value), str)


def test_deeply_nested_lists_end() -> None:
    value: Any = "MIT"
    for _ in range(900):
        value = [{"type": [value]}]
    assert npm_licence({"license": value}) == "UNKNOWN"


def test_a_metadata_bomb_is_not_read() -> None:
    assert pypi_licence("License: MIT\n" * 200_000) == "UNKNOWN"


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"", b"License\x00: MIT", b": : :\n"], ids=str)
def test_damaged_metadata_is_unknown(raw: bytes) -> None:
    assert pypi_licence(raw) == "UNKNOWN"


def test_the_state_names_packages_and_never_the_whole_tree() -> None:
    state = licence_state(["pkg:npm/b@1", "pkg:npm/a@1"])
    assert state is not None
    assert (state.feeds, state.purls) == (("C11", "G12"), ("pkg:npm/a@1", "pkg:npm/b@1"))
    assert licence_state([]) is None
