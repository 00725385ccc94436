"""`make accuracy`: recall and false positives of the vetting gate on labelled data, with Wilson 95 % intervals."""

import argparse
import sys
import time

from accuracy import parts


def main() -> int:
    parser = argparse.ArgumentParser(prog="accuracy", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which of {', '.join(parts.NAMES)}; default: all that exist")
    parser.add_argument("--errors", action="store_true", help="list every sample that was judged wrongly")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(parts.NAMES)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for name in arguments.parts or parts.NAMES:
        part = parts.load(name)
        if part is None:
            print(f"{name}: not measured yet\n")
            continue
        begun = time.monotonic()
        rows, wrong = parts.measure(part)
        print(f"{name} ({time.monotonic() - begun:.1f} s)\n{table(rows)}\n")
        for sample, outcome in wrong if arguments.errors else ():
            print(f"  {'missed' if sample.malicious else 'false'}: {sample.id} {outcome.why}")
    return 0


def table(rows: list[parts.Row]) -> str:
    """Markdown, so that it can be pasted into the documentation as it is."""
    lines = ["| measure | split | family | samples | flagged | gate |", "|---|---|---|---:|---|---|"]
    for row in rows:
        measure = "recall" if row.malicious else "false positives"
        family = f"**{row.family}**" if row.family == "all" else row.family
        lines.append(f"| {measure} | {row.split} | {family} | {row.flagged.total} | {row.flagged} | {row.gated} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
