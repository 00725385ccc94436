"""What the launcher says on a lease, and what a link makes of it: order, halves, bounds, garbage."""

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.bridge.rig import DEADLINE_SECONDS, eventually
from unit.launcher.world import World
from vsm_runtime.bridge.lease import MAX_TAIL_LINE_CHARS, MAX_TAIL_LINES, read_ending
from vsm_runtime.bridge.link import ConnectFailed
from vsm_runtime.bridge.stdio import HELLO_SECONDS, StdioConnector, StdioLink

HELLO = b'{"pid": 5, "start": 1}\n'
EXIT = b'{"exit": {"code": 3, "signal": null, "oomKilled": false, "at": "now", "stderrTail": ["bye"]}}\n'


OF_THE_LOOP = 1
"""uvloop opens /dev/null when it first needs a socket, for the day on which there are no more descriptors."""


class Heard:
    """A receiver that only takes notes."""

    def __init__(self) -> None:
        self.messages: list[object] = []
        self.gone = asyncio.Event()
        self.times_gone = 0

    def on_message(self, message: object, related: int | None) -> None:
        self.messages.append(message)

    def on_unreadable(self, size_bytes: int, response_id: int | None) -> None:
        raise AssertionError

    def on_gone(self) -> None:
        self.times_gone += 1
        self.gone.set()


class Counterpart:
    """A launcher without children: the test says what it writes, and holds the child's ends of the pipes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.listener.setblocking(False)
        self.connections: list[socket.socket] = []
        self.fds: list[int] = []

    async def take(self) -> socket.socket:
        """The next bridge that asks. Its child's ends of the pipes are the last two in `fds`."""
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(self.listener)
        self.connections.append(connection)
        connection.setblocking(True)
        connection.settimeout(DEADLINE_SECONDS)
        hello, fds, _, _ = await asyncio.to_thread(socket.recv_fds, connection, 64, 2)
        assert hello
        self.fds += fds
        return connection

    async def give(self, receiver: Heard, *, first: bytes = HELLO) -> tuple[StdioLink, socket.socket]:
        connector = StdioConnector(socket_path=str(self.path), max_message_bytes=1 << 20)
        connecting = asyncio.create_task(connector.connect(receiver))
        lease = await self.take()
        lease.sendall(first)
        return await connecting, lease

    def close_pipes(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def close(self) -> None:
        self.close_pipes()
        for connection in (self.listener, *self.connections):
            connection.close()


@pytest.fixture
def world() -> Iterator[World]:
    world = World(Path(tempfile.mkdtemp(prefix="launcher-")))
    yield world
    world.stop()


@pytest.fixture
async def launcher(tmp_path: Path) -> AsyncIterator[Counterpart]:
    counterpart = Counterpart(tmp_path / "s")
    yield counterpart
    counterpart.close()
    await asyncio.sleep(0)  # transports that were aborted close in the next round


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def heard_eof(lease: socket.socket) -> bool:
    return await asyncio.to_thread(lease.recv, 64) == b""


async def test_closing_a_link_tells_the_launcher_and_then_hears_how_the_child_ended(launcher: Counterpart) -> None:
    link, lease = await launcher.give(Heard())
    closing = asyncio.create_task(link.close())
    assert await heard_eof(lease)
    lease.sendall(EXIT)
    ending = await closing
    assert (ending.exit_code, ending.message, ending.stderr_tail) == (3, "exited with code 3", ("bye",))


async def test_child_that_ended_in_the_same_breath_as_it_started_is_heard(launcher: Counterpart) -> None:
    heard = Heard()
    link, _ = await launcher.give(heard, first=HELLO + EXIT)
    await asyncio.wait_for(heard.gone.wait(), DEADLINE_SECONDS)
    assert (await link.close()).exit_code == 3
    assert heard.times_gone == 1


async def test_end_on_the_lease_is_the_end_even_while_something_holds_stdout_open(launcher: Counterpart) -> None:
    heard = Heard()
    link, lease = await launcher.give(heard)
    lease.sendall(EXIT)
    await asyncio.wait_for(heard.gone.wait(), DEADLINE_SECONDS)
    assert (await link.close()).exit_code == 3


@pytest.mark.parametrize("lease_first", [False, True])
async def test_answer_that_was_written_before_the_end_is_heard_is_not_lost(
    launcher: Counterpart, lease_first: bool
) -> None:
    for _ in range(20):
        heard = Heard()
        link, lease = await launcher.give(heard)
        # The loop finds both at once, in this order.
        if lease_first:
            lease.sendall(EXIT)
        os.write(launcher.fds[1], b'{"jsonrpc": "2.0", "id": 1, "result": {}}\n')
        if not lease_first:
            lease.sendall(EXIT)
        lease.close()
        await asyncio.wait_for(heard.gone.wait(), DEADLINE_SECONDS)
        assert len(heard.messages) == 1
        await link.close()
        launcher.close_pipes()


async def test_launcher_that_vanishes_is_the_end_of_the_container(launcher: Counterpart) -> None:
    heard = Heard()
    link, lease = await launcher.give(heard)
    lease.close()
    await asyncio.wait_for(heard.gone.wait(), DEADLINE_SECONDS)
    assert "container ended" in (await link.close()).message


async def test_launcher_that_never_says_how_it_ended_is_not_waited_for_for_ever(
    launcher: Counterpart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsm_runtime.bridge.stdio.ENDING_SECONDS", 0.05)
    link, lease = await launcher.give(Heard())
    assert "does not answer" in (await link.close()).message
    assert await heard_eof(lease)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b'{"error": "the previous child\\u001b[2J has not gone yet"}\n', "the previous child has not gone yet"),
        (b'{"error": ["nested"]}\n', "it gave no answer"),
        (b"\xff\xfe\n", "it gave no answer"),
        (b'{"start": "1"}\n', "it gave no answer"),
        (b"x" * 100_000, "it gave no answer"),
    ],
    ids=["refusal", "strange refusal", "no text", "no number", "endless"],
)
async def test_launcher_that_does_not_start_a_child_is_a_failure_in_words(
    launcher: Counterpart, first: bytes, words: str
) -> None:
    before = open_descriptors()
    for _ in range(5):
        with pytest.raises(ConnectFailed, match=words):
            async with asyncio.timeout(HELLO_SECONDS / 2):  # it is not the deadline that ends it
                await launcher.give(Heard(), first=first)
        launcher.connections.pop().close()
        launcher.close_pipes()
    await eventually(lambda: open_descriptors() <= before + OF_THE_LOOP)


async def test_no_room_is_waited_for_and_told_when_it_lasts(
    launcher: Counterpart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsm_runtime.bridge.stdio.BUSY_POLL_SECONDS", 0.001)
    connector = StdioConnector(socket_path=str(launcher.path), max_message_bytes=1 << 20)
    connecting = asyncio.create_task(connector.connect(Heard()))
    for _ in range(3):
        (await launcher.take()).sendall(b'{"error": "no room", "busy": true}\n')
    lease = await launcher.take()
    lease.sendall(HELLO + EXIT)
    assert (await (await connecting).close()).exit_code == 3

    monkeypatch.setattr("vsm_runtime.bridge.stdio.ENDING_SECONDS", 0.0)
    with pytest.raises(ConnectFailed, match="no room"):
        await launcher.give(Heard(), first=b'{"error": "no room", "busy": true}\n')


async def test_cancelled_connect_leaves_no_descriptor_and_lets_go_of_the_child(launcher: Counterpart) -> None:
    connector = StdioConnector(socket_path=str(launcher.path), max_message_bytes=1 << 20)
    before = open_descriptors()
    for _ in range(20):
        connecting = asyncio.create_task(connector.connect(Heard()))
        lease = await launcher.take()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert await heard_eof(lease)
        launcher.connections.pop().close()
        launcher.close_pipes()
    await eventually(lambda: open_descriptors() <= before + OF_THE_LOOP)


async def test_full_queue_of_the_launcher_is_waited_for(tmp_path: Path) -> None:
    """A connect that the kernel answers with EAGAIN is not a connection, whatever asyncio makes of it."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        waiting = []
        for _ in range(8):
            earlier = socket.socket(socket.AF_UNIX)
            earlier.setblocking(False)
            waiting.append(earlier)
            if earlier.connect_ex(str(path)):
                break
        else:
            raise AssertionError("the queue never was full")
        connecting = asyncio.create_task(StdioConnector(socket_path=str(path), max_message_bytes=9).connect(Heard()))
        await asyncio.sleep(0)
        assert not connecting.done()
        listener.settimeout(DEADLINE_SECONDS)
        while True:
            connection, _ = await asyncio.to_thread(listener.accept)
            connection.settimeout(0.2)
            try:
                hello, fds, _, _ = await asyncio.to_thread(socket.recv_fds, connection, 64, 2)
            except TimeoutError:
                waiting.append(connection)
                continue
            if hello:
                break
        connection.sendall(HELLO + EXIT)
        link = await connecting
        assert (await link.close()).exit_code == 3
        for fd in fds:
            os.close(fd)
        for one in (*waiting, connection):
            one.close()


async def test_connects_that_overlap_get_a_child_each(launcher: Counterpart) -> None:
    receivers = [Heard() for _ in range(8)]
    connector = StdioConnector(socket_path=str(launcher.path), max_message_bytes=1 << 20)
    connecting = [asyncio.create_task(connector.connect(receiver)) for receiver in receivers]
    leases = [await launcher.take() for _ in receivers]
    for number, lease in reversed(list(enumerate(leases))):
        lease.sendall(HELLO)
        os.write(launcher.fds[2 * number + 1], b'{"from": %d}\n' % number)
    links = await asyncio.gather(*connecting)
    leases[0].close()
    await eventually(lambda: all(receiver.messages for receiver in receivers))
    assert sorted(receiver.messages[0]["from"] for receiver in receivers) == list(range(8))  # type: ignore[index]
    await eventually(lambda: any(receiver.times_gone for receiver in receivers))
    assert sum(receiver.times_gone for receiver in receivers) == 1
    for lease in leases[1:]:
        lease.sendall(EXIT)
    endings = await asyncio.gather(*(link.close() for link in links))
    assert sorted(ending.exit_code or 0 for ending in endings) == [0, *[3] * 7]


async def test_children_that_come_and_go_together_are_served_by_a_real_launcher_and_leave_no_descriptor(
    world: World,
) -> None:
    refused = world.start(["cat"], "--max-children", "6").lease(fds=0)
    assert refused.lines.next() is None
    refused.vanish()
    connector = StdioConnector(socket_path=str(world.directory / "s"), max_message_bytes=1 << 20)
    before, of_launcher = open_descriptors(), world.descriptors()

    async def life(number: int) -> int | None:
        heard = Heard()
        link = await connector.connect(heard)
        link.send({"number": number})
        await eventually(lambda: heard.messages)
        assert heard.messages == [{"number": number}]
        return (await link.close()).exit_code

    # Twice as many as there is room for: half of them wait until a place is free.
    for _ in range(5):
        assert await asyncio.gather(*(life(number) for number in range(12))) == [0] * 12
    await eventually(lambda: open_descriptors() <= before + OF_THE_LOOP)
    await eventually(lambda: world.descriptors() == of_launcher)


def test_last_words_are_bounded_and_clean() -> None:
    exited = {"code": 1, "signal": None, "oomKilled": False, "stderrTail": ["\x1b[1mred\x07" + "x" * 9999] * 99}
    ending = read_ending(json.dumps({"exit": exited}).encode())
    assert ending is not None
    assert ending.message == "exited with code 1"
    assert len(ending.stderr_tail) == MAX_TAIL_LINES
    assert {len(line) for line in ending.stderr_tail} == {MAX_TAIL_LINE_CHARS}
    assert ending.stderr_tail[0].startswith("red x")


@pytest.mark.parametrize(
    ("exited", "message"),
    [
        ({"code": None, "signal": "SIGTERM"}, "killed by SIGTERM"),
        ({"code": None, "signal": "SIGKILL", "oomKilled": True}, "killed for exceeding its memory limit"),
        ({"code": True, "signal": ["x"], "oomKilled": "yes", "stderrTail": "abc"}, "exited with code None"),
    ],
    ids=["signal", "memory", "nonsense"],
)
def test_end_is_told_in_words(exited: dict[str, Any], message: str) -> None:
    ending = read_ending(json.dumps({"exit": exited}).encode())
    assert ending is not None
    assert (ending.message, ending.stderr_tail) == (message, ())


@given(
    st.dictionaries(
        st.sampled_from(["exit", "error", "pid"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.dictionaries(
            st.sampled_from(["code", "signal", "oomKilled", "stderrTail"]),
            st.integers() | st.text() | st.lists(st.text() | st.none()),
        ),
    )
)
def test_whatever_a_launcher_writes_does_no_harm(raw: dict[str, Any]) -> None:
    ending = read_ending(json.dumps(raw).encode())
    assert (ending is not None) == isinstance(raw.get("exit"), dict)
    if ending is not None:
        assert len(ending.stderr_tail) <= MAX_TAIL_LINES
