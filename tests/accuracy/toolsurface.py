"""The tool surface: poisoned texts at every place where a model reads, and honest tools, written and real."""

import os
from collections.abc import Iterator
from pathlib import Path

from accuracy import attacks, honest, packages
from accuracy.parts import Outcome, Sample
from vsm_operator.domain.vetting import toolsurface

PLACES = ("description", "parameter", "title", "default", "instructions", "prompt", "enum")


def samples() -> Iterator[Sample]:
    for number, (name, family, split, text) in enumerate(attacks.texts()):
        place = PLACES[number % len(PLACES)] if split == "tuned" else "description"
        yield Sample(name, family, malicious=True, split=split, payload=placed(text, place))
    for number, (name, family, text) in enumerate(attacks.disguised()):
        yield Sample(name, family, malicious=True, split="tuned", payload=placed(text, PLACES[number % len(PLACES)]))
    for family, tools in (*honest.SERVERS.items(), *honest.LATER.items()):
        for name, text in tools:
            yield Sample(name, family, malicious=False, split="tuned", payload=[_tool(name, text)])
    yield from _real()


def judge(sample: Sample) -> Outcome:
    surface = toolsurface.scan(sample.payload)
    return Outcome(surface.poisoned, surface.gated, "; ".join(finding.summary for finding in surface.findings[:2]))


def placed(text: str, place: str) -> dict[str, object]:
    """A server's answer that says the text at one place and is honest elsewhere."""
    tool = _tool("add", "Adds two numbers.")
    answer: dict[str, object] = {"tools": [tool]}
    if place in {"description", "title"}:
        tool[place] = text
    elif place == "parameter":
        tool["inputSchema"] = {"type": "object", "properties": {"a": {"type": "string", "description": text}}}
    elif place == "default":
        tool["inputSchema"] = {"type": "object", "properties": {"a": {"type": "string", "default": text}}}
    elif place == "enum":
        tool["inputSchema"] = {"type": "object", "properties": {"a": {"type": "string", "enum": ["x", text]}}}
    elif place == "instructions":
        answer["instructions"] = text
    else:
        answer["prompts"] = [{"name": "help", "description": text}]
    return answer


def _tool(name: str, description: str) -> dict[str, object]:
    return {"name": name, "description": description, "inputSchema": {"type": "object", "properties": {}}}


def _real() -> Iterator[Sample]:
    """VSM_ACCURACY_OFFLINE=1 measures with what is in the cache already."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vsm-operator" / "accuracy"
    if not os.environ.get("VSM_ACCURACY_OFFLINE"):
        packages.fetch(cache)
    servers: dict[str, list[packages.Tool]] = {}
    for server, tool in packages.tools(cache):
        servers.setdefault(server, []).append(tool)
        yield Sample(
            f"{server}: {tool['name']}",
            f"{_family(server)}, each tool",
            malicious=False,
            split="tuned",
            payload=[tool],
        )
    for server, tools in servers.items():
        yield Sample(
            server, f"{_family(server)}, each server", malicious=False, split="tuned", payload={"tools": tools}
        )


def _family(server: str) -> str:
    return "published servers (later)" if server in packages.LATER else "published servers"
