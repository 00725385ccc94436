"""Probes against sockets on loopback that accept, refuse, reply, keep silent or reply nonsense."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from vsm_runtime.bridge import egress
from vsm_runtime.bridge.egress import InvalidTargets, ProbeFailed, Protocol, Target, parse, probe

LOOPBACK = "127.0.0.1"
Reply = Callable[[bytes], list[bytes]]


def outcome(results: list[dict[str, Any]]) -> list[str]:
    return [result["result"] for result in results]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def bound(kind: socket.SocketKind, host: str = LOOPBACK) -> Iterator[tuple[socket.socket, int]]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as held:
        held.bind((host, 0))
        held.setblocking(False)
        yield held, held.getsockname()[1]


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, reply: Reply) -> None:
        self.asked: list[bytes] = []
        self._reply = reply

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked.append(data)
        for reply in self._reply(data):
            self._transport.sendto(reply, addr)


async def asked(reply: Reply) -> tuple[list[str], NameServer]:
    """What a probe makes of a name server that replies like this."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(reply), local_addr=(LOOPBACK, 0))
    try:
        port = transport.get_extra_info("sockname")[1]
        return outcome(await probe((Target(LOOPBACK, port, Protocol.UDP_DNS),))), server
    finally:
        transport.close()


def refusing(question: bytes) -> list[bytes]:
    """REFUSED, as a resolver says to strangers."""
    return [question[:2] + b"\x81\x05" + question[4:]]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what waits for nothing: less of it."""
    monkeypatch.setattr(egress, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(egress, "RESEND_SECONDS", 0.02)


class TestTcp:
    @pytest.mark.parametrize("host", [LOOPBACK, "::1"])
    async def test_listener_is_open_and_gets_no_byte(self, host: str) -> None:
        with bound(socket.SOCK_STREAM, host) as (listener, port):
            listener.listen()
            (result,) = await probe((Target(host, port),))
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            with connection:
                assert await asyncio.get_running_loop().sock_recv(connection, 10) == b""
        assert result.pop("ms") < 3000
        assert result == {"host": host, "port": port, "protocol": "tcp", "result": "open"}

    async def test_port_without_a_listener_is_refused(self) -> None:
        with bound(socket.SOCK_STREAM) as (_, port):
            assert outcome(await probe((Target(LOOPBACK, port),))) == ["refused"]

    async def test_silence_is_a_timeout(self, patience: None) -> None:
        # A listener whose queue is full drops what else comes, as a firewall does.
        with bound(socket.SOCK_STREAM) as (listener, port):
            listener.listen(0)
            with socket.create_connection((LOOPBACK, port)):
                (result,) = await probe((Target(LOOPBACK, port),))
        assert result["result"] == "timeout"
        assert result["ms"] >= 200

    @pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPERM, errno.EACCES])
    async def test_no_way_is_unreachable(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        async def connect(_: Target) -> None:
            raise OSError(number, "no way")

        monkeypatch.setattr(egress, "_connect", connect)
        assert outcome(await probe((Target(LOOPBACK, 1),))) == ["unreachable"]

    async def test_what_this_process_lacks_is_not_taken_for_a_closed_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def connect(_: Target) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(egress, "_connect", connect)
        with pytest.raises(ProbeFailed, match="could not be tried"):
            await probe((Target(LOOPBACK, 1),))


class TestDns:
    async def test_any_reply_is_open_also_a_refusal(self) -> None:
        results, server = await asked(refusing)
        assert results == ["open"]
        (question,) = server.asked
        assert question[2:] == bytes.fromhex("0100 0001 0000 0000 0000 00 0002 0001")

    async def test_lost_datagrams_are_sent_again(self, patience: None) -> None:
        heard = 0

        def deaf_at_first(question: bytes) -> list[bytes]:
            nonlocal heard
            heard += 1
            return refusing(question) if heard > 2 else []

        results, server = await asked(deaf_at_first)
        assert results == ["open"]
        assert len(server.asked) == 3

    def test_three_questions_fit_into_one_probe(self) -> None:
        assert 2 * egress.RESEND_SECONDS < egress.PROBE_SECONDS

    async def test_silence_is_a_timeout(self, patience: None) -> None:
        results, server = await asked(lambda _: [])
        assert results == ["timeout"]
        assert len(server.asked) > 1

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(lambda _: [b""], id="empty"),
            pytest.param(lambda question: [question], id="an echo"),
            pytest.param(
                lambda question: [bytes([question[0] ^ 1]) + question[1:2] + b"\x81" + question[3:]], id="number"
            ),
            pytest.param(lambda question: [question[:2] + b"\x81\x80"], id="cut"),
        ],
    )
    async def test_what_is_no_reply_opens_nothing(self, patience: None, reply: Reply) -> None:
        assert (await asked(reply))[0] == ["timeout"]

    async def test_reply_after_nonsense_counts(self) -> None:
        results, _ = await asked(lambda question: [b"x", question, *refusing(question)])
        assert results == ["open"]

    async def test_port_without_a_listener_is_refused(self) -> None:
        with bound(socket.SOCK_DGRAM) as (held, port):
            held.close()
            assert outcome(await probe((Target(LOOPBACK, port, Protocol.UDP_DNS),))) == ["refused"]


async def test_all_are_tried_at_once_and_told_in_order(patience: None) -> None:
    begun = asyncio.get_running_loop().time()
    with bound(socket.SOCK_DGRAM) as (_, silent), bound(socket.SOCK_STREAM) as (listener, port):
        listener.listen()
        silence, listening = Target(LOOPBACK, silent, Protocol.UDP_DNS), Target(LOOPBACK, port)
        targets = (silence, listening) * (egress.MAX_TARGETS // 2)
        results = await probe(targets)
    assert outcome(results) == ["timeout", "open"] * (egress.MAX_TARGETS // 2)
    assert asyncio.get_running_loop().time() - begun < 0.2 * egress.MAX_TARGETS / 2


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_either_event_loop_gives_the_same_results_and_keeps_no_socket(
    patience: None, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    problems: list[object] = []

    async def tried() -> list[str]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        with bound(socket.SOCK_STREAM) as (listener, port), bound(socket.SOCK_STREAM) as (_, closed):
            listener.listen()
            with bound(socket.SOCK_DGRAM) as (_, silent):
                targets = (
                    Target(LOOPBACK, port),
                    Target(LOOPBACK, closed),
                    Target(LOOPBACK, silent, Protocol.UDP_DNS),
                    Target("255.255.255.255", 1),
                )
                before = open_files()
                results = outcome(await probe(targets))
                assert open_files() == before
                return [*results, *(await asked(refusing))[0]]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(tried()) == ["open", "refused", "timeout", "unreachable", "open"]
    assert problems == []


class TestParse:
    def test_protocol_is_tcp_unless_it_is_named(self) -> None:
        body = {"targets": [{"host": "10.0.0.1", "port": 1}, {"host": "FD00::1", "port": 53, "protocol": "udp-dns"}]}
        assert parse(body) == (Target("10.0.0.1", 1), Target("fd00::1", 53, Protocol.UDP_DNS))

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"host": "example.com"}, "host"),
            ({"host": ""}, "host"),
            ({"host": "10.0.0.1:53"}, "host"),
            ({"host": "010.0.0.1"}, "host"),
            ({"host": "fe80::1%eth0"}, "host"),
            ({"host": 167772161}, "host"),
            ({"host": None}, "host"),
            ({"port": 0}, "port"),
            ({"port": 65536}, "port"),
            ({"port": True}, "port"),
            ({"port": "53"}, "port"),
            ({"port": None}, "port"),
            ({"protocol": "udp"}, "protocol"),
            ({"protocol": None}, "protocol"),
            ({"protocol": []}, "protocol"),
        ],
    )
    def test_bad_target_is_named(self, change: dict[str, Any], field: str) -> None:
        good = {"host": "10.0.0.1", "port": 53, "protocol": "tcp"}
        with pytest.raises(InvalidTargets, match=rf"targets\[1\].{field} is .*; it must be"):
            parse({"targets": [good, {**good, **change}]})

    @pytest.mark.parametrize("count", [0, 17, 1000])
    def test_number_of_targets_is_bounded(self, count: int) -> None:
        with pytest.raises(InvalidTargets, match="1 to 16"):
            parse({"targets": [{"host": "10.0.0.1", "port": 53}] * count})

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["targets", "host", "port"]), inner),
        )
    )
    def test_whatever_is_asked_is_refused_in_words_or_bounded(self, body: object) -> None:
        try:
            targets = parse(body)
        except InvalidTargets as refused:
            assert len(str(refused)) < 300  # noqa: PT017 - most bodies are refused, and that is not the point
        else:
            assert 1 <= len(targets) <= egress.MAX_TARGETS
