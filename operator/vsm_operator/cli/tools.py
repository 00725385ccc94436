"""`vsmctl tools`: what a server lists, what is admitted of it, and admitting it.

Everything comes from the McpServer's status, so the right to read McpServers is enough to look, and the right to change
them is what it takes to admit.
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from vsm_operator.api.conditions import ConditionType, find_condition
from vsm_operator.api.v1alpha1 import ADMIT_ANNOTATION, TOOLS_HASH, ToolsStatus
from vsm_operator.cli.common import Context, Found, Name, Namespace, annotate, find_server, printable
from vsm_operator.cli.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Look at the tools of a server, and admit them.")


@app.command()
def show(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Print the tools of a server, their hash, and the hash that is admitted."""
    typer.echo(_shown(asyncio.run(find_server(name, namespace, context))))


@app.command()
def admit(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    digest: Annotated[
        str | None, typer.Option("--hash", help="Admit exactly this, without a question: sha256:<64 hex digits>.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Admit the tools that a server lists now, or those of --hash. Shows them, and asks, before it does."""
    if digest is not None and not TOOLS_HASH.fullmatch(digest):
        raise typer.BadParameter(
            "sha256: and 64 hex digits are needed, as `vsmctl tools show` prints", param_hint="--hash"
        )
    found = asyncio.run(find_server(name, namespace, context))
    chosen = digest or _listed(found)
    typer.echo(_shown(found))
    if found.spec.tool_pin == "Off":
        raise UserError(
            f"spec.toolPin of {found.target.name} is Off, so nothing is compared", "set it to TrustOnFirstUse or Strict"
        )
    tools = found.status.tools
    if tools is not None and tools.pinned_hash == chosen:
        typer.echo(f"\n{chosen} is admitted already")
        return
    if not yes and digest is None:
        typer.confirm(f"\nAdmit {chosen}?", abort=True)
    asyncio.run(annotate(found.target, ADMIT_ANNOTATION, _new_value(found, chosen)))
    typer.echo(f"\nadmitted {chosen}: the pods take it over within two minutes")
    if tools is None or tools.hash != chosen:
        typer.echo("it is not what the server lists now")


def _new_value(found: Found, chosen: str) -> str:
    """What was admitted for an earlier version counts again only when the annotation changes."""
    before = found.annotations.get(ADMIT_ANNOTATION, "")
    return f"{chosen}@{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" if before.partition("@")[0] == chosen else chosen


def _listed(found: Found) -> str:
    tools = found.status.tools
    if tools is None or not tools.hash:
        raise UserError(
            f"{found.target.name} has not listed its tools yet, so there is nothing to admit",
            "wait until `kubectl get mcps` says AwaitingApproval, Degraded or Ready, or name a hash with --hash",
        )
    return tools.hash


def _shown(found: Found) -> str:
    tools = found.status.tools or ToolsStatus()
    lines = [
        f"server    {found.target.namespace}/{found.target.name}: {found.status.phase}",
        f"toolPin   {found.spec.tool_pin}",
        f"lists     {tools.hash or 'nothing yet'}",
        f"admitted  {tools.pinned_hash or 'nothing'}",
    ]
    condition = find_condition(found.status.conditions, ConditionType.TOOLS_UNCHANGED)
    if condition is not None:
        lines.append(f"unchanged {condition.status}: {condition.reason}: {condition.message}")
    lines.append(f"\n{tools.count} tools that clients see:")
    lines += [f"  {name}" for name in tools.names]
    if len(tools.names) < tools.count:
        lines.append(f"  and {tools.count - len(tools.names)} more")
    return printable("\n".join(lines))
