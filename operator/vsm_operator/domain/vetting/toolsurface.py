"""What a server tells the models of its clients, judged for poisoning: findings for check C4 and gate G10.

Takes what a server answered (a tools/list result, a list of tools, a server card, prompts, resources,
instructions), as parsed JSON of any shape. Walks every string in it, reads the signals of `toolrules` in each, adds up
what stands in one text and in one tool, and says which field caused what and what would clear it.

Invariants: pure; no input raises; the walk is bounded (`toolwalk`), and what is beyond the bounds is a
finding, never passed over. Equal inputs give equal findings in an equal order.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vsm_operator.domain.vetting import toolconcepts, toolrules, tooltext
from vsm_operator.domain.vetting.model import Finding, Scalar, Severity
from vsm_operator.domain.vetting.toolwalk import Text, texts_of, tools_of

LONG_DESCRIPTION_CHARS: Final = 4096

SUSPECT: Final = 3
"""From this sum of weights on, a text is a finding."""
CERTAIN: Final = 7
"""From this sum on, together with what gate G10 names, it fires the gate."""
HOSTILE: Final = frozenset({"conceal", "exfil", "shadow", "override", "command"})
ORDERS: Final = frozenset({"order", "authority", "coerce", "override", "authority-tag", "chat-template", "persist"})

REMEDY_HIDDEN: Final = "Publish the text without invisible or control characters"
REMEDY_TEXT: Final = "Describe what the tool does; leave out orders to the model about secrets, people or other tools"


@dataclass(frozen=True, slots=True)
class Surface:
    """The findings, worst first, and the score of check C4 (0 to 10)."""

    findings: tuple[Finding, ...]
    score: float
    tools: int
    texts: int

    @property
    def poisoned(self) -> bool:
        """Something that a person has to look at."""
        return any(finding.severity in {"critical", "high", "medium"} for finding in self.findings)

    @property
    def gated(self) -> bool:
        """Gate G10 fires."""
        return any(finding.check == "G10" for finding in self.findings)


def scan(document: object, *, purl: str = "", foreign_tools: frozenset[str] = frozenset()) -> Surface:
    """Judges a surface. `foreign_tools`: names of other servers' tools near it, which nobody else may steer."""
    texts, complete = texts_of(document)
    own = {text.value for text in texts if text.name}
    tools = {text.owner for text in texts if text.owner}
    found: list[Finding] = []
    parts: dict[str, dict[str, tuple[int, Text]]] = {}
    for text in texts:
        signals = read(text)
        found += _hidden_findings(text, purl=purl)
        found += _text_findings(text, signals, purl=purl)
        found += _foreign_findings(text, foreign_tools - own, signals, purl=purl)
        for kind, weight in signals.items():
            known = parts.setdefault(text.owner, {}).get(kind)
            if text.owner and (known is None or known[0] < weight):
                parts[text.owner][kind] = (weight, text)
    accused = {finding.data["owner"] for finding in found if finding.check == "G10" or finding.severity == "high"}
    for owner, kinds in parts.items():
        if owner and owner not in accused:
            found += _split_findings(owner, kinds, purl=purl)
    found += _annotation_findings(document, purl=purl)
    found += _parameter_findings(texts, purl=purl)
    if not complete:
        found.append(
            _finding(
                "surface-too-large",
                "high",
                Text("$", "", ""),
                "More text than any honest server tells a model",
                purl=purl,
                points=10,
            )
        )
    found = sorted(found, key=Finding.key)
    return Surface(tuple(found), _score(found), len(tools), len(texts))


def read(text: Text) -> dict[str, int]:
    """The kinds of signals in one text, with their weights."""
    if not text.prose and len(text.value) < 16:
        return {}
    views = [text.value, *tooltext.decoded(text.value)]
    signals: dict[str, int] = {}
    for view in views:
        _add(signals, _words_signals(view, is_name=text.name))
        for kind, weight, pattern in toolrules.MARKUP:
            if pattern.search(view[: tooltext.MAX_TEXT_CHARS]):
                _add(signals, {kind: weight})
    if len(views) > 1 and signals.keys() & (HOSTILE | {"secret", "authority"}):
        _add(signals, {"encoded": 3})
    return signals


def _add(signals: dict[str, int], more: Mapping[str, int]) -> None:
    for kind, weight in more.items():
        signals[kind] = max(weight, signals.get(kind, 0))


def _words_signals(value: str, *, is_name: bool) -> dict[str, int]:
    words = tooltext.words(value, is_name=is_name)
    if len(words) < 8:
        return {}
    signals = _matches(words)
    if any(char.isdigit() for char in words) and "override" not in signals:
        _add(signals, {kind: weight for kind, weight in _matches(tooltext.unleet(words)).items() if kind == "override"})
    if signals.keys() & toolrules.QUOTABLE and toolrules.MENTION.search(words):
        unquoted = _matches(tooltext.words(tooltext.without_quotes(value)))
        for kind in signals.keys() & toolrules.QUOTABLE:
            if kind not in unquoted:
                del signals[kind]
    return signals


def _matches(words: str) -> dict[str, int]:
    signals: dict[str, int] = {}
    for signal in toolrules.SIGNALS:
        if signals.get(signal.kind, 0) >= signal.weight:
            continue
        match = signal.pattern.search(words)
        if match and not signal.literal and toolrules.NEGATED.search(words[max(0, match.start() - 60) : match.start()]):
            match = None
        if match:
            signals[signal.kind] = signal.weight
    _add(signals, toolconcepts.meanings(words))
    return signals


def _hidden_findings(text: Text, *, purl: str) -> Iterator[Finding]:
    for thing in tooltext.hidden(text.value[: tooltext.MAX_TEXT_CHARS]):
        summary = f"{thing.summary} in {text.path}"
        severity: Severity = "high" if thing.strong else "medium"
        yield _finding(
            thing.rule, severity, text, summary, purl=purl, remedy=REMEDY_HIDDEN, points=5 if thing.strong else 3
        )
        if thing.strong:
            yield _finding(thing.rule, "critical", text, summary, purl=purl, gate=True, remedy=REMEDY_HIDDEN)
    if len(text.value) > tooltext.MAX_TEXT_CHARS:
        yield _finding(
            "text-too-long", "high", text, f"{len(text.value)} characters in {text.path}", purl=purl, points=10
        )
    elif text.prose and len(text.value) > LONG_DESCRIPTION_CHARS:
        yield _finding(
            "long-description", "low", text, f"{len(text.value)} characters in {text.path}", purl=purl, points=1
        )


def _text_findings(text: Text, signals: Mapping[str, int], *, purl: str) -> Iterator[Finding]:
    total = sum(signals.values())
    if total < SUSPECT or not _directed(signals):
        return
    rule, kinds = _rule(signals), ", ".join(sorted(signals))
    yield _finding(rule, "high", text, f"{_WHAT[rule]} in {text.path} ({kinds})", purl=purl, points=_points(rule))
    if total >= CERTAIN and fires(signals):
        yield _finding(rule, "critical", text, f"{_WHAT[rule]} in {text.path} ({kinds})", purl=purl, gate=True)


def fires(signals: Mapping[str, int]) -> bool:
    """Gate G10's own condition: an order, and with it a secret's place that leaves or something kept from people."""
    place, told, hides = signals.get("secret", 0) >= 2, signals.get("exfil", 0), signals.get("conceal", 0)
    ordered = bool(signals.keys() & ORDERS)
    leaves = place and (told >= 4 or (ordered and (told > 0 or signals["secret"] >= 3)))
    kept_quiet = hides >= 4 and (place or told > 0 or "shadow" in signals or (ordered and hides >= 5))
    return leaves or kept_quiet


def _directed(signals: Mapping[str, int]) -> bool:
    """Weak signals alone (orders, secrets, tags) are what honest servers say too, however many there are."""
    strong = {kind for kind, weight in signals.items() if weight >= 3}
    return bool(strong) or len(signals.keys() - {"order", "coerce", "secret", "command"}) >= 2


def _split_findings(owner: str, kinds: Mapping[str, tuple[int, Text]], *, purl: str) -> Iterator[Finding]:
    """An attack spread over a description and its parameters: more is asked for than of one text."""
    signals = {kind: weight for kind, (weight, _) in kinds.items()}
    hostile = [kind for kind in HOSTILE if signals.get(kind, 0) >= 3]
    if (
        sum(signals.values()) >= SUSPECT + 2
        and hostile
        and signals.keys() & ORDERS
        and signals.get("secret", 0) + len(hostile) >= 3
    ):
        text = replace(kinds[hostile[0]][1], owner=owner)
        rule = _rule(signals)
        yield _finding(
            rule,
            "medium",
            text,
            f"{_WHAT[rule]}, spread over {owner} ({', '.join(sorted(signals))})",
            purl=purl,
            points=_points(rule),
        )


def _foreign_findings(
    text: Text, foreign: frozenset[str], signals: Mapping[str, int], *, purl: str
) -> Iterator[Finding]:
    named = sorted(name for name in foreign if len(name) > 4 and not text.name and name in text.value)
    if named and signals.keys() & (ORDERS | HOSTILE | {"safeguard", "bend"}):
        summary = f"{text.path} gives orders about {named[0]}, a tool of another server"
        yield _finding("cross-tool-reference", "medium", text, summary, purl=purl, points=3)


def _annotation_findings(document: object, *, purl: str) -> Iterator[Finding]:
    for path, tool in tools_of(document):
        hints, name = tool.get("annotations"), tool.get("name")
        if not isinstance(hints, Mapping) or not isinstance(name, str):
            continue
        words = tooltext.words(name[:200], is_name=True)
        text = Text(f"{path}.annotations", path, "")
        if hints.get("readOnlyHint") is True and toolrules.WRITES.match(words):
            yield _finding(
                "read-only-hint-contradicted", "medium", text, f"{words!r} claims to be read-only", purl=purl, points=4
            )
        elif (
            hints.get("destructiveHint") is False and not hints.get("readOnlyHint") and toolrules.DESTROYS.match(words)
        ):
            yield _finding(
                "destructive-hint-contradicted",
                "low",
                text,
                f"{words!r} claims to destroy nothing",
                purl=purl,
                points=2,
            )


def _parameter_findings(texts: Sequence[Text], *, purl: str) -> Iterator[Finding]:
    prying: dict[str, list[Text]] = {}
    for text in texts:
        if not text.name or ".properties." not in text.path or "outputSchema" in text.path:
            continue
        name = text.value[:80].casefold().replace("-", "_")
        if toolrules.SECRET_PARAMETER.match(name):
            yield _finding(
                "secret-parameter", "low", text, f"{text.path} asks a model for a secret", purl=purl, points=2
            )
        if toolrules.PRYING_PARAMETER.match(name):
            prying.setdefault(text.owner, []).append(text)
    for asked in prying.values():
        severity: Severity = "medium" if len(asked) > 1 else "low"
        names = ", ".join(sorted(text.value[:40] for text in asked)[:3])
        yield _finding(
            "prying-parameter",
            severity,
            asked[0],
            f"Parameters make a model tell what it knows: {names}",
            purl=purl,
            points=2,
        )


_WHAT: Final = {
    "injection-conceal": "The model is told to keep something from people",
    "injection-override": "The model is told to drop its instructions",
    "injection-exfiltration": "The model is told to hand over what is not the tool's business",
    "injection-command": "The model is told to run a command",
    "injection-disguised": "Instructions are hidden in markup or an encoding",
    "injection-misleading": "The model is told to mislead or to pass over safeguards",
    "injection-orders": "Orders to the model that no description needs",
    "cross-tool-steering": "The behaviour of other tools is changed",
}
_PRIORITY: Final = (
    ("conceal", "injection-conceal"),
    ("exfil", "injection-exfiltration"),
    ("override", "injection-override"),
    ("shadow", "cross-tool-steering"),
    ("command", "injection-command"),
    ("chat-template", "injection-disguised"),
    ("encoded", "injection-disguised"),
    ("hidden-comment", "injection-disguised"),
    ("invisible-style", "injection-disguised"),
    ("image-beacon", "injection-disguised"),
    ("data-uri", "injection-disguised"),
    ("secret", "injection-exfiltration"),
    ("bend", "injection-misleading"),
    ("safeguard", "injection-misleading"),
)


def _rule(signals: Mapping[str, int]) -> str:
    return next((rule for kind, rule in _PRIORITY if signals.get(kind, 0) >= 3), "injection-orders")


def _points(rule: str) -> int:
    return 3 if rule.startswith("cross-tool") else 5


def _score(findings: Sequence[Finding]) -> float:
    """10 minus the points, each rule once a tool, parameters and sizes once for the server; never below 0."""
    once: dict[tuple[object, str], float] = {}
    for finding in findings:
        points = finding.data.get("points")
        if isinstance(points, int):
            scope = finding.data["owner"] if finding.severity != "low" else ""
            once[scope, finding.rule] = max(points, once.get((scope, finding.rule), 0))
    return max(0.0, 10.0 - sum(once.values()))


def _finding(
    rule: str,
    severity: Severity,
    text: Text,
    summary: str,
    *,
    purl: str,
    points: int = 5,
    gate: bool = False,
    remedy: str = REMEDY_TEXT,
) -> Finding:
    data: dict[str, Scalar] = {"owner": text.owner[:200]} if gate else {"owner": text.owner[:200], "points": points}
    return Finding(
        check="G10" if gate else "C4",
        purl=purl,
        rule=rule,
        severity=severity,
        summary=summary,
        field=text.path,
        snippet_sha256=hashlib.sha256(text.value.encode("utf-8", "replace")).hexdigest(),
        remedy=remedy,
        data=data,
    )
