"""A way from this machine to a server: `kubectl port-forward`, which passes through the kubelet into the pod.

It needs no opening in the server's NetworkPolicy, and Kubernetes' own rights (pods/portforward) decide who may.
"""

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator

from vsm_operator.api.v1alpha1 import BRIDGE_PORT
from vsm_operator.cli.errors import UserError

_READY = re.compile(r"Forwarding from 127\.0\.0\.1:([0-9]+) ->")
_START_SECONDS = 20.0


def command(*, namespace: str, name: str, context: str | None, local_port: int | None) -> list[str]:
    """The argument vector; an ephemeral local port without `local_port`."""
    chosen = ["--context", context] if context else []
    ports = f"{local_port or ''}:{BRIDGE_PORT}"
    return ["kubectl", *chosen, "--namespace", namespace, "port-forward", f"service/mcp-{name}", ports]


@contextlib.asynccontextmanager
async def port_forward(*, namespace: str, name: str, context: str | None) -> AsyncIterator[str]:
    """URL of the server's /mcp on this machine, as long as the block runs. Raises UserError when kubectl refuses."""
    arguments = command(namespace=namespace, name=name, context=context, local_port=None)
    if shutil.which(arguments[0]) is None:
        raise UserError("kubectl is not on the PATH, and the way into the cluster goes through it", "install kubectl")
    process = await asyncio.create_subprocess_exec(
        *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield f"http://127.0.0.1:{await _local_port(process)}/mcp"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _local_port(process: asyncio.subprocess.Process) -> int:
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("the pipes of kubectl were not opened")
    try:
        async with asyncio.timeout(_START_SECONDS):
            async for line in process.stdout:
                if match := _READY.search(line.decode(errors="replace")):
                    return int(match[1])
            reason = (await process.stderr.read()).decode(errors="replace").strip()
    except TimeoutError:
        reason = f"no answer within {_START_SECONDS:g} s"
    raise UserError(f"kubectl port-forward failed: {reason}", "`kubectl get mcps` shows whether the server is Ready")
