"""Programs that are not there: what was started is remembered, what is answered is given beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devenv.errors import CommandError


@dataclass
class FakeCommands:
    """`answers_to` maps the beginning of a command line to its output; an exception is raised instead."""

    answers_to: dict[str, str | Exception] = field(default_factory=dict)
    present: set[str] = field(default_factory=lambda: {"kind", "helm", "kubectl", "docker", "buildah", "mmdebstrap"})
    started: list[list[str]] = field(default_factory=list)

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float = 120.0,
        stdin: str | None = None,
    ) -> str:
        self.started.append(list(argv))
        line = " ".join(argv)
        fitting = [known for known in self.answers_to if line.startswith(known)]
        answer = self.answers_to[max(fitting, key=len)] if fitting else ""
        if isinstance(answer, Exception):
            raise answer
        return answer

    def show(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout_seconds: float = 120.0
    ) -> None:
        self.run(argv)

    def answers(self, argv: Sequence[str], *, timeout_seconds: float = 15.0) -> bool:
        try:
            self.run(argv)
        except CommandError:
            return False
        return True

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if program in self.present else None

    def lines(self, beginning: str) -> list[str]:
        """Of what was started, as text."""
        return [line for line in map(" ".join, self.started) if line.startswith(beginning)]


def failed(output: str = "") -> CommandError:
    """A program that ends badly with this output."""
    return CommandError(["program"], outcome="exit code 1", output=output)
