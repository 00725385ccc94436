"""From pydantic models to structural schemas: each rewrite before and after, and a refusal of everything unknown."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, ConfigDict, Field

from vsm_operator.api.schema import Extension, cel, rules, structural_schema


class Inner(BaseModel):
    """What is inside."""

    size: int


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Tree(BaseModel):
    children: list["Tree"] = []


class Chain(BaseModel):
    next: Optional["Chain"] = None


class Ping(BaseModel):
    pong: "Pong"


class Pong(BaseModel):
    ping: Ping | None = None


Ping.model_rebuild()


def of(annotation: Any, default: Any = ...) -> dict[str, Any]:
    """The schema of one field."""
    model = type("Sample", (BaseModel,), {"__annotations__": {"field": annotation}, "field": Field(default)})
    found: dict[str, Any] = structural_schema(model)["properties"]["field"]
    return found


@pytest.mark.parametrize(
    ("annotation", "want"),
    [
        pytest.param(str, {"type": "string"}, id="a title is dropped"),
        pytest.param(
            Inner,
            {
                "description": "What is inside.",
                "properties": {"size": {"type": "integer"}},
                "required": ["size"],
                "type": "object",
            },
            id="a reference is inlined",
        ),
        pytest.param(list[Inner], {"type": "array", "items": of(Inner)}, id="a reference in a list is inlined"),
        pytest.param(
            dict[str, Inner],
            {"type": "object", "additionalProperties": of(Inner)},
            id="a reference in a map is inlined",
        ),
        pytest.param(Colour, {"enum": ["red", "blue"], "type": "string"}, id="an enum keeps its values"),
        pytest.param(Literal["only"], {"enum": ["only"], "type": "string"}, id="a constant is an enum of one"),
        pytest.param(
            Annotated[int, Field(gt=0)],
            {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
            id="exclusive minimum",
        ),
        pytest.param(
            Annotated[int, Field(lt=9)],
            {"type": "integer", "maximum": 9, "exclusiveMaximum": True},
            id="exclusive maximum",
        ),
        pytest.param(
            Annotated[int, Field(ge=1, le=2)], {"type": "integer", "minimum": 1, "maximum": 2}, id="inclusive bounds"
        ),
        pytest.param(
            Annotated[str, Field(max_length=3, pattern="^a")],
            {"type": "string", "maxLength": 3, "pattern": "^a"},
            id="bounds of text",
        ),
        pytest.param(
            Annotated[list[str], Field(max_length=3)],
            {"type": "array", "maxItems": 3, "items": {"type": "string"}},
            id="bounds of a list",
        ),
        pytest.param(
            Annotated[dict[str, str], Field(max_length=3)],
            {"type": "object", "maxProperties": 3, "additionalProperties": {"type": "string"}},
            id="bounds of a map",
        ),
        pytest.param(
            Annotated[str, Field(description="two\n    lines")],
            {"type": "string", "description": "two lines"},
            id="a description is one line",
        ),
        pytest.param(
            Annotated[list[str], Extension({"x-kubernetes-list-type": "set"})],
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            id="an extension adds its keys",
        ),
        pytest.param(
            Annotated[int | str, Extension({"x-kubernetes-int-or-string": True})],
            {"x-kubernetes-int-or-string": True},
            id="int or string has no type",
        ),
        pytest.param(Annotated[str, Field(examples=["a"])], {"type": "string"}, id="examples are dropped"),
    ],
)
def test_is_rewritten(annotation: Any, want: dict[str, Any]) -> None:
    assert of(annotation) == want


@pytest.mark.parametrize("annotation", [str | None, Inner | None, list[Inner] | None, Colour | None])
def test_optional_is_the_plain_type(annotation: Any) -> None:
    plain = annotation.__args__[0]
    assert of(annotation, None) == of(plain)


def test_extension_of_an_optional_field_is_kept() -> None:
    marked = Annotated[str | None, Extension({"x-kubernetes-validations": [cel("a", "b")]})]
    assert of(marked, None) == {"type": "string", "x-kubernetes-validations": [{"rule": "a", "message": "b"}]}


def test_description_of_a_field_wins_over_that_of_its_type() -> None:
    assert of(Annotated[Inner, Field(description="mine")])["description"] == "mine"


@pytest.mark.parametrize("default", ["x", ""])
def test_default_is_dropped_and_makes_the_field_optional(default: str) -> None:
    class Sample(BaseModel):
        field: str = default

    assert structural_schema(Sample) == {"type": "object", "properties": {"field": {"type": "string"}}}


def test_closed_model_is_not_closed_in_the_schema() -> None:
    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")
        field: str

    assert "additionalProperties" not in structural_schema(Closed)


def test_property_may_be_called_like_a_keyword() -> None:
    class Awkward(BaseModel):
        title: str
        default: str
        pattern: str

    assert set(structural_schema(Awkward)["properties"]) == {"title", "default", "pattern"}


def test_rules_of_a_model_are_at_its_object() -> None:
    class Ruled(BaseModel):
        model_config = {"json_schema_extra": rules(cel("has(self.a)", "a is needed"))}
        a: str | None = None

    class Outer(BaseModel):
        inner: Ruled

    want = [{"rule": "has(self.a)", "message": "a is needed"}]
    assert structural_schema(Ruled)["x-kubernetes-validations"] == want
    assert structural_schema(Outer)["properties"]["inner"]["x-kubernetes-validations"] == want


@pytest.mark.parametrize("model", [Tree, Chain, Ping], ids=["through a list", "through an optional", "through another"])
def test_recursion_is_refused(model: type[BaseModel]) -> None:
    with pytest.raises(ValueError, match="contains itself"):
        structural_schema(model)


def test_same_type_twice_is_no_recursion() -> None:
    class Pair(BaseModel):
        left: Inner
        right: Inner

    assert structural_schema(Pair)["properties"]["left"] == structural_schema(Pair)["properties"]["right"]


@pytest.mark.parametrize(
    "annotation",
    [
        pytest.param(int | str, id="union"),
        pytest.param(int | str | None, id="optional union"),
        pytest.param(dict[str, Any], id="map of anything"),
        pytest.param(tuple[int, str], id="tuple"),
        pytest.param(set[str], id="set"),
    ],
)
def test_what_kubernetes_cannot_express_is_refused_with_its_place(annotation: Any) -> None:
    with pytest.raises(ValueError, match=r"Sample\.field"):
        of(annotation)


def test_unknown_keyword_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="uniqueItems=True has no counterpart"):
        of(Annotated[list[str], Extension({"uniqueItems": True})])


def test_schema_shares_nothing_with_the_model() -> None:
    one = structural_schema(Inner)
    one["required"].append("x")
    assert structural_schema(Inner)["required"] == ["size"]
