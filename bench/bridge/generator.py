"""The load generator as its parent sees it. One process for each side, idle while others are measured."""

import base64
import json
import subprocess
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("load.py")


@dataclass(slots=True)
class Sample:
    """The calls of one or more runs with the same number of callers."""

    rates: list[float] = field(default_factory=list)
    latencies_us: "array[int]" = field(default_factory=lambda: array("I"))

    def add(self, other: "Sample") -> None:
        self.rates += other.rates
        self.latencies_us += other.latencies_us

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_us)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000

    @property
    def rate(self) -> float:
        """Calls per second, the median of the runs."""
        ordered = sorted(self.rates)
        middle = len(ordered) // 2
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2

    def shown(self) -> str:
        p50, p99 = self.percentile_ms(0.5), self.percentile_ms(0.99)
        return f"{self.rate:.0f} calls/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"


class Generator:
    """Raises RuntimeError with what the process said, when a call went wrong."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def http(self, port: int, *, sessions: int) -> None:
        self._do({"do": "http", "port": port, "sessions": sessions})

    def stdio(self, argv: list[str]) -> int:
        """The server's pid."""
        return int(self._do({"do": "stdio", "argv": argv})["pid"])

    def run(self, *, callers: int, seconds: float, calls: int = 10**9) -> Sample:
        """Ends with whichever limit is reached first."""
        answer = self._do({"do": "run", "callers": callers, "seconds": seconds, "calls": calls})
        latencies = array("I")
        latencies.frombytes(base64.b64decode(answer["latencies"]))
        return Sample([answer["calls"] / answer["seconds"]], latencies)

    def _do(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the load generator died"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


@contextmanager
def generator(environment: dict[str, str]) -> Iterator[Generator]:
    with subprocess.Popen(
        [sys.executable, "-I", str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield Generator(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


@contextmanager
def echo() -> Iterator[int]:
    """The port of a server that does nothing but answer."""
    with subprocess.Popen([sys.executable, "-I", str(PROGRAM), "echo"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
