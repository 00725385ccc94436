"""The operator's process, and the only place where its parts are put together."""

import asyncio
import logging
import os
import sys

import httpx

from vsm_operator import __version__
from vsm_operator.api.v1alpha1 import MCP_SERVER
from vsm_operator.controllers.adminkey import AdminKey
from vsm_operator.controllers.intake import IntakeDesk, UnwantedIntakes
from vsm_operator.controllers.mcpserver.pindesk import PinDesk
from vsm_operator.controllers.mcpserver.probes import Probes
from vsm_operator.controllers.mcpserver.reconciler import McpServerReconciler
from vsm_operator.controllers.registry import RegistryLocator, ensure_credentials
from vsm_operator.controllers.watches import add_indexes, watches
from vsm_operator.errors import OperatorError
from vsm_operator.kube.auth import load_credentials
from vsm_operator.kube.kinds import JOB
from vsm_operator.runtime import logs
from vsm_operator.runtime.manager import Manager, ManagerOptions
from vsm_operator.settings import InvalidSettings, Settings

_log = logging.getLogger("vsm_operator")
_CREDENTIALS_AGAIN_SECONDS = 5.0


async def run(settings: Settings) -> int:
    """Until SIGTERM. Returns the process's exit code."""
    manager = Manager(
        load_credentials(),
        watches=watches(settings),
        options=ManagerOptions(
            namespace=settings.namespace,
            pod_name=settings.pod_name,
            http_port=settings.http_port,
            background_limit=settings.probe_workers,
        ),
    )
    add_indexes(manager.store, settings)
    timeout = httpx.Timeout(settings.http_timeout_ms / 1000)
    limits = httpx.Limits(max_connections=2 * settings.probe_workers, max_keepalive_connections=0)
    # Servers are inside the cluster: a proxy from the environment is for the world outside.
    async with httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False) as http:
        registry = RegistryLocator(settings, changed=manager.router.enqueue_all)
        admin_key = AdminKey(manager.api, namespace=settings.namespace, changed=manager.router.enqueue_all)
        desk = IntakeDesk(manager.store, manager.cluster, settings)
        probes = Probes(
            background=manager.background,
            http=http,
            clock=manager.clock,
            enqueue=manager.enqueue,
            deadline_seconds=settings.http_timeout_ms / 1000,
        )
        servers = McpServerReconciler(
            store=manager.store,
            cluster=manager.cluster,
            events=manager.events,
            intake=desk,
            registry=registry,
            admin_key=admin_key,
            pins=PinDesk(manager.store, manager.cluster),
            probes=probes,
            settings=settings,
            clock=manager.clock,
        )
        manager.add_controller(
            "mcpserver", kind=MCP_SERVER, reconciler=servers, report=servers.report, workers=settings.workers
        )
        unwanted = UnwantedIntakes(manager.store, manager.cluster)
        manager.add_controller("intake", kind=JOB, reconciler=unwanted, workers=1)
        manager.add_service("registry address", registry.run)
        manager.add_service("admin key", admin_key.run)
        manager.add_service("registry credentials", lambda: _keep_credentials(manager, settings))
        return await manager.run()


async def _keep_credentials(manager: Manager, settings: Settings) -> None:
    """Makes them as soon as the API server lets us; then there is nothing left to do for this service."""
    while True:
        try:
            await ensure_credentials(manager.api, settings)
        except OperatorError as error:
            _log.warning("the bundle registry's credentials cannot be made yet: %s", error)
            await asyncio.sleep(_CREDENTIALS_AGAIN_SECONDS)
        else:
            await asyncio.Event().wait()


def main() -> int:
    """Exit code 2 for settings that cannot be used, each named on stderr."""
    try:
        settings = Settings.from_env(os.environ)
    except InvalidSettings as error:
        sys.stderr.write(f"vsm-operator cannot start with these settings:\n{error}\n")
        return 2
    redactor = logs.Redactor()
    redactor.hide(settings.anthropic_api_key.get_secret_value())
    logs.configure(settings.log_level, redactor=redactor)
    logging.getLogger("vsm.audit").disabled = not settings.audit_logging
    _log.info("starting", extra={"version": __version__, "namespace": settings.namespace})
    return asyncio.run(run(settings))


if __name__ == "__main__":
    sys.exit(main())
