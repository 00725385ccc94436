"""Sessions with a server of their own: whose it is, how many there are, how each of them ends, and that nothing stays.

Over real processes; what takes longer than a test may, at the pool with a clock and supervisors of the test's own.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from unit.bridge.rig import (
    RawClient,
    Rig,
    alive,
    answer_of,
    call,
    eventually,
    messages_of,
    modern,
    request,
    stdio_server,
    text_of,
    until,
)
from unit.bridge.test_streams import Stream, get_stream
from vsm_runtime.bridge.eras import Client, Era
from vsm_runtime.bridge.feeds import Board
from vsm_runtime.bridge.pool import NoRoom, Pool
from vsm_runtime.bridge.questions import Owner

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
    return sum(len(os.listdir(f"/proc/{process.pid}/fd")) for process in (rig.bridge, rig.launcher))


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

    async def test_modern_client_has_none_in_common_with_its_own_legacy_session(self, shared: Rig) -> None:
        async with session(shared) as legacy, RawClient(shared) as client:
            assert await modern_pid(client) == await modern_pid(client)
            assert await modern_pid(client) not in (await pid_of(legacy), shared.child_pid())
