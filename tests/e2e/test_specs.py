"""The table of accepted and refused specs, put to a real API server. Dry runs: nothing is stored, nothing starts."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from support.cluster import Cluster
from support.specs import CASES, Case

Refusal = str | None


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[str]:
    """Base URL of the API server, without credentials: `kubectl proxy` adds them."""
    with subprocess.Popen(
        [cluster.kubectl.program, "proxy", "--port=0"],
        env=dict(cluster.kubectl.environment),
        stdout=subprocess.PIPE,
        text=True,
    ) as proxy:
        try:
            assert proxy.stdout is not None
            yield f"http://{proxy.stdout.readline().split()[-1]}"
        finally:
            proxy.terminate()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_api_server_decides_on_a_spec_as_the_table_says(api: str, namespace: str, case: Case) -> None:
    refusal = tried(api, namespace, case)
    if case.refused is None:
        assert refusal is None
    else:
        assert refusal is not None, "accepted"
        assert case.refused in refusal


def tried(api: str, namespace: str, case: Case) -> Refusal:
    """The API server's message, or None when it would store this McpServer."""
    manifest = {
        "apiVersion": "vsm-mcp.io/v1alpha1",
        "kind": "McpServer",
        "metadata": {"name": case.server_name},
        "spec": case.spec,
    }
    request = urllib.request.Request(  # noqa: S310 - the URL is that of our own proxy
        f"{api}/apis/vsm-mcp.io/v1alpha1/namespaces/{namespace}/mcpservers?dryRun=All",
        json.dumps(manifest).encode(),
        {"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20):
            return None
    except urllib.error.HTTPError as error:
        with error:
            return str(json.load(error)["message"])
