"""One rig a test, or one a module where the tests leave no trace in it."""

from collections.abc import Iterator

import pytest

from unit.bridge.rig import Rig, stdio_server


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    """Ready, with the well-behaved server; a small message limit."""
    rig = Rig()
    rig.start(stdio_server(), bridge={"MAX_MESSAGE_BYTES": str(1 << 20)}).ready()
    yield rig
    rig.stop()
