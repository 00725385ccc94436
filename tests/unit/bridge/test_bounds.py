"""Too much, too long, too slow, or no message at all: refused with an error, and the bridge goes on as before."""

import asyncio
import json

import httpx
import pytest

from unit.bridge.rig import (
    DEADLINE_SECONDS,
    HEADERS,
    RawClient,
    Rig,
    answer_of,
    call,
    eventually,
    stdio_server,
    text_of,
)

LIMIT = 1 << 20
"""Of the shared rig."""


def test_banner_and_foreign_json_on_stdout_are_logged_and_survived(rig: Rig) -> None:
    rig.start(stdio_server("--noisy")).ready()
    assert "Welcome to my server!" in rig.log("bridge")


async def test_noise_in_a_call_is_logged_without_its_control_characters(shared: Rig) -> None:
    async with RawClient(shared) as client:
        await client.initialize()
        assert text_of(await client.call("noise", line="debug: \x1b[31mred\x1b[0m \u202e \x07")) == "made noise"
        await eventually(lambda: "debug: red" in shared.log("bridge"))
    assert "\\u001b" not in shared.log("bridge")


@pytest.mark.parametrize("size", [LIMIT, 30 * LIMIT], ids=["just over the limit", "thirty times the limit"])
async def test_answer_over_the_limit_is_an_error_for_its_client_only(shared: Rig, size: int) -> None:
    async with RawClient(shared) as client:
        await client.initialize()
        await client.call("echo")
        before = shared.rss_bytes()
        answer = await client.call("flood", size=size)
        assert answer["error"]["code"] == -31003
        assert text_of(await client.call("echo", x=1)) == '{"x": 1}'
    assert shared.rss_bytes() - before < 4 * LIMIT


async def test_answer_just_below_the_limit_passes(shared: Rig) -> None:
    async with RawClient(shared) as client:
        await client.initialize()
        assert len(text_of(await client.call("flood", size=LIMIT - 200))) == LIMIT - 200


async def test_answer_of_too_many_values_is_an_error(shared: Rig) -> None:
    async with RawClient(shared) as client:
        await client.initialize()
        answer = await client.call("values", count=330_000)
        assert answer["error"]["code"] == -31003
        assert text_of(await client.call("echo", x=1)) == '{"x": 1}'


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_body_over_the_limit_is_refused(shared: Rig, declared: bool) -> None:
    body = json.dumps(call("echo", text="x" * LIMIT)).encode()

    async def pieces() -> object:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    async with httpx.AsyncClient(timeout=DEADLINE_SECONDS, trust_env=False) as http:
        response = await http.post(shared.url, content=body if declared else pieces(), headers=HEADERS)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == -31003


async def test_body_that_is_declared_too_large_is_refused_before_it_is_sent(shared: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    head = f"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
    writer.write(head.encode())
    assert b"413" in await asyncio.wait_for(reader.readline(), DEADLINE_SECONDS)
    writer.close()


async def test_endless_head_is_cut_off(shared: Rig) -> None:
    before = shared.rss_bytes()
    _, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    writer.write(b"POST /mcp HTTP/1.1\r\nHost: x\r\nX-Long: ")

    async def write_for_ever() -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            await asyncio.sleep(0)

    with pytest.raises(ConnectionError):  # the reset that follows the refusal
        await asyncio.wait_for(write_for_ever(), DEADLINE_SECONDS)
    writer.transport.abort()
    assert shared.rss_bytes() - before < 4 << 20
    async with RawClient(shared) as client:
        assert text_of(await client.call("echo", x=1)) == '{"x": 1}'


async def test_client_that_does_not_read_costs_no_more_than_its_answer(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    size = 4 << 20
    body = json.dumps(call("flood", size=size)).encode()
    head = "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    async with RawClient(rig) as client:
        await client.initialize()
        await client.call("flood", size=size)
        before = rig.rss_bytes()
        connections = []
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.port, limit=1024)
            writer.write(head.encode() + body)
            connections.append((reader, writer))
            await reader.readuntil(b"\r\n\r\n")
        assert text_of(await client.call("echo", x=1)) == '{"x": 1}'
        # Twenty answers are 80 MiB; the budget for all of them is 32.
        assert rig.rss_bytes() - before < 60 << 20
        for _, writer in connections:
            writer.transport.abort()


async def test_server_that_does_not_read_makes_new_calls_fail_and_no_others_wait(rig: Rig) -> None:
    rig.start(stdio_server(), bridge={"MAX_MESSAGE_BYTES": str(1 << 20), "REQUEST_TIMEOUT_SECONDS": "3"}).ready()
    async with RawClient(rig) as client:
        await client.initialize()
        assert text_of(await client.call("deaf")) == "deaf"
        pending = [asyncio.create_task(client.post(call("echo", text="x" * 900_000))) for _ in range(6)]
        done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        answer = answer_of(done.pop().result())
        assert answer["error"]["code"] == -31004
        assert "does not read" in answer["error"]["message"]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def test_slow_reader_of_progress_gets_its_answer(shared: Rig) -> None:
    async with RawClient(shared) as client:
        await client.initialize()
        async with client.stream(call("progress", steps=20_000, meta={"progressToken": 1})) as response:
            await asyncio.sleep(0.3)
            last = [line async for line in response.aiter_lines() if line.startswith("data: ")][-1]
    assert text_of(json.loads(last[6:])) == "done"
