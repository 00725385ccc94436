"""Runs the official conformance suite against a URL and reads what each of its checks said."""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support import nodejs

TIMEOUT_SECONDS = 300
Wrap = Callable[[Sequence[str]], list[str]]
"""Turns an argument vector into one that runs where the server can be reached."""
_SUMMARY = re.compile(r"^[✓✗] (\S+): \d+ passed, \d+ failed$", re.MULTILINE)
_RANKS = ("INFO", "SUCCESS", "SKIPPED", "WARNING", "FAILURE")


@dataclass(frozen=True, slots=True)
class Check:
    """The worst that one check of a scenario said; a check can speak several times."""

    status: str
    message: str = ""

    @property
    def passed(self) -> bool:
        return self.status == "SUCCESS"

    @property
    def well(self) -> bool:
        """Also INFO: the suite says so where the answer is another one that the specification allows."""
        return self.status in ("SUCCESS", "INFO")


Results = dict[str, dict[str, Check]]
"""By scenario, then by the check's id."""


def run(url: str, *, requirements: str, wrap: Wrap = list) -> Results:
    """Every server scenario of a requirement set, also those that the set lists without scoring them."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        argv = nodejs.script("@modelcontextprotocol/conformance", "dist/index.js")
        done = subprocess.run(
            wrap([*argv, "server", "--url", url, "--requirements", requirements, "--output-dir", folder]),
            env=nodejs.environment(NO_COLOR="1"),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        scenarios = _SUMMARY.findall(done.stdout)
        if not scenarios:
            raise RuntimeError(f"the suite did not run to its end:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return {scenario: _read(Path(folder), scenario) for scenario in scenarios}


def scored(requirements: str) -> list[str]:
    """The server scenarios that the requirement set counts."""
    lines = (_requirements(requirements)).splitlines()
    begin = lines.index("server:") + 1
    end = next(i for i, line in enumerate(lines[begin:], start=begin) if not line.startswith("  - "))
    return [line.removeprefix("  - ").strip() for line in lines[begin:end]]


def _requirements(name: str) -> str:
    package = nodejs.packages() / "node_modules/@modelcontextprotocol/conformance"
    return (package / "requirements" / f"{name}.yaml").read_text()


def _read(folder: Path, scenario: str) -> dict[str, Check]:
    found = list(folder.glob(f"server-{scenario}-2*/checks.json"))
    if len(found) != 1:
        return {"the scenario itself": Check("FAILURE", "it threw before it could write down its checks")}
    checks: dict[str, Check] = {}
    for said in json.loads(found[0].read_text()):
        check = Check(said["status"], said.get("errorMessage") or "")
        known = checks.get(said["id"])
        if known is None or _RANKS.index(check.status) > _RANKS.index(known.status):
            checks[said["id"]] = check
    return checks
