"""What the bridge costs: the same real server directly over stdio and through launcher and bridge, in one run.

    python -m bench bridge        or, with options:        python -m bench.bridge --calls 20000 --callers 50

Rounds alternate between the two sides, so that whatever else the machine does hits both. The load comes from raw
sockets, which cost some 0.02 ms a call. Loopback only.
"""

import argparse
import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.bridge.server import HEADERS, PACKAGE, VERSION, Bridged, Direct, install, tool_call
from bench.report import Figure, median, show

TARGET_ADDED_P50_MS = 1.0
TARGET_RSS_MIB = 45.0
ROUNDS = 10


class HttpCaller:
    """One keep-alive connection and blocking calls over it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = tool_call(1)
        self._request = HEADERS.format(size=len(body)).encode() + body

    def call(self) -> None:
        self._socket.sendall(self._request)
        answer = self._socket.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < size:
            body += self._socket.recv(65536)
        assert head.startswith(b"HTTP/1.1 200"), answer

    def close(self) -> None:
        self._socket.close()


async def storm(port: int, *, callers: int, calls: int) -> list[float]:
    """Each caller has a connection of its own and one call in flight; seconds of each call."""
    body = tool_call(1)
    request = HEADERS.format(size=len(body)).encode() + body
    latencies: list[float] = []

    async def caller(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            begun = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
            latencies.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(caller(calls // callers) for _ in range(callers)))
    return latencies


def timed(call: Callable[[], None], count: int) -> list[float]:
    latencies = []
    for _ in range(count):
        begun = time.perf_counter()
        call()
        latencies.append(time.perf_counter() - begun)
    return latencies


def percentile_ms(latencies: list[float], share: float) -> float:
    return sorted(latencies)[min(len(latencies) - 1, int(len(latencies) * share))] * 1000


def measure(direct: Direct, bridged: Bridged, *, calls: int, callers: int) -> list[Figure]:
    caller = HttpCaller(bridged.port)
    per_round = calls // 2 // ROUNDS
    alone: dict[str, list[float]] = {"direct": [], "bridged": []}
    crowd: dict[str, list[float]] = {"direct": [], "bridged": []}
    rates: dict[str, list[float]] = {"direct": [], "bridged": []}
    timed(caller.call, 200)
    timed(direct.call, 200)
    cpu_before = bridged.cpu_seconds()
    for _ in range(ROUNDS):
        alone["direct"] += timed(direct.call, per_round)
        alone["bridged"] += timed(caller.call, per_round)
        for side in ("direct", "bridged"):
            begun = time.perf_counter()
            if side == "direct":
                found = direct.storm(callers=callers, calls=per_round)
            else:
                found = asyncio.run(storm(bridged.port, callers=callers, calls=per_round))
            rates[side].append(len(found) / (time.perf_counter() - begun))
            crowd[side] += found
    cpu_ms = (bridged.cpu_seconds() - cpu_before) * 1000 / (len(alone["bridged"]) + len(crowd["bridged"]))
    caller.close()

    figures = []
    for name, latencies in (("1 caller", alone), (f"{callers} callers", crowd)):
        for label, share in (("p50", 0.5), ("p99", 0.99)):
            one, other = percentile_ms(latencies["direct"], share), percentile_ms(latencies["bridged"], share)
            target = TARGET_ADDED_P50_MS if latencies is alone and label == "p50" else None
            note = f"direct {one:.2f} ms, bridged {other:.2f} ms, ratio {other / one:.1f}"
            figures.append(Figure(f"added latency, {name}, {label}", round(other - one, 3), "ms", target, note))
    one, other = median(rates["direct"]), median(rates["bridged"])
    note = f"direct {one:.0f}, ratio {other / one:.2f}"
    return [
        *figures,
        Figure(f"calls per second, {callers} callers", round(other), "/s", None, note),
        Figure("CPU of the bridge per call", round(cpu_ms, 3), "ms"),
        Figure("bridge start to ready", round(bridged.ready_seconds, 2), "s"),
        Figure("RSS of the bridge", round(bridged.rss_mib(), 1), "MiB", TARGET_RSS_MIB, f"after {calls} calls"),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.bridge")
    parser.add_argument("--calls", type=int, default=10_000, help="through the bridge, in all")
    parser.add_argument("--callers", type=int, default=20, help="at once, in half of the calls")
    options = parser.parse_args(arguments or [])
    with tempfile.TemporaryDirectory(prefix="bench-bridge-") as directory:
        scratch = Path(directory)
        argv = install(scratch)
        direct, bridged = Direct(argv, scratch), Bridged(argv, scratch)
        try:
            figures = measure(direct, bridged, calls=options.calls, callers=options.callers)
        finally:
            direct.close()
            bridged.close()
    show(f"bridge in front of {PACKAGE} {VERSION}", figures)
    return int(any(figure.verdict == "MISSED" for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
