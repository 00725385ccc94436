"""The short soak of every test run; SOAK_MINUTES and SOAK_SEED make it longer and repeat it."""

import os
import secrets
from collections.abc import Iterator

import pytest

from soak.run import judge, soak, start
from unit.bridge.rig import Rig

SECONDS = 60 * float(os.environ.get("SOAK_MINUTES", "0.5"))


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.stop()


async def test_no_answer_is_lost_and_nothing_grows_while_clients_and_children_come_and_go(rig: Rig) -> None:
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(100_000))
    print(f"SOAK_SEED={seed}")
    report = await soak(start(rig), seconds=SECONDS, seed=seed)
    print(report.show())
    judge(report)
    assert report.tally["legacy fast"] > 0
    assert report.tally["modern fast"] > 0
