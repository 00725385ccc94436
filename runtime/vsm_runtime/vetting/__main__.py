"""`python -m vsm_runtime.vetting COMMAND …`: JSON on stdout, progress and errors on stderr.

A thin dispatcher: each command is a function that takes its arguments and returns an exit code.
"""

import sys
from collections.abc import Callable, Sequence

from vsm_runtime.vetting.static import command as static_command

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"scan": static_command.main}
EXIT_USAGE = 2


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code of the command, 2 when there is no such command."""
    if not arguments or arguments[0] not in COMMANDS:
        sys.stderr.write(f"usage: python -m vsm_runtime.vetting {{{'|'.join(sorted(COMMANDS))}}} …\n")
        return EXIT_USAGE
    return COMMANDS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
