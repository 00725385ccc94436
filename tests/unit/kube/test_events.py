"""Events: told once, few, never in the way."""

import asyncio
from typing import Any

import pytest

from support.fake_api import FakeApiServer, failure
from support.fake_clock import FakeClock
from vsm_operator.kube.client import Unfenced
from vsm_operator.kube.events import BUDGET_PER_HOUR, MAX_QUEUED, REPEAT_AFTER_SECONDS, EventRecorder
from vsm_operator.kube.kinds import EVENT, POD
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.runtime.store import Store


def pod(name: str) -> Snapshot:
    return Store().snapshot(POD, {"metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}"}})


class Desk:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.server = FakeApiServer(EVENT)
        self.recorder = EventRecorder(
            self.server.api(),
            fence=Unfenced(),
            instance="me",
            now=self.clock.now,
            monotonic=self.clock.monotonic,
        )

    def say(self, note: str, *, name: str = "p") -> None:
        self.recorder.record(POD, pod(name), reason="Started", note=note, action="Start")

    async def posted(self) -> list[Any]:
        task = asyncio.create_task(self.recorder.run())
        await self.clock.settle()
        for _ in range(20):
            await self.clock.settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [body for key, body in sorted(self.server.objects.items())]


async def test_an_event_names_its_object_and_is_told_once() -> None:
    desk = Desk()
    for _ in range(3):
        desk.say("hello")
    (event,) = await desk.posted()
    assert event["regarding"] == {"apiVersion": "v1", "kind": "Pod", "namespace": "ns", "name": "p", "uid": "uid-p"}
    assert (event["note"], event["type"], event["reason"]) == ("hello", "Normal", "Started")
    assert event["eventTime"] == "2030-01-01T00:00:00.000000Z"


async def test_the_same_is_told_again_after_an_hour() -> None:
    desk = Desk()
    desk.say("hello")
    desk.clock.jump(REPEAT_AFTER_SECONDS)
    desk.say("hello")
    assert len(await desk.posted()) == 2


async def test_one_object_has_a_budget_and_the_others_do_not_pay_for_it() -> None:
    desk = Desk()
    for number in range(BUDGET_PER_HOUR + 5):
        desk.say(str(number))
    desk.say("fine", name="quiet")
    assert desk.recorder.dropped == 5
    assert len(await desk.posted()) == BUDGET_PER_HOUR + 1


async def test_a_full_queue_drops_instead_of_waiting() -> None:
    desk = Desk()
    for number in range(MAX_QUEUED + 7):
        desk.say("hello", name=f"p{number}")
    assert desk.recorder.dropped == 7


async def test_a_failed_event_is_lost_and_the_next_is_posted() -> None:
    desk = Desk()
    answers = iter([failure(500, "InternalError", "etcd")])
    desk.server.fault = lambda _: next(answers, None)
    desk.say("first")
    desk.say("second")
    assert [event["note"] for event in await desk.posted()] == ["second"]


@pytest.mark.parametrize("length", [1, 5000])
async def test_names_and_notes_fit_the_api_servers_limits(length: int) -> None:
    desk = Desk()
    desk.say("n" * length, name="p" * min(length, 253))
    (event,) = await desk.posted()
    assert len(event["note"]) <= 1024
    assert len(event["metadata"]["name"]) <= 253
