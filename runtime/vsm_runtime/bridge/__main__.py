"""The bridge as a process: reads the environment, puts the parts together, and ends in order on SIGTERM.

On SIGTERM new connections are refused and readiness falls; calls in flight get their answers for a bounded time; then
the server is told to leave by closing its stdin.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine

import uvloop

from vsm_runtime.bridge.admin import AdminApp
from vsm_runtime.bridge.auth import authenticator
from vsm_runtime.bridge.desk import Desk
from vsm_runtime.bridge.gate import Gate
from vsm_runtime.bridge.http import PublicApp
from vsm_runtime.bridge.limits import Limits
from vsm_runtime.bridge.link import Connector
from vsm_runtime.bridge.logs import configure
from vsm_runtime.bridge.metrics import Metrics
from vsm_runtime.bridge.pin import ToolPin
from vsm_runtime.bridge.pool import Pool
from vsm_runtime.bridge.questions import Owner
from vsm_runtime.bridge.service import Service
from vsm_runtime.bridge.serving import listen, server
from vsm_runtime.bridge.settings import InvalidSetting, Isolation, Settings
from vsm_runtime.bridge.stdio import StdioConnector
from vsm_runtime.bridge.supervisor import Supervisor
from vsm_runtime.bridge.toolbook import ToolBook
from vsm_runtime.bridge.toolfilter import ToolFilter

MAX_ADMIN_CONNECTIONS = 64
CONNECTING_REQUESTS = 10
"""What a client may send to get going, whatever its rate: discover, initialize, three lists, a stream."""
_log = logging.getLogger("vsm_runtime.bridge")


async def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises OSError when a port cannot be had."""
    metrics, tool_filter = Metrics(), ToolFilter(settings.tools_allow, settings.tools_deny)
    gate = Gate(ToolPin(settings.tool_pin, settings.pin_file))

    def supervisor(owner: Owner | None) -> Supervisor:
        return Supervisor(
            connector=connector,
            gate=gate,
            tool_filter=tool_filter,
            handshake_timeout_seconds=settings.handshake_timeout_seconds,
            on_restart=metrics.restarts.inc,
            on_listed=metrics.known_tools,
            owner=owner,
        )

    connector = _connector(settings, lambda: pool.main.status.tools)
    pool = Pool(
        supervisor,
        isolated=settings.isolation is Isolation.SESSION,
        max_sessions=settings.max_sessions,
        idle_seconds=settings.session_idle_seconds,
        max_seconds=settings.session_max_seconds,
    )
    desk = Desk(
        pool,
        tool_filter=tool_filter,
        limits=Limits(
            settings.max_calls_per_client, settings.calls_per_second_per_client, min_burst=CONNECTING_REQUESTS
        ),
        metrics=metrics,
        request_timeout_seconds=settings.request_timeout_seconds,
        start_timeout_seconds=settings.handshake_timeout_seconds,
    )
    public = server(
        PublicApp(
            desk,
            authenticator=authenticator(settings),
            metrics=metrics,
            path=settings.path,
            max_message_bytes=settings.max_message_bytes,
            allowed_origins=settings.allowed_origins,
        )
    )
    admin = server(
        AdminApp(
            Service(desk, metrics),
            metrics=metrics,
            admin_token_sha256=settings.admin_token_sha256,
            drain_seconds=settings.drain_seconds,
        ),
        max_connections=MAX_ADMIN_CONNECTIONS,
    )
    public_socket, admin_socket = listen(settings.host, settings.port), listen(settings.host, settings.admin_port)
    ports = {"public": public_socket.getsockname()[1], "admin": admin_socket.getsockname()[1]}
    _log.info("listening on ports %(public)d and %(admin)d", ports)

    def stop() -> None:
        desk.draining = True
        pool.end_streams()
        public.should_exit = admin.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    servers = asyncio.create_task(_together(pool.run(), gate.watch()))
    # One that dies of a mistake must not leave a bridge behind that answers 503 for ever.
    servers.add_done_callback(lambda _: stop())
    try:
        await asyncio.gather(public.serve([public_socket]), admin.serve([admin_socket]))
    finally:
        servers.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await servers


async def _together(*parts: Coroutine[object, object, None]) -> None:
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(part)


def _connector(settings: Settings, tools: Callable[[], ToolBook | None]) -> Connector:
    if settings.transport == "streamable-http":
        # httpx is only worth its memory where it is used.
        from vsm_runtime.bridge.upstream import UpstreamConnector  # noqa: PLC0415

        return UpstreamConnector(settings.upstream, tools=tools, max_message_bytes=settings.max_message_bytes)
    return StdioConnector(socket_path=settings.socket, max_message_bytes=settings.max_message_bytes)


def main() -> int:
    try:
        settings = Settings.from_env(os.environ)
    except InvalidSetting as error:
        sys.stderr.write(f"bridge: {error}\n")
        return 2
    configure(settings.log_level)
    # What is there by now stays: the collector need not look at it again, nor at the rest after every 700 objects.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except OSError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
