"""Walking syntax trees of hostile sources: in a loop, so that depth costs memory and not the stack, and with an end."""

import ast
from collections.abc import Iterator
from functools import cache

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

MAX_NODES = 120_000
_MAX_TEXT = 4096


class TooManyNodes(Exception):  # noqa: N818 - a verdict on the input
    """The tree of this file is larger than we look through."""


def text_of(node: ast.AST) -> str:
    """The text of a constant or of a simple sum of constants; "" if it is anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value[:_MAX_TEXT]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        pieces: list[str] = []
        current: ast.AST = node
        while isinstance(current, ast.BinOp) and isinstance(current.op, ast.Add) and len(pieces) < 64:
            if not (isinstance(current.right, ast.Constant) and isinstance(current.right.value, str)):
                return ""
            pieces.append(current.right.value)
            current = current.left
        if isinstance(current, ast.Constant) and isinstance(current.value, str):
            return "".join([current.value, *reversed(pieces)])[:_MAX_TEXT]
    return ""


def python_nodes(tree: ast.AST, scopes: dict[int, int]) -> Iterator[ast.AST]:
    """Every node after those below it; notes which function each stands in. Raises TooManyNodes."""
    stack: list[tuple[ast.AST, bool, int]] = [(tree, False, 0)]
    seen = 0
    while stack:
        node, done, scope = stack.pop()
        if done:
            yield node
            continue
        seen += 1
        if seen > MAX_NODES:
            raise TooManyNodes
        scopes[id(node)] = scope
        stack.append((node, True, scope))
        inner = id(node) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else scope
        stack.extend((child, False, inner) for child in reversed(list(ast.iter_child_nodes(node))))


@cache
def parser() -> Parser:
    """One for the process: making it costs more than most files."""
    return Parser(Language(tree_sitter_javascript.language()))


def below(node: Node, kinds: tuple[str, ...], *, limit: int) -> Iterator[Node]:
    stack = list(node.named_children)
    while stack and limit:
        part = stack.pop()
        if part.type in kinds:
            limit -= 1
            yield part
        stack.extend(part.named_children)


def javascript_nodes(root: Node) -> Iterator[Node]:
    """Every named node after those below it. Raises TooManyNodes."""
    stack: list[tuple[Node, bool]] = [(root, False)]
    seen = 0
    while stack:
        node, done = stack.pop()
        if done:
            yield node
            continue
        seen += 1
        if seen > MAX_NODES:
            raise TooManyNodes
        stack.append((node, True))
        stack.extend((child, False) for child in reversed(node.named_children))
