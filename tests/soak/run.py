"""The soak: twenty clients and a killer against one launcher and one bridge, for so many minutes; then the count.

Invariants: every call that its client waits for gets exactly one answer, its own; nothing grows: the bridge's memory,
descriptors and processes; a child that is killed is missed at once and replaced.
"""

import asyncio
import os
import signal
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from soak.callers import Caller, Outages
from support.chance import chance
from unit.bridge.rig import RawClient, Rig, text_of, until

CHILD = Path(__file__).with_name("child.py")
CALLERS = 20
WARM_UP_SECONDS = 5.0
"""Until caches and buffers have their size; memory counts from then."""
SAMPLE_SECONDS = 0.25
READINESS_SECONDS = 1.0
"""After which a dead child must show in /readyz at the latest."""
MAX_GROWTH = 0.05
RESPAWN_SECONDS = 75.0
"""The longest pause between two attempts, and a handshake."""
SETTLE_SECONDS = 20.0


@dataclass
class Report:
    """What a soak found. Memory in MiB, the median of each quarter."""

    seed: int
    seconds: float
    tally: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    outage_seconds: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    quarters_mib: list[float] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)

    def show(self) -> str:
        calls = sum(self.tally.values())
        lines = [f"seed {self.seed}, {self.seconds:.0f} s, {calls} exchanges ({calls / self.seconds:.0f}/s)"]
        lines += [f"  {name:32} {count}" for name, count in sorted(self.tally.items())]
        outages = ", ".join(f"{seconds:.1f}" for seconds in self.outage_seconds)
        lines.append(f"  kills {self.kills}, seconds without a server: {outages}")
        lines.append("  RSS of the bridge by quarter, MiB: " + ", ".join(f"{mib:.2f}" for mib in self.quarters_mib))
        lines.append(f"  before {self.before}, after {self.after}")
        return "\n".join(lines)


async def soak(rig: Rig, *, seconds: float, seed: int) -> Report:
    """Raises Violation for a wrong or lost answer, AssertionError for a promise that is broken otherwise."""
    report = Report(seed, seconds)
    report.before = await _settled(rig)
    outages, loop = Outages(), asyncio.get_running_loop()
    end = loop.time() + seconds
    callers = [Caller(rig.port, chance(seed * 1000 + n), outages=outages, tally=report.tally) for n in range(CALLERS)]
    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(caller.run(end))
        group.create_task(_kill(rig, report, outages, end=end))
        group.create_task(_sample(rig, report, end=end))
    report.after = await _settled(rig, goal=report.before)
    values = report.rss_mib
    size = len(values) // 4
    report.quarters_mib = [statistics.median(values[n * size : (n + 1) * size]) for n in range(4)]
    return report


async def _kill(rig: Rig, report: Report, outages: Outages, *, end: float) -> None:
    """Kills come at random, but the last one early enough to be recovered from."""
    random, loop = chance(report.seed), asyncio.get_running_loop()
    while True:
        pause = random.uniform(0.2, 0.4) * min(report.seconds, 120.0)
        if loop.time() + pause > end - 3.0:
            return
        await asyncio.sleep(pause)
        pid = await asyncio.to_thread(rig.child_pid)
        begun = loop.time()
        outages.begin(begun - 0.05)
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(_recover, rig, pid)
        outages.end(loop.time() + 0.05)
        report.kills += 1
        report.outage_seconds.append(loop.time() - begun)


def _recover(rig: Rig, killed: int) -> None:
    until(
        lambda: not _ready(rig) or killed not in rig.children(),
        what="readiness falls with the child",
        seconds=READINESS_SECONDS,
    )
    until(lambda: _ready(rig) and killed not in rig.children(), what="a new child serves", seconds=RESPAWN_SECONDS)


def _ready(rig: Rig) -> bool:
    return rig.admin("/readyz").status_code == 200


async def _sample(rig: Rig, report: Report, *, end: float) -> None:
    await asyncio.sleep(WARM_UP_SECONDS)
    while asyncio.get_running_loop().time() < end:
        report.rss_mib.append(rig.rss_bytes() / (1 << 20))
        await asyncio.sleep(SAMPLE_SECONDS)


async def _settled(rig: Rig, *, goal: dict[str, int] | None = None) -> dict[str, int]:
    """Descriptors, processes and calls, as soon as they are as before; else what they are after a while."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        counts = await asyncio.to_thread(_counts, rig)
        async with RawClient(rig) as client:
            await client.initialize()
            counts["calls pending in the server"] = int(text_of(await client.call("pending")))
        if goal is None or counts == goal or time.monotonic() > deadline:
            return counts
        await asyncio.sleep(0.1)


def _counts(rig: Rig) -> dict[str, int]:
    assert rig.bridge is not None
    assert rig.launcher is not None
    return {
        "descriptors of the bridge": _descriptors(rig.bridge.pid),
        "descriptors of the launcher": _descriptors(rig.launcher.pid),
        "processes": len(rig.children()),
    }


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def judge(report: Report) -> None:
    """Memory is flat, and what was opened is closed."""
    assert report.kills > 0
    assert report.before == report.after
    growth = report.quarters_mib[3] / report.quarters_mib[1] - 1
    assert abs(growth) <= MAX_GROWTH, f"the bridge's memory went by {growth:+.1%} from the second quarter to the last"


def start(rig: Rig) -> Rig:
    return rig.start([sys.executable, "-I", str(CHILD)]).ready()
