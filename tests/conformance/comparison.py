"""What the bridge loses: checks that pass against the server itself and do not pass through the bridge.

Pure. `expected-failures.toml` names every loss that is accepted and why; `judge` complains about a loss that is not
named there, and about a name there that is no longer a loss.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from conformance.suite import Results

EXPECTED = Path(__file__).with_name("expected-failures.toml")


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which revision the client speaks, and what is behind the bridge."""

    requirements: str
    child: str

    def __str__(self) -> str:
        return f"{self.requirements} client, {self.child} child"


@dataclass(frozen=True, slots=True, order=True)
class Loss:
    scenario: str
    check: str
    said: str

    def __str__(self) -> str:
        return f"{self.scenario} / {self.check}: {self.said}"


@dataclass(frozen=True, slots=True)
class Expected:
    pairing: Pairing
    scenario: str
    check: str
    reason: str


def losses(native: Results, bridged: Results) -> list[Loss]:
    """What passes natively has to be there and pass; a check that is only there through the bridge must not fail."""
    found = []
    for scenario, checks in native.items():
        through = bridged.get(scenario, {})
        for name, check in checks.items():
            if check.passed and (name not in through or not through[name].well):
                other = through.get(name)
                found.append(
                    Loss(scenario, name, f"{other.status}: {other.message}" if other else "did not come to it")
                )
        for name, other in through.items():
            if name not in checks and other.status in ("WARNING", "FAILURE"):
                found.append(Loss(scenario, name, f"{other.status}: {other.message}"))
    return sorted(found)


def read_expected(path: Path = EXPECTED) -> list[Expected]:
    entries = tomllib.loads(path.read_text()).get("expected", [])
    return [
        Expected(Pairing(entry["client"], child), entry["scenario"], check, entry["reason"])
        for entry in entries
        for child in entry["children"]
        for check in entry["checks"]
    ]


def judge(pairing: Pairing, found: Iterable[Loss], expected: Iterable[Expected]) -> list[str]:
    """Complaints, none when all is as it should be."""
    lost = {(loss.scenario, loss.check): loss for loss in found}
    named = {(e.scenario, e.check) for e in expected if e.pairing == pairing}
    complaints = [f"fails only through the bridge: {loss}" for key, loss in lost.items() if key not in named]
    return complaints + [
        f"passes now; take it out of {EXPECTED.name}: {scenario} / {check}"
        for scenario, check in sorted(named - lost.keys())
    ]
