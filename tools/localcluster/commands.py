"""Helper programs (ip, openssl, ctr, kubectl ...): argv lists, bounded in time, errors that quote what they said."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from localcluster.errors import CommandError

NODE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(
    argv: Sequence[str],
    *,
    timeout_seconds: float = 30,
    environ: Mapping[str, str] | None = None,
    given: str | None = None,
    check: bool = True,
) -> str:
    """Standard output. Raises CommandError, quoting the end of standard error, unless `check` is false."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout_seconds, env=environ, input=given, check=False
        )
    except FileNotFoundError as error:
        raise CommandError(
            f"{argv[0]} is not installed", next_step="PYTHONPATH=tools python3 -m localcluster prerequisites"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{_short(argv)} took longer than {timeout_seconds:.0f} s") from error
    if check and done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise CommandError(f"{_short(argv)} failed (exit {done.returncode}): {said}")
    return done.stdout


def _short(argv: Sequence[str]) -> str:
    text = " ".join(argv)
    return text if len(text) <= 160 else text[:157] + "..."
