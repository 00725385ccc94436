"""`make conformance`: the suite natively and through the bridge, as often as asked, and a table of what came out."""

import argparse
import sys
import time
from collections import Counter

from conformance import servers, suite
from conformance.comparison import Loss, Pairing, judge, losses, read_expected

REVISIONS = ("2025-11-25", "2026-07-28")


def main() -> int:
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("--repeat", type=int, default=1)
    repeat = parser.parse_args().repeat
    expected = read_expected()
    rows, complaints = [], []
    for requirements in REVISIONS:
        baseline: dict[str, dict[str, suite.Check]] = {}
        for child in ("none", *servers.CHILDREN):
            seen: Counter[Loss] = Counter()
            unstable: set[tuple[str, str]] = set()
            first: suite.Results = {}
            begun = time.monotonic()
            for _ in range(repeat):
                results = run(requirements, child)
                first = first or results
                unstable |= differing(first, results)
                if child != "none":
                    seen.update(losses(baseline, results))
            seconds = (time.monotonic() - begun) / repeat
            if child == "none":
                baseline = first
            pairing = Pairing(requirements, child)
            passed = sum(check.passed for checks in first.values() for check in checks.values())
            rows.append(
                (
                    requirements,
                    child,
                    len(first),
                    passed,
                    len({(s.scenario, s.check) for s in seen}),
                    len(unstable),
                    seconds,
                )
            )
            if child != "none":
                complaints += [f"{pairing}: {text}" for text in judge(pairing, seen, expected)]
            complaints += [f"{pairing}: differs from run to run: {' / '.join(name)}" for name in sorted(unstable)]
    print(table(rows, repeat=repeat))
    for complaint in complaints:
        print(complaint)
    return bool(complaints)


def run(requirements: str, child: str) -> suite.Results:
    if child == "none":
        with servers.native() as url:
            return suite.run(url, requirements=requirements)
    with servers.bridged(child) as rig:
        return suite.run(rig.url, requirements=requirements)


def differing(first: suite.Results, other: suite.Results) -> set[tuple[str, str]]:
    """Checks that did not say the same in both runs."""
    return {
        (scenario, check)
        for scenario in first.keys() | other.keys()
        for check in first.get(scenario, {}).keys() | other.get(scenario, {}).keys()
        if status(first, scenario, check) != status(other, scenario, check)
    }


def status(results: suite.Results, scenario: str, check: str) -> str:
    said = results.get(scenario, {}).get(check)
    return said.status if said else "absent"


def table(rows: list[tuple[str, str, int, int, int, int, float]], *, repeat: int) -> str:
    lines = [
        f"{repeat} run(s) each; lost: passes natively, not through the bridge; unstable: differs between runs",
        f"{'client':<12}{'child':<10}{'scenarios':>10}{'checks passed':>15}{'lost':>6}{'unstable':>10}{'s/run':>7}",
    ]
    for requirements, child, scenarios, passed, lost, unstable, seconds in rows:
        name = "native" if child == "none" else child
        count = "" if child == "none" else str(lost)
        lines.append(f"{requirements:<12}{name:<10}{scenarios:>10}{passed:>15}{count:>6}{unstable:>10}{seconds:>7.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
