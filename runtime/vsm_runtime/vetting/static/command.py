"""`scan PATH`: the static analysis of one artefact on the command line.

Exit code 0: done and all was read; 1: the risk is at the gate; 2: wrong use; 3: something remained unread.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vsm_runtime.vetting.static.engine import scan
from vsm_runtime.vetting.static.matching import NoRules

GATE_RISK = 7.6
EXIT_CLEAN, EXIT_GATE, EXIT_USAGE, EXIT_INCOMPLETE = range(4)


def main(arguments: Sequence[str]) -> int:
    """Writes one JSON document to stdout."""
    parser = argparse.ArgumentParser(prog="python -m vsm_runtime.vetting scan", description=__doc__)
    parser.add_argument("path", type=Path, help="a directory, an archive or a file")
    parser.add_argument("--purl", default="", help="the package URL that findings carry")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        report = scan(options.path, purl=options.purl)
    except NoRules as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_INCOMPLETE
    json.dump(report.to_json(), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")
    seconds = time.monotonic() - started
    sys.stderr.write(f"{report.files} files, {report.total_bytes / 1e6:.1f} MB in {seconds:.2f} s\n")
    if not report.complete:
        return EXIT_INCOMPLETE
    return EXIT_GATE if report.risk >= GATE_RISK else EXIT_CLEAN
