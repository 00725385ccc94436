"""The endpoints answer while the event loop does not."""

import socket
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from support.fake_clock import FakeClock
from vsm_operator.runtime.health import HEARTBEAT_SECONDS, MAX_CLIENTS, STUCK_SECONDS, Check, HealthServer, Heartbeat


class Troubles:
    live = ""
    ready = ""


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture
async def server(troubles: Troubles) -> AsyncIterator[HealthServer]:
    registry = CollectorRegistry()
    Counter("widgets", "Made", registry=registry).inc(3)
    found = HealthServer(
        port=0,
        registry=registry,
        live=[Check("loop", lambda: troubles.live)],
        ready=[Check("store", lambda: troubles.ready)],
        host="127.0.0.1",
    )
    found.start()
    yield found
    await found.stop()


def get(server: HealthServer, path: str) -> httpx.Response:
    """Blocking on purpose: the event loop stands still meanwhile."""
    return httpx.get(f"http://127.0.0.1:{server.port}{path}", trust_env=False)


async def test_endpoints_answer_while_the_event_loop_is_blocked(server: HealthServer) -> None:
    assert get(server, "/healthz").status_code == 200
    assert get(server, "/readyz?verbose").text == "ok\n"
    assert "widgets_total 3.0" in get(server, "/metrics").text
    assert get(server, "/").status_code == 404


async def test_trouble_is_a_503_that_says_what_is_wrong(server: HealthServer, troubles: Troubles) -> None:
    troubles.ready = "the CRD is missing"
    assert get(server, "/healthz").status_code == 200
    answer = get(server, "/readyz")
    assert (answer.status_code, answer.text) == (503, "store: the CRD is missing\n")


async def test_clients_that_say_nothing_do_not_shut_out_the_others_for_ever(server: HealthServer) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MAX_CLIENTS + 4)]
    for connection in idle:
        connection.close()
    for _ in range(200):
        try:
            assert get(server, "/healthz").status_code == 200
        except httpx.TransportError:
            time.sleep(0.01)  # noqa: ASYNC251 - the server's threads notice the hang-ups in their own time
        else:
            return
    pytest.fail("the places of clients that hung up were not given back")


async def test_a_taken_port_is_an_error_at_start(server: HealthServer) -> None:
    second = HealthServer(port=server.port, registry=CollectorRegistry(), live=[], ready=[], host="127.0.0.1")
    with pytest.raises(OSError, match="in use"):
        second.start()


async def test_every_address_is_served_by_default() -> None:
    found = HealthServer(port=0, registry=CollectorRegistry(), live=[], ready=[])
    found.start()
    try:
        assert get(found, "/healthz").status_code == 200
    finally:
        await found.stop()


def test_a_loop_that_does_not_beat_is_trouble() -> None:
    clock = FakeClock()
    heart = Heartbeat(clock)
    clock.jump(HEARTBEAT_SECONDS + 2)
    assert heart.lag_seconds() == pytest.approx(2)
    assert heart.trouble() == ""
    clock.jump(STUCK_SECONDS)
    assert "has not answered for 32 s" in heart.trouble()
