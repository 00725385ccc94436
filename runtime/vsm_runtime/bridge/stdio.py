"""A server on stdio, started by the launcher next to it: two pipes that we make, one connection that is our lease.

The server's ends of the pipes go to the launcher over its socket; ours stay descriptions of our own, which nobody on
the untrusted side can make blocking. The server is gone as soon as it closes stdout, or the launcher says how it ended,
or lets go of the connection; whichever comes first.
"""

import array
import asyncio
import contextlib
import os
import socket
from io import FileIO

from vsm_runtime.bridge import jsonrpc
from vsm_runtime.bridge.framing import LineSplitter, Oversized, response_id
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.lease import LauncherBusy, Lease
from vsm_runtime.bridge.link import ConnectFailed, Ending, LinkBusy, Receiver

HELLO_SECONDS = 5.0
SOCKET_POLL_SECONDS = 0.05
BUSY_POLL_SECONDS = 0.2
ENDING_SECONDS = 15.0
"""Longer than the launcher's whole ladder: stdin closed, SIGTERM, SIGKILL, sweep."""


class StdioConnector:
    """Asks the launcher for children: one for each call of `connect`, and calls may overlap."""

    def __init__(self, *, socket_path: str, max_message_bytes: int) -> None:
        self._socket_path = socket_path
        self._max_message_bytes = max_message_bytes

    async def connect(self, receiver: Receiver) -> "StdioLink":
        """Waits for the launcher's socket to appear: the containers of a pod start in no order.

        Waits as well, for as long as a child may take to leave, when there is no room: after a crash of ours the child
        that we had is still on its way out.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + ENDING_SECONDS
        while True:
            try:
                return await self._ask(receiver)
            except LauncherBusy:
                if loop.time() >= give_up:
                    raise
                await asyncio.sleep(BUSY_POLL_SECONDS)

    async def _ask(self, receiver: Receiver) -> "StdioLink":
        connection = await self._reach_launcher()
        try:
            stdin, stdout = _send_pipes(connection)
        except OSError as error:
            connection.close()
            raise ConnectFailed(f"the launcher cannot be asked for a server: {error}") from error
        link = StdioLink(receiver, Lease(), max_message_bytes=self._max_message_bytes)
        try:
            await link.take_over(connection, stdin=stdin, stdout=stdout)
        except BaseException:
            link.drop()
            raise
        return link

    async def _reach_launcher(self) -> socket.socket:
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.setblocking(False)
            try:
                # A local connect is done at once or refused; EAGAIN is a full queue, which asyncio takes for success.
                connection.connect(self._socket_path)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                connection.close()
                await asyncio.sleep(SOCKET_POLL_SECONDS)
            except OSError as error:
                connection.close()
                raise ConnectFailed(f"cannot connect to the launcher at {self._socket_path}: {error}") from error
            else:
                return connection


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

    def __init__(self, receiver: Receiver, lease: Lease, *, max_message_bytes: int) -> None:
        self._receiver: Receiver | None = receiver
        self._lease = lease
        self._max_message_bytes = max_message_bytes
        self._splitter = LineSplitter(max_message_bytes)
        self._stdin: asyncio.WriteTransport | None = None
        self._stdout: asyncio.ReadTransport | None = None

    async def take_over(self, connection: socket.socket, *, stdin: FileIO, stdout: FileIO) -> None:
        """Returns once the child runs. Raises ConnectFailed."""
        loop = asyncio.get_running_loop()
        unclaimed = [stdout, stdin]  # a transport closes what it was given, however that goes
        try:
            await loop.create_unix_connection(lambda: self._lease, sock=connection)
            await self._lease.started(timeout_seconds=HELLO_SECONDS)
            self._stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, unclaimed.pop())
            self._stdout, _ = await loop.connect_read_pipe(lambda: _Output(self), unclaimed.pop())
        except BaseException:
            for pipe in unclaimed:
                pipe.close()
            raise
        self._lease.on_gone = self._on_lease_end
        if self._lease.over:
            self._on_lease_end()

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
        try:
            if self._stdin is not None and not self._stdin.is_closing():
                # What the server has not read by now it never will; abort, since close waits for it to read. A
                # transport whose other end went away has closed itself, and does not bear a second end.
                self._stdin.abort()
            self._lease.let_go()
            ending = await self._lease.ending(timeout_seconds=ENDING_SECONDS)
        finally:
            self.drop()
        return ending or Ending("the server's container ended, or its launcher does not answer")

    def drop(self) -> None:
        """Lets go of everything at once; the launcher ends the child."""
        self._receiver = None
        self._lease.drop()
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.abort()
        if self._stdout is not None:
            self._stdout.close()

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

    def _on_lease_end(self) -> None:
        # What it still wrote to stdout was there before, and is read in this same round of the loop.
        asyncio.get_running_loop().call_soon(self.on_gone)

    def on_gone(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.on_gone()


class _Output(asyncio.Protocol):
    """The child's stdout. Its end is the earliest sign of the child's end."""

    def __init__(self, link: StdioLink) -> None:
        self._link = link

    def data_received(self, data: bytes) -> None:
        self._link.on_output(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._link.on_gone()
