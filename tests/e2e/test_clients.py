"""The official clients against deployed servers, through their Services: connect, list, call, progress, cancel."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import pytest

from conformance import clients, servers, suite
from conformance.comparison import Pairing, judge, losses, read_expected
from support.cluster import Cluster
from support.mcpservers import TINY_PACKAGE, Server, mcp_server, pypi


@pytest.fixture(scope="module")
def urls(cluster: Cluster, namespace: str) -> Iterator[Mapping[str, str]]:
    """By the era of the server: conformance/patient_server.py, which speaks one of them only."""
    program = {"name": "PATIENT_SERVER", "value": clients.SERVER.read_text()}
    command = ["python3", "-c", "import os; exec(os.environ['PATIENT_SERVER'])"]
    for era in clients.VERSIONS:
        cluster.apply(mcp_server(era, namespace, TINY_PACKAGE, command=[*command, era], env=[program]))
    with ExitStack() as stack:
        found = {}
        for era, protocol in clients.VERSIONS.items():
            server = Server(cluster, era, namespace)
            assert server.wait_ready()["status"]["protocolVersion"] == protocol
            found[era] = f"http://{stack.enter_context(cluster.route(server.child, namespace, port=8080))}/mcp"
        yield found


@pytest.mark.parametrize("child", clients.VERSIONS, ids=lambda era: f"{era} server")
@pytest.mark.parametrize(("client", "era"), clients.TOURS)
def test_an_official_client_lists_calls_follows_progress_and_cancels(
    cluster: Cluster, urls: Mapping[str, str], child: str, client: str, era: str
) -> None:
    seen = clients.tour(client, urls[child], era=era, tag=f"{client}-{era}", wrap=cluster.inside)
    clients.check(seen, era=era)


@pytest.mark.parametrize("child", clients.VERSIONS, ids=lambda era: f"{era} server")
@pytest.mark.parametrize("era", clients.VERSIONS)
def test_the_inspector_connects_lists_and_calls(
    cluster: Cluster, urls: Mapping[str, str], tmp_path: Path, child: str, era: str
) -> None:
    clients.check_inspector(urls[child], era=era, home=tmp_path, wrap=cluster.inside)


@pytest.mark.parametrize("child", ["legacy", "modern"])
def test_the_official_suite_passes_at_a_deployed_server(cluster: Cluster, namespace: str, child: str) -> None:
    """Whatever passes against the fixture itself: see conformance/."""
    command = ["python3", "-c", servers.UNPACK, servers.CHILDREN[child]]
    env = [{"name": "EVERYTHING", "value": servers.packed()}]
    server = Server(cluster, f"everything-{child}", namespace)
    cluster.apply(mcp_server(server.name, namespace, pypi("mcp", version("mcp")), command=command, env=env))
    server.wait_ready()
    for requirements in ("2025-11-25", "2026-07-28"):
        with servers.native() as url:
            natively = suite.run(url, requirements=requirements)
        # Insists on a URL of its own machine; the run on loopback has one.
        del natively["dns-rebinding-protection"]
        with cluster.route(server.child, namespace, port=8080) as address:
            deployed = suite.run(f"http://{address}/mcp", requirements=requirements, wrap=cluster.inside)
        assert judge(Pairing(requirements, child), losses(natively, deployed), read_expected()) == []
