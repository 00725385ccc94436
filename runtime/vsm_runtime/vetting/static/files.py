"""One file: which language it is, what the patterns and the flow say of it. Never raises for what is in the file."""

import ast
import re
import warnings
from dataclasses import dataclass, field, replace

from vsm_operator.domain.vetting.model import Severity
from vsm_runtime.vetting.static import javascript_names, python_names
from vsm_runtime.vetting.static.correlate import FOREIGN_GROUP, FileView, foreign_weight
from vsm_runtime.vetting.static.javascript_flow import JavaScriptFlow
from vsm_runtime.vetting.static.limits import Limits
from vsm_runtime.vetting.static.matching import Hit, RulePack
from vsm_runtime.vetting.static.members import Member
from vsm_runtime.vetting.static.python_flow import PythonFlow
from vsm_runtime.vetting.static.signals import Capability, Signal, snippet_hash
from vsm_runtime.vetting.static.texts import line_of, packed_text_bytes, text_signals
from vsm_runtime.vetting.static.trees import TooManyNodes

PYTHON = (".py", ".pyw", ".pyx", ".pth")
JAVASCRIPT = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx")
SHELL = (".sh", ".bash", ".zsh", ".ps1", ".bat", ".cmd", ".vbs", ".rb", ".pl", ".php", ".lua")
_DECLARATIONS = (".d.ts", ".d.mts", ".d.cts")
NATIVE_MAGIC = (
    b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xfe\xed\xfa", b"\0asm",
)  # fmt: skip
_DOCUMENTS = (".txt", ".json", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".md", ".css", ".html")
_HIDING_ENCODINGS = (b"utf_7", b"rot13", b"rot_13", b"hex", b"uu", b"base64")
MAX_FLOW_BYTES = 96 * 1024
"""A longer JavaScript file is a bundle: one name is many things in it, and only its two ends are followed."""
_END_BYTES = 24 * 1024
_PACKED_SHARE = 0.3
"""Of the file: a font or a module in a bundle is less, a loader is mostly its load."""
_PY_IMPORT = re.compile(
    rb"^[ \t]{0,40}(?:from[ \t]{1,4}([\w.]{1,200})[ \t]{1,4}import|import[ \t]{1,4}([\w., \t]{1,400}))", re.MULTILINE
)
_JS_IMPORT = re.compile(rb"""(?:\brequire\(|\bfrom|\bimport\(?)\s{0,4}["'](?:node:)?([\w@./-]{1,100})["']""")
_NATIVE_LOAD = re.compile(rb"process\.dlopen|\.node[\"']|node-gyp-build|ctypes\.(?:CDLL|cdll|windll)")


@dataclass(slots=True)
class Look:
    """Everything one look at one file yields."""

    view: FileView
    language: str
    """"" for data."""
    capabilities: set[Capability] = field(default_factory=set)
    problems: list[tuple[str, Severity, str]] = field(default_factory=list)
    """(rule, severity, summary)."""
    scanned: bool = True


def language_of(path: str, data: bytes) -> str:
    """By name first, as interpreters choose; by the first line for files without a suffix."""
    name = path.rpartition("/")[2].lower()
    if name.endswith(_DECLARATIONS):
        return ""
    if name == "setup.py":
        return "setup"
    if name in ("package.json", "binding.gyp"):
        return "manifest"
    for suffixes, language in ((PYTHON, "py"), (JAVASCRIPT, "js"), (SHELL, "other")):
        if name.endswith(suffixes):
            return language
    if data.startswith(b"#!"):
        first = data[:200].split(b"\n", 1)[0]
        return "py" if b"python" in first else "js" if b"node" in first or b"bun" in first else "other"
    return ""


def look_at(member: Member, *, rules: RulePack, limits: Limits) -> Look:
    """One pass of patterns, and of the flow where the patterns found parts that could belong together."""
    data = member.data
    language = language_of(member.path, data)
    look = Look(FileView(member.path, size_bytes=member.size_bytes), language)
    if _binary(look, member) or not language:
        return look
    text = _as_utf8(data, look)
    look.view.source = language in ("py", "js", "setup")
    hits, complete = rules.match(text, lang=language, limits=limits)
    if not complete:
        look.scanned = False
        look.problems.append(("unscanned-file", "high", "matching patterns took longer than it may"))
    _take_hits(look, hits, text)
    look.view.signals.extend(text_signals(text))
    if any("obfuscated" in signal.facts for signal in look.view.signals):
        look.view.facts.add("obfuscated")
    if "dynamic" in look.view.facts and packed_text_bytes(text) > len(text) * _PACKED_SHARE:
        look.view.facts.add("packed")
    _imports(look, text)
    if _worth_following(look):
        _follow(look, text, limits)
    return look


def _as_utf8(data: bytes, look: Look) -> bytes:
    """Interpreters read UTF-16 only with a mark at the beginning; a NUL elsewhere is an attempt to end our reading."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            return data[2:].decode(encoding, "replace").encode("utf-8", "replace")
    if b"\0" in data:
        look.problems.append(("nul-in-source", "medium", "a source file with NUL bytes"))
    if look.language in ("py", "setup"):
        declared = re.match(rb"(?:[^\n]{0,300}\n)?[ \t\f]{0,20}#[^\n]{0,100}?coding[:=][ \t]{0,4}([-\w.]{1,40})", data)
        if declared and declared[1].lower().replace(b"-", b"_") in _HIDING_ENCODINGS:
            why = "declares an encoding that hides the source"
            look.view.signals.append(Signal("odd-encoding", "hidden", 0.8, why, 1))
    return data


def _binary(look: Look, member: Member) -> bool:
    name = member.path.rpartition("/")[2].lower()
    if name.endswith((".pyc", ".pyo")):
        _compiled_python(look, member)
        return True
    native = member.data.startswith(NATIVE_MAGIC) and b"\0" in member.data[:512]
    if not native:
        return False
    look.capabilities.add(Capability.NATIVE)
    if look.language or name.endswith(_DOCUMENTS):
        why = "a program under the name of something else"
        look.view.signals.append(Signal("disguised-binary", "binary", 0.7, why))
        look.problems.append(("disguised-binary", "high", "a program under the name of something else"))
    else:
        look.problems.append(("native-binary", "info", "a compiled program or library"))
    return True


def _compiled_python(look: Look, member: Member) -> None:
    if "__pycache__/" not in member.path:
        look.view.signals.append(Signal("compiled-python", "binary", 0.35, "compiled Python in place of a source"))
        look.problems.append(("compiled-python", "medium", "compiled Python that runs without its source"))
    elif len(member.data) > 8 and member.data[4] & 1 and not member.data[4] & 2:
        look.problems.append(
            ("unchecked-bytecode", "medium", "compiled Python that is run without a look at its source")
        )


def _take_hits(look: Look, hits: list[Hit], text: bytes) -> None:
    for hit in hits:
        kind = hit.meta.get("kind")
        rule = hit.rule.rpartition("/")[2].replace("_", "-")
        line, digest = line_of(text, hit.offset), snippet_hash(hit.snippet)
        if kind is None:
            if (identifies := str(hit.meta.get("identifies", ""))).startswith("threat."):
                group = f"{FOREIGN_GROUP}.{identifies.split('.')[1]}"
                summary = str(hit.meta.get("description", rule))[:150]
                weight = foreign_weight(hit.meta)
                look.view.signals.append(Signal(f"guarddog-{rule}", group, weight, summary, line, digest))
            continue
        facts = str(hit.meta.get("facts", ""))
        look.view.facts.update(facts.split())
        if look.language == "manifest" and kind != "secret":
            continue  # what package.json starts at installation is read by `manifests`, command by command
        if kind == "secret":
            look.problems.append((rule, "low", str(hit.meta["summary"])))
        elif kind == "signal" or int(hit.meta["weight"]) >= 10:
            weight = int(hit.meta["weight"]) / 100 if kind == "signal" else 0.0
            look.view.signals.append(
                Signal(rule, str(hit.meta["group"]), weight, str(hit.meta["summary"]), line, digest, facts)
            )


def _imports(look: Look, text: bytes) -> None:
    if look.language in ("py", "setup"):
        for match in _PY_IMPORT.finditer(text):
            for module in (match[1] or match[2]).decode("ascii", "replace").split(","):
                name = module.split()[0] if module.split() else ""
                _module(look, python_names.CAPABILITIES, name.partition(".")[0])
                look.view.imports.add(name.rpartition(".")[2])
    elif look.language == "js":
        for match in _JS_IMPORT.finditer(text):
            module = match[1].decode("ascii", "replace")
            _module(look, javascript_names.CAPABILITIES, module)
            if module.startswith("."):
                look.view.imports.add(re.sub(r"\.[cm]?[jt]s$", "", module.rpartition("/")[2]))
    if "dynamic" in look.view.facts:
        look.capabilities.add(Capability.DYNAMIC_CODE)
    if b"os.environ" in text or b"process.env" in text or b"os.getenv" in text:
        look.capabilities.add(Capability.ENVIRONMENT)
    if _NATIVE_LOAD.search(text):
        look.capabilities.add(Capability.NATIVE)


def _module(look: Look, table: dict[str, str], key: str) -> None:
    if (word := table.get(key)) is not None:
        look.capabilities.add(Capability(word))


def _worth_following(look: Look) -> bool:
    facts = look.view.facts
    if look.language == "setup" or look.view.path.endswith(".pth"):
        return True
    collected = facts & {"env-all", "secret", "sysinfo", "watching"}
    return bool(
        ("dynamic" in facts and facts & {"decode", "send", "spawn"})
        or ("spawn" in facts and facts & {"send", "decode"})
        or ("send" in facts and collected)
        or (look.language in ("py", "setup") and "spawn" in facts)
    )


def _follow(look: Look, text: bytes, limits: Limits) -> None:
    if look.language in ("py", "setup"):
        if len(text) <= limits.max_parse_bytes:
            _follow_python(look, text)
    elif look.language == "js":
        if len(text) <= MAX_FLOW_BYTES:
            _follow_javascript(look, text, 0)
        else:
            start = len(text) - _END_BYTES
            _follow_javascript(look, text[:_END_BYTES], 0)
            _follow_javascript(look, text[start:], line_of(text, start) - 1)


def _follow_python(look: Look, text: bytes) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the hostile source, not about us
            tree = ast.parse(text, type_comments=False)
        flow = PythonFlow(tree)
        flow.run()
    except (SyntaxError, ValueError, RecursionError, MemoryError, TooManyNodes):
        look.problems.append(("unparsed-python", "info", "is no Python of this version; only patterns were applied"))
        return
    look.view.signals.extend(flow.signals)
    look.capabilities |= flow.capabilities


def _follow_javascript(look: Look, text: bytes, line_offset: int) -> None:
    flow = JavaScriptFlow(text)
    try:
        flow.run()
    except TooManyNodes:
        look.problems.append(("unparsed-javascript", "info", "is too large to parse; only patterns were applied"))
        return
    look.view.signals.extend(replace(signal, line=signal.line + line_offset) for signal in flow.signals)
    look.capabilities |= flow.capabilities
