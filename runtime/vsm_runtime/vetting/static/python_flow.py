"""Chains in one Python source: what was collected, decoded or downloaded, and into which call it flows.

`ast` only, nothing is compiled or run. Labels travel from the leaves of an expression to its top and through names,
without regard to order or scope: a chain is found wherever its parts meet. The walk is a loop, so depth costs memory
and not the stack; what `ast` itself cannot parse is the caller's to report.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from vsm_runtime.vetting.static import python_names as names
from vsm_runtime.vetting.static.shell import shell_signals
from vsm_runtime.vetting.static.signals import Capability, Signal, snippet_hash
from vsm_runtime.vetting.static.trees import python_nodes, text_of

Labels = frozenset[str]
_NONE: Labels = frozenset()
_PASSES = 3
_MAX_TEXT = 4096


@dataclass(slots=True)
class PythonFlow:
    """One file. `run()` once, then read `signals` and `capabilities`."""

    tree: ast.Module
    signals: list[Signal] = field(default_factory=list)
    capabilities: set[Capability] = field(default_factory=set)
    _aliases: dict[str, str] = field(default_factory=dict)
    _names: dict[tuple[int, str], Labels] = field(default_factory=dict)
    """By the function they are bound in (0 for the module) and the name."""
    _scopes: dict[int, int] = field(default_factory=dict)
    """The function that a node stands in."""
    _labels: dict[int, Labels] = field(default_factory=dict)
    _final: bool = False
    _opened: dict[str, ast.Call] = field(default_factory=dict)
    """File objects by name, with the call that opened them."""
    _dropped_paths: set[str] = field(default_factory=set)
    _reverse: set[str] = field(default_factory=set)

    def run(self) -> None:
        order = list(python_nodes(self.tree, self._scopes))
        for node in order:
            self._import(node)
        for turn in range(_PASSES):
            self._final = turn == _PASSES - 1
            self._labels = {}
            for node in order:
                self._labels[id(node)] = self._visit(node)
        if {"connect", "dup2", "spawn"} <= self._reverse:
            self._say("reverse-shell", "execute", 0.95, "connects a shell to a socket", None)

    # names

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for item in node.names:
                self._capability_of(item.name)
                top = item.name.partition(".")[0]
                self._aliases[item.asname or top] = item.name if item.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            self._capability_of(node.module)
            for item in node.names:
                self._aliases[item.asname or item.name] = f"{node.module}.{item.name}"

    def _capability_of(self, module: str) -> None:
        if word := names.CAPABILITIES.get(module.partition(".")[0]):
            self.capabilities.add(Capability(word))

    def _dotted(self, node: ast.AST) -> str:
        suffix: list[str] = []
        while True:
            if isinstance(node, ast.Attribute):
                suffix.append(node.attr)
                node = node.value
            elif isinstance(node, ast.Name):
                return ".".join([self._aliases.get(node.id, node.id), *reversed(suffix)])
            elif isinstance(node, ast.Call):
                inner = self._indirect(node)
                if not inner:
                    return ""
                return ".".join([inner, *reversed(suffix)])
            else:
                return ""

    def _indirect(self, call: ast.Call) -> str:
        """Of `__import__("os")`, `importlib.import_module("os")` and `getattr(os, "system")`: what they stand for."""
        if not isinstance(call.func, ast.Name | ast.Attribute):
            return ""
        made = self._plain(call.func)
        if made.startswith(names.SEND_OWNERS) or made.endswith("Fernet"):
            return made
        if not call.args:
            return ""
        what = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
        first = call.args[0]
        if what in ("__import__", "import_module"):
            return text_of(first)
        if what == "getattr" and len(call.args) > 1 and (attribute := text_of(call.args[1])):
            if isinstance(first, ast.Name):
                owner = self._aliases.get(first.id, first.id)
            elif isinstance(first, ast.Call) and first.args and isinstance(first.func, ast.Name):
                owner = text_of(first.args[0]) if first.func.id == "__import__" else ""
            else:
                owner = ""
            return f"{owner}.{attribute}" if owner else ""
        return ""

    def _plain(self, node: ast.AST) -> str:
        """`_dotted` without looking through calls, so that neither can send the other down without end."""
        suffix: list[str] = []
        while isinstance(node, ast.Attribute):
            suffix.append(node.attr)
            node = node.value
        return ".".join([self._aliases.get(node.id, node.id), *reversed(suffix)]) if isinstance(node, ast.Name) else ""

    def _remember(self, node: ast.Name, labels: Labels) -> None:
        if labels:
            key = (self._scopes.get(id(node), 0), node.id)
            self._names[key] = self._names.get(key, _NONE) | labels

    def _recall(self, node: ast.Name) -> Labels:
        scope = self._scopes.get(id(node), 0)
        local = self._names.get((scope, node.id), _NONE)
        return local | self._names.get((0, node.id), _NONE) if scope else local

    # labels

    def _visit(self, node: ast.AST) -> Labels:
        labels = self._below(node)
        if isinstance(node, ast.Constant):
            return _constant_labels(node)
        if isinstance(node, ast.Name):
            dotted = self._aliases.get(node.id, node.id)
            known = self._recall(node)
            return known | {"env-all"} if dotted in names.ENVIRONMENT else known
        if isinstance(node, ast.Attribute):
            return self._attribute(node, labels)
        if isinstance(node, ast.Subscript):
            return self._subscript(node, labels)
        if isinstance(node, ast.Call):
            return self._call(node, labels)
        self._bind(node)
        return labels

    def _below(self, node: ast.AST) -> Labels:
        if isinstance(node, ast.stmt) and not isinstance(node, ast.Expr):
            return _NONE
        found: set[str] = set()
        for child in ast.iter_child_nodes(node):
            found |= self._labels.get(id(child), _NONE)
        return frozenset(found)

    def _attribute(self, node: ast.Attribute, labels: Labels) -> Labels:
        dotted = self._dotted(node)
        if dotted in names.ENVIRONMENT:
            self.capabilities.add(Capability.ENVIRONMENT)
            return labels | {"env-all"}
        if node.attr in ("get", "pop", "setdefault") and "env-all" in labels:
            return (labels - {"env-all"}) | {"env-one"}
        if "env-all" in labels and node.attr not in names.KEEPS_WHOLE:
            return (labels - {"env-all"}) | {"env-one"}
        return labels

    def _subscript(self, node: ast.Subscript, labels: Labels) -> Labels:
        if self._dotted(node.value) in names.ENVIRONMENT:
            return (labels - {"env-all"}) | {"env-one"}
        return labels

    def _bind(self, node: ast.AST) -> None:
        targets: list[ast.AST]
        if isinstance(node, ast.Assign):
            targets, value = list(node.targets), node.value
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            if node.value is None:
                return
            targets, value = [node.target], node.value
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            targets, value = [node.target], node.iter
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            targets, value = [node.optional_vars], node.context_expr
        else:
            return
        labels = self._labels.get(id(value), _NONE)
        indirect = self._dotted(value) if isinstance(value, ast.Call | ast.Attribute | ast.Name) else ""
        for target in targets:
            for part in ast.walk(target):
                if isinstance(part, ast.Name):
                    self._remember(part, labels)
                    if isinstance(value, ast.Call) and self._plain(value.func) in ("open", "io.open", "pathlib.Path"):
                        self._opened[part.id] = value
                    if indirect and indirect != part.id and part.id not in self._aliases:
                        self._aliases[part.id] = indirect

    # calls

    def _call(self, node: ast.Call, labels: Labels) -> Labels:
        dotted = self._dotted(node.func) or self._method(node.func)
        given = self._given(node)
        if dotted in names.EXECUTE or dotted in names.COMPILE:
            self.capabilities.add(Capability.DYNAMIC_CODE)
            self._executed(node, given)
        if dotted in names.SPAWN:
            self.capabilities.add(Capability.PROCESS)
            self._reverse.add("spawn")
            self._spawned(node, given)
        if self._sends(dotted):
            self.capabilities.add(Capability.NETWORK)
            self._sent(node, given)
        self._written(node, dotted, given)
        gathers = isinstance(node.func, ast.Attribute) and node.func.attr in names.GATHERS
        if gathers and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            self._remember(node.func.value, given)
        if dotted.endswith(("socket.connect", ".connect")):
            self._reverse.add("connect")
        if dotted == "os.dup2":
            self._reverse.add("dup2")
        if "env-all" in labels and not (dotted in names.ENCODE or dotted.rpartition(".")[2] in names.KEEPS_WHOLE):
            labels = (labels - {"env-all"}) | {"env-one"}  # what a function makes of it is rarely all of it
        return labels | self._result(dotted, node)

    def _method(self, func: ast.AST) -> str:
        return f"?.{func.attr}" if isinstance(func, ast.Attribute) else ""

    def _given(self, node: ast.Call) -> Labels:
        found: set[str] = set()
        for value in (*node.args, *(keyword.value for keyword in node.keywords)):
            found |= self._labels.get(id(value), _NONE)
        return frozenset(found)

    def _result(self, dotted: str, node: ast.Call) -> Labels:
        added: set[str] = set()
        if dotted in names.FETCH:
            added.add("download")
        if dotted in names.DECODE or dotted.endswith((".b64decode", ".fromhex", ".decrypt")):
            added.add("decoded")
        if dotted in names.ENCODE:
            added.add("encoded")
        if dotted in names.WATCHING:
            added.add("watching")
        if fact := names.SYSTEM_FACTS.get(dotted):
            added.add(f"sys-{fact}")
        if dotted in ("os.getenv", "os.environ.get"):
            self.capabilities.add(Capability.ENVIRONMENT)
            added.add("env-one")
        if dotted in ("open", "io.open", "os.open", "os.remove", "os.unlink"):
            self.capabilities.add(Capability.FILESYSTEM)
        if dotted == "chr":
            added.add("char")
        if dotted == "?.join" and "char" in self._given(node):
            added.add("decoded")
        if dotted in names.SPAWN:
            added.add("output")
        return frozenset(added)

    def _sends(self, dotted: str) -> bool:
        if dotted in names.SEND:
            return True
        owner, _, method = dotted.rpartition(".")
        return method in names.SEND_METHODS and owner.startswith(names.SEND_OWNERS)

    def _executed(self, node: ast.Call, given: Labels) -> None:
        if "download" in given:
            self._say("download-execute", "execute", 0.95, "runs code that it downloads", node, "download execute")
        if "decoded" in given:
            self._say("decode-execute", "dynamic", 0.85, "runs code that it first decodes", node, "encode execute")

    def _spawned(self, node: ast.Call, given: Labels) -> None:
        command = " ".join(_texts(node))
        if "download" in given or "dropped" in given or any(path in command for path in self._dropped_paths):
            summary = "starts a program that it downloads"
            self._say("download-execute", "execute", 0.9, summary, node, "download execute")
        if "decoded" in given:
            self._say("decode-spawn", "dynamic", 0.7, "starts a command that it first decodes", node, "execute")
        for rule, weight, summary in shell_signals(command):
            self._say(rule, "shell", weight, summary, node, "download execute")

    def _sent(self, node: ast.Call, given: Labels) -> None:
        facts = {label for label in given if label.startswith("sys-")}
        encoded = " in a packed form" if "encoded" in given else ""
        if "env-all" in given:
            self._say("env-exfiltration", "exfil", 0.92, f"sends the whole environment{encoded}", node, "collect send")
        if "secret-place" in given:
            self._say("secret-exfiltration", "exfil", 0.9, f"sends a file of secrets{encoded}", node, "collect send")
        if "watching" in given:
            self._say("watch-exfiltration", "exfil", 0.85, "sends the screen or the clipboard", node, "collect send")
        if len(facts) >= 2 and facts & {"sys-host", "sys-user", "sys-net"}:
            weight = 0.55 if {"sys-host", "sys-user"} <= facts else 0.25
            self._say("system-exfiltration", "beacon", weight, "sends facts about the machine", node, "collect send")

    def _written(self, node: ast.Call, dotted: str, given: Labels) -> None:
        """A download that is written to a file makes the names of that file's path dangerous to start."""
        if dotted in names.RETRIEVE:
            for value in node.args[1:2]:
                self._mark_dropped(value)
        writes = dotted.endswith((".write", ".write_bytes", ".write_text")) and "download" in given
        if writes and isinstance(node.func, ast.Attribute):
            self._mark_dropped(node.func.value)

    def _mark_dropped(self, value: ast.AST) -> None:
        for part in ast.walk(value):
            if isinstance(part, ast.Name):
                self._remember(part, frozenset({"dropped"}))
                if (opened := self._opened.pop(part.id, None)) is not None:
                    for argument in opened.args[:1]:
                        self._mark_dropped(argument)
            elif isinstance(part, ast.Constant) and isinstance(part.value, str) and len(part.value) > 3:
                self._dropped_paths.add(part.value[:_MAX_TEXT])

    def _say(  # noqa: PLR0917 - one line a rule above
        self, rule: str, group: str, weight: float, summary: str, node: ast.AST | None, facts: str = ""
    ) -> None:
        if not self._final:
            return
        line = getattr(node, "lineno", 0)
        text = f"{rule}:{type(node).__name__}:{line}".encode()
        at_install = 0.9 if group == "beacon" else 0.0
        self.signals.append(Signal(f"py-{rule}", group, weight, summary, line, snippet_hash(text), facts, at_install))


def _texts(node: ast.Call) -> Iterator[str]:
    for value in node.args[:3]:
        for part in ast.walk(value):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value[:_MAX_TEXT]


def _constant_labels(node: ast.Constant) -> Labels:
    if isinstance(node.value, str) and 3 < len(node.value) < 300 and names.SECRET_PLACE.search(node.value):
        return frozenset({"secret-place"})
    return _NONE
