"""Files that make an installer or an interpreter run something: package.json, binding.gyp, .pth.

Out: signals, findings of fact (a script exists), and the paths that run at installation.
"""

import json
import posixpath
import re
from dataclasses import dataclass, field

from vsm_runtime.vetting.static import python_names as words
from vsm_runtime.vetting.static.shell import SHELL_ANY_FETCH, shell_signals
from vsm_runtime.vetting.static.signals import Signal, snippet_hash
from vsm_runtime.vetting.static.texts import line_of

LIFECYCLE = ("preinstall", "install", "postinstall")
"""What npm runs when a package is installed from a registry."""
_MAX_JSON_BYTES = 2 * 1024 * 1024
_MAX_COMMAND = 4096
_TARGET = re.compile(
    r"\b(?:node|bun|tsx|python3?|sh|bash)\s{1,4}(?:--?[\w-]{1,40}\s{1,4}){0,3}[\"']?([\w@./\\-]{1,200})"
)
_INLINE = re.compile(r"\b(?:node|bun|deno|python3?|perl|ruby|php)\s{1,4}(?:-e|-c|--eval|-p|eval)\b")
_USUAL = re.compile(
    r"^\s{0,4}(?:node-gyp(?:-build)?|prebuild-install|node-pre-gyp|husky|patch-package|opencollective|echo|exit|true"
    r"|cmake-js|napi-postinstall|is-ci|ngcc|only-allow|npx only-allow)\b"
)
_GYP_COMMAND = re.compile(rb"<!@?\(([^\n]{0,400})")
_GYP_USUAL = re.compile(
    r"^\s{0,4}(?:\[?\s{0,2}[\"']?)(?:node\s{1,2}(?:-p|-e|--print)\s|pkg-config|python3?\s{1,2}-c|uname|echo|which|printf"
    r"|xcrun|llvm-config|sw_vers|command\s{1,2}-v|if\s|node\s{1,2}\.?/?(?:util|scripts|tools|deps|gyp|lib)/)"
)
_PTH_HARMLESS = re.compile(
    r"^import (?:_virtualenv|__editable__\w{0,200}(?:; __editable__\w{0,200}\.install\(\))?|_editable_impl_\w{1,100}"
    r"|coverage; coverage\.process_startup\(\)|sys; sys\.__plen = len\(sys\.path\)"
    r"|site; site\.addsitedir\('[^']{0,200}'\))\s*$"
)


@dataclass(slots=True)
class InstallCode:
    """What the manifests of one package say."""

    targets: set[str] = field(default_factory=set)
    """Paths of the package that run at installation."""
    signals: dict[str, list[Signal]] = field(default_factory=dict)
    """By the path of the manifest."""
    scripts: list[tuple[str, str, int]] = field(default_factory=list)
    """(path, name of the script, line)."""
    broken: list[str] = field(default_factory=list)
    gyp: list[str] = field(default_factory=list)

    def add(self, path: str, signal: Signal) -> None:
        self.signals.setdefault(path, []).append(signal)


def read_package_json(path: str, data: bytes, into: InstallCode) -> None:
    """A manifest that cannot be read hides its scripts: that is said, not passed over."""
    scripts = _scripts(data)
    if scripts is None:
        into.broken.append(path)
        return
    for name in LIFECYCLE:
        command = scripts.get(name)
        if isinstance(command, str) and command.strip():
            line = line_of(data, data.find(f'"{name}"'.encode()))
            into.scripts.append((path, name, line))
            _command(path, command[:_MAX_COMMAND], line, into)


def _scripts(data: bytes) -> dict[str, object] | None:
    try:
        manifest = json.loads(data) if len(data) <= _MAX_JSON_BYTES else None
    except (ValueError, RecursionError):
        return None
    scripts = manifest.get("scripts", {}) if isinstance(manifest, dict) else None
    return scripts if isinstance(scripts, dict) else None


def _command(path: str, command: str, line: int, into: InstallCode) -> None:
    digest = snippet_hash(command.encode("utf-8", "replace"))
    for match in _TARGET.finditer(command):
        into.targets.add(_resolved(path, match[1]))

    def say(rule: str, weight: float, summary: str) -> None:
        into.add(path, Signal(rule, "install-command", weight, summary, line, digest, "install", weight))

    for rule, weight, summary in shell_signals(command):
        say(f"install-{rule}", weight, f"at installation {summary}")
    if words.SUSPICIOUS_PLACE.search(command):
        say("install-suspicious-place", 0.9, "at installation calls a place that collects data for strangers")
    elif SHELL_ANY_FETCH.search(command):
        say("install-fetch", 0.78, "at installation calls a downloader")
    elif _INLINE.search(command) and not _USUAL.match(command):
        heavy = re.search(r"https?:|child_process|eval\(|Buffer\.from|atob\(|process\.env\b(?!\.)|exec\(", command)
        say("install-inline-code", 0.8 if heavy else 0.25, "at installation runs code written into the command")


def _resolved(manifest: str, target: str) -> str:
    target = target.replace("\\", "/")
    return posixpath.normpath(posixpath.join(posixpath.dirname(manifest), target))


def read_binding_gyp(path: str, data: bytes, into: InstallCode) -> None:
    """`<!(…)` in it is a command line that runs when npm builds the package, which npm does without being asked."""
    into.gyp.append(path)
    for match in _GYP_COMMAND.finditer(data[:_MAX_JSON_BYTES]):
        command = match[1].decode("utf-8", "replace")
        line = line_of(data, match.start())
        before = len(into.signals.get(path, ()))
        _command(path, command, line, into)
        if len(into.signals.get(path, ())) == before and not _GYP_USUAL.match(command):
            digest = snippet_hash(match[1])
            into.add(path, Signal("gyp-command", "install-command", 0.5, "a build file starts a command", line, digest))


def pth_code(data: bytes) -> str:
    """The lines of a .pth file that Python runs at every start, except those of well-known tools."""
    text = data.decode("utf-8", "replace")
    lines = text.splitlines()
    return "\n".join(
        line if line.startswith(("import ", "import\t")) and not _PTH_HARMLESS.match(line) else "" for line in lines
    ).rstrip()
