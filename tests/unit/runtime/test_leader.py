"""At most one replica may write, whatever is slow, frozen or lost."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.chance import chance
from support.fake_api import FakeApiServer, failure
from support.fake_clock import FakeClock
from vsm_operator.kube.auth import Credentials
from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.kinds import LEASE
from vsm_operator.runtime.leader import Leader, LeaseTimes

KEY = LEASE.key("vsm-system", "vsm-operator")


class Replica:
    def __init__(self, name: str, server: FakeApiServer, clock: FakeClock) -> None:
        self.name = name
        self.leader = Leader(server.api(), key=KEY, identity=name, clock=clock, jitter=chance())
        self.task = asyncio.create_task(self._life(), name=name)

    async def _life(self) -> None:
        await self.leader.acquire()
        await self.leader.hold()

    async def stop(self) -> None:
        await self.leader.release()
        await self.kill()

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def spec(server: FakeApiServer) -> dict[str, Any]:
    found: dict[str, Any] = server.objects[KEY]["spec"]
    return found


def answered_at(clock: FakeClock, seconds: float) -> str:
    return (clock.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_the_first_replica_leads_and_the_second_waits_as_long_as_it_renews() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one, two = Replica("one", server, clock), Replica("two", server, clock)
    await clock.advance(300)
    assert (one.leader.valid(), two.leader.valid()) == (True, False)
    assert spec(server)["holderIdentity"] == "one"
    assert spec(server)["leaseTransitions"] == 0
    await one.kill()
    await two.kill()


async def test_a_dead_leader_is_followed_within_the_lease_and_never_too_early() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one, two = Replica("one", server, clock), Replica("two", server, clock)
    await clock.advance(20)
    await one.kill()
    died = clock.monotonic()
    while not two.leader.valid():
        assert not one.leader.valid() or clock.monotonic() - died < 10
        await clock.advance(0.5)
    assert 12 <= clock.monotonic() - died <= 18
    assert not one.leader.valid()
    assert spec(server)["leaseTransitions"] == 1
    await two.kill()


async def test_a_clean_end_hands_over_at_the_next_look() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one, two = Replica("one", server, clock), Replica("two", server, clock)
    await clock.advance(20)
    await one.stop()
    assert not one.leader.valid()
    await clock.advance(2.5)
    assert two.leader.valid()
    await two.kill()


async def test_a_frozen_leader_may_not_write_when_it_wakes() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one = Replica("one", server, clock)
    await clock.advance(5)
    assert one.leader.valid()
    clock.jump(10)
    assert not one.leader.valid()  # before any code of its own has run
    await one.kill()


async def test_a_slow_renewal_counts_from_when_it_was_sent() -> None:
    """Others may have seen it at once, although we heard of it late."""
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one = Replica("one", server, clock)
    await clock.advance(5)

    def slow(request: httpx.Request) -> None:
        if request.method == "PUT":
            clock.jump(6)
            server.fault = lambda _: failure(500, "InternalError", "etcd")

    server.fault = slow
    while server.fault is slow:
        await clock.advance(0.1)
    assert one.leader.valid()
    clock.jump(4.5)
    assert not one.leader.valid()
    await one.kill()


async def test_a_leader_that_cannot_renew_gives_up_before_the_lease_ends() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one = Replica("one", server, clock)
    await clock.advance(5)
    server.fault = lambda _: failure(500, "InternalError", "etcd")
    await clock.advance(13)
    assert not one.leader.valid()
    assert one.task.done()


async def test_a_short_outage_costs_no_leadership() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one = Replica("one", server, clock)
    await clock.advance(5)
    server.fault = lambda _: failure(503, "ServiceUnavailable", "restarting")
    await clock.advance(6)
    server.fault = lambda _: None
    await clock.advance(60)
    assert one.leader.valid()
    assert not one.task.done()
    await one.kill()


async def test_a_lease_taken_by_somebody_else_is_lost_at_once() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one = Replica("one", server, clock)
    await clock.advance(5)

    def steal(body: dict[str, Any]) -> None:
        body["spec"]["holderIdentity"] = "thief"

    server.edit(LEASE, KEY, steal)
    await clock.advance(5)
    assert one.task.done()
    assert not one.leader.valid()


async def test_a_lost_answer_to_our_own_renewal_is_no_loss() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one = Replica("one", server, clock)
    await clock.advance(5)
    handle = server.handle
    lost: list[int] = []

    def lose(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT" and not lost:
            lost.append(1)
            handle(request)
            raise httpx.ReadTimeout("")
        return None

    server.fault = lose
    while not lost:
        await clock.advance(0.1)
    before = len(server.writes)
    await clock.advance(2.3)
    assert len(server.writes) == before + 1
    assert server.objects[KEY]["spec"]["renewTime"] > answered_at(clock, -2.3)  # read anew, not a conflict first
    await clock.advance(60)
    assert one.leader.valid()
    await one.kill()


async def test_a_renewal_keeps_what_others_wrote_into_the_lease_and_when_it_was_acquired() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one = Replica("one", server, clock)
    await clock.advance(5)
    acquired = spec(server)["acquireTime"]

    def annotate(body: dict[str, Any]) -> None:
        body["metadata"]["annotations"] = {"note": "x"}

    server.edit(LEASE, KEY, annotate)
    await clock.advance(20)
    assert server.objects[KEY]["metadata"]["annotations"] == {"note": "x"}
    assert spec(server)["acquireTime"] == acquired
    assert spec(server)["renewTime"] > acquired
    await one.kill()


async def test_trouble_is_logged_once_and_not_every_two_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    server.fault = lambda _: failure(403, "Forbidden", "cannot get leases")
    one = Replica("one", server, clock)
    await clock.advance(60)
    assert caplog.text.count("cannot get leases") == 1
    await one.kill()


async def test_a_release_waits_for_the_renewal_that_is_on_its_way() -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    answers = asyncio.Event()
    answers.set()
    waiting = asyncio.Event()

    async def late(request: httpx.Request) -> httpx.Response:
        response = server.handle(request)  # committed
        if not answers.is_set():
            waiting.set()
            await answers.wait()
        return response

    api = KubeApi(Credentials(server="https://cluster.test"), transport=httpx.MockTransport(late))
    leader = Leader(api, key=KEY, identity="one", clock=clock, jitter=chance())
    await leader.acquire()
    renewing = asyncio.create_task(leader.hold())
    answers.clear()
    await clock.advance(3)
    assert waiting.is_set()
    releasing = asyncio.create_task(leader.release())
    await clock.settle()
    answers.set()
    await releasing
    assert spec(server)["holderIdentity"] == ""
    await clock.advance(3)
    await renewing
    assert spec(server)["holderIdentity"] == ""


async def test_releasing_fails_quietly(caplog: pytest.LogCaptureFixture) -> None:
    clock, server = FakeClock(), FakeApiServer(LEASE)
    one = Replica("one", server, clock)
    await clock.advance(5)
    server.fault = lambda _: failure(500, "InternalError", "etcd")
    await one.stop()
    assert not one.leader.valid()
    assert "expires by itself" in caplog.text


@pytest.mark.parametrize(
    "times",
    [
        {"lease_seconds": 10, "renew_deadline_seconds": 10.0},
        {"renew_deadline_seconds": 2.0, "retry_seconds": 2.0},
    ],
    ids=["deadline not before the lease's end", "no time for a second try"],
)
def test_times_that_would_allow_two_leaders_are_refused(times: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="two could lead"):
        LeaseTimes(**times)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["fail", "work", "kill", "freeze", "wait"]), max_size=25), st.integers(0, 1000))
def test_never_two_leaders_whatever_happens(script: list[str], seed: int) -> None:
    async def play() -> None:
        luck = chance(seed)
        clock, server = FakeClock(), FakeApiServer(LEASE)
        names = (f"r{number}" for number in itertools.count())
        replicas = [Replica(next(names), server, clock) for _ in range(3)]
        for step in script:
            match step:
                case "fail":
                    server.fault = lambda _: failure(500, "InternalError", "x") if luck.random() < 0.7 else None
                case "work":
                    server.fault = lambda _: None
                case "kill":
                    await replicas.pop(luck.randrange(len(replicas))).kill()
                    replicas.append(Replica(next(names), server, clock))
                case "freeze":
                    clock.jump(luck.uniform(0, 20))
            for _ in range(4):
                await clock.advance(luck.uniform(0, 3))
                assert sum(replica.leader.valid() for replica in replicas) <= 1
        server.fault = lambda _: None
        for replica in replicas:
            if replica.task.done():  # it lost, and its process would have ended
                replica.task = asyncio.create_task(replica._life())
        await clock.advance(60)
        assert sum(replica.leader.valid() for replica in replicas) == 1
        for replica in replicas:
            await replica.kill()

    asyncio.run(play())
