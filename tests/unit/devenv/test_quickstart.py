"""The first server: watched by its condition, and refused as ready until it really is."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from devenv.errors import DevenvError
from devenv.progress import Progress
from devenv.quickstart import Quickstart, ready_condition
from unit.devenv.fake_commands import FakeCommands, failed


def server(status: str, reason: str, *, message: str = "", observed: int = 1, generation: int = 1) -> str:
    condition: dict[str, Any] = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": observed,
    }
    return json.dumps({"metadata": {"generation": generation}, "status": {"conditions": [condition]}})


def quickstart(commands: FakeCommands, out: io.StringIO | None = None) -> Quickstart:
    ticks = iter(range(10_000))
    return Quickstart(
        root=Path("/c"),
        kubeconfig=Path("/k"),
        commands=commands,
        progress=Progress(out or io.StringIO()),
        clock=lambda: float(next(ticks)),
        sleep=lambda _: None,
    )


def test_a_new_server_has_an_unknown_condition() -> None:
    assert ready_condition('{"metadata": {"generation": 1}}').status == "Unknown"


def test_a_condition_about_an_older_generation_does_not_count() -> None:
    assert ready_condition(server("True", "Serving", generation=2)).status == "Unknown"


def test_a_message_of_many_lines_is_shown_as_one_of_bounded_length() -> None:
    text = ready_condition(server("False", "Crashed", message="a\nb" + "x" * 1000)).text
    assert "\n" not in text
    assert len(text) < 300


def test_every_change_of_reason_is_a_line_until_it_is_ready() -> None:
    reasons = iter(["Fetching", "Fetching", "Starting", "Serving"])

    class Starting(FakeCommands):
        def run(self, argv, **options):  # type: ignore[no-untyped-def]
            reason = next(reasons)
            return server(str(reason == "Serving"), reason)

    out = io.StringIO()
    quickstart(Starting(), out).wait()
    assert [line.split()[-1] for line in out.getvalue().splitlines()] == ["Fetching", "Starting"]


def test_a_server_that_never_gets_ready_ends_with_its_own_reason() -> None:
    commands = FakeCommands(answers_to={"kubectl": server("False", "IntegrityMismatch", message="sha512 differs")})
    with pytest.raises(DevenvError, match="IntegrityMismatch: sha512 differs"):
        quickstart(commands).wait()


def test_what_apply_did_is_reported_in_its_own_word() -> None:
    commands = FakeCommands(answers_to={"kubectl apply": "mcpserver.vsm-mcp.io/memory unchanged\n"})
    assert quickstart(commands).apply() == "unchanged"


def test_a_failing_call_is_told_apart_from_a_server_that_is_not_ready() -> None:
    commands = FakeCommands(answers_to={"/v/vsmctl call": failed("HTTP 503")})
    with pytest.raises(DevenvError, match=r"(?s)ready, but a call to it failed.*HTTP 503"):
        quickstart(commands).call(Path("/v/vsmctl"))
