"""The first server: applied, watched until it is ready, and asked one thing by a real MCP call."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devenv.commands import Commands
from devenv.errors import CommandError, DevenvError
from devenv.progress import Progress

NAME = "memory"
SERVER_NAMESPACE = "default"
TOOL = "read_graph"
READY_WITHIN_SECONDS = 420.0
_POLL_SECONDS = 0.5
_SHOWN_CHARACTERS = 220


@dataclass(frozen=True, slots=True)
class Condition:
    """`Ready` of an McpServer; absent ones read as "Unknown"."""

    status: str
    reason: str
    message: str

    @property
    def text(self) -> str:
        """One line; the messages of programs have more."""
        text = " ".join(f"{self.reason}: {self.message}".split()).removesuffix(":")
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def ready_condition(server: str) -> Condition:
    """From the object as JSON. A condition about an older generation says nothing about this one."""
    found = json.loads(server)
    generation = found["metadata"].get("generation", 0)
    for condition in found.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready" and condition.get("observedGeneration", generation) == generation:
            return Condition(condition["status"], condition.get("reason", ""), condition.get("message", ""))
    return Condition("Unknown", "waiting for the operator", "")


@dataclass(frozen=True, slots=True)
class Quickstart:
    """The sample on one cluster."""

    root: Path
    kubeconfig: Path
    commands: Commands
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @property
    def manifest(self) -> Path:
        return self.root / "manifests" / "samples" / "quickstart.yaml"

    def apply(self) -> str:
        """What kubectl says it did: "created", "configured" or "unchanged"."""
        return self._kubectl("apply", "--filename", str(self.manifest)).strip().rpartition(" ")[2]

    def wait(self) -> None:
        """Until Ready; every new reason is a line."""
        deadline = self.clock() + READY_WITHIN_SECONDS
        said = ""
        while True:
            condition = ready_condition(self._kubectl(*self._get, "--output", "json"))
            if condition.status == "True":
                return
            if condition.reason != said:
                said = condition.reason
                self.progress.say(f"  {condition.text}")
            if self.clock() >= deadline:
                raise DevenvError(
                    f"{NAME} is not ready after {READY_WITHIN_SECONDS:.0f} s. {condition.text}\n"
                    f"  more: KUBECONFIG={self.kubeconfig} kubectl describe mcps {NAME}"
                )
            self.sleep(_POLL_SECONDS)

    def line(self) -> str:
        """As `kubectl get mcps` shows it."""
        return self._kubectl(*self._get).rstrip()

    def call(self, vsmctl: Path) -> str:
        """The answer of one tool call through the server's Service."""
        try:
            return self.commands.run(
                [str(vsmctl), "call", NAME, TOOL, "{}"], environment=self._environment, timeout_seconds=60
            ).rstrip()
        except CommandError as error:
            raise DevenvError(f"the server is ready, but a call to it failed\n{error}") from None

    def delete(self) -> None:
        """With everything that belongs to it; fine when it is gone."""
        self._kubectl("delete", "--ignore-not-found", "--timeout", "120s", "--filename", str(self.manifest))

    @property
    def _get(self) -> tuple[str, ...]:
        return ("--namespace", SERVER_NAMESPACE, "get", "mcps", NAME)

    def _kubectl(self, *arguments: str) -> str:
        return self.commands.run(["kubectl", *arguments], environment=self._environment, timeout_seconds=150)

    @property
    def _environment(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig)}
