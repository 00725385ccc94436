"""One launcher a test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.launcher.world import World


@pytest.fixture
def world() -> Iterator[World]:
    world = World(Path(tempfile.mkdtemp(prefix="launcher-")))
    world.directory.chmod(0o777)
    yield world
    world.stop()
