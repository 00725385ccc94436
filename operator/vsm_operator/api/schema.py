"""From pydantic models to Kubernetes structural schemas. Pure.

Before (pydantic)                                   After (apiextensions/v1)
  $defs + {"$ref": "#/$defs/X"}                       X inlined at every use; recursion is refused
  anyOf: [X, {"type": "null"}], default: null         X (absent and null are the same to the API server)
  title, additionalProperties: false, discriminator   gone: the API server prunes unknown fields itself
  exclusiveMinimum: 0                                  minimum: 0, exclusiveMinimum: true
  Annotated[..., Extension(...)]                       the x-kubernetes-* keys of the extension

Defaults stay out of the schema, because a CRD default rewrites stored objects: each is stated in its description and
applied when the object is read. Anything this module does not know is an error, never passed on by chance.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Schema = dict[str, Any]

_DROPPED = frozenset({"title", "default", "examples", "discriminator"})
_KEPT = frozenset(
    {
        "type", "format", "pattern", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems",
        "maxItems", "minProperties", "maxProperties", "required", "nullable", "multipleOf",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Extension:
    """Marker for `Annotated`: adds keys to the schema of a field, for example x-kubernetes-list-type."""

    keys: Mapping[str, Any] = field(default_factory=dict)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core), **self.keys}

    def __hash__(self) -> int:
        return hash(repr(sorted(self.keys.items(), key=str)))


def cel(rule: str, message: str) -> Schema:
    """One validation rule in the Common Expression Language."""
    return {"rule": rule, "message": message}


def rules(*validations: Schema) -> dict[str, Any]:
    """For `model_config["json_schema_extra"]`: the rules of a whole object."""
    return {"x-kubernetes-validations": list(validations)}


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, by alias. Raises ValueError for what Kubernetes cannot express."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(raw, definitions=raw.get("$defs", {}), path=model.__name__, within=())


def _structural(
    raw: Mapping[str, Any], *, definitions: Mapping[str, Any], path: str, within: tuple[str, ...]
) -> Schema:
    node = dict(raw)
    node.pop("$defs", None)
    if reference := node.pop("$ref", None):
        name = str(reference).rsplit("/", 1)[-1]
        if name in within:
            raise ValueError(f"{path}: {name} contains itself, and a structural schema cannot be recursive")
        node = {**definitions[name], **node}
        within = (*within, name)
    node = _without_null(node, path)
    if "$ref" in node:
        return _structural(node, definitions=definitions, path=path, within=within)
    if node.get("x-kubernetes-int-or-string"):
        node.pop("anyOf", None)
        node.pop("type", None)

    result: Schema = {}
    for key, value in node.items():
        if key == "properties":
            result[key] = {
                name: _structural(child, definitions=definitions, path=f"{path}.{name}", within=within)
                for name, child in value.items()
            }
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            result[key] = _structural(value, definitions=definitions, path=f"{path}[]", within=within)
        else:
            result |= _keyword(key, value, path)
    return result


def _keyword(key: str, value: Any, path: str) -> Schema:
    """What becomes of one keyword that holds no schema itself."""
    if key in _DROPPED or (key == "additionalProperties" and value is False):
        return {}
    if key == "description":
        return {key: " ".join(str(value).split())}
    if key in _KEPT or key.startswith("x-kubernetes-"):
        return {key: deepcopy(value)}
    if key == "const":
        return {"enum": [value]}
    if key in ("exclusiveMinimum", "exclusiveMaximum"):
        return {key: True, key.removeprefix("exclusive").lower(): value}
    raise ValueError(f"{path}: {key}={value!r} has no counterpart in a structural schema")


def _without_null(node: Schema, path: str) -> Schema:
    """Optional[X] becomes X; any other union has to be written as an explicit extension."""
    if "anyOf" not in node or node.get("x-kubernetes-int-or-string"):
        return node
    branches = [branch for branch in node["anyOf"] if branch != {"type": "null"}]
    if len(branches) != 1:
        raise ValueError(f"{path}: a union of {len(branches)} types cannot be structural")
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**branches[0], **rest}
