"""What the bridge costs, beside the bridges that others offer: same server, same machine, one run, alternating rounds.

    python -m bench bridge        or, with options:        python -m bench.bridge --rounds 10 --only-ours

Latency is added latency: that of a call through a bridge minus that of the same number of calls in flight over bare
pipes, percentile by percentile. Callers call again at once, so with 20 of them latency is throughput seen from the
other side. Loopback only.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.bridge import processes, trials
from bench.bridge.generator import Generator, Sample, echo, generator
from bench.bridge.install import SERVER, install
from bench.bridge.sides import OURS, Running, Side, sides, started
from bench.report import Comparison, Row, machine, median

DIRECT = "direct"
CALLERS = (1, 20)
TARGET_ADDED_P50_MS = 1.0
TARGET_ADDED_P99_MS = 5.0
TARGET_RSS_MIB = 45.0
STARTS = 3
WARM_UP_SECONDS = 1.0


class Measured:
    """Everything known about one side."""

    def __init__(self) -> None:
        self.samples = {callers: Sample() for callers in CALLERS}
        self.cpu_seconds = 0.0
        self.rss_mib = self.tree_mib = 0.0
        self.starts: list[float] = []
        self.processes = (0, 0)
        self.death: trials.Death | None = None

    @property
    def calls(self) -> int:
        return sum(len(sample.latencies_us) for sample in self.samples.values())


def measure_calls(all_sides: list[Side], direct: list[str], scratch: Path, *, rounds: int) -> dict[str, Measured]:
    """All sides stand at once, and have a turn in each round."""
    found = {side.name: Measured() for side in all_sides} | {DIRECT: Measured()}
    environment = {**os.environ, "MEMORY_FILE_PATH": str(scratch / "direct.jsonl")}
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(generator(environment))
        lines.stdio(direct)
        turns: list[tuple[str, Generator, Running | None, float]] = [(DIRECT, lines, None, 0.0)]
        running: Running | None
        for side in all_sides:
            begun = time.perf_counter()
            running = stack.enter_context(started(side, scratch))
            trials.first_answer(side, running, begun=begun)
            load = stack.enter_context(generator(environment))
            load.http(running.port, sessions=max(CALLERS) if side.has_sessions else 0)
            turns.append((side.name, load, running, side.seconds_per_call))
        for _, load, _, slow in turns:
            if not slow:
                load.run(callers=max(CALLERS), seconds=WARM_UP_SECONDS)
        for turn in range(rounds):
            shift = turn % len(turns)
            for name, load, running, slow in turns[shift:] + turns[:shift]:
                if slow and turn:
                    continue
                before = processes.cpu_seconds(running.bridge) if running else 0.0
                for callers in CALLERS:
                    found[name].samples[callers].add(load.run(callers=callers, seconds=1.0))
                if running:
                    found[name].cpu_seconds += processes.cpu_seconds(running.bridge) - before
        for name, _, running, _ in turns:
            if running:
                found[name].rss_mib = processes.rss_mib(running.bridge)
    return found


def measure_life(side: Side, server: Path, scratch: Path, found: Measured) -> None:
    for start in range(STARTS):
        begun = time.perf_counter()
        with started(side, scratch) as running:
            found.starts.append(trials.first_answer(side, running, begun=begun))
            if start == STARTS - 1:
                found.processes = trials.guests(side, running)
                found.tree_mib = processes.rss_mib(*running.tree())
                if side.has_sessions:
                    found.death = trials.death(side, running, server)


def ceiling() -> Sample:
    """Of the generator itself."""
    with echo() as port, generator(dict(os.environ)) as load:
        load.http(port, sessions=0)
        return load.run(callers=max(CALLERS), seconds=WARM_UP_SECONDS)


def rows(found: dict[str, Measured]) -> list[Row]:
    found = dict(found)
    direct = found.pop(DIRECT)
    table = [
        Row(f"calls per second, {_callers(callers)}", "/s", 0, more_is_better=True).fill(
            {name: one.samples[callers].rate for name, one in found.items()}
        )
        for callers in CALLERS
    ]
    targets = {(20, "p50"): TARGET_ADDED_P50_MS, (20, "p99"): TARGET_ADDED_P99_MS}
    for callers in CALLERS:
        for label, share in (("p50", 0.5), ("p99", 0.99)):
            base = direct.samples[callers].percentile_ms(share)
            row = Row(f"added {label}, {_callers(callers)}", "ms", 2, target=targets.get((callers, label)))
            table.append(row.fill({n: one.samples[callers].percentile_ms(share) - base for n, one in found.items()}))
    deaths = {name: one.death for name, one in found.items() if one.death is not None}
    return [
        *table,
        Row("CPU of the bridge per call", "ms", 3).fill(
            {name: 1000 * one.cpu_seconds / one.calls for name, one in found.items()}
        ),
        Row("RSS of the bridge after that", "MiB", 1, target=TARGET_RSS_MIB).fill(
            {name: one.rss_mib for name, one in found.items()}
        ),
        Row(f"spawn to first answer, median of {STARTS}", "s", 2).fill(
            {name: median(one.starts) for name, one in found.items()}
        ),
        Row(f"processes left by {trials.GUESTS} clients", "", 0, target=0).fill(
            {name: one.processes[1] - one.processes[0] for name, one in found.items()}
        ),
        Row("RSS of all processes after that", "MiB", 0).fill({name: one.tree_mib for name, one in found.items()}),
        Row("child killed: pending call answered after", "s", 2).fill(
            {name: one.pending_seconds for name, one in deaths.items()}, {n: one.pending for n, one in deaths.items()}
        ),
        Row("… same session served again after", "s", 2).fill(
            {name: one.same_session_seconds for name, one in deaths.items()},
            {name: one.meanwhile for name, one in deaths.items()},
        ),
        Row("… new client served after", "s", 2).fill({n: one.new_client_seconds for n, one in deaths.items()}),
    ]


def _callers(number: int) -> str:
    return "1 caller" if number == 1 else f"{number} callers"


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 when a target is missed, or a peer is better anywhere."""
    parser = argparse.ArgumentParser(prog="python -m bench.bridge")
    parser.add_argument("--rounds", type=int, default=5, help="of one second for each side and number of callers")
    parser.add_argument("--only-ours", action="store_true", help="without the other bridges")
    parser.add_argument("--also", type=Path, action="append", default=[], help="another checkout to compare with")
    options = parser.parse_args(arguments or [])
    before = machine("at the start")
    installed = install()
    chosen = sides(installed, also=options.also)
    if options.only_ours:
        chosen = chosen[: 1 + len(options.also)]
    with tempfile.TemporaryDirectory(prefix="bench-bridge-") as directory:
        scratch = Path(directory)
        most = ceiling()
        found = measure_calls(chosen, installed.server_argv, scratch, rounds=options.rounds)
        for side in chosen:
            measure_life(side, installed.server, scratch, found[side.name])
    notes = [
        f"{before}; the server is {' '.join(SERVER)}",
        *(f"direct, {_callers(callers)}: {sample.shown()}" for callers, sample in found[DIRECT].samples.items()),
        f"the load generator's own ceiling, {_callers(max(CALLERS))}: {most.shown()}",
    ]
    comparison = Comparison("bridge beside its peers", OURS, rows(found), notes)
    comparison.show()
    return int(comparison.missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
