"""The test registries as fixtures, one set for each worker; import them by name where they are wanted.

Started when first asked for, ended with the session. The seeded packages are the same in all of them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registries.advisories import write_osv
from registries.devpi import devpi
from registries.npm_dialects import NpmRegistry
from registries.npm_releases import npm_releases
from registries.pypi_dialects import PypiIndex
from registries.pypi_releases import pypi_releases
from registries.releases import NpmRelease, PypiRelease
from registries.verdaccio import verdaccio


@pytest.fixture(scope="session")
def now() -> datetime:
    """What "two hours ago" is counted from."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="session")
def npm_seed(now: datetime) -> tuple[NpmRelease, ...]:
    return npm_releases(now)


@pytest.fixture(scope="session")
def pypi_seed(now: datetime) -> tuple[PypiRelease, ...]:
    return pypi_releases(now)


@pytest.fixture(scope="session")
def verdaccio_url(npm_seed: tuple[NpmRelease, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real npm registry."""
    with verdaccio(npm_seed, directory=tmp_path_factory.mktemp("verdaccio")) as url:
        yield url


@pytest.fixture(scope="session")
def devpi_url(pypi_seed: tuple[PypiRelease, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Simple API of a real PyPI index."""
    with devpi(pypi_seed, directory=tmp_path_factory.mktemp("devpi")) as url:
        yield url


@pytest.fixture
def full_npm(npm_seed: tuple[NpmRelease, ...], now: datetime) -> Iterator[NpmRegistry]:
    """In the public registry's words; a test may see what was asked and make it fail."""
    registry = NpmRegistry(npm_seed, now)
    with registry.server:
        yield registry


@pytest.fixture
def stripped_npm(npm_seed: tuple[NpmRelease, ...], now: datetime) -> Iterator[NpmRegistry]:
    """In the words of a read-only mirror."""
    registry = NpmRegistry(npm_seed, now, stripped=True)
    with registry.server:
        yield registry


@pytest.fixture
def full_pypi(pypi_seed: tuple[PypiRelease, ...], now: datetime) -> Iterator[PypiIndex]:
    index = PypiIndex(pypi_seed, now)
    with index.server:
        yield index


@pytest.fixture
def stripped_pypi(pypi_seed: tuple[PypiRelease, ...], now: datetime) -> Iterator[PypiIndex]:
    index = PypiIndex(pypi_seed, now, stripped=True)
    with index.server:
        yield index


@pytest.fixture(scope="session")
def osv_dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of OSV documents, as it is mounted."""
    return write_osv(tmp_path_factory.mktemp("osv"))
