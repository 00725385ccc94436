"""kubectl, typed: bounded in time, errors that quote what it said, and watches that keep what they saw."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

Manifest = dict[str, Any]
DEFAULT_TIMEOUT_SECONDS = 60.0


class KubectlFailed(Exception):  # noqa: N818 - what the person at the terminal reads
    """kubectl refused or did not end; the text is what it said."""


class NotInTime(AssertionError):  # noqa: N818
    """What a test waited for did not happen; the text says what was seen last."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One program with one kubeconfig."""

    program: str
    environment: Mapping[str, str]

    def run(self, *arguments: str, given: str | None = None, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> str:
        """Standard output. Raises KubectlFailed."""
        argv = [self.program, *arguments]
        try:
            done = subprocess.run(
                argv,
                input=given,
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                env=dict(self.environment),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlFailed(
                f"kubectl {' '.join(arguments)[:200]} took longer than {timeout_seconds:g} s"
            ) from error
        if done.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(arguments)[:200]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Decoded `-o json` output; None for empty output, which is how `--ignore-not-found` says no."""
        text = self.run(*arguments, "--output", "json")
        return json.loads(text) if text.strip() else None

    def watch(
        self, kind: str, *, namespace: str, name: str | None = None, selector: Mapping[str, str] | None = None
    ) -> "Watch":
        """Follows objects; the first events tell what exists already."""
        arguments = ["get", kind, "--namespace", namespace, "--watch", "--output-watch-events", "--output", "json"]
        if name is not None:
            arguments += ["--field-selector", f"metadata.name={name}"]
        if selector is not None:
            arguments += ["--selector", labels_text(selector)]
        return Watch([self.program, *arguments], self.environment, subject=f"{kind} {namespace}/{name or selector}")


def labels_text(selector: Mapping[str, str]) -> str:
    """A selector as kubectl takes it."""
    return ",".join(f"{key}={value}" for key, value in selector.items())


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch. `deleted` events carry the last state."""

    object: Manifest
    deleted: bool
    seen_at: float
    """Monotonic seconds."""


@dataclass(slots=True)
class Watch:
    """Context manager. `until` walks through the events in order: two calls prove that one thing came after another.

    Everything seen stays in `history`.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    subject: str
    history: list[Event] = field(default_factory=list)
    _queue: "queue.SimpleQueue[Event | None]" = field(default_factory=queue.SimpleQueue)
    _process: "subprocess.Popen[str] | None" = None
    _reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            list(self.argv),
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"watch {self.subject}", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._reader is not None:
            self._process.terminate()
            self._process.wait(10)
            self._reader.join(10)
            if self._process.stdout is not None:
                self._process.stdout.close()

    def until(self, accept: Callable[[Event], bool], *, wanted: str, timeout_seconds: float) -> Event:
        """The first event from here on that `accept` takes. Raises NotInTime."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                event = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise self._not_in_time(wanted, f"within {timeout_seconds:g} s") from None
            if event is None:
                raise self._not_in_time(wanted, "before kubectl ended its watch")
            self.history.append(event)
            if accept(event):
                return event

    def drain(self) -> list[Event]:
        """What has arrived and was not waited for; also goes into `history`."""
        arrived = []
        while not self._queue.empty():
            if (event := self._queue.get()) is not None:
                arrived.append(event)
        self.history += arrived
        return arrived

    def _not_in_time(self, wanted: str, when: str) -> NotInTime:
        seen = f"last seen: {summary(self.history[-1])}" if self.history else "nothing was seen at all"
        return NotInTime(f"{self.subject}: no {wanted} {when}; {len(self.history)} events, {seen}")

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:  # one document a line
            if line.strip():
                raw = json.loads(line)
                self._queue.put(Event(raw["object"], raw["type"] == "DELETED", time.monotonic()))
        self._queue.put(None)


def summary(event: Event) -> str:
    """A few lines about an object: enough to see what it waits for."""
    status = event.object.get("status") or {}
    told = {key: value for key, value in status.items() if key in ("phase", "observedGeneration", "reason", "message")}
    conditions = [
        f"{entry.get('type')}={entry.get('status')} {entry.get('reason', '')}: {entry.get('message', '')}"
        for entry in status.get("conditions") or []
    ]
    name = event.object.get("metadata", {}).get("name")
    return "\n  ".join([f"{name}{' (deleted)' if event.deleted else ''} {json.dumps(told)}", *conditions])
