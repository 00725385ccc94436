"""All patterns in one compiled object: our own rules and those of the `guarddog` package, read as data.

That package is never imported (its import asks the network); its rule files are found through the import system's
finder and read. Rules whose speed or purpose does not fit are left out by name. Every match is bounded in time.
"""

import fnmatch
import hashlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yara  # type: ignore[import-not-found]  # carries no types

from vsm_runtime.vetting.static.limits import Limits
from vsm_runtime.vetting.static.signals import MAX_SNIPPET_BYTES

_OWN = Path(__file__).with_name("rules")
_LEFT_OUT = frozenset({
    "threat-runtime-obfuscation-unicode.yar",  # 8 MB/s by itself; `texts` looks for the same
    "threat-runtime-obfuscation.yar", "threat-runtime-obfuscation-hidden-code.yar",  # 35 MB/s; `texts` and own rules
    "threat-npm-dependency-confusion.yar", "threat-npm-http-dependency.yar",  # facts of the tree, not of the source
})  # fmt: skip
LANGUAGES = {"py": ".py", "js": ".js", "setup": "/setup.py", "manifest": "/package.json", "other": ".sh"}
_RULE = re.compile(r"\n(?=rule )")
_LANG = re.compile(r'\blang = "(\w+)"')
_INCLUDE = re.compile(r'\bpath_include = "([^"\n]{1,400})"')
_MAX_RULE_FILE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule that matched in one file."""

    rule: str
    meta: dict[str, Any]
    offset: int
    snippet: bytes


class NoRules(Exception):  # noqa: N818 - a verdict on the installation
    """The rule files are missing: nothing may be called clean without them."""


@dataclass(frozen=True, slots=True)
class RulePack:
    """The compiled rules and the digest that names them."""

    rules: Mapping[str, Any]
    """By language: one object holds all that can match a file of it."""
    digest: str
    files: int

    def match(self, data: bytes, *, lang: str, limits: Limits) -> tuple[list[Hit], bool]:
        """The hits, first one of every rule, in the order of the rules' names; and whether all was looked at."""
        hits: dict[str, Hit] = {}
        complete = True
        step = limits.window_bytes - limits.window_overlap_bytes
        for start in range(0, max(1, len(data)), step):
            window = data[start : start + limits.window_bytes]
            try:
                matches = self.rules[lang].match(data=window, timeout=limits.file_seconds, fast=True)
            except yara.Error:  # also its TimeoutError
                complete = False
                continue
            for match in matches:
                name = f"{match.namespace}/{match.rule}"
                if name not in hits and (hit := _hit(name, match, start)) is not None:
                    hits[name] = hit
            if start + limits.window_bytes >= len(data):
                break
        return [hits[name] for name in sorted(hits)], complete


def _hit(name: str, match: Any, start: int) -> Hit | None:
    places = [(one.offset, one.matched_data) for string in match.strings for one in string.instances[:1]]
    offset, snippet = min(places, default=(0, b""))
    return Hit(name, dict(match.meta), start + offset, snippet[:MAX_SNIPPET_BYTES])


@cache
def rule_pack() -> RulePack:
    """Raises NoRules when the package with the rules is not installed."""
    sources: dict[str, str] = {}
    for path in sorted(_OWN.glob("*.yar")):
        sources[f"own.{path.stem}"] = path.read_text(encoding="utf-8")
    included: dict[str, str] = {}
    for path in _foreign():
        text = path.read_bytes()[:_MAX_RULE_FILE_BYTES].decode("utf-8", "replace")
        if path.suffix == ".yar":
            sources[f"guarddog.{path.stem}"] = text
        else:
            included[path.name] = text
    digest = hashlib.sha256()
    for name, text in sorted((sources | included).items()):
        digest.update(f"{name}\0{len(text)}\0{text}".encode())
    try:
        rules = {
            lang: yara.compile(sources=_of_language(sources, lang), include_callback=_reader(included))
            for lang in LANGUAGES
        }
    except yara.Error as error:
        raise NoRules(f"the rules do not compile: {error}") from error
    return RulePack(rules, digest.hexdigest(), len(sources))


def _is_rule(path: Path) -> bool:
    """Their `capability-` rules say what ours say, for a third of the time of a scan."""
    if path.name in _LEFT_OUT or path.name.startswith("capability-"):
        return False
    return path.suffix in (".yar", ".meta")


def _of_language(sources: dict[str, str], lang: str) -> dict[str, str]:
    """The sources that can say something of a file with the language's suffix."""
    chosen = {}
    for name, text in sources.items():
        if name.startswith("own."):
            chosen[name] = "\n".join(part for part in _RULE.split(text) if _speaks_of(part, lang))
        elif (include := _INCLUDE.search(text)) is None or any(
            fnmatch.fnmatchcase(f"x{LANGUAGES[lang]}", pattern.strip()) for pattern in include[1].split(",")
        ):
            chosen[name] = text
    return chosen


def _speaks_of(part: str, lang: str) -> bool:
    found = _LANG.search(part)
    return found is not None and found[1] in ("any", {"setup": "py"}.get(lang, lang))


def _reader(included: dict[str, str]) -> Callable[[str, str, str], str | None]:
    """What a rule file includes comes from the same folder or from nowhere."""
    return lambda wanted, _file, _namespace: included.get(wanted.removeprefix("./"))


def _foreign() -> list[Path]:
    spec = importlib.util.find_spec("guarddog")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    for place in places:
        folder = Path(place, "analyzer", "sourcecode")
        files = sorted(path for path in folder.iterdir() if _is_rule(path))
        if files:
            return files
    raise NoRules("the package guarddog, whose rule files are used as data, is not installed")
