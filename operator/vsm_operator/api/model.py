"""What all API models share: camelCase on the wire, frozen in memory, tolerant of fields from a newer version."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from vsm_operator.api.schema import Extension
from vsm_operator.domain import quantity

Text = Annotated[str, Field(max_length=32768)]
"""Free text in a status. Every string has a bound: without one, CEL refuses to estimate the cost of a rule."""


class Model(BaseModel):
    """Base of every API type. Unknown fields are ignored when a live object is read: a newer operator wrote them."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    @classmethod
    def read(cls, raw: Any) -> Self:
        """From decoded JSON; null is the same as absent, as for the API server."""
        return cls.model_validate(raw if raw is not None else {})

    def to_api(self) -> dict[str, Any]:
        """As JSON for the API server: aliases, nothing that is unset, no null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=False)


ListMapByName = Extension({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})
ListMapByType = Extension({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]})
Atomic = Extension({"x-kubernetes-list-type": "atomic"})


def _amount(value: int | str) -> int | str:
    quantity.value_of(value)
    return value


Quantity = Annotated[
    int | str,
    Field(union_mode="left_to_right"),
    AfterValidator(_amount),
    Extension(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
            "maxLength": 32,
        }
    ),
]
"""resource.Quantity: 500m, 0.5, 512Mi. Never negative."""
