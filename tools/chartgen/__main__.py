"""Command line: writes every generated file, or with --check says which of them differ and exits 1."""

import argparse
import os
import sys
from pathlib import Path

from chartgen import outputs
from chartgen.helm import Helm, HelmFailed

_CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="chartgen", description="Generates parts of charts/ and manifests/install.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the files that differ")
    check = parser.parse_args().check
    helm = Helm.find(_CHECKOUT, os.environ)
    if helm is None:
        print("chartgen: no helm: put one on PATH, or name it in HELM (`make up` leaves one in .local/bin)")
        return 2
    try:
        # The manifests are rendered from the charts, so the charts' own generated parts come first.
        stale = outputs.settle(_CHECKOUT, outputs.chart_files(_CHECKOUT), write=not check)
        stale += outputs.settle(_CHECKOUT, outputs.install_files(_CHECKOUT, helm), write=not check)
    except HelmFailed as error:
        print(f"chartgen: {error}")
        return 2
    for path in stale:
        print(f"{'differs' if check else 'wrote'} {path}")
    if check and stale:
        print("chartgen: run `python -m chartgen` and commit the result")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
