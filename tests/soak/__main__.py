"""`make soak MINUTES=3`: the soak by itself, with its figures. `--seed` repeats the choices of an earlier run."""

import argparse
import asyncio
import secrets
import sys

from soak.run import judge, soak, start
from unit.bridge.rig import Rig


def main(arguments: list[str]) -> int:
    """Raises what `soak` and `judge` raise."""
    parser = argparse.ArgumentParser(prog="python -m soak")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(100_000) if options.seed is None else options.seed
    sys.stdout.write(f"seed {seed}\n")
    sys.stdout.flush()
    rig = Rig()
    try:
        report = asyncio.run(soak(start(rig), seconds=60 * options.minutes, seed=seed))
        sys.stdout.write(report.show() + "\n")
        judge(report)
    finally:
        rig.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
