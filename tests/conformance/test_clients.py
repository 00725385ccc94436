"""The official clients against a real launcher and bridge on loopback: every era of client with every era of child."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import clients
from support import nodejs
from unit.bridge.rig import Rig, until


@pytest.fixture(scope="module", params=["legacy", "modern"], ids=lambda era: f"{era} child")
def child(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig()
    try:
        yield rig.start([sys.executable, str(clients.SERVER), request.param]).ready()
    finally:
        rig.stop()


@pytest.mark.parametrize(("client", "era"), clients.TOURS)
def test_an_official_client_lists_calls_follows_progress_and_cancels(child: Rig, client: str, era: str) -> None:
    clients.check(clients.tour(client, child.url, era=era, tag=f"{client}-{era}"), era=era)


@pytest.mark.parametrize("era", clients.VERSIONS)
def test_the_inspector_connects_lists_and_calls(child: Rig, tmp_path: Path, era: str) -> None:
    clients.check_inspector(child.url, era=era, home=tmp_path)


def test_a_call_of_an_interrupted_inspector_is_cancelled(child: Rig, tmp_path: Path) -> None:
    argv = clients.inspector_argv(child.url, *clients.calling("linger", "tag=interrupted"), era="modern")
    with subprocess.Popen(argv, env=nodejs.environment(HOME=str(tmp_path)), stdout=subprocess.DEVNULL) as inspector:
        until(lambda: "begun: interrupted" in child.log("launcher"), what="the call")
        inspector.send_signal(signal.SIGINT)

    def cancelled() -> bool:
        asked = clients.calling("cancellations", "tag=interrupted")
        (part,) = clients.inspector(child.url, *asked, era="modern", home=tmp_path)["content"]
        return bool(part["text"] == "1")

    until(cancelled, what="the cancellation")
