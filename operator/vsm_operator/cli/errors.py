"""What ends a command: a sentence for the person at the terminal, and what to do next."""


class UserError(Exception):
    """Shown as two lines, without a traceback."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
