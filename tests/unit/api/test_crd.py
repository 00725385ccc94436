"""The CRD documents: what is committed is what the models say, and the API server can cost every rule in it."""

import re
import re._constants as opcodes
import re._parser as parser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vsm_operator.api.crd import documents, main, mcp_server_crd
from vsm_operator.api.v1alpha1 import McpServerSpec

CRDS = Path(__file__).parents[3] / "crds"
SCHEMA = mcp_server_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
MAX_RE2_REPEAT = 1000


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with its place."""
    yield path or "/", schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}/{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from nodes(schema[keyword], f"{path}/{keyword}")


OURS = [(path, node) for path, node in nodes(SCHEMA) if path not in ("/apiVersion", "/kind", "/metadata")]
"""Kubernetes itself bounds the names of kinds and the metadata."""


def test_committed_documents_are_what_the_models_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(CRDS)]) == 0, capsys.readouterr().err


def test_check_fails_and_names_the_stale_file_without_writing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    (stale,) = tmp_path.iterdir()
    stale.write_text("old")
    assert main(["--check", str(tmp_path)]) == 1
    assert stale.name in capsys.readouterr().err
    assert stale.read_text() == "old"


def test_missing_file_is_drift(tmp_path: Path) -> None:
    assert main(["--check", str(tmp_path / "none")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_document_is_called_by_plural_and_group() -> None:
    assert list(documents()) == ["mcpservers.vsm-mcp.io.yaml"]


def test_document_reads_back_as_the_definition() -> None:
    assert yaml.safe_load(documents()["mcpservers.vsm-mcp.io.yaml"]) == mcp_server_crd()


def test_every_node_says_its_type() -> None:
    untyped = [path for path, node in OURS if "type" not in node and not node.get("x-kubernetes-int-or-string")]
    assert untyped == []


def test_every_text_has_a_bound() -> None:
    unbounded = [
        path
        for path, node in OURS
        if (node.get("type") == "string" or node.get("x-kubernetes-int-or-string"))
        and not {"maxLength", "enum"} & set(node)
        and node.get("format") != "date-time"
    ]
    assert unbounded == []


def test_every_list_has_a_bound_and_says_how_it_merges() -> None:
    lists = [(path, node) for path, node in OURS if node.get("type") == "array"]
    assert lists
    assert [path for path, node in lists if "maxItems" not in node] == []
    assert [path for path, node in lists if node.get("x-kubernetes-list-type") not in ("map", "atomic")] == []


def test_every_map_has_a_bound() -> None:
    maps = [(path, node) for path, node in OURS if "additionalProperties" in node]
    assert maps
    assert [path for path, node in maps if "maxProperties" not in node] == []


def test_keys_of_a_list_map_are_required_in_its_items() -> None:
    keyed = [(path, node) for path, node in OURS if "x-kubernetes-list-map-keys" in node]
    assert keyed
    for path, node in keyed:
        assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"]), path


def test_nothing_has_a_default() -> None:
    """A default in the schema would rewrite stored objects."""
    assert [path for path, node in nodes(SCHEMA) if "default" in node] == []


def test_no_reference_and_no_union_is_left() -> None:
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "title", "examples", "const", "uniqueItems"}
    assert [path for path, node in nodes(SCHEMA) if forbidden & set(node)] == []


def test_every_field_of_the_spec_is_described() -> None:
    fields = SCHEMA["properties"]["spec"]["properties"]
    assert set(fields) == {to_camel(name) for name in McpServerSpec.model_fields}
    assert [name for name, node in fields.items() if not node.get("description")] == []


def to_camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(map(str.title, rest))


def test_every_rule_says_what_is_wrong() -> None:
    found = [rule for _, node in nodes(SCHEMA) for rule in node.get("x-kubernetes-validations", [])]
    assert len(found) > 10
    assert [rule for rule in found if set(rule) != {"rule", "message"} or len(rule["message"]) < 20] == []


def test_fixed_message_fits_into_the_api_servers_limit() -> None:
    found = [rule for _, node in nodes(SCHEMA) for rule in node.get("x-kubernetes-validations", [])]
    assert max(len(rule["message"]) for rule in found) <= 2048


PATTERNS = sorted({node["pattern"] for _, node in nodes(SCHEMA) if "pattern" in node})


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern_means_the_same_to_re2(pattern: str) -> None:
    assert re2_objections(pattern) == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern_covers_the_whole_text(pattern: str) -> None:
    assert pattern.startswith("^")
    assert pattern.endswith("$")
    assert "|" not in re.sub(r"\(.*\)", "", pattern), "an alternative outside of the anchors"


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(?=a)a$",
        r"^(?<!a)b$",
        r"^(a)\1$",
        r"^(?>a)$",
        r"^a++$",
        r"^a{1,2000}$",
        r"^\d+$",
        r"^\w$",
        r"^(?P<n>a)(?(n)b)$",
    ],
)
def test_what_re2_lacks_or_reads_otherwise_is_noticed(pattern: str) -> None:
    assert re2_objections(pattern) != []


def re2_objections(pattern: str) -> list[str]:
    return sorted(set(_objections(parser.parse(pattern))))


_STRANGE = {
    opcodes.ASSERT, opcodes.ASSERT_NOT, opcodes.GROUPREF, opcodes.GROUPREF_EXISTS, opcodes.ATOMIC_GROUP,
    opcodes.POSSESSIVE_REPEAT,
    opcodes.CATEGORY,  # \d and \w: Unicode in Python, ASCII in RE2
}  # fmt: skip


def _objections(node: Any) -> Iterator[str]:
    for operation, argument in node:
        if operation in _STRANGE:
            yield str(operation)
        if operation in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT):
            low, high, inner = argument
            if max(low, 0 if high is opcodes.MAXREPEAT else high) > MAX_RE2_REPEAT:
                yield "too many repetitions"
            yield from _objections(inner)
        elif operation is opcodes.SUBPATTERN:
            yield from _objections(argument[-1])
        elif operation is opcodes.BRANCH:
            for branch in argument[1]:
                yield from _objections(branch)
        elif operation is opcodes.IN:
            yield from (str(entry) for entry, _ in argument if entry in _STRANGE)


def test_printer_columns_show_what_is_asked_for_most() -> None:
    columns = mcp_server_crd()["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns if not column["priority"]][:3] == ["Phase", "Package", "Version"]
    assert {"Reason", "Endpoint", "Age", "Tools"} <= {column["name"] for column in columns}


def test_printer_columns_read_fields_that_exist() -> None:
    known = {path.replace("/", ".") for path, _ in nodes(SCHEMA)} | {".metadata.creationTimestamp"}
    for column in mcp_server_crd()["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = re.sub(r"\[\?.*\]", ".items", column["jsonPath"])
        assert path in known, column
