"""A server on stdio, started by the launcher next to it: two pipes that we make, one connection that is our lease.

The server's ends of the pipes go to the launcher over its socket; ours stay descriptions of our own, which nobody on
the untrusted side can make blocking. The server is gone as soon as it closes stdout, or the launcher lets go of the
connection, or says on its control socket that nothing runs any more; whichever comes first.
"""

import array
import asyncio
import contextlib
import logging
import os
import socket
from io import FileIO

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.control import ControlChannel, LauncherStatus
from vsm_runtime.bridge.framing import LineSplitter, Oversized, response_id
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.link import ConnectFailed, Ending, LinkBusy, Receiver
from vsm_runtime.bridge.logs import shown

_log = logging.getLogger(__name__)
HELLO_SECONDS = 5.0
SOCKET_POLL_SECONDS = 0.05
ENDING_SECONDS = 15.0
"""Longer than the launcher's whole ladder: stdin closed, SIGTERM, SIGKILL, sweep."""


class StdioConnector:
    """Asks the launcher for a child, again and again as the supervisor says."""

    def __init__(self, *, socket_path: str, control: ControlChannel, max_message_bytes: int) -> None:
        self._socket_path = socket_path
        self._control = control
        self._max_message_bytes = max_message_bytes

    async def connect(self, receiver: Receiver) -> "StdioLink":
        """Waits for the launcher's socket to appear: the containers of a pod start in no order."""
        lease = await self._reach_launcher()
        try:
            await self._control.reachable()
            stdin, stdout = _send_pipes(lease)
            try:
                start = await self._start_number(lease)
                link = StdioLink(receiver, self._control, start=start, max_message_bytes=self._max_message_bytes)
                await link.take_over(lease, stdin=stdin, stdout=stdout)
            except BaseException:
                stdin.close()
                stdout.close()
                raise
        except OSError as error:
            lease.close()
            raise ConnectFailed(f"the launcher cannot be asked for a server: {error}") from error
        except BaseException:
            lease.close()
            raise
        return link

    async def _reach_launcher(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        while True:
            lease = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            lease.setblocking(False)
            try:
                await loop.sock_connect(lease, self._socket_path)
            except (FileNotFoundError, ConnectionRefusedError):
                lease.close()
                await asyncio.sleep(SOCKET_POLL_SECONDS)
            except BaseException as error:
                lease.close()
                if isinstance(error, OSError):
                    raise ConnectFailed(f"cannot connect to the launcher at {self._socket_path}: {error}") from error
                raise
            else:
                return lease

    async def _start_number(self, lease: socket.socket) -> int:
        loop = asyncio.get_running_loop()
        line = b""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                while not line.endswith(b"\n") and len(line) < 4096:
                    chunk = await loop.sock_recv(lease, 4096)
                    if not chunk:
                        break
                    line += chunk
            answer = jsonrpc.decode(line)
        except (TimeoutError, jsonrpc.Malformed):
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("start"), int):
            why = answer.get("error") if isinstance(answer, dict) else None
            raise ConnectFailed(f"the launcher did not start the server: {shown(why or 'it gave no answer')}")
        return int(answer["start"])


def _send_pipes(lease: socket.socket) -> tuple[FileIO, FileIO]:
    """Gives the launcher the server's ends of two new pipes; returns ours: where to write, where to read."""
    stdin_read, stdin_write = os.pipe()
    stdout_read, stdout_write = os.pipe()
    stdin, stdout = FileIO(stdin_write, "w"), FileIO(stdout_read)
    try:
        for end in (stdin_read, stdout_write):
            os.fchmod(end, 0o666)  # the server runs as another user, and may open /dev/stdout by name
        fds = array.array("i", [stdin_read, stdout_write])
        lease.sendmsg([b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    except OSError:
        stdin.close()
        stdout.close()
        raise
    finally:
        os.close(stdin_read)
        os.close(stdout_write)
    return stdin, stdout


class StdioLink:
    """One life of the child, from its start to the end of its process group."""

    def __init__(self, receiver: Receiver, control: ControlChannel, *, start: int, max_message_bytes: int) -> None:
        self._receiver: Receiver | None = receiver
        self._control = control
        self._start = start
        self._max_message_bytes = max_message_bytes
        self._splitter = LineSplitter(max_message_bytes)
        self._stdin: asyncio.WriteTransport | None = None
        self._stdout: asyncio.ReadTransport | None = None
        self._lease: asyncio.Transport | None = None

    async def take_over(self, lease: socket.socket, *, stdin: FileIO, stdout: FileIO) -> None:
        loop = asyncio.get_running_loop()
        self._stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, stdin)
        self._stdout, _ = await loop.connect_read_pipe(lambda: _Output(self), stdout)
        self._lease, _ = await loop.create_unix_connection(lambda: _Lease(self), sock=lease)
        self._control.on_change = self._on_status
        self._on_status(self._control.latest)

    # -- Link

    def send(self, message: Json) -> None:
        data = jsonrpc.encode(message)
        if self._stdin is None or self._stdin.is_closing():
            return  # on_gone settles whoever waits
        if self._stdin.get_write_buffer_size() + len(data) > self._max_message_bytes + (1 << 20):
            raise LinkBusy("the server does not read what it is sent")
        self._stdin.write(data + b"\n")

    def cancel(self, request_id: int, reason: str) -> None:
        with contextlib.suppress(LinkBusy):
            params = {"requestId": request_id, "reason": reason}
            self.send(jsonrpc.notification("notifications/cancelled", params))

    async def close(self) -> Ending:
        self._receiver = None
        for transport in (self._stdin, self._lease):
            # What the server has not read by now it never will; abort, since close waits for it to read. A transport
            # whose other end went away has closed itself, and does not bear a second end.
            if transport is not None and not transport.is_closing():
                transport.abort()
        ending = await self._control.ending_of(self._start, timeout_seconds=ENDING_SECONDS)
        if self._stdout is not None:
            self._stdout.close()
        if self._control.on_change == self._on_status:
            self._control.on_change = lambda _: None
        return ending or Ending("the server's container ended, or its launcher does not answer")

    # -- events

    def on_output(self, chunk: bytes) -> None:
        for line in self._splitter.feed(chunk):
            receiver = self._receiver
            if receiver is None:
                return
            if isinstance(line, Oversized):
                receiver.on_unreadable(line.size_bytes, line.response_id)
                continue
            try:
                message = jsonrpc.decode(line)
            except jsonrpc.Malformed:
                if (answered := response_id(line)) is not None:
                    receiver.on_unreadable(len(line), answered)
                    continue
                message = line[:400].decode(errors="replace")
            receiver.on_message(message, None)

    def on_gone(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.on_gone()

    def _on_status(self, status: LauncherStatus | None) -> None:
        if status is not None and (status.starts > self._start or not status.running) and status.starts >= self._start:
            self.on_gone()


class _Output(asyncio.Protocol):
    """The child's stdout. Its end is the earliest sign of the child's end."""

    def __init__(self, link: StdioLink) -> None:
        self._link = link

    def data_received(self, data: bytes) -> None:
        self._link.on_output(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._link.on_gone()


class _Lease(asyncio.Protocol):
    """The launcher says nothing more here; it only lets go."""

    def __init__(self, link: StdioLink) -> None:
        self._link = link

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._link.on_gone()
