"""The CRD chart's templates from crds/*.yaml: the same definitions, with labels and a say in whether they stay."""

from collections.abc import Mapping

import yaml

_HEADER = "{{/* Generated from crds/%s by `python -m chartgen`. Do not edit. */}}\n"


class UnexpectedDefinition(ValueError):  # noqa: N818 - a verdict on the input, read by people
    """A file in crds/ does not look like what the generator of crds/ writes."""


def templates(definitions: Mapping[str, str]) -> dict[str, str]:
    """File name -> text, from file name -> text of crds/."""
    files = {name: _template(name, text) for name, text in sorted(definitions.items())}
    resources = sorted(yaml.safe_load(text)["spec"]["names"]["plural"] for text in definitions.values())
    lines = "\n".join(f"- {resource}" for resource in resources)
    files["_resources.generated.tpl"] = (
        "{{/* Generated from crds/ by `python -m chartgen`. Do not edit. */}}\n"
        '{{- define "vsm-operator-crds.resources" -}}\n' + lines + "\n{{- end }}\n"
    )
    return files


def _template(name: str, text: str) -> str:
    definition = yaml.safe_load(text)
    if list(definition) != ["apiVersion", "kind", "metadata", "spec"] or list(definition["metadata"]) != ["name"]:
        raise UnexpectedDefinition(f"crds/{name}: expected apiVersion, kind, metadata.name and spec, and nothing else")
    _, _, spec = text.partition("\nspec:\n")
    # A description may speak of {{…}}; helm must print it, not run it.
    spec = spec.replace("{{", '{{ "{{" }}')
    return (
        _HEADER % name
        + f"apiVersion: {definition['apiVersion']}\n"
        + f"kind: {definition['kind']}\n"
        + f"metadata:\n  name: {definition['metadata']['name']}\n"
        + '  {{- include "vsm-operator-crds.metadata" . | nindent 2 }}\n'
        + "spec:\n"
        + spec
    )
