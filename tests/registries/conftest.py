"""The fixtures of the test registries, for the tests of the registries themselves."""

from registries.fixtures import (  # noqa: F401 - pytest finds them here
    devpi_url,
    full_npm,
    full_pypi,
    now,
    npm_seed,
    osv_dump,
    pypi_seed,
    stripped_npm,
    stripped_pypi,
    verdaccio_url,
)
