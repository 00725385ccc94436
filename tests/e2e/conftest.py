"""One cluster for the whole session, a namespace for each module, and a full picture when something fails.

Without a cluster these tests are skipped, visibly. With VSM_E2E=1, which `make test` sets, its absence is an error.
The fleet is made FIRST and left alone; modules that disturb the operator come LAST, and the very last one looks back at
what the operator wrote about the fleet while everything else happened.
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
FIRST = ("test_real_packages",)
LAST = ("test_token_review", "test_restarts", "test_quietness")


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
    ours.sort(key=lambda item: _place(item.path.stem))
    items[:] = others + ours


def _place(module: str) -> int:
    if module in FIRST:
        return FIRST.index(module) - len(FIRST)
    return LAST.index(module) + 1 if module in LAST else 0


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
