"""Sessions with a server of their own: whose it is, how many there are, how each ends, and that nothing stays of them.

Over real processes. What takes longer than a test may, and races, are tested at the pool.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from support.chance import chance
from unit.bridge.rig import (
    RawClient,
    Rig,
    alive,
    answer_of,
    call,
    eventually,
    modern,
    request,
    stdio_server,
    text_of,
)
from unit.bridge.test_streams import Stream, get_stream

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"
MAX_SESSIONS = 3
SAMPLE = {"role": "assistant", "content": {"type": "text", "text": "hello"}, "model": "m"}
EVENTS = {"Accept": "text/event-stream"}


def isolated(rig: Rig, *options: str, max_sessions: int = MAX_SESSIONS, **settings: str) -> Rig:
    rig.start(
        stdio_server(*options),
        bridge={"ISOLATION": "session", "MAX_SESSIONS": str(max_sessions), **settings},
        launcher=f"--max-children {max_sessions + 1} --stdin-grace-seconds 0.5 --term-grace-seconds 0.5",
    )
    return rig.ready()


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    """The settings under which Alice and Bob have a token each."""
    directory = tmp_path / "tokens"
    directory.mkdir()
    (directory / "alice").write_text(ALICE)
    (directory / "bob").write_text(BOB)
    return {"AUTH": "tokens", "AUTH_TOKENS_DIR": str(directory)}


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    """For tests that end the sessions that they begin."""
    rig = Rig()
    try:
        yield isolated(rig)
    finally:
        rig.stop()


@asynccontextmanager
async def session(rig: Rig, *, capabilities: dict[str, Any] | None = None, **headers: str) -> AsyncIterator[RawClient]:
    """A legacy client that ends its session when it goes."""
    async with RawClient(rig, **headers) as client:
        await client.initialize(capabilities=capabilities)
        try:
            yield client
        finally:
            await delete(client)


async def delete(client: RawClient) -> httpx.Response:
    return await client._http.delete(client._url)


async def pid_of(client: RawClient) -> int:
    """Of the process that answers this client."""
    return int(text_of(await client.call("pid")))


async def modern_pid(client: RawClient) -> int:
    message, headers = modern("tools/call", {"name": "pid", "arguments": {}})
    return int(text_of(answer_of(await client.post(message, **headers))))


async def try_to_initialize(client: RawClient) -> httpx.Response:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    return await client.post(request("initialize", params))


async def only_main_is_left(rig: Rig, main: int) -> None:
    await eventually(lambda: rig.children() == [main], what="only the server that is always there")


def sessions_metric(rig: Rig) -> float:
    lines = rig.admin("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("vsm_mcp_sessions "))


def descriptors(rig: Rig) -> int:
    assert rig.bridge is not None
    assert rig.launcher is not None
    return sum(1 for process in (rig.bridge, rig.launcher) for _ in Path(f"/proc/{process.pid}/fd").iterdir())


class TestOwnServer:
    async def test_each_session_has_its_own_and_keeps_it(self, shared: Rig) -> None:
        main = shared.child_pid()
        async with session(shared) as one, session(shared) as two:
            pids = [await pid_of(client) for client in (one, two, one, two)]
            assert pids[:2] == pids[2:]
            assert len({*pids, main}) == 3
            assert shared.children() == [main, *pids[:2]]
        await only_main_is_left(shared, main)

    async def test_request_without_a_session_is_told_to_initialize(self, shared: Rig) -> None:
        async with RawClient(shared) as client:
            response = await client.post(call("pid"))
        assert response.status_code == 400
        assert "initialize first" in response.json()["error"]["message"]

    async def test_end_of_a_session_ends_its_server_and_nothing_else(self, shared: Rig) -> None:
        main = shared.child_pid()
        async with session(shared) as staying, RawClient(shared) as leaving:
            stays = await pid_of(staying)
            await leaving.initialize()
            leaves = await pid_of(leaving)
            assert (await delete(leaving)).status_code == 204
            assert (await leaving.post(call("pid"))).status_code == 404
            await eventually(lambda: not alive(leaves), what="the process of the session that ended is gone")
            assert await pid_of(staying) == stays
            assert shared.child_pid() == main

    async def test_what_a_session_left_running_ends_with_it(self, shared: Rig) -> None:
        async with session(shared) as staying, RawClient(shared) as leaving:
            await leaving.initialize()
            left = [int(text_of(await leaving.call("spawn", session=own))) for own in (False, True)]
            kept = int(text_of(await staying.call("spawn", session=True)))
            await delete(leaving)
            await eventually(lambda: not any(map(alive, left)), what="its processes are gone")
            assert alive(kept)

    async def test_end_of_a_session_settles_its_calls(self, shared: Rig) -> None:
        async with RawClient(shared) as client:
            await client.initialize()
            slow = asyncio.create_task(client.post(call("slow", tag="settled")))
            await eventually(lambda: "slow begins settled" in shared.log("launcher"))
            assert (await delete(client)).status_code == 204
            assert answer_of(await slow)["error"]["message"] == "the session is over"

    async def test_count_is_told(self, shared: Rig) -> None:
        assert shared.status()["sessions"] == {"count": 0, "max": MAX_SESSIONS}
        async with session(shared), session(shared):
            assert shared.status()["sessions"]["count"] == sessions_metric(shared) == 2
        assert shared.status()["sessions"]["count"] == sessions_metric(shared) == 0

    async def test_session_is_of_no_use_to_another_principal(self, rig: Rig, tokens: dict[str, str]) -> None:
        isolated(rig, **tokens)
        async with session(rig, Authorization=f"Bearer {ALICE}") as alice:
            stolen = {"Authorization": f"Bearer {BOB}", "Mcp-Session-Id": alice._http.headers["mcp-session-id"]}
            async with RawClient(rig, **stolen) as bob:
                answers = [
                    await bob.post(call("pid")),
                    await bob.post(request("ping")),
                    await bob.post({"jsonrpc": "2.0", "id": "q-1", "result": {}}),
                    await bob._http.get(bob._url, headers=EVENTS),
                    await delete(bob),
                ]
            assert [answer.status_code for answer in answers] == [404] * 5
            assert await pid_of(alice) in rig.children()

    async def test_modern_clients_share_one_exactly_when_they_are_the_same_principal(
        self, rig: Rig, tokens: dict[str, str]
    ) -> None:
        isolated(rig, **tokens)
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(RawClient(rig, Authorization=f"Bearer {token}"))
                for token in (ALICE, BOB, ALICE)
            ]
            alice, bob, again = await asyncio.gather(*map(modern_pid, clients))
        assert alice == again
        assert len({alice, bob, rig.child_pid()}) == 3
        assert rig.status()["sessions"]["count"] == 2

    async def test_modern_client_has_none_in_common_with_its_own_legacy_session(self, rig: Rig) -> None:
        isolated(rig)
        async with session(rig) as legacy, RawClient(rig) as client:
            assert await modern_pid(client) == await modern_pid(client)
            assert await modern_pid(client) not in (await pid_of(legacy), rig.child_pid())


class TestBound:
    async def test_one_session_too_many_is_told_when_to_come_back(self, shared: Rig) -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(session(shared)) for _ in range(MAX_SESSIONS)]
            pids = [await pid_of(client) for client in clients]
            async with RawClient(shared) as late:
                refused = await try_to_initialize(late)
                assert refused.status_code == 503
                assert int(refused.headers["retry-after"]) > 0
                assert f"{MAX_SESSIONS} sessions have a server" in refused.json()["error"]["message"]
                assert "mcp-session-id" not in refused.headers
                assert [await pid_of(client) for client in clients] == pids
                await delete(clients[0])
                assert (await try_to_initialize(late)).status_code == 200
                assert shared.status()["sessions"]["count"] == MAX_SESSIONS

    async def test_of_many_at_once_as_many_get_in_as_may(self, rig: Rig) -> None:
        isolated(rig)
        main = rig.child_pid()
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(RawClient(rig)) for _ in range(3 * MAX_SESSIONS)]
            answers = await asyncio.gather(*map(try_to_initialize, clients))
            codes = sorted(answer.status_code for answer in answers)
            assert codes == [200] * MAX_SESSIONS + [503] * 2 * MAX_SESSIONS
            assert len(rig.children()) == MAX_SESSIONS + 1
            for client, answer in zip(clients, answers, strict=True):
                client._http.headers["Mcp-Session-Id"] = answer.headers.get("mcp-session-id", "none")
            ends = await asyncio.gather(*map(delete, clients))
            assert sorted(end.status_code for end in ends) == [204] * MAX_SESSIONS + [404] * 2 * MAX_SESSIONS
        await only_main_is_left(rig, main)

    async def test_nothing_is_left_of_thirty_sessions(self, rig: Rig) -> None:
        """They come, call, listen, are killed and go in any order; some just stop coming."""
        isolated(rig, max_sessions=6, SESSION_IDLE_SECONDS="4")
        main = rig.child_pid()
        async with RawClient(rig) as client:  # what is made once and kept is there from now on
            await client.initialize()
            await pid_of(client)
            await delete(client)
        await only_main_is_left(rig, main)
        before = descriptors(rig)

        async def visit(dice: Random) -> None:
            async with places, RawClient(rig) as client:
                await client.initialize()
                pid = await pid_of(client)
                for _ in range(dice.randrange(4)):
                    await dice.choice((pid_of, spawn, listen))(client)
                way = dice.choice(["goes", "goes", "goes", "is killed and goes", "is killed and goes", "stays away"])
                if way == "stays away":
                    await eventually(lambda: not alive(pid), what="its idle server is gone")
                    return
                if way == "is killed and goes":
                    assert "error" in await client.call("exit")
                assert (await delete(client)).status_code == 204

        async def spawn(client: RawClient) -> None:
            await client.call("spawn", session=True)

        async def listen(client: RawClient) -> None:
            async with get_stream(client):
                await pid_of(client)

        places = asyncio.Semaphore(5)
        await asyncio.gather(*(visit(chance(number)) for number in range(30)))
        await only_main_is_left(rig, main)
        await eventually(lambda: descriptors(rig) <= before, what="no descriptor is left")
        assert rig.status()["sessions"]["count"] == 0


class TestLifetime:
    async def test_idle_session_ends_and_its_client_begins_another(self, rig: Rig) -> None:
        isolated(rig, SESSION_IDLE_SECONDS="2")
        main = rig.child_pid()
        async with RawClient(rig) as client:
            await client.initialize()
            former = await pid_of(client)
            await only_main_is_left(rig, main)
            gone = await client.post(call("pid"))
            assert gone.status_code == 404
            assert "initialize again" in gone.json()["error"]["message"]
            assert (await client._http.get(client._url, headers=EVENTS)).status_code == 404
            del client._http.headers["Mcp-Session-Id"]
            await client.initialize()
            assert await pid_of(client) not in (main, former)

    async def test_whole_lifetime_is_bounded_whatever_is_in_flight(self, rig: Rig) -> None:
        isolated(rig, SESSION_MAX_SECONDS="3")
        main = rig.child_pid()
        async with RawClient(rig) as client:
            await client.initialize()
            async with get_stream(client) as stream:
                slow = await client.call("slow")
                assert slow["error"]["message"] == "the session is over: it has lasted as long as it may"
                assert await stream.next() is None
            assert (await client.post(call("pid"))).status_code == 404
        await only_main_is_left(rig, main)

    async def test_session_in_use_is_not_idle(self, rig: Rig) -> None:
        """One calls, one listens, one says that it is there: each outlives one that does nothing, begun after it."""
        isolated(rig, SESSION_IDLE_SECONDS="3", max_sessions=4)
        async with AsyncExitStack() as stack:
            calling = await stack.enter_async_context(session(rig))
            slow = asyncio.create_task(calling.post(call("slow", tag="in use")))
            await eventually(lambda: "slow begins in use" in rig.log("launcher"))
            listening = await stack.enter_async_context(session(rig))
            await stack.enter_async_context(get_stream(listening))
            pinging = await stack.enter_async_context(session(rig))
            silent = await stack.enter_async_context(RawClient(rig))
            await silent.initialize()
            idle = rig.children()[-1]
            while alive(idle):
                assert (await pinging.post(request("ping"))).status_code == 200
            assert not slow.done()
            assert rig.status()["sessions"]["count"] == 3
            assert (await calling.post(notification_cancelled(1))).status_code == 202
            assert "error" in answer_of(await slow)
            assert len({await pid_of(client) for client in (calling, listening, pinging)}) == 3

    async def test_modern_client_that_comes_back_late_gets_a_new_one(self, rig: Rig) -> None:
        isolated(rig, SESSION_IDLE_SECONDS="1")
        main = rig.child_pid()
        async with RawClient(rig) as client:
            former = await modern_pid(client)
            await only_main_is_left(rig, main)
            assert await modern_pid(client) not in (main, former)


class TestDeath:
    @pytest.mark.parametrize("how", ["exit", "SIGKILL"])
    async def test_death_of_one_server_costs_its_session_its_calls_and_others_nothing(
        self, shared: Rig, how: str
    ) -> None:
        async with session(shared) as hit, session(shared) as spared:
            pids = {hit: await pid_of(hit), spared: await pid_of(spared)}
            slow = {
                client: asyncio.create_task(client.post(call("slow", request_id=9, tag=f"{how} {number}")))
                for number, client in enumerate((hit, spared))
            }
            for number in range(2):
                await eventually(lambda n=number: f"slow begins {how} {n}" in shared.log("launcher"))
            if how == "exit":
                assert "the server ended" in (await hit.call("exit"))["error"]["message"]
            else:
                os.kill(pids[hit], signal.SIGKILL)
            assert "the server ended" in answer_of(await slow[hit])["error"]["message"]
            assert await pid_of(spared) == pids[spared]
            assert shared.admin("/readyz").status_code == 200
            await comes_back(hit)
            assert await pid_of(hit) not in (*pids.values(), shared.child_pid())
            assert not slow[spared].done()
            await spared.post(notification_cancelled(9))
            assert answer_of(await slow[spared])["error"]["message"] == "cancelled by the client"

    async def test_sessions_outlive_the_server_that_is_always_there(self, rig: Rig) -> None:
        isolated(rig)
        async with session(rig) as client:
            pid, main = await pid_of(client), rig.child_pid()
            os.kill(main, signal.SIGKILL)
            assert await pid_of(client) == pid
            await eventually(lambda: len(rig.children()) == 2, what="the one that is always there is back")
            assert await pid_of(client) == pid

    def test_end_of_the_bridge_ends_all_servers(self, rig: Rig) -> None:
        isolated(rig, "--ignore-eof")

        async def begin() -> None:
            async with RawClient(rig) as one, RawClient(rig) as two:
                await asyncio.gather(one.initialize(), two.initialize())

        asyncio.run(begin())
        pids = rig.children()
        assert len(pids) == MAX_SESSIONS
        assert rig.bridge is not None
        rig.bridge.send_signal(signal.SIGTERM)
        assert rig.bridge.wait(timeout=20) == 0
        assert not any(map(alive, pids))


class TestStart:
    async def test_slow_start_is_waited_for(self, rig: Rig, tmp_path: Path) -> None:
        start = tmp_path / "start"
        start.touch()
        isolated(rig, f"--starts-when={start}")
        start.unlink()
        async with RawClient(rig) as client:
            hello = asyncio.create_task(client.initialize())
            await eventually(lambda: len(rig.children()) == 2, what="its server runs")
            assert rig.status()["sessions"]["count"] == 1
            assert not hello.done()
            start.touch()
            assert (await hello)["result"]["serverInfo"]["name"] == "fake"
            assert await pid_of(client) in rig.children()

    async def test_modern_calls_wait_for_the_same_slow_start(self, rig: Rig, tmp_path: Path) -> None:
        start = tmp_path / "start"
        start.touch()
        isolated(rig, f"--starts-when={start}")
        start.unlink()
        async with RawClient(rig) as client:
            calls = [asyncio.create_task(modern_pid(client)) for _ in range(4)]
            await eventually(lambda: len(rig.children()) == 2, what="its server runs")
            start.touch()
            assert len(set(await asyncio.gather(*calls))) == 1
            assert rig.status()["sessions"]["count"] == 1

    @pytest.mark.parametrize("era", ["legacy", "modern"])
    async def test_server_that_never_gets_ready_is_told_and_leaves_nothing(
        self, rig: Rig, tmp_path: Path, era: str
    ) -> None:
        start = tmp_path / "start"
        start.touch()
        isolated(rig, f"--starts-when={start}", HANDSHAKE_TIMEOUT_SECONDS="3")
        main = rig.child_pid()
        start.unlink()
        async with RawClient(rig) as client:
            if era == "legacy":
                refused = await try_to_initialize(client)
            else:
                message, headers = modern("tools/call", {"name": "pid", "arguments": {}})
                refused = await client.post(message, **headers)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert "mcp-session-id" not in refused.headers
        why = refused.json()["error"]["message"]
        assert "was not ready within 3 s" in why or "was not completed within 3 s" in why
        assert rig.status()["sessions"]["count"] == 0
        assert rig.admin("/readyz").status_code == 200
        await only_main_is_left(rig, main)

    async def test_places_of_those_that_never_got_ready_are_free_again(self, rig: Rig, tmp_path: Path) -> None:
        start = tmp_path / "start"
        start.touch()
        isolated(rig, f"--starts-when={start}", HANDSHAKE_TIMEOUT_SECONDS="3", max_sessions=1)
        start.unlink()
        async with RawClient(rig) as client:
            assert (await try_to_initialize(client)).status_code == 503
            start.touch()
            await client.initialize()
            assert await pid_of(client) in rig.children()

    @pytest.mark.parametrize("begin", [try_to_initialize, modern_pid])
    async def test_start_that_its_client_does_not_wait_for_is_given_up(
        self, rig: Rig, tmp_path: Path, begin: Callable[[RawClient], Coroutine[Any, Any, object]]
    ) -> None:
        start = tmp_path / "start"
        start.touch()
        isolated(rig, f"--starts-when={start}", max_sessions=1)
        main = rig.child_pid()
        start.unlink()
        async with RawClient(rig) as impatient:
            hello = asyncio.create_task(begin(impatient))
            await eventually(lambda: len(rig.children()) == 2, what="its server runs")
            hello.cancel()
            with suppress(asyncio.CancelledError):
                await hello
            await only_main_is_left(rig, main)
        assert rig.status()["sessions"]["count"] == 0
        start.touch()
        async with session(rig) as patient:
            assert await pid_of(patient) != main


class TestQuestionsOutsideOfCalls:
    @pytest.mark.parametrize(
        ("method", "capability", "answer"),
        [("roots/list", "roots", {"roots": []}), ("sampling/createMessage", "sampling", SAMPLE)],
    )
    async def test_question_after_the_handshake_reaches_the_stream_and_the_answer_the_server(
        self, rig: Rig, method: str, capability: str, answer: dict[str, Any]
    ) -> None:
        isolated(rig, f"--asks={method}")
        async with session(rig, capabilities={capability: {}}) as client, get_stream(client) as stream:
            question = await stream.next()
            assert question["method"] == method
            await answers(client, question, answer)
            assert (await heard_by(client))["result"] == answer

    async def test_each_sessions_question_reaches_that_session(self, rig: Rig) -> None:
        isolated(rig, "--asks=roots/list")
        able = {"capabilities": {"roots": {}}}
        async with session(rig, **able) as one, session(rig, **able) as two:
            async with get_stream(one) as first, get_stream(two) as second:
                questions = [await stream.next() for stream in (first, second)]
                await refuses(two, questions[0])
                await answers(two, questions[1], {"roots": [{"uri": "file:///two"}]})
                await answers(one, questions[0], {"roots": [{"uri": "file:///one"}]})
            found = [(await heard_by(client))["result"]["roots"][0]["uri"] for client in (one, two)]
        assert found == ["file:///one", "file:///two"]

    async def test_question_after_a_call_reaches_a_stream_that_is_open(self, rig: Rig) -> None:
        isolated(rig, "--asks=roots/list")
        async with session(rig, capabilities={"roots": {}, "sampling": {}}) as client, get_stream(client) as stream:
            await answers(client, await stream.next(), {"roots": []})
            await heard_by(client)
            assert text_of(await client.call("later", method="sampling/createMessage")) == "later"
            question = await stream.next()
            assert question["method"] == "sampling/createMessage"
            await answers(client, question, SAMPLE)
            assert (await heard_by(client))["result"] == SAMPLE

    async def test_client_that_offers_no_roots_is_not_asked_for_them(self, rig: Rig) -> None:
        isolated(rig, "--asks=roots/list")
        async with session(rig, capabilities={"sampling": {}}) as client:
            assert "does not offer roots" in (await heard_by(client))["error"]["message"]

    async def test_new_server_of_a_session_asks_the_same_client(self, rig: Rig) -> None:
        isolated(rig, "--asks=roots/list")
        async with session(rig, capabilities={"roots": {}}) as client, get_stream(client) as stream:
            await answers(client, await stream.next(), {"roots": []})
            await client.call("exit")
            question = await next_question(stream)
            await answers(client, question, {"roots": [{"uri": "file:///again"}]})
            await comes_back(client)
            assert (await heard_by(client))["result"]["roots"] == [{"uri": "file:///again"}]


async def answers(client: RawClient, question: Any, result: object) -> None:
    response = await client.post({"jsonrpc": "2.0", "id": question["id"], "result": result})
    assert response.status_code == 202


async def refuses(client: RawClient, question: Any) -> None:
    """The answer to what somebody else was asked goes nowhere."""
    response = await client.post({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}})
    assert response.status_code == 400


async def heard_by(client: RawClient) -> Any:
    """What the client's server was answered."""
    return json.loads(text_of(await client.call("heard")))


async def next_question(stream: Stream) -> Any:
    while "id" not in (message := await stream.next()):
        pass
    return message


async def comes_back(client: RawClient) -> None:
    """Its server does, after a moment's backoff."""
    async with asyncio.timeout(20):
        while (await client.post(request("tools/list"))).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def notification_cancelled(request_id: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}
