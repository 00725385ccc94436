"""The official clients as programs: each tours patient_server.py at a URL and says what it saw."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.suite import Wrap
from support import nodejs

HERE = Path(__file__).parent
SERVER = HERE / "patient_server.py"
TIMEOUT_SECONDS = 60
VERSIONS = {"legacy": "2025-11-25", "modern": "2026-07-28"}
TOOLS = ["add", "count", "linger", "cancellations"]
TOURS = [
    ("python", "legacy"),
    ("python", "modern"),
    ("typescript-1", "legacy"),
    ("typescript-2", "legacy"),
    ("typescript-2", "modern"),
]
"""Which client in which era; version 1 of the TypeScript SDK knows the handshake alone."""


def tour(client: str, url: str, *, era: str, tag: str, wrap: Wrap = list) -> dict[str, Any]:
    """`tag` is new for every tour: the server counts cancellations by it."""
    if client == "python":
        argv = [sys.executable, str(HERE / "python_client.py"), url, era, tag]
    else:
        argv = [nodejs.node(), str(nodejs.HERE / "tour.mjs"), str(nodejs.packages()), client, url, era, tag]
    return json.loads(_run(wrap(argv)))


def asked(client: str, url: str, tools: Mapping[str, Mapping[str, Any]], *, era: str) -> dict[str, str]:
    """What the fixture's asking tools answer a TypeScript client that answers all that it is asked."""
    script = str(nodejs.HERE / "asked.mjs")
    said = json.loads(_run([nodejs.node(), script, str(nodejs.packages()), client, url, era, json.dumps(tools)]))
    return dict(said)


def check(seen: Mapping[str, Any], *, era: str) -> None:
    """All of the tour went well."""
    assert seen["protocolVersion"] == VERSIONS[era]
    assert seen["server"] == {"name": "patient", "version": "1.0"}
    assert seen["tools"] == TOOLS
    assert seen["sum"] == "5"
    assert seen["progress"] == [1, 2, 3]
    assert seen["refused"] != "answered"
    assert seen["cancellations"] == "1"


def inspector(url: str, *arguments: str, era: str, home: Path, wrap: Wrap = list) -> Any:
    """What the Inspector's command line prints about one request. It wants no progress and has no word for cancel."""
    return json.loads(_run(inspector_argv(url, *arguments, era=era, wrap=wrap), HOME=str(home)))["result"]


def inspector_argv(url: str, *arguments: str, era: str, wrap: Wrap = list) -> list[str]:
    program = nodejs.script("@modelcontextprotocol/inspector", "clients/launcher/build/index.js")
    return wrap([*program, "--cli", url, "--transport", "http", "--protocol-era", era, "--format", "json", *arguments])


def calling(tool: str, *pairs: str) -> list[str]:
    return ["--method", "tools/call", "--tool-name", tool, *(word for pair in pairs for word in ("--tool-arg", pair))]


def check_inspector(url: str, *, era: str, home: Path, wrap: Wrap = list) -> None:
    """It connects, lists and calls."""

    def ask(*arguments: str) -> Any:
        return inspector(url, *arguments, era=era, home=home, wrap=wrap)

    connected = ask("--method", "initialize")
    assert connected["protocolVersion"] == VERSIONS[era]
    assert connected["serverInfo"]["name"] == "patient"
    assert [tool["name"] for tool in ask("--method", "tools/list")["tools"]] == TOOLS
    assert ask(*calling("add", "a=2", "b=3"))["content"] == [{"type": "text", "text": "5"}]


def _run(argv: Sequence[str], **more: str) -> str:
    done = subprocess.run(
        argv, env=nodejs.environment(**more), capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert done.returncode == 0, (
        f"{argv[0]} ended with {done.returncode}:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
    )
    return done.stdout
