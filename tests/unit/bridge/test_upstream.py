"""Servers that speak HTTP themselves: the same endpoint, the same readiness, the same errors."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from mcp import Client

from unit.bridge.rig import FAKE, RawClient, Rig, answer_of, call, eventually, messages_of, text_of


class HttpRig(Rig):
    """The server is a process of its own, and nobody but the test starts it again."""

    upstream_port: int = 0
    server: subprocess.Popen[bytes]

    def start_server(self, program: str) -> "HttpRig":
        if not self.upstream_port:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self.upstream_port = listener.getsockname()[1]
        self.server = self._spawn([sys.executable, str(FAKE / program), str(self.upstream_port)], "server.log")
        return self

    def start_bridge(self, **settings: str) -> "HttpRig":
        upstream = f"http://127.0.0.1:{self.upstream_port}/mcp"
        super().start_bridge(TRANSPORT="streamable-http", UPSTREAM=upstream, **settings)
        return self


@pytest.fixture
def http_rig() -> Iterator[HttpRig]:
    rig = HttpRig()
    yield rig
    rig.stop()


@pytest.fixture(scope="module")
def shared_http() -> Iterator[HttpRig]:
    rig = HttpRig()
    rig.start_server("http_server.py").start_bridge().ready()
    yield rig
    rig.stop()


def test_status_tells_who_the_server_is(shared_http: HttpRig) -> None:
    status = shared_http.status()
    assert (status["protocolVersion"], status["serverInfo"]["name"]) == ("2025-06-18", "http-fake")
    assert status["tools"]["count"] == 8


async def test_calls_and_progress_pass(shared_http: HttpRig) -> None:
    async with RawClient(shared_http) as client:
        await client.initialize()
        assert text_of(await client.call("echo", a=1)) == '{"a": 1}'
        progress, answer = messages_of(await client.post(call("progress", request_id="p", meta={"progressToken": "t"})))
        assert progress["params"] == {"progressToken": "t", "progress": 1}
        assert answer["id"] == "p"


async def test_questions_are_told_apart_however_many_clients_there_are(shared_http: HttpRig) -> None:
    async def ask(name: str) -> str:
        async with RawClient(shared_http) as client:
            await client.initialize(capabilities={"sampling": {}})
            async with client.stream(call("ask")) as response:
                async for line in response.aiter_lines():
                    message = json.loads(line[6:]) if line.startswith("data: ") else {}
                    if "method" in message:
                        await client.post({"jsonrpc": "2.0", "id": message["id"], "result": {"from": name}})
                    elif message:
                        return json.loads(text_of(message))["result"]["from"]
        raise AssertionError("no answer")

    assert await asyncio.gather(*(ask(name) for name in "abc")) == ["a", "b", "c"]


async def test_client_that_hangs_up_cancels_upstream(shared_http: HttpRig) -> None:
    async with RawClient(shared_http) as client:
        await client.initialize()
        before = int(text_of(await client.call("cancelled")))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.post(call("slow")), 0.3)
        for _ in range(1000):
            if int(text_of(await client.call("cancelled"))) > before:
                return
            await asyncio.sleep(0.01)
    raise AssertionError("it was not cancelled")


async def test_answer_that_breaks_off_is_an_error(shared_http: HttpRig) -> None:
    async with RawClient(shared_http) as client:
        await client.initialize()
        answer = await client.call("broken")
    assert answer["error"]["code"] == -32603


async def test_death_is_noticed_at_once_and_recovery_too(http_rig: HttpRig) -> None:
    http_rig.start_server("http_server.py").start_bridge().ready()
    async with RawClient(http_rig) as client:
        await client.initialize()
        pending = asyncio.create_task(client.post(call("slow")))
        await asyncio.sleep(0.1)
        os.kill(http_rig.server.pid, signal.SIGKILL)
        response = await pending
        assert answer_of(response)["error"]["code"] in (-31000, -32603)
        await eventually(lambda: http_rig.admin("/readyz").status_code == 503)
        assert (await client.post(call("echo"))).status_code == 503
        assert "stopped listening" in http_rig.failure()["message"]
        http_rig.start_server("http_server.py")
        await asyncio.to_thread(http_rig.ready)
        assert text_of(await client.call("echo", a=1)) == '{"a": 1}'


async def test_lost_session_is_replaced(http_rig: HttpRig) -> None:
    http_rig.start_server("http_server.py").start_bridge().ready()
    async with RawClient(http_rig) as client:
        await client.initialize()
        await client.call("forget")
        answer = await client.call("echo")
        assert answer["error"]["code"] == -31000
        await eventually(lambda: http_rig.status()["restarts"] == 1)
        await asyncio.to_thread(http_rig.ready)
        assert text_of(await client.call("echo", a=1)) == '{"a": 1}'


async def test_official_server_behind_the_official_client(http_rig: HttpRig) -> None:
    http_rig.start_server("modern_server.py").start_bridge().ready()
    assert http_rig.status()["protocolVersion"] == "2026-07-28"
    for mode in ("auto", "legacy"):
        async with Client(http_rig.url, mode=mode) as client:
            assert "add" in [tool.name for tool in (await client.list_tools()).tools]
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
            assert (await client.call_tool("region", {"name": "eü"})).structured_content == {"result": "eü"}


async def test_trace_context_reaches_a_server_in_headers_too(http_rig: HttpRig) -> None:
    http_rig.start_server("modern_server.py").start_bridge().ready()
    parent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
    async with RawClient(http_rig, traceparent=parent) as client:
        assert text_of(await client.call("trace")) == f"{parent} {parent}"


async def told_after(rig: HttpRig, tool: str) -> str:
    """The method of the first message on a session's stream after a call of this tool."""
    async with RawClient(rig) as client:
        await client.initialize()
        async with client._http.stream("GET", client._url, headers={"Accept": "text/event-stream"}) as response:
            await client.call(tool)
            async with asyncio.timeout(20):
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        return str(json.loads(line[6:])["method"])
    raise AssertionError("the stream ended without a word")


async def test_change_that_a_legacy_server_tells_on_its_own_stream_reaches_clients(http_rig: HttpRig) -> None:
    http_rig.start_server("http_server.py").start_bridge().ready()
    assert await told_after(http_rig, "announce") == "notifications/prompts/list_changed"


async def test_change_that_a_modern_server_tells_reaches_clients_of_both_eras(http_rig: HttpRig) -> None:
    http_rig.start_server("modern_server.py").start_bridge().ready()
    assert await told_after(http_rig, "grow") == "notifications/tools/list_changed"
    assert "more" in http_rig.status()["tools"]["names"]


def test_bridge_waits_for_a_server_that_starts_later(http_rig: HttpRig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        http_rig.upstream_port = listener.getsockname()[1]
    http_rig.start_bridge()
    assert http_rig.status()["state"] == "starting"
    http_rig.start_server("http_server.py").ready()
    assert http_rig.status()["lastFailure"] is None
