"""YAML as people like to read it in a diff: keys in their order, texts of several lines as blocks."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import yaml

Manifest = dict[str, Any]


class DuplicateKey(ValueError):  # noqa: N818 - a verdict on the input, read by people
    """Two templates wrote the same field of one object; which of them wins would be chance."""


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise DuplicateKey(f"{repeated} more than once in one mapping, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def parsed(text: str) -> Iterator[Manifest]:
    """The documents of a stream, empty ones left out."""
    for document in yaml.load_all(text, Loader=_Loader):
        if document:
            yield document


def documents(manifests: Iterable[Manifest]) -> str:
    """One stream, each document after a separator line."""
    return "".join(
        "---\n" + yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        for manifest in manifests
    )
