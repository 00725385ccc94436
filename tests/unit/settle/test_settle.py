"""Waiting for the NetworkPolicy: against real sockets on loopback, and with a clock of the test's own."""

import socket

from vsm_runtime.settle import UNSEEN_SECONDS, is_open, settle, wait_until_closed


def test_listening_address_is_open_and_a_closed_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert is_open("127.0.0.1", port)
    assert not is_open("127.0.0.1", port)


def test_wait_ends_with_the_first_refusal() -> None:
    answers = iter([True, True, True, False])
    pauses: list[float] = []
    assert wait_until_closed(lambda: next(answers), monotonic=lambda: 0.0, sleep=pauses.append)
    assert len(pauses) == 3


def test_wait_gives_up_at_the_deadline_when_nothing_closes() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert not wait_until_closed(lambda: True, deadline_seconds=2.0, monotonic=lambda: now[0], sleep=sleep)
    assert now[0] >= 2.0


def test_closed_network_is_reported_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    line = settle({"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)})
    assert "out of reach" in line


def test_pod_without_an_announced_api_server_says_that_nothing_was_seen() -> None:
    assert "was not looked at" in settle({})


def test_pod_that_may_ask_the_api_server_waits_a_fixed_time_and_says_so() -> None:
    pauses: list[float] = []
    environ = {"VSM_API_SERVER_ALLOWED": "true", "KUBERNETES_SERVICE_HOST": "192.0.2.1", "KUBERNETES_SERVICE_PORT": "1"}
    assert "without a look" in settle(environ, sleep=pauses.append)
    assert pauses == [UNSEEN_SECONDS]
