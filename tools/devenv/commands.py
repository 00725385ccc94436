"""How programs are started: an argument list, a deadline, and an error that quotes what the program said."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from devenv.errors import CommandError, DevenvError

_GRACE_SECONDS = 5.0


class Commands(Protocol):
    """The only way out of this package; tests bring their own."""

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float = 120.0,
        stdin: str | None = None,
    ) -> str:
        """Standard output of a program that ended well; `environment` is laid over ours."""
        ...

    def show(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout_seconds: float = 120.0
    ) -> None:
        """The same for a program that talks to the person itself."""
        ...

    def answers(self, argv: Sequence[str], *, timeout_seconds: float = 15.0) -> bool:
        """Whether the program is there and ends well."""
        ...

    def which(self, program: str) -> str | None:
        """Where the program is on the search path."""
        ...


@dataclass(frozen=True, slots=True)
class HostCommands:
    """Programs of this machine, started at the top of the checkout with `extra_path` in front of the search path."""

    directory: Path
    extra_path: tuple[Path, ...] = ()
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float = 120.0,
        stdin: str | None = None,
    ) -> str:
        with self._start(argv, environment, piped=True) as process:
            try:
                out, err = process.communicate(stdin, timeout=timeout_seconds)
            except subprocess.TimeoutExpired:
                _end(process)
                out, err = process.communicate()
                self._note(argv, out + err)
                raise CommandError(
                    argv, outcome=f"no end after {timeout_seconds:.0f} s", output=out + err, log=self.log
                ) from None
            except BaseException:
                _end(process)
                raise
        self._note(argv, out + err)
        if process.returncode != 0:
            raise CommandError(argv, outcome=f"exit code {process.returncode}", output=out + err, log=self.log)
        return out

    def show(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout_seconds: float = 120.0
    ) -> None:
        with self._start(argv, environment, piped=False) as process:
            try:
                code = process.wait(timeout=timeout_seconds)
            except subprocess.TimeoutExpired:
                _end(process)
                raise CommandError(argv, outcome=f"no end after {timeout_seconds:.0f} s", output="") from None
            except BaseException:
                _end(process)
                raise
        if code != 0:
            raise CommandError(argv, outcome=f"exit code {code}", output="")

    def answers(self, argv: Sequence[str], *, timeout_seconds: float = 15.0) -> bool:
        if self.which(argv[0]) is None:
            return False
        try:
            self.run(argv, timeout_seconds=timeout_seconds)
        except DevenvError:
            return False
        return True

    def which(self, program: str) -> str | None:
        return shutil.which(program, path=self._search_path())

    def _search_path(self) -> str:
        # The sbin folders are missing from an ordinary user's path on Debian, and mmdebstrap and others need them.
        ours = [str(path) for path in self.extra_path]
        return os.pathsep.join([*ours, self.environment.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

    def _start(
        self, argv: Sequence[str], environment: Mapping[str, str] | None, *, piped: bool
    ) -> subprocess.Popen[str]:
        program = self.which(argv[0])
        if program is None:
            raise DevenvError(f"{argv[0]} is not installed; `make prerequisites` lists what is missing")
        pipe = subprocess.PIPE if piped else None
        return subprocess.Popen(
            [program, *argv[1:]],
            cwd=self.directory,
            env={**self.environment, "PATH": self._search_path(), **(environment or {})},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            errors="replace",
        )

    def _note(self, argv: Sequence[str], output: str) -> None:
        if self.log is None:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(argv)}\n{output}\n")


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
