"""Programs are started without a shell, bounded in time, and quoted when they fail."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from devenv.commands import HostCommands
from devenv.errors import CommandError, DevenvError
from devenv.progress import Progress


def test_a_failure_quotes_the_end_of_what_was_said_and_names_the_log(tmp_path: Path) -> None:
    script = "import sys; print('\\n'.join(map(str, range(100)))); sys.exit(3)"
    with pytest.raises(CommandError, match=r"(?s)exit code 3.*\b99\b.*everything it said: .*log") as caught:
        HostCommands(tmp_path, log=tmp_path / "log").run([sys.executable, "-c", script])
    assert " 7\n" not in str(caught.value)
    assert "\n7\n" in (tmp_path / "log").read_text()


def test_a_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no end after"):
        HostCommands(tmp_path).run([sys.executable, "-c", "import time; time.sleep(60)"], timeout_seconds=0.2)


def test_a_missing_program_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DevenvError, match=r"no-such-program is not installed; `make prerequisites`"):
        HostCommands(tmp_path).run(["no-such-program"])
    assert not HostCommands(tmp_path).answers(["no-such-program"])


def test_arguments_reach_the_program_as_they_are(tmp_path: Path) -> None:
    echo = [sys.executable, "-c", "import sys; print(sys.argv[1])"]
    assert HostCommands(tmp_path).run([*echo, "$(id); *"]) == "$(id); *\n"


def test_a_steps_line_begins_at_once_and_ends_with_its_outcome_and_time() -> None:
    out = io.StringIO()
    times = iter([0.0, 1.0, 1.0, 3.5])
    progress = Progress(out, clock=lambda: next(times))
    with progress.step("image") as step:
        assert out.getvalue().startswith("[   1.0 s] image ...")
        step.outcome = "built"
    assert out.getvalue().endswith(" built, 2.5 s\n")


def test_a_step_that_raises_says_so() -> None:
    out = io.StringIO()
    with pytest.raises(ValueError, match="x"), Progress(out).step("image"):
        raise ValueError("x")
    assert "failed" in out.getvalue()
