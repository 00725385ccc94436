"""The bridge as a process: reads the environment, puts the parts together, and ends in order on SIGTERM.

On SIGTERM new connections are refused and readiness falls; calls in flight get their answers for a bounded time; then
the server is told to leave by closing its stdin.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys

from vsm_runtime.bridge.admin import AdminApp
from vsm_runtime.bridge.control import ControlChannel
from vsm_runtime.bridge.http import PublicApp
from vsm_runtime.bridge.link import Connector
from vsm_runtime.bridge.logs import configure
from vsm_runtime.bridge.serving import listen, server
from vsm_runtime.bridge.settings import InvalidSetting, Settings
from vsm_runtime.bridge.stdio import StdioConnector
from vsm_runtime.bridge.supervisor import Supervisor

MAX_ADMIN_CONNECTIONS = 64
_log = logging.getLogger("vsm_runtime.bridge")


async def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises OSError when a port cannot be had."""
    control = ControlChannel(settings.control)
    supervisor = Supervisor(
        connector=_connector(settings, control), handshake_timeout_seconds=settings.handshake_timeout_seconds
    )
    public = server(
        PublicApp(
            supervisor,
            path=settings.path,
            max_message_bytes=settings.max_message_bytes,
            request_timeout_seconds=settings.request_timeout_seconds,
            allowed_origins=settings.allowed_origins,
        )
    )
    admin = server(AdminApp(supervisor), max_connections=MAX_ADMIN_CONNECTIONS)
    public_socket, admin_socket = listen(settings.host, settings.port), listen(settings.host, settings.admin_port)
    ports = {"public": public_socket.getsockname()[1], "admin": admin_socket.getsockname()[1]}
    _log.info("listening on ports %(public)d and %(admin)d", ports)

    def stop() -> None:
        public.should_exit = admin.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    tasks = [asyncio.create_task(supervisor.run())]
    if settings.transport == "stdio":
        tasks.append(asyncio.create_task(control.run()))
    for task in tasks:
        # One that dies of a mistake must not leave a bridge behind that answers 503 for ever.
        task.add_done_callback(lambda _: stop())
    try:
        await asyncio.gather(public.serve([public_socket]), admin.serve([admin_socket]))
    finally:
        for task in tasks:  # in this order: how the server ends is heard on the control channel
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _connector(settings: Settings, control: ControlChannel) -> Connector:
    if settings.transport == "streamable-http":
        # httpx is only worth its memory where it is used.
        from vsm_runtime.bridge.upstream import UpstreamConnector  # noqa: PLC0415

        return UpstreamConnector(settings.upstream, max_message_bytes=settings.max_message_bytes)
    return StdioConnector(socket_path=settings.socket, control=control, max_message_bytes=settings.max_message_bytes)


def main() -> int:
    try:
        settings = Settings.from_env(os.environ)
    except InvalidSetting as error:
        sys.stderr.write(f"bridge: {error}\n")
        return 2
    configure(settings.log_level)
    try:
        asyncio.run(serve(settings))
    except OSError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
