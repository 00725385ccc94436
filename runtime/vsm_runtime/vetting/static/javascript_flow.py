"""Chains in one JavaScript source: what was collected, decoded or downloaded, and into which call it flows.

tree-sitter builds the tree (it repairs what is no JavaScript and never refuses), labels travel as in `python_flow`.
Names are resolved through `require`, `import` and destructuring; scopes are not told apart.
"""

from dataclasses import dataclass, field

from tree_sitter import Node

from vsm_runtime.vetting.static import javascript_names as names
from vsm_runtime.vetting.static import python_names as shared
from vsm_runtime.vetting.static.shell import shell_signals
from vsm_runtime.vetting.static.signals import Capability, Signal, snippet_hash
from vsm_runtime.vetting.static.trees import below, javascript_nodes, parser

Labels = frozenset[str]
_NONE: Labels = frozenset()
_PASSES = 3
_MAX_TEXT = 4096
_FUNCTIONS = ("arrow_function", "function_expression", "function_declaration", "function")


@dataclass(slots=True)
class JavaScriptFlow:
    """One file. `run()` once, then read `signals` and `capabilities`."""

    data: bytes
    follow_names: bool = True
    """Off for long minified text, where one letter is a hundred different things."""
    signals: list[Signal] = field(default_factory=list)
    capabilities: set[Capability] = field(default_factory=set)
    _aliases: dict[str, str] = field(default_factory=dict)
    _names: dict[str, Labels] = field(default_factory=dict)
    _labels: dict[int, Labels] = field(default_factory=dict)
    _dropped_paths: set[str] = field(default_factory=set)
    _final: bool = False

    def run(self) -> None:
        """Raises TooManyNodes."""
        tree = parser().parse(self.data)
        order = list(javascript_nodes(tree.root_node))
        for node in order:
            self._import(node)
        for turn in range(_PASSES):
            self._final = turn == _PASSES - 1
            self._labels = {}
            for node in order:
                self._labels[node.id] = self._visit(node)

    # names

    def _text(self, node: Node | None) -> str:
        return "" if node is None else self.data[node.start_byte : node.end_byte][:_MAX_TEXT].decode("utf-8", "replace")

    def _string(self, node: Node | None) -> str:
        if node is None or node.type not in ("string", "template_string"):
            return ""
        return self._text(node)[1:-1]

    def _import(self, node: Node) -> None:
        if node.type == "variable_declarator":
            value = node.child_by_field_name("value")
            if value is not None and (dotted := self._dotted(value)):
                self._alias(node.child_by_field_name("name"), dotted)
        elif node.type == "import_statement":
            module = self._string(node.child_by_field_name("source")).removeprefix("node:")
            self._capability_of(module)
            for part in below(node, ("identifier", "import_specifier"), limit=200):
                if part.type == "import_specifier":
                    name = self._text(part.child_by_field_name("name"))
                    self._aliases[self._text(part.child_by_field_name("alias")) or name] = f"{module}.{name}"
                elif part.parent is not None and part.parent.type != "import_specifier":
                    self._aliases[self._text(part)] = module

    def _alias(self, target: Node | None, dotted: str) -> None:
        if target is None:
            return
        if target.type == "identifier":
            self._aliases.setdefault(self._text(target), dotted)
        elif target.type == "object_pattern":
            for part in target.named_children:
                if part.type == "shorthand_property_identifier_pattern":
                    self._aliases.setdefault(self._text(part), f"{dotted}.{self._text(part)}")
                elif part.type == "pair_pattern":
                    key = self._text(part.child_by_field_name("key"))
                    value = part.child_by_field_name("value")
                    if value is not None and value.type == "identifier":
                        self._aliases.setdefault(self._text(value), f"{dotted}.{key}")

    def _capability_of(self, module: str) -> None:
        if word := names.CAPABILITIES.get(module.removeprefix("node:")):
            self.capabilities.add(Capability(word))

    def _dotted(self, node: Node | None) -> str:
        suffix: list[str] = []
        while node is not None:
            if node.type == "member_expression":
                suffix.append(self._text(node.child_by_field_name("property")))
                node = node.child_by_field_name("object")
            elif node.type == "subscript_expression":
                key = self._string(node.child_by_field_name("index"))
                if not key:
                    return ""
                suffix.append(key)
                node = node.child_by_field_name("object")
            elif node.type in ("await_expression", "parenthesized_expression") and node.named_child_count == 1:
                node = node.named_child(0)
            elif node.type in ("identifier", "this"):
                name = self._text(node)
                return ".".join([self._aliases.get(name, name), *reversed(suffix)])
            elif node.type == "call_expression":
                called = node.child_by_field_name("function")
                if called is None or self._text(called) not in ("require", "import", "process.mainModule.require"):
                    return ""
                module = self._first_string(node).removeprefix("node:")
                self._capability_of(module)
                return ".".join([module, *reversed(suffix)]) if module else ""
            else:
                return ""
        return ""

    def _first_string(self, call: Node) -> str:
        arguments = call.child_by_field_name("arguments")
        return self._string(arguments.named_child(0)) if arguments is not None and arguments.named_child_count else ""

    # labels

    def _visit(self, node: Node) -> Labels:
        kind = node.type
        if kind == "string":
            text = self._text(node)
            secret = 4 < len(text) < 300 and shared.SECRET_PLACE.search(text[:-1]) is not None
            return frozenset({"secret-place"}) if secret else _NONE
        if kind in ("identifier", "shorthand_property_identifier"):
            return self._identifier(self._text(node))
        labels = self._children(node)
        if kind == "member_expression":
            return self._member(node, labels)
        if kind == "subscript_expression":
            return (labels - {"env-all"}) | {"env-one"} if "env-all" in labels else labels
        if kind in ("call_expression", "new_expression"):
            return self._call(node, labels)
        if kind in ("variable_declarator", "assignment_expression", "augmented_assignment_expression"):
            self._bind(node)
        elif kind == "for_in_statement":
            self._label(node.child_by_field_name("left"), self._of(node.child_by_field_name("right")))
        return _NONE if kind in ("statement_block", *_FUNCTIONS) or kind.endswith("statement") else labels

    def _identifier(self, name: str) -> Labels:
        known = self._names.get(name, _NONE)
        dotted = self._aliases.get(name, name)
        if dotted == "process.env":
            return known | {"env-all"}
        if dotted in ("__dirname", "__filename"):
            return known | {"sys-place"}
        return known

    def _of(self, node: Node | None) -> Labels:
        return _NONE if node is None else self._labels.get(node.id, _NONE)

    def _children(self, node: Node) -> Labels:
        found: set[str] = set()
        for child in node.named_children:
            found |= self._labels.get(child.id, _NONE)
        return frozenset(found)

    def _member(self, node: Node, labels: Labels) -> Labels:
        if self._dotted(node) == "process.env":
            self.capabilities.add(Capability.ENVIRONMENT)
            return labels | {"env-all"}
        inner = node.child_by_field_name("object")
        if inner is not None and "env-all" in labels and self._dotted(inner) == "process.env":
            return (labels - {"env-all"}) | {"env-one"}
        if "env-all" in labels and self._property(node) not in names.KEEPS_WHOLE:
            return (labels - {"env-all"}) | {"env-one"}
        return labels

    def _bind(self, node: Node) -> None:
        target = node.child_by_field_name("name") or node.child_by_field_name("left")
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        labels = self._of(value)
        if target is not None and target.type == "object_pattern" and "env-all" in labels:
            labels = (labels - {"env-all"}) | {"env-one"}
        self._label(target, labels)

    def _label(self, target: Node | None, labels: Labels) -> None:
        if target is None or not labels or not self.follow_names:
            return
        wanted = ("identifier", "shorthand_property_identifier_pattern")
        for part in (target,) if target.type in wanted else below(target, wanted, limit=50):
            name = self._text(part)
            self._names[name] = self._names.get(name, _NONE) | labels

    # calls

    def _call(self, node: Node, labels: Labels) -> Labels:
        function = node.child_by_field_name("function") or node.child_by_field_name("constructor")
        dotted = self._dotted(function)
        method = dotted.rpartition(".")[2] or self._property(function)
        given = self._of(node.child_by_field_name("arguments"))
        if dotted == "require" and not self._first_string(node):
            self.capabilities.add(Capability.DYNAMIC_CODE)
        if dotted in names.EXECUTE or method == "_compile":
            self.capabilities.add(Capability.DYNAMIC_CODE)
            if "download" in given:
                self._say("download-execute", "execute", 0.95, "runs code that it downloads", node, "download execute")
            if "decoded" in given:
                self._say("decode-execute", "dynamic", 0.85, "runs code that it first decodes", node, "execute")
        if dotted in names.SPAWN:
            self.capabilities.add(Capability.PROCESS)
            self._spawned(node, given)
        if dotted in names.SEND or (method in names.SEND_METHODS and "request" in self._of(function)):
            self.capabilities.add(Capability.NETWORK)
            self._sent(node, given)
        if dotted in names.WRITE and "download" in given:
            self._drop(node)
        if "env-all" in labels and method not in names.KEEPS_WHOLE:
            labels = (labels - {"env-all"}) | {"env-one"}  # what a function makes of it is rarely all of it
        added = self._result(dotted, method, node)
        if method in names.GATHERS and given and function is not None:
            self._label(function.child_by_field_name("object"), given)
        self._callbacks(node, self._of(function) | added)
        return labels | added

    def _property(self, function: Node | None) -> str:
        return self._text(function.child_by_field_name("property")) if function is not None else ""

    def _result(self, dotted: str, method: str, node: Node) -> Labels:
        added: set[str] = set()
        if dotted in names.FETCH:
            added |= {"download", "request"}
        if dotted in names.REQUEST:
            added |= {"request", "download"}
        if dotted in names.DECODE or (dotted == "Buffer.from" and self._says(node, ("base64", "hex"))):
            added.add("decoded")
        if dotted in ("JSON.stringify", "btoa") or (method == "toString" and self._says(node, ("base64", "hex"))):
            added.add("encoded")
        if fact := names.SYSTEM_FACTS.get(dotted):
            added.add(f"sys-{fact}")
        return frozenset(added)

    def _says(self, node: Node, words: tuple[str, ...]) -> bool:
        arguments = node.child_by_field_name("arguments")
        return arguments is not None and any(self._string(child) in words for child in arguments.named_children)

    def _callbacks(self, node: Node, labels: Labels) -> None:
        """A function that is passed on receives what the call works with."""
        arguments = node.child_by_field_name("arguments")
        carried = labels & {"download", "env-all", "decoded", "secret-place"}
        if arguments is None or not carried:
            return
        for child in arguments.named_children:
            if child.type in _FUNCTIONS:
                single = child.child_by_field_name("parameter")
                self._label(single or child.child_by_field_name("parameters"), carried)

    def _spawned(self, node: Node, given: Labels) -> None:
        arguments = node.child_by_field_name("arguments")
        command = "" if arguments is None else self._text(arguments)
        if {"download", "dropped"} & given or any(path in command for path in self._dropped_paths):
            summary = "starts a program that it downloads"
            self._say("download-execute", "execute", 0.9, summary, node, "download execute")
        if "decoded" in given:
            self._say("decode-spawn", "dynamic", 0.7, "starts a command that it first decodes", node, "execute")
        for rule, weight, summary in shell_signals(command):
            self._say(rule, "shell", weight, summary, node, "download execute")

    def _sent(self, node: Node, given: Labels) -> None:
        facts = {label for label in given if label.startswith("sys-")}
        if "env-all" in given:
            self._say("env-exfiltration", "exfil", 0.92, "sends the whole environment", node, "collect send")
        if "secret-place" in given:
            self._say("secret-exfiltration", "exfil", 0.9, "sends a file of secrets", node, "collect send")
        if len(facts) >= 2 and facts & {"sys-host", "sys-user", "sys-net"}:
            weight = 0.55 if {"sys-host", "sys-user"} <= facts else 0.25
            self._say("system-exfiltration", "beacon", weight, "sends facts about the machine", node, "collect send")

    def _drop(self, node: Node) -> None:
        arguments = node.child_by_field_name("arguments")
        first = arguments.named_child(0) if arguments is not None else None
        self._label(first, frozenset({"dropped"}))
        if len(text := self._string(first)) > 3:
            self._dropped_paths.add(text)

    def _say(  # noqa: PLR0917 - one line a rule above
        self, rule: str, group: str, weight: float, summary: str, node: Node, facts: str
    ) -> None:
        if self._final:
            digest = snippet_hash(self.data[node.start_byte : node.end_byte])
            line = node.start_point[0] + 1
            at_install = 0.9 if group == "beacon" else 0.0
            self.signals.append(Signal(f"js-{rule}", group, weight, summary, line, digest, facts, at_install))
