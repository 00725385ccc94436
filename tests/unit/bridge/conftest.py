"""One rig a test, or one a module where the tests leave no trace in it."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
import uvloop

from unit.bridge.rig import Rig, stdio_server


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What holds descriptors is tested on the loop that the bridge runs on, too: the two own them differently."""
    if item.path.name == "test_lease.py":
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    try:
        yield rig
    finally:
        rig.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    """Ready, with the well-behaved server; a small message limit."""
    rig = Rig()
    try:
        yield rig.start(stdio_server(), bridge={"MAX_MESSAGE_BYTES": str(1 << 20)}).ready()
    finally:
        rig.stop()
