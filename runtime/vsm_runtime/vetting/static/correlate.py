"""From the signals of files to one number for a package.

Within a file the heaviest signal of each group counts, and groups are joined as independent doubts:
risk = 10 · (1 - Π(1 - weight)). A package is as risky as its worst file, or as a chain over two of its files that
know each other. What only foreign rules say stays below the gate: it needs something of ours beside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vsm_runtime.vetting.static.signals import Signal

FOREIGN_GROUP = "guarddog"
FOREIGN_CEILING = 7.0
MAX_LINKED_FILES = 24
"""In a package of more source files, two that import each other prove nothing."""
MAX_CHAIN_BYTES = 96 * 1024
"""In a longer file, a bundle as a rule, parts that stand beside each other prove nothing."""
_SEVERITY = {"high": 0.45, "medium": 0.3, "low": 0.1}
_SPECIFICITY = {"high": 1.0, "medium": 0.55, "low": 0.2}


@dataclass(slots=True)
class FileView:
    """What is known of one file when all of it has been looked at."""

    path: str
    signals: list[Signal] = field(default_factory=list)
    facts: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    """Names of modules beside it, without suffix."""
    install_time: bool = False
    source: bool = False
    size_bytes: int = 0


def foreign_weight(meta: Mapping[str, Any]) -> float:
    """Of a rule of the GuardDog pack, from what its authors say of it."""
    if meta.get("identifies") == "threat.process.spawn" and "download" in str(meta.get("description", "")).lower():
        return 0.3  # on every fourth bundle: our own flow says it better
    severity = _SEVERITY.get(str(meta.get("severity")), 0.1)
    return round(severity * _SPECIFICITY.get(str(meta.get("specificity")), 0.55), 3)


_CHAINS: tuple[tuple[frozenset[str], float, float, str, str], ...] = tuple(
    (frozenset(facts.split()), weight, at_install, rule, summary)
    for facts, weight, at_install, rule, summary in (
        ("place collect send", 0.8, 0.9, "collects-for-strangers", "collects data and names a place for strangers"),
        ("place sysinfo send", 0.7, 0.9, "reports-to-strangers", "asks who it is and names a place for strangers"),
        ("place send", 0.35, 0.8, "speaks-to-strangers", "sends and names a place for strangers"),
        ("place spawn send", 0.55, 0.85, "loads-from-strangers", "starts programs and names a place for strangers"),
        ("place dynamic send", 0.55, 0.85, "runs-from-strangers", "runs text and names a place for strangers"),
        ("address spawn send", 0.3, 0.85, "loads-from-address", "starts programs and speaks to a bare address"),
        ("address collect send", 0.45, 0.88, "collects-for-address", "collects data and speaks to a bare address"),
        ("env-all send", 0.15, 0.35, "environment-and-network", "reads the whole environment and sends"),
        ("secret send", 0.2, 0.8, "secrets-and-network", "names places of secrets and sends"),
        ("sysinfo send", 0.08, 0.85, "machine-and-network", "asks who and where it is and sends"),
        ("packed dynamic decode", 0.72, 0.9, "packed-code", "a long packed text, a decoder and a call that runs text"),
        ("obfuscated spawn", 0.4, 0.8, "hidden-spawn", "is obfuscated and starts programs"),
        ("obfuscated send", 0.3, 0.8, "hidden-send", "is obfuscated and sends"),
        ("obfuscated dynamic", 0.3, 0.8, "hidden-dynamic", "is obfuscated and runs text as code"),
        ("timed spawn send", 0.3, 0.5, "timed-load", "from a certain day on starts programs and sends"),
        ("spawn send", 0.0, 0.45, "install-network-spawn", "at installation sends and starts programs"),
        ("dynamic decode send", 0.0, 0.5, "install-network-dynamic", "at installation decodes, sends and runs text"),
        ("spawn decode", 0.0, 0.3, "install-decode-spawn", "at installation decodes and starts programs"),
    )
)


def chain_signals(view: FileView) -> Iterable[Signal]:
    """Links of a chain that stand in one file, whether or not their flow into each other could be followed."""
    for facts, weight, at_install, rule, summary in _CHAINS:
        small = view.size_bytes <= MAX_CHAIN_BYTES or "place" in facts or view.install_time
        if small and facts <= view.facts and (weight or (view.install_time and at_install)):
            group = "chain-hidden" if "obfuscated" in facts or "packed" in facts else "chain"
            yield Signal(f"chain-{rule}", group, weight, summary, install_weight=at_install)


def linked_signals(views: list[FileView]) -> Iterable[tuple[FileView, Signal]]:
    """Chains over two files of a small package, one of which imports the other."""
    sources = [view for view in views if view.source and view.size_bytes <= MAX_CHAIN_BYTES]
    if len(sources) > MAX_LINKED_FILES:
        return
    for one in sources:
        for other in sources:
            stem = other.path.rpartition("/")[2].rpartition(".")[0]
            if one is other or stem not in one.imports:
                continue
            both = one.facts | other.facts
            if {"secret", "send"} <= both and "secret" not in one.facts & other.facts and "encode" in both:
                yield one, Signal("linked-secrets", "linked", 0.3, f"with {other.path}: secrets and a way out")
            if {"env-all", "send"} <= both and not {"env-all", "send"} <= one.facts and "encode" in both:
                yield one, Signal("linked-environment", "linked", 0.6, f"with {other.path}: sends the environment")
            if {"place", "collect"} <= both and not {"place", "collect"} <= one.facts:
                yield one, Signal("linked-strangers", "linked", 0.6, f"with {other.path}: serves strangers")


def risk_of(view: FileView) -> float:
    """0 to 10, one decimal."""
    own: dict[str, float] = {}
    foreign: dict[str, float] = {}
    for signal in view.signals:
        weight = max(signal.weight, signal.install_weight) if view.install_time else signal.weight
        groups = foreign if signal.group.startswith(FOREIGN_GROUP) else own
        groups[signal.group] = max(groups.get(signal.group, 0.0), min(weight, 0.99))
    from_foreign = _joined(foreign)
    if _joined(own) < 3.0:
        from_foreign = min(from_foreign, FOREIGN_CEILING)
        return round(max(from_foreign, min(FOREIGN_CEILING, _joined(own | foreign))), 1)
    return round(_joined(own | foreign), 1)


def _joined(groups: Mapping[str, float]) -> float:
    left = 1.0
    for _, weight in sorted(groups.items()):
        left *= 1.0 - weight
    return 10.0 * (1.0 - left)
