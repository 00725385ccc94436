"""The suite runs once for each pairing, however many tests look at what came out."""

from collections.abc import Callable
from functools import cache

import pytest

from conformance import servers, suite


@pytest.fixture(scope="session")
def natively() -> Callable[[str], suite.Results]:
    @cache
    def run(requirements: str) -> suite.Results:
        with servers.native() as url:
            return suite.run(url, requirements=requirements)

    return run
