"""kopf as a reactor and nothing more: facts of the architecture that a later change could break silently."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from vsm_operator.kube.auth import Credentials, Tokens
from vsm_operator.kube.kinds import DEPLOYMENT, POD, Kind
from vsm_operator.runtime.reactor import Reactor
from vsm_operator.runtime.router import Watch

WIDGET = Kind("example.test", "v1", "widgets", "Widget")
Seen = list[tuple[Kind, str | None, Mapping[str, Any]]]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def reactor(seen: Seen) -> Reactor:
    watches = [Watch(kind=WIDGET, selector=None), Watch(kind=POD), Watch(kind=DEPLOYMENT)]
    credentials = Credentials(server="https://cluster.test", tokens=Tokens(lambda: "Bearer abc"))
    return Reactor(
        watches=watches,
        namespaces=(),
        credentials=credentials,
        observe=lambda kind, event, body: seen.append((kind, event, body)),
    )


def test_no_handler_detects_changes_so_kopf_never_writes(reactor: Reactor) -> None:
    registry = reactor._registry
    assert len(registry._watching.get_all_handlers()) == 3
    for others in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert list(others.get_all_handlers()) == []


def test_storages_hold_nothing(reactor: Reactor) -> None:
    storages = reactor._settings.persistence
    assert storages.diffbase_storage.build(body={}) == {}  # type: ignore[arg-type]
    assert storages.diffbase_storage.fetch(body={}) is None  # type: ignore[arg-type]
    essence: Any = {"spec": {}}
    assert storages.progress_storage.clear(essence=essence) is essence


def test_children_are_selected_by_the_server_and_kinds_of_our_own_are_not(reactor: Reactor) -> None:
    selectors = reactor._settings.watching.label_selectors
    assert selectors["", "v1", "pods"] == "app.kubernetes.io/managed-by=vsm-operator"
    assert selectors["apps", "v1", "deployments"] == "app.kubernetes.io/managed-by=vsm-operator"
    assert ("example.test", "v1", "widgets") not in selectors


async def test_an_event_is_passed_on_as_it_is(reactor: Reactor, seen: Seen) -> None:
    body = {"metadata": {"name": "w"}}
    await reactor._handle(event={"type": None, "object": body}, param=WIDGET, logger=None)
    assert seen == [(WIDGET, None, body)]


async def test_kopf_logs_in_with_our_credentials(reactor: Reactor) -> None:
    found = await reactor._login()
    assert (found.server, found.scheme, found.token) == ("https://cluster.test", "Bearer", "abc")
    assert found.as_http_headers() == {"Authorization": "Bearer abc"}


async def test_a_uid_without_a_name_can_start(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers run under uids that /etc/passwd does not know."""

    def no_name() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr("getpass.getuser", no_name)
    before = asyncio.all_tasks()
    reactor.stop()
    await reactor.run()
    for task in asyncio.all_tasks() - before:
        task.cancel()
