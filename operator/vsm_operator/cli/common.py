"""What the commands share: their options, and reading an McpServer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from vsm_operator.api.v1alpha1 import MCP_SERVER, McpServerSpec, McpServerStatus
from vsm_operator.cli.errors import UserError
from vsm_operator.kube.auth import load_credentials
from vsm_operator.kube.client import KubeApi

Name = Annotated[str, typer.Argument(help="Name of the McpServer.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; default: that of the context.")]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig; default: the current one.")]


@dataclass(frozen=True, slots=True)
class Target:
    """Which server of which cluster."""

    name: str
    namespace: str
    context: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A server as it is."""

    target: Target
    spec: McpServerSpec
    status: McpServerStatus
    annotations: Mapping[str, str]


def printable(text: str) -> str:
    """For a terminal: what servers say of themselves must not be able to move its cursor."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


async def find_server(name: str, namespace: str | None, context: str | None) -> Found:
    """Raises UserError when there is none of that name."""
    credentials = load_credentials(context=context)
    space = namespace or credentials.namespace
    async with KubeApi(credentials) as api:
        raw = await api.get(MCP_SERVER, MCP_SERVER.key(space, name))
    if raw is None:
        raise _no_such_server(name, space)
    return Found(
        Target(name, space, context),
        McpServerSpec.read(raw.get("spec")),
        McpServerStatus.read(raw.get("status")),
        raw["metadata"].get("annotations") or {},
    )


async def annotate(target: Target, annotation: str, value: str) -> None:
    """Of a server that was found."""
    key = MCP_SERVER.key(target.namespace, target.name)
    async with KubeApi(load_credentials(context=target.context)) as api:
        await api.merge_patch(MCP_SERVER, key, {"metadata": {"annotations": {annotation: value}}})


def _no_such_server(name: str, namespace: str) -> UserError:
    return UserError(f"there is no McpServer {name} in namespace {namespace}", "`kubectl get mcps -A` lists all")
