"""The contract between operator and intake Job survives hostile text: the Job's pod has parsed untrusted archives."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vsm_operator.domain.intake import (
    MAX_ENTRYPOINTS,
    MAX_MESSAGE_BYTES,
    IntakeFailure,
    IntakeReason,
    IntakeRequest,
    IntakeResult,
    parse_outcome,
)
from vsm_operator.domain.packages import Ecosystem, InvalidPackage, PackageRef

KUBELET_LIMIT_BYTES = 4096
KEY = "0123456789abcdef" * 2
RESULT = IntakeResult(
    key=KEY,
    digest="sha256:" + "a" * 64,
    size_bytes=1000,
    unpacked_bytes=5000,
    name="@scope/server",
    version="1.2.3",
    integrity="sha512-" + "A" * 86 + "==",
    license="MIT",
    packages=99,
    lifecycle_scripts=1,
    entrypoints=("server", "mcp-server"),
    cached=False,
    duration_ms=3400,
)
FAILURE = IntakeFailure(KEY, IntakeReason.UNKNOWN_PACKAGE, "there is no package of that name")
PACKAGE = PackageRef(Ecosystem.NPM, "@scope/server", "1.2.3")
# JSON cannot carry half of a surrogate pair: such text is its own test below.
honest = st.text(st.characters(exclude_categories=["Cs"]))

FIELDS = sorted({*json.loads(RESULT.to_json()), *json.loads(FAILURE.to_json())})
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


def assert_well_formed(outcome: IntakeResult | IntakeFailure | None) -> None:
    if isinstance(outcome, IntakeResult):
        assert outcome.digest.startswith("sha256:")
        assert set(outcome.digest.removeprefix("sha256:")) <= set("0123456789abcdef")
        assert len(outcome.digest) == 71
        assert all(name and not set(name) & set("/ \n$;") and name[0] not in ".-" for name in outcome.entrypoints)
        for count in (outcome.size_bytes, outcome.unpacked_bytes, outcome.packages, outcome.lifecycle_scripts):
            assert type(count) is int
            assert 0 <= count < 2**63
        outcome.license.encode()
    elif outcome is not None:
        assert isinstance(outcome.reason, IntakeReason)
        assert len(outcome.message) <= MAX_MESSAGE_BYTES
        outcome.message.encode()


@given(
    st.lists(st.sampled_from(["a", "b-c", "d.e_f"]), max_size=MAX_ENTRYPOINTS).map(tuple), honest.map(lambda t: t[:300])
)
def test_result_survives_the_way_through_a_termination_message(entrypoints: tuple[str, ...], licence: str) -> None:
    result = replace(RESULT, entrypoints=entrypoints, license=licence)
    assert parse_outcome(result.to_json()) == result


@given(st.sampled_from(list(IntakeReason)), honest.map(lambda t: t[:300]))
def test_failure_survives_the_way_through_a_termination_message(reason: IntakeReason, message: str) -> None:
    failure = IntakeFailure(KEY, reason, message)
    assert parse_outcome(failure.to_json()) == failure


@given(
    st.text()
    | st.sampled_from(["x", "\u00e9", "\U0001f600", '"', "\\", "\n", "\x00", "\u2028"]).map(lambda t: t * 9000)
)
def test_message_never_exceeds_what_the_kubelet_keeps(text: str) -> None:
    for line in (
        IntakeFailure(KEY, IntakeReason.INTERNAL_ERROR, text).to_json(),
        replace(RESULT, license=text).to_json(),
    ):
        assert len(line.encode()) <= MAX_MESSAGE_BYTES < KUBELET_LIMIT_BYTES
        assert "\n" not in line
        assert parse_outcome(line) is not None


def test_long_message_keeps_its_beginning_and_says_that_it_was_cut() -> None:
    found = parse_outcome(IntakeFailure(KEY, IntakeReason.NO_WHEEL, "first words " + "x" * 9000).to_json())
    assert isinstance(found, IntakeFailure)
    assert found.message.startswith("first words ")
    assert found.message.endswith("…")


def test_largest_result_is_kept_whole() -> None:
    result = replace(
        RESULT, entrypoints=tuple(f"{'n' * 98}{number:02}" for number in range(MAX_ENTRYPOINTS)), name="n" * 214
    )
    assert parse_outcome(result.to_json()) == result


def test_entrypoints_beyond_the_limit_are_left_out() -> None:
    result = replace(RESULT, entrypoints=tuple(f"n{number}" for number in range(MAX_ENTRYPOINTS + 5)))
    found = parse_outcome(result.to_json())
    assert isinstance(found, IntakeResult)
    assert found.entrypoints == result.entrypoints[:MAX_ENTRYPOINTS]


@given(st.text())
@example("[" * 4096)
@example('{"ok":' * 600)
@example("9" * 4096)
@example("\x00")
@example("{}")
@example("null")
@example(RESULT.to_json()[:-1])
@example(RESULT.to_json() + "\nTraceback (most recent call last):")
def test_arbitrary_text_is_read_without_an_error(text: str) -> None:
    assert_well_formed(parse_outcome(text))


@given(
    st.sampled_from([RESULT, FAILURE]),
    st.dictionaries(st.sampled_from(FIELDS), any_json, max_size=3),
    st.sets(st.sampled_from(FIELDS), max_size=1),
)
def test_mutated_outcome_is_read_without_an_error(
    outcome: IntakeResult | IntakeFailure, changes: dict[str, Any], removed: set[str]
) -> None:
    raw = {key: value for key, value in (json.loads(outcome.to_json()) | changes).items() if key not in removed}
    assert_well_formed(parse_outcome(json.dumps(raw)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("digest", "sha256:" + "A" * 64, id="digest in upper case"),
        pytest.param("digest", "sha256:" + "a" * 64 + "\n", id="digest with a line end"),
        pytest.param("digest", "latest", id="tag for a digest"),
        pytest.param("digest", None, id="null for a digest"),
        pytest.param("entrypoints", ["../../bin/sh"], id="path for an executable"),
        pytest.param("entrypoints", [".hidden"], id="hidden executable"),
        pytest.param("entrypoints", ["-c"], id="option for an executable"),
        pytest.param("entrypoints", "server", id="text for a list"),
        pytest.param("entrypoints", [1], id="number for an executable"),
        pytest.param("size_bytes", -1, id="negative size"),
        pytest.param("size_bytes", 1e300, id="size as a float"),
        pytest.param("unpacked_bytes", 10**30, id="size that no node has"),
        pytest.param("packages", True, id="true for a count"),
        pytest.param("license", {"a": 1}, id="object for a licence"),
        pytest.param("ok", "yes", id="text for ok"),
        pytest.param("ok", 1, id="one for ok"),
    ],
)
def test_result_with_a_malformed_field_is_no_outcome(field: str, value: object) -> None:
    raw = json.loads(RESULT.to_json())
    assert parse_outcome(json.dumps(raw)) == RESULT
    assert parse_outcome(json.dumps(raw | {field: value})) is None


@pytest.mark.parametrize("change", [{"reason": "Ready"}, {"ok": None}, {"message": 5}, {"key": []}])
def test_failure_with_a_malformed_field_is_no_outcome(change: dict[str, object]) -> None:
    raw = json.loads(FAILURE.to_json())
    assert parse_outcome(json.dumps(raw | change)) is None


def test_half_of_a_surrogate_pair_becomes_text_that_can_be_stored() -> None:
    found = parse_outcome('{"ok": false, "key": "k", "reason": "NoWheel", "message": "a\\ud800b"}')
    assert isinstance(found, IntakeFailure)
    assert found.message.encode() == b"a?b"


def test_last_json_line_counts() -> None:
    text = f"progress\n{FAILURE.to_json()}\nmore\n{RESULT.to_json()}\nbye\n"
    assert parse_outcome(text) == RESULT


def test_crash_before_any_outcome_is_no_outcome() -> None:
    assert parse_outcome("Traceback (most recent call last):\n  boom\nMemoryError\n") is None
    assert parse_outcome("") is None


@pytest.mark.parametrize("reason", list(IntakeReason))
def test_only_trouble_on_the_way_is_tried_again(reason: IntakeReason) -> None:
    passing = {IntakeReason.REGISTRY_UNREACHABLE, IntakeReason.STORAGE_UNAVAILABLE, IntakeReason.INTERNAL_ERROR}
    assert reason.retryable == (reason in passing)


def test_request_survives_the_way_through_an_environment_variable() -> None:
    request = IntakeRequest.of(PACKAGE, registries=("npm=", "pypi="))
    assert IntakeRequest.from_json(request.to_json()) == request


def test_key_is_the_same_for_the_same_question() -> None:
    one = IntakeRequest.of(PACKAGE, registries=("npm=https://a.example", "pypi="))
    assert one == IntakeRequest.of(PACKAGE, registries=("pypi=", "npm=https://a.example"))
    assert len(one.key) == 32


@pytest.mark.parametrize(
    ("package", "registries"),
    [
        pytest.param(replace(PACKAGE, version="1.2.4"), ("npm=",), id="another version"),
        pytest.param(replace(PACKAGE, name="server"), ("npm=",), id="another name"),
        pytest.param(PackageRef(Ecosystem.PYPI, "server", "1.2.3"), ("npm=",), id="another ecosystem"),
        pytest.param(PACKAGE, ("npm=https://mirror.example",), id="another registry"),
    ],
)
def test_key_differs_for_another_question(package: PackageRef, registries: tuple[str, ...]) -> None:
    known = IntakeRequest.of(PACKAGE, registries=("npm=",))
    assert IntakeRequest.of(package, registries=registries).key != known.key


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"key": "../x"}, id="path for a key"),
        pytest.param({"key": None}, id="null for a key"),
        pytest.param({"ecosystem": "cargo"}, id="unknown ecosystem"),
        pytest.param({"ecosystem": ["npm"]}, id="list for an ecosystem"),
        pytest.param({"name": "--global"}, id="option for a name"),
        pytest.param({"version": "latest"}, id="tag for a version"),
    ],
)
def test_request_with_a_malformed_field_is_refused(change: dict[str, object]) -> None:
    good = json.loads(IntakeRequest.of(PACKAGE, registries=()).to_json())
    with pytest.raises(InvalidPackage):
        IntakeRequest.from_json(json.dumps(good | change))


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 5000, '{"ecosystem": "npm"}'])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(InvalidPackage):
        IntakeRequest.from_json(text)
