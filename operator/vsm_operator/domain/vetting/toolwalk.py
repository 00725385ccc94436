"""Every string of a server's answer, with its path: what `toolsurface` reads.

Takes a tools/list result, a list of tools, one tool, a server card or a discover result, with or without the JSON-RPC
envelope. Invariants: no recursion, no input raises; depth, number of texts and their sum are bounded, and the second
value of `texts_of` says whether everything was seen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

MAX_TEXTS: Final = 20_000
MAX_TOTAL_CHARS: Final = 1_000_000
MAX_DEPTH: Final = 40
MAX_NODES: Final = 200_000

_LISTS: Final = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "resourceTemplates": "resourceTemplates",
}
_UNREAD: Final = frozenset(
    {"icons", "_meta", "$schema", "$ref", "$id", "mimeType", "type", "format", "pattern", "version", "protocolVersion"}
)
"""Not shown to a model as prose. What is hidden in them is reported all the same."""
_WORDS = (
    "name title description inputSchema outputSchema annotations properties required items enum default examples "
    "anyOf oneOf allOf not additionalProperties minimum maximum minLength maxLength minItems maxItems const $defs "
    "definitions arguments tools prompts resources resourceTemplates instructions serverInfo capabilities "
    "execution readOnlyHint destructiveHint idempotentHint openWorldHint uri uriTemplate result jsonrpc id "
    "nextCursor exclusiveMinimum exclusiveMaximum multipleOf uniqueItems propertyNames patternProperties "
    "deprecated readOnly writeOnly $comment contentEncoding contentMediaType if then else dependentRequired "
    "websiteUrl size "
)
_KEYWORDS: Final = frozenset(_WORDS.split()) | _UNREAD
"""What schemas and answers call their own parts. Every other key is a name that somebody chose."""


@dataclass(frozen=True, slots=True)
class Text:
    """One string of the surface."""

    path: str
    owner: str
    """The tool, prompt or resource that it belongs to, as a path; "" for the server itself."""
    value: str
    prose: bool = True
    name: bool = False
    """An identifier, which is read word by word."""


@dataclass(frozen=True, slots=True)
class _Node:
    value: object
    path: str
    owner: str
    depth: int
    prose: bool
    properties: bool


def texts_of(document: object) -> tuple[list[Text], bool]:
    """The texts in the order of the document, and whether these are all."""
    texts: list[Text] = []
    total, nodes = 0, 0
    complete = True
    stack = [_Node(document, "$", "", 0, prose=True, properties=False)]
    while stack:
        node = stack.pop()
        nodes += 1
        if nodes > MAX_NODES or len(texts) >= MAX_TEXTS or total > MAX_TOTAL_CHARS:
            return texts, False
        if node.depth > MAX_DEPTH:
            complete = False
            continue
        if isinstance(node.value, str):
            total += len(node.value)
            is_name = node.path.endswith(".name")
            texts.append(Text(node.path, node.owner, node.value, prose=node.prose, name=is_name))
        elif isinstance(node.value, Mapping):
            children, keys = _members(node)
            texts += keys
            total += sum(len(key.value) for key in keys)
            stack += reversed(children)
        elif isinstance(node.value, list | tuple):
            if len(node.value) > MAX_NODES:
                return texts, False
            stack += reversed([_element(node, index, item) for index, item in enumerate(node.value)])
    return texts, complete


def _members(node: _Node) -> tuple[list[_Node], list[Text]]:
    assert isinstance(node.value, Mapping)  # noqa: S101 - the caller has looked
    children, names = [], []
    for raw, item in node.value.items():
        key = str(raw)
        path = f"{node.path}.{key[:80]}"
        if node.properties or key not in _KEYWORDS:
            names.append(Text(path, node.owner, key, name=True))
        prose = node.prose and (node.properties or key not in _UNREAD)
        schema = key in {"properties", "patternProperties", "$defs", "definitions"} and not node.properties
        children.append(_Node(item, path, node.owner, node.depth + 1, prose=prose, properties=schema))
    return children, names


def _element(node: _Node, index: int, item: object) -> _Node:
    path = f"{node.path}[{index}]"
    owned = (
        not node.owner and isinstance(item, Mapping) and (node.path == "$" or node.path.rpartition(".")[2] in _LISTS)
    )
    owner = path if owned else node.owner
    return _Node(item, path, owner, node.depth + 1, prose=node.prose, properties=False)


def tools_of(document: object) -> Iterator[tuple[str, Mapping[object, object]]]:
    """The tools with their paths, wherever the answer keeps them."""
    path = "$"
    for _ in range(3):
        if isinstance(document, Mapping) and "tools" not in document and isinstance(document.get("result"), Mapping):
            document, path = document["result"], f"{path}.result"
    if isinstance(document, Mapping):
        if "tools" not in document and "name" in document:
            yield path, document
        document, path = document.get("tools"), f"{path}.tools"
    if isinstance(document, list | tuple):
        for index, tool in enumerate(document[:MAX_TEXTS]):
            if isinstance(tool, Mapping):
                yield f"{path}[{index}]", tool
