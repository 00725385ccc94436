"""One cluster for the whole session, a namespace for each module, and a full picture when something fails.

Without a cluster these tests are skipped, visibly. With VSM_E2E=1, which `make test` sets, its absence is an error.
Modules run in the order of ORDER: those that disturb the operator come last, and the very last ones look back at what
the operator did to the fleet while everything else happened.
"""

import os
from collections.abc import Generator, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from support.cluster import Cluster, ClusterAbsent, find
from support.diagnosis import diagnose
from support.fleet import Fleet, fleet_of_real_packages

HERE = Path(__file__).parent
ORDER = ("test_restarts", "test_quietness", "test_private_registry")
"""After all others, in this order."""


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    try:
        return find()
    except ClusterAbsent as absent:
        if os.environ.get("VSM_E2E") == "1":
            raise
        pytest.skip(f"{absent} (VSM_E2E=1 makes this an error)")


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """The module's own."""
    purpose = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    with cluster.namespace(purpose) as name:
        yield name


@pytest.fixture(scope="session")
def fleet(cluster: Cluster) -> Iterator[Fleet]:
    """Real packages that serve during the whole session. Look at them and call them; never change them."""
    with cluster.namespace("fleet") as name:
        yield fleet_of_real_packages(cluster, name)


@pytest.fixture(scope="session")
def settled_at(fleet: Fleet) -> datetime:
    """From then on there is nothing to write about the fleet."""
    return fleet.wait_settled()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    others = [item for item in items if HERE not in item.path.parents]
    ours.sort(key=lambda item: ORDER.index(item.path.stem) + 1 if item.path.stem in ORDER else 0)
    items[:] = others + ours


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and HERE in item.path.parents:
        arguments = getattr(item, "funcargs", {})
        found, where = arguments.get("cluster"), arguments.get("namespace")
        if isinstance(found, Cluster) and isinstance(where, str):
            report.sections.append((f"the cluster, namespace {where}", diagnose(found, where)))
        if isinstance(found, Cluster) and isinstance(seen := arguments.get("fleet"), Fleet):
            report.sections.append(("the fleet", diagnose(found, seen.namespace)))
    return report
