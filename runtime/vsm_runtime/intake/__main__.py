"""`python -m vsm_runtime.intake`: the environment in, one JSON line out, on stdout and in the termination log."""

import os
import sys
import traceback
from pathlib import Path

from vsm_operator.domain.intake import (
    EXIT_OK,
    EXIT_RETRYABLE,
    EXIT_TERMINAL,
    IntakeFailure,
    IntakeReason,
    IntakeRequest,
    IntakeResult,
)
from vsm_operator.domain.packages import InvalidPackage
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.job import run
from vsm_runtime.intake.progress import say
from vsm_runtime.intake.settings import Settings


def main() -> int:
    """Returns the exit code of the contract."""
    outcome = _outcome()
    line = outcome.to_json()
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    try:
        Path(os.environ.get("VSM_TERMINATION_LOG", "/dev/termination-log")).write_text(line + "\n", encoding="utf-8")
    except OSError as error:
        say(f"the termination log cannot be written: {error}")
    if isinstance(outcome, IntakeResult):
        return EXIT_OK
    say(f"{outcome.reason}: {outcome.message}")
    return EXIT_RETRYABLE if outcome.reason.retryable else EXIT_TERMINAL


def _outcome() -> IntakeResult | IntakeFailure:
    key = ""
    try:
        request = IntakeRequest.from_json(os.environ.get("VSM_INTAKE_REQUEST", ""))
        key = request.key
        return run(request, Settings.from_env(os.environ))
    except InvalidPackage as error:
        return IntakeFailure(key, IntakeReason.INVALID_REQUEST, str(error))
    except IntakeError as error:
        return IntakeFailure(key, error.reason, error.message)
    except Exception as error:  # noqa: BLE001 - the operator must always get an outcome
        traceback.print_exc()
        return IntakeFailure(
            key, IntakeReason.INTERNAL_ERROR, f"the intake failed: {type(error).__name__}: {error}"[:500]
        )


if __name__ == "__main__":
    sys.exit(main())
