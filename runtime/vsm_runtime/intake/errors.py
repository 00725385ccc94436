"""The one error that ends an intake: a reason from the contract with the operator and a sentence for a person."""

import re

from vsm_operator.domain.intake import IntakeReason

_USERINFO = re.compile(r"(?<=//)[^\s/@]+@")


class IntakeError(Exception):
    """There will be no bundle. The message never carries credentials, whatever text went into it."""

    def __init__(self, reason: IntakeReason, message: str) -> None:
        self.reason = reason
        self.message = without_credentials(message)
        super().__init__(f"{reason}: {self.message}")


def without_credentials(text: str) -> str:
    """`text` with the userinfo of every URL removed."""
    return _USERINFO.sub("", text)
