"""Where a package's intake stands, as values: what the intake desk answers and a server's status is made from."""

from dataclasses import dataclass

from vsm_operator.api.conditions import Reason
from vsm_operator.api.v1alpha1 import BundleStatus
from vsm_operator.domain.intake import IntakeReason


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """An image: nothing is fetched."""


@dataclass(frozen=True, slots=True)
class Bundled:
    """The package's tree is in the registry."""

    bundle: BundleStatus


@dataclass(frozen=True, slots=True)
class Waiting:
    """An intake runs, or waits for its turn."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class NotBundled:
    """The intake ended without a bundle."""

    reason: IntakeReason
    message: str


Intake = NotNeeded | Bundled | Waiting | NotBundled
