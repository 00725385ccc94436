"""The commands of vsmctl. Each reads its options, does one thing, and exits 0, 1 (it failed) or 2 (wrong usage)."""

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import typer

from vsm_operator import __version__
from vsm_operator.api.conditions import find_condition
from vsm_operator.api.v1alpha1 import BRIDGE_PORT, RETRY_ANNOTATION, McpServerStatus, Phase
from vsm_operator.cli import tools
from vsm_operator.cli.common import Context, Name, Namespace, Target, annotate, find_server, printable
from vsm_operator.cli.errors import UserError
from vsm_operator.cli.portforward import command, port_forward
from vsm_operator.errors import OperatorError
from vsm_operator.ports.mcp import HandshakeFailed, Session

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

app.add_typer(tools.app, name="tools")


@app.command()
def connect(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    port: Annotated[int, typer.Option(help="Local port.", min=1, max=65535)] = BRIDGE_PORT,
) -> None:
    """Print the port-forward and the client configuration for a server."""
    found = _run(find_server(name, namespace, context))
    status, target, guarded = found.status, found.target, found.spec.auth is not None
    _warn_unless_ready(status, target)
    forward = command(namespace=target.namespace, name=name, context=context, local_port=port)
    entry: dict[str, Any] = {"type": "http", "url": f"http://127.0.0.1:{port}/mcp"}
    if guarded:
        entry["headers"] = {"Authorization": "Bearer <your token: spec.auth of this server asks for one>"}
    client = {"mcpServers": {name: entry}}
    typer.echo("# 1. Leave this running in a terminal:")
    typer.echo(shlex.join(forward))
    typer.echo("\n# 2. Give this to the MCP client (Claude, an IDE, an agent):")
    typer.echo(json.dumps(client, indent=2))
    if status.endpoint:
        typer.echo(f"\n# Inside the cluster, for the peers in spec.network.allowFrom: {status.endpoint}")


@app.command()
def call(
    name: Name,
    tool: Annotated[str, typer.Argument(help="Name of the tool.")],
    arguments: Annotated[str, typer.Argument(help="Its arguments as a JSON object.")] = "{}",
    namespace: Namespace = None,
    context: Context = None,
    timeout_seconds: Annotated[float, typer.Option("--timeout", help="Seconds for the call.", min=1)] = 60.0,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the bearer token that spec.auth of the server asks for.")
    ] = None,
) -> None:
    """Call one tool of a server and print its answer as JSON; exit 1 when the tool reports an error."""
    try:
        decoded = json.loads(arguments)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="ARGUMENTS") from error
    if not isinstance(decoded, dict):
        raise typer.BadParameter('a JSON object is needed, such as {"query": "x"}', param_hint="ARGUMENTS")
    token = _token(token_file)
    answer = _run(
        _call(name, tool, decoded, namespace=namespace, context=context, timeout_seconds=timeout_seconds, token=token)
    )
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    if answer.get("isError"):
        raise typer.Exit(1)


@app.command()
def retry(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Ask for another try of a server that ended as Failed or Rejected."""
    _run(_retry(name, namespace, context))
    typer.echo(f"asked: `kubectl get mcps {name} --watch` shows what comes of it")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


async def _call(
    name: str,
    tool: str,
    arguments: dict[str, Any],
    *,
    namespace: str | None,
    context: str | None,
    timeout_seconds: float,
    token: str,
) -> dict[str, Any]:
    found = await find_server(name, namespace, context)
    status, target = found.status, found.target
    _warn_unless_ready(status, target)
    async with (
        port_forward(namespace=target.namespace, name=name, context=context) as url,
        httpx.AsyncClient(timeout=timeout_seconds, trust_env=False) as http,
    ):
        session = Session(http, url, token=token)
        try:
            await session.open()
            answer = await session.request("tools/call", {"name": tool, "arguments": arguments})
            await session.close()
        except (HandshakeFailed, httpx.HTTPError) as error:
            known = printable(", ".join(status.tools.names)) if status.tools else "unknown"
            advice = f"tools of this server: {known}"
            if found.spec.auth is not None and not token:
                advice = "this server asks for a token (spec.auth): name a file with yours by --token-file"
            raise UserError(f"{tool} of {target.name}: {printable(str(error))}", advice) from error
    return dict(answer)


def _token(path: Path | None) -> str:
    """From a file, so that it shows in no list of processes."""
    if path is None:
        return ""
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot be read: {error}", param_hint="--token-file") from error
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise typer.BadParameter("one line of printable ASCII is needed", param_hint="--token-file")
    return token


async def _retry(name: str, namespace: str | None, context: str | None) -> None:
    found = await find_server(name, namespace, context)
    await annotate(found.target, RETRY_ANNOTATION, datetime.now(UTC).isoformat())


def _warn_unless_ready(status: McpServerStatus, target: Target) -> None:
    if status.phase is not Phase.READY:
        ready = find_condition(status.conditions, "Ready")
        why = f": {ready.reason}: {ready.message}" if ready else ""
        typer.echo(f"{target.namespace}/{target.name} is {status.phase}{why}", err=True)


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def main() -> None:
    """Entry point. Errors for people are two lines on stderr and exit code 1; VSMCTL_DEBUG=1 shows the traceback."""
    try:
        app()
    except (UserError, OperatorError) as error:
        if os.environ.get("VSMCTL_DEBUG"):
            raise
        typer.echo(f"error: {error}", err=True)
        if isinstance(error, UserError) and error.advice:
            typer.echo(f"  next: {error.advice}", err=True)
        sys.exit(1)
