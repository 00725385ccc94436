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

_log = logging.getLogger("vsm_runtime.bridge")


async def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises OSError when a port cannot be had."""
    async with contextlib.AsyncExitStack() as stack:
        connector = _connector(settings, stack)
        supervisor = Supervisor(connector=connector, handshake_timeout_seconds=settings.handshake_timeout_seconds)
        public = server(
            PublicApp(
                supervisor,
                path=settings.path,
                max_message_bytes=settings.max_message_bytes,
                request_timeout_seconds=settings.request_timeout_seconds,
                allowed_origins=settings.allowed_origins,
            )
        )
        admin = server(AdminApp(supervisor), max_connections=64)
        public_socket = listen(settings.host, settings.port)
        admin_socket = listen(settings.host, settings.admin_port)
        addresses = {"public": public_socket.getsockname()[1], "admin": admin_socket.getsockname()[1]}
        _log.info("listening on ports %(public)d and %(admin)d", addresses)

        def stop() -> None:
            public.should_exit = admin.should_exit = True

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        supervising = asyncio.create_task(supervisor.run())
        # A supervisor that dies of a mistake must not leave a bridge behind that answers 503 for ever.
        supervising.add_done_callback(lambda _: stop())
        try:
            await asyncio.gather(public.serve([public_socket]), admin.serve([admin_socket]))
        finally:
            supervising.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervising


def _connector(settings: Settings, stack: contextlib.AsyncExitStack) -> Connector:
    if settings.transport == "streamable-http":
        # httpx is only worth its memory where it is used.
        from vsm_runtime.bridge.upstream import UpstreamConnector  # noqa: PLC0415

        return UpstreamConnector(settings.upstream, max_message_bytes=settings.max_message_bytes)
    control = ControlChannel(settings.control)
    following = asyncio.create_task(control.run())
    stack.callback(following.cancel)
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
