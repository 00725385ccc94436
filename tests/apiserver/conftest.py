"""A real API server: the local cluster's. Without it every test here is skipped, visibly.

With VSM_E2E=1, which `make test` sets, its absence is an error.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator

import pytest

from apiserver.world import CRD, KUBECONFIG, NAMESPACE, WIDGET, widget_definition
from vsm_operator.errors import OperatorError
from vsm_operator.kube.auth import Credentials, load_credentials
from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.kinds import Key


@pytest.fixture(scope="session")
def widgets_are_served() -> None:
    """The kind is left behind on purpose: a second run of the tests, beside this one, may be using it."""
    if not KUBECONFIG.is_file():
        _absent("no local cluster: .local/kubeconfig is missing (`make up` makes both)")
    try:
        asyncio.run(_install())
    except (OperatorError, TimeoutError) as error:
        _absent(f"the local cluster does not answer: {error or 'timeout'}")


async def _install() -> None:
    async with KubeApi(load_credentials(kubeconfig=KUBECONFIG)) as api:
        await api.apply(CRD, widget_definition())
        async with asyncio.timeout(30):
            while True:
                try:
                    await api.list(WIDGET, namespace="default")
                except OperatorError:
                    await asyncio.sleep(0.1)  # discovery has no event to wait for
                else:
                    return


def _absent(why: str) -> None:
    if os.environ.get("VSM_E2E") == "1":
        pytest.fail(why)
    pytest.skip(f"{why} (VSM_E2E=1 makes this an error)")


@pytest.fixture
def credentials(widgets_are_served: None) -> Credentials:
    return load_credentials(kubeconfig=KUBECONFIG)


@pytest.fixture
async def api(credentials: Credentials) -> AsyncIterator[KubeApi]:
    async with KubeApi(credentials, holder="tests") as found:
        yield found


@pytest.fixture
async def namespace(api: KubeApi) -> AsyncIterator[str]:
    """Of this test alone; its deletion is asked for and not waited for."""
    name = f"vsm-test-{secrets.token_hex(4)}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    made = await api.create(NAMESPACE, manifest)
    yield name
    await api.delete(NAMESPACE, Key("Namespace", "", name), uid=made["metadata"]["uid"])
