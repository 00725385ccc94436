"""vsmctl, also reachable as `kubectl vsm`: thin commands over domain, ports and kube."""

from vsm_operator.cli.app import main

__all__ = ["main"]
