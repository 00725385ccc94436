"""Tries, from inside the pod's network namespace, whether something outside can be reached; the operator asks for it.

TCP: a connection that is closed again without a byte. DNS over UDP: one question for the name servers of the root,
which tells its reader nothing; any reply, an error as well, shows that the way there and back is open.

Invariants: addresses only, so that nothing is looked up on the way; at most `MAX_TARGETS`, each for `PROBE_SECONDS`,
all at once; every target has exactly one result, or there is none at all.
"""

import asyncio
import errno
import ipaddress
import secrets
import socket
import struct
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.logs import shown

MAX_TARGETS = 16
PROBE_SECONDS = 3.0
RESEND_SECONDS = 0.75
"""A lost datagram must not be taken for a closed way."""
_REPLY_BYTES = 4096
_OUR_OWN: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors that say nothing about the network."""


class InvalidTargets(ValueError):  # noqa: N818
    """The text says which target, and what it must be."""


class ProbeFailed(Exception):  # noqa: N818
    """It could not be tried; that must not look like a closed way."""


class Protocol(StrEnum):
    TCP = "tcp"
    UDP_DNS = "udp-dns"


class Result(StrEnum):
    """What became of one probe."""

    OPEN = "open"
    """Connected, or a name server replied."""
    REFUSED = "refused"
    """The host, or something on the way, said that nothing listens: packets get there."""
    TIMEOUT = "timeout"
    """Nothing came back, as when packets are dropped."""
    UNREACHABLE = "unreachable"
    """There is no way, or it is forbidden here."""


@dataclass(frozen=True, slots=True)
class Target:
    host: str
    port: int
    protocol: Protocol = Protocol.TCP

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET


def parse(body: object) -> tuple[Target, ...]:
    """{"targets": [{"host": address, "port": number, "protocol": "tcp" or "udp-dns"}]}. Raises InvalidTargets."""
    targets = body.get("targets") if isinstance(body, dict) else None
    if not isinstance(targets, list) or not 1 <= len(targets) <= MAX_TARGETS:
        raise InvalidTargets(f"targets must be a list of 1 to {MAX_TARGETS} objects")
    return tuple(_target(number, value) for number, value in enumerate(targets))


async def probe(targets: tuple[Target, ...]) -> list[Json]:
    """In the order of the targets; all at once. Raises ProbeFailed."""
    return list(await asyncio.gather(*map(_probe, targets)))


def _target(number: int, value: object) -> Target:
    where = f"targets[{number}]"
    if not isinstance(value, dict):
        raise InvalidTargets(f"{where} must be an object with host, port and protocol")
    host, port, protocol = value.get("host"), value.get("port"), value.get("protocol", Protocol.TCP.value)
    if protocol not in list(Protocol):
        raise InvalidTargets(f"{where}.protocol is {_quoted(protocol)}; it must be tcp or udp-dns")
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise InvalidTargets(f"{where}.port is {_quoted(port)}; it must be a number from 1 to 65535")
    try:
        # Without a zone, which names an interface of this pod.
        address = ipaddress.ip_address(host) if isinstance(host, str) and "%" not in host else None
    except ValueError:
        address = None
    if address is None:
        raise InvalidTargets(f"{where}.host is {_quoted(host)}; it must be an IP address, since nothing is looked up")
    return Target(str(address), port, Protocol(protocol))


def _quoted(value: object) -> str:
    return shown(repr(value), 60)


async def _probe(target: Target) -> Json:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await (_connect(target) if target.protocol is Protocol.TCP else _ask(target))
        result = Result.OPEN
    except TimeoutError:
        result = Result.TIMEOUT
    except ConnectionError:
        result = Result.REFUSED
    except OSError as error:
        if error.errno in _OUR_OWN:
            raise ProbeFailed(f"{target.host} could not be tried: {error.strerror}") from error
        result = Result.UNREACHABLE
    return {
        "host": target.host,
        "port": target.port,
        "protocol": target.protocol.value,
        "result": result.value,
        "ms": round((time.monotonic() - begun) * 1000, 1),
    }


async def _connect(target: Target) -> None:
    with socket.socket(target.family, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (target.host, target.port))


async def _ask(target: Target) -> None:
    """Returns once a reply to one of our questions came. Connected, so that a refusal is heard of."""
    loop = asyncio.get_running_loop()
    with socket.socket(target.family, socket.SOCK_DGRAM) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, (target.host, target.port))
        number = secrets.randbelow(1 << 16)
        while True:
            await loop.sock_sendall(connection, question(number))
            try:
                async with asyncio.timeout(RESEND_SECONDS):
                    while not is_reply(await loop.sock_recv(connection, _REPLY_BYTES), number):
                        pass
                    return
            except TimeoutError:
                continue


def question(number: int) -> bytes:
    """The name servers (type 2) of the root, class IN, recursion desired. Source: RFC 1035, section 4.1."""
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!2H", 2, 1)


def is_reply(message: bytes, number: int) -> bool:
    return len(message) >= 12 and message[:2] == struct.pack("!H", number) and bool(message[2] & 0x80)
