"""Waits until the pod's NetworkPolicy has taken hold, before the container with untrusted code is started.

A network plugin learns of a pod when the pod exists, so for a moment (up to a second was seen) a new pod is not
confined yet. Init containers run in that moment, and this one sees it pass: the API server's Service, which every pod
is told of and which no server may reach, stops answering. This closes the gap; it is no proof of enforcement, since a
plugin may never close that one address, so after the deadline the start goes on and the log says what was seen.

A pod whose bridge asks the API server about tokens is let through to it, so there is nothing to see: then a fixed time
passes, twice as long as the longest that was measured.
"""

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping

from vsm_runtime.launcher_install import install

DEADLINE_SECONDS = 10.0
UNSEEN_SECONDS = 2.0
"""Waited where the API server stays in reach."""
_PROBE_SECONDS = 1.0
_PAUSE_SECONDS = 0.05


def is_open(host: str, port: int) -> bool:
    """Whether a connection succeeds. Silence for a second counts as closed: some plugins drop, others refuse."""
    try:
        socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def wait_until_closed(
    probe: Callable[[], bool],
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """True as soon as `probe` says closed; False when it still says open at the deadline."""
    end = monotonic() + deadline_seconds
    while probe():
        if monotonic() >= end:
            return False
        sleep(_PAUSE_SECONDS)
    return True


def settle(environ: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep) -> str:
    """Waits, and returns the line for the log."""
    if environ.get("VSM_API_SERVER_ALLOWED") == "true":
        sleep(UNSEEN_SECONDS)
        return f"the API server may be reached, so {UNSEEN_SECONDS:g} s were waited without a look at the NetworkPolicy"
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port.isdigit():
        return "no API server is announced in this pod, so whether its NetworkPolicy holds was not looked at"
    started = time.monotonic()
    closed = wait_until_closed(lambda: is_open(host, int(port)))
    seconds = time.monotonic() - started
    if closed:
        return f"the API server is out of reach after {seconds:.2f} s, as the NetworkPolicy asks"
    return f"the API server is STILL in reach after {seconds:.0f} s: does this cluster enforce NetworkPolicy?"


def main() -> int:
    """The init container of servers that come as images."""
    parser = argparse.ArgumentParser(prog="python -m vsm_runtime.settle", description=__doc__)
    parser.add_argument("--install-to", default="", help="bring the launcher there first")
    options = parser.parse_args()
    if options.install_to:
        install(options.install_to)
    sys.stderr.write(settle(os.environ) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
