"""Specs as users write them: what the models refuse by themselves, and what they hand on unchanged."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from support.specs import ACCEPTED, CASES, REFUSED, Case
from vsm_operator.api.v1alpha1 import McpServerSpec, McpServerStatus, Phase
from vsm_operator.domain.packages import InvalidPackage


def named(case: Case) -> str:
    return case.name


def refusal(case: Case) -> str | None:
    """What the models have against it."""
    try:
        McpServerSpec.read(case.spec).source.package()
    except (ValidationError, InvalidPackage) as error:
        return str(error)
    return None


@pytest.mark.parametrize("case", ACCEPTED, ids=named)
def test_good_spec_is_read(case: Case) -> None:
    assert refusal(case) is None


@pytest.mark.parametrize("case", [case for case in REFUSED if case.by_models], ids=named)
def test_bad_spec_is_refused_without_asking_the_api_server(case: Case) -> None:
    assert refusal(case)


@pytest.mark.parametrize("case", [case for case in REFUSED if not case.by_models], ids=named)
def test_rule_across_fields_is_left_to_the_api_server(case: Case) -> None:
    """So that the table does not claim less than the models do."""
    assert refusal(case) is None


def test_every_case_has_its_own_name() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", ACCEPTED, ids=named)
def test_good_spec_survives_reading_and_writing(case: Case) -> None:
    written = McpServerSpec.read(case.spec).to_api()
    assert McpServerSpec.read(written) == McpServerSpec.read(case.spec)
    assert contains(written, case.spec)


def contains(whole: Any, part: Any) -> bool:
    """Whether what was written says at least what was read; numbers in text may have become numbers."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and contains(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(contains, whole, part))
    return bool(str(whole) == str(part))


def test_unknown_fields_of_a_newer_version_are_ignored() -> None:
    spec = McpServerSpec.read({"source": {"npm": {"package": "a", "version": "1.0.0"}}, "colour": "blue"})
    assert "colour" not in spec.to_api()


def test_null_is_the_same_as_absent() -> None:
    assert McpServerStatus.read(None) == McpServerStatus()
    assert McpServerStatus.read({"endpoint": None}) == McpServerStatus()


def test_written_status_has_no_null_and_camel_case_names() -> None:
    written = McpServerStatus(phase=Phase.READY, observed_generation=3, protocol_version="2025-11-25").to_api()
    assert None not in written.values()
    assert written["observedGeneration"] == 3
    assert written["protocolVersion"] == "2025-11-25"


def test_models_cannot_be_changed() -> None:
    spec = McpServerSpec.read({"source": {"npm": {"package": "a", "version": "1.0.0"}}})
    with pytest.raises(ValidationError, match="frozen"):
        spec.replicas = 2  # type: ignore[misc]


def test_defaults_are_what_the_descriptions_say() -> None:
    spec = McpServerSpec.read({"source": {"npm": {"package": "a", "version": "1.0.0"}}})
    assert (spec.transport, spec.replicas, spec.suspend, spec.path) == ("stdio", 1, False, None)
    described = {name: field.description or "" for name, field in McpServerSpec.model_fields.items()}
    assert "Default stdio" in described["transport"]
    assert "Default 1" in described["replicas"]


def test_every_model_of_the_api_is_reached_from_the_two_roots() -> None:
    """A model that nothing uses would be documentation of nothing."""
    import vsm_operator.api.v1alpha1 as api  # noqa: PLC0415

    seen: set[type[BaseModel]] = set()
    waiting: list[Any] = [api.McpServer]
    while waiting:
        annotation = waiting.pop()
        waiting += getattr(annotation, "__args__", ())
        waiting += getattr(annotation, "__metadata__", ())
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
            seen.add(annotation)
            waiting += [field.annotation for field in annotation.model_fields.values()]
    defined = {
        value
        for value in vars(api).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == api.__name__
    }
    assert defined <= seen
