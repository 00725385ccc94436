"""The loopback registries in both dialects."""

from registries.fixtures import full_npm, full_pypi, now, npm_seed, pypi_seed, stripped_npm, stripped_pypi  # noqa: F401
