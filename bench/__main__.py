"""`make bench`: every measurement, one table each. `python -m bench cluster` runs one of them."""

import importlib
import sys

BENCHES = {"bridge": "bench.bridge.__main__", "cluster": "bench.cluster"}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.stderr.write(f"no bench is called {', '.join(unknown)}; there are {', '.join(BENCHES)}\n")
        return 2
    codes: list[int] = [importlib.import_module(BENCHES[name]).main() for name in names or list(BENCHES)]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
