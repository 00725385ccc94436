"""Running the ecosystems' own resolvers: argument lists, an environment of their own, bounded in time and output."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError, without_credentials

TIMEOUT_SECONDS = 300
MAX_OUTPUT_BYTES = 256 * 1024
_PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a resolver ended; both texts are the last MAX_OUTPUT_BYTES of it."""

    code: int
    stdout: str
    stderr: str


def tool_environment(environ: Mapping[str, str], *, home: Path) -> dict[str, str]:
    """Only proxies and certificate authorities come from outside: no user's configuration, no credentials."""
    env = {name: environ[name] for name in _PASSED_ON if environ.get(name)}
    if "SSL_CERT_FILE" in env:
        env["NODE_EXTRA_CA_CERTS"] = env["SSL_CERT_FILE"]
    return env | {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8", "TMPDIR": str(home)}


def run_tool(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_seconds: float = TIMEOUT_SECONDS
) -> Finished:
    """Waits for the end; on a time-out the whole process group is gone before IntakeError is raised."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        try:
            code = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            message = f"the resolver {Path(argv[0]).name} did not finish within {timeout_seconds:.0f} s"
            raise IntakeError(IntakeReason.REGISTRY_UNREACHABLE, message) from error
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return Finished(code, _tail(out.fileno()), _tail(err.fileno()))


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, MAX_OUTPUT_BYTES, max(0, size - MAX_OUTPUT_BYTES)).decode(errors="replace")


def last_lines(text: str, *, count: int = 6, max_length: int = 800) -> str:
    """The end of a resolver's output as one sentence-like line, fit for a status message."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    kept = " ".join([line for line in lines if line][-count:])
    return without_credentials(kept)[-max_length:]
