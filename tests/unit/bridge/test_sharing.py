"""Many clients, one server: every answer, sign of progress, cancellation and question reaches the one it belongs to."""

import asyncio
import json

import httpx
import pytest

from unit.bridge.rig import RawClient, Rig, answer_of, call, eventually, messages_of, modern, stdio_server, text_of

SAMPLE = {"role": "assistant", "content": {"type": "text", "text": "hello"}, "model": "m"}


async def test_clients_with_equal_ids_get_their_own_answers(shared: Rig) -> None:
    async with RawClient(shared) as one, RawClient(shared) as two:
        await one.initialize()
        await two.initialize()
        answers = await asyncio.gather(
            *(client.call("echo", request_id=1, who=who) for _ in range(20) for client, who in ((one, "1"), (two, "2")))
        )
    assert [json.loads(text_of(answer))["who"] for answer in answers] == ["1", "2"] * 20
    assert {answer["id"] for answer in answers} == {1}


async def test_ids_keep_their_type(shared: Rig) -> None:
    async with RawClient(shared) as client:
        await client.initialize()
        assert (await client.call("echo", request_id="1"))["id"] == "1"
        assert (await client.call("echo", request_id=0))["id"] == 0


async def test_progress_carries_each_clients_own_token(shared: Rig) -> None:
    async with RawClient(shared) as one, RawClient(shared) as two:
        await one.initialize()
        await two.initialize()
        responses = await asyncio.gather(
            one.post(call("progress", meta={"progressToken": "t"})),
            two.post(call("progress", meta={"progressToken": 7})),
        )
    for response, token in zip(responses, ("t", 7), strict=True):
        *progress, answer = messages_of(response)
        assert [m["params"]["progressToken"] for m in progress] == [token] * 3
        assert [m["params"]["progress"] for m in progress] == [1, 2, 3]
        assert text_of(answer) == "done"


async def test_progress_that_nobody_asked_for_is_not_passed_on(shared: Rig) -> None:
    async with RawClient(shared) as client:
        await client.initialize()
        assert len(messages_of(await client.post(call("progress")))) == 1


async def test_cancellation_reaches_the_server_and_ends_the_call(shared: Rig) -> None:
    async with RawClient(shared) as client:
        await client.initialize()
        pending = await begun(shared, client, tag="cancelled", request_id=5)
        assert (await client.post(cancelled(5))).status_code == 202
        assert answer_of(await pending)["error"]["message"] == "cancelled by the client"
        assert await cancellations(client, 1, tag="cancelled") == 1


async def test_client_cannot_cancel_the_call_of_another(shared: Rig) -> None:
    async with RawClient(shared) as victim, RawClient(shared) as other, RawClient(shared) as anonymous:
        await victim.initialize()
        await other.initialize()
        pending = await begun(shared, victim, tag="victim", request_id=5)
        assert (await other.post(cancelled(5))).status_code == 202
        assert (await anonymous.post(cancelled(5))).status_code == 202
        assert text_of(await other.call("cancelled", tag="victim")) == "0"
        assert not pending.done()
        await victim.post(cancelled(5))
        await pending


async def test_client_that_hangs_up_cancels_its_call_and_nothing_else(shared: Rig) -> None:
    pid = shared.child_pid()
    async with RawClient(shared) as staying:
        await staying.initialize()
        async with RawClient(shared) as leaving:
            await leaving.initialize()
            pending = await begun(shared, leaving, tag="leaving", request_id=1)
            pending.cancel()
        assert await cancellations(staying, 1, tag="leaving") == 1
        assert shared.child_pid() == pid
        assert shared.admin("/readyz").status_code == 200


async def test_question_of_the_server_goes_to_the_client_whose_call_caused_it(shared: Rig) -> None:
    async with RawClient(shared) as client:
        await client.initialize(capabilities={"sampling": {}})
        async with client.stream(call("ask", request_id=9)) as response:
            lines = response.aiter_lines()
            question = await next_message(lines)
            assert question["method"] == "sampling/createMessage"
            answered = await client.post({"jsonrpc": "2.0", "id": question["id"], "result": SAMPLE})
            assert answered.status_code == 202
            answer = await next_message(lines)
    assert answer["id"] == 9
    assert json.loads(text_of(answer))["result"] == SAMPLE


async def test_nobody_else_can_answer_a_question(shared: Rig) -> None:
    async with RawClient(shared) as client, RawClient(shared) as other:
        await client.initialize(capabilities={"sampling": {}})
        await other.initialize(capabilities={"sampling": {}})
        async with client.stream(call("ask")) as response:
            lines = response.aiter_lines()
            question = await next_message(lines)
            forged = {"jsonrpc": "2.0", "id": question["id"], "result": {**SAMPLE, "model": "forged"}}
            assert (await other.post(forged)).status_code == 400
            await client.post({"jsonrpc": "2.0", "id": question["id"], "result": SAMPLE})
            answer = await next_message(lines)
    assert json.loads(text_of(answer))["result"]["model"] == "m"


async def test_question_is_refused_when_two_clients_could_be_its_cause(shared: Rig) -> None:
    async with RawClient(shared) as one, RawClient(shared) as two:
        await one.initialize(capabilities={"sampling": {}})
        await two.initialize(capabilities={"sampling": {}})
        pending = await begun(shared, two, tag="other cause", request_id=5)
        answer = json.loads(text_of(await one.call("ask")))
        await two.post(cancelled(5))
        await pending
    assert "several clients" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("capabilities", "method", "why"),
    [
        pytest.param({}, "sampling/createMessage", "does not offer sampling", id="not offered by the client"),
        pytest.param({}, "roots/list", "does not offer roots", id="roots"),
        pytest.param({"sampling": {}}, "x/unknown", "Method not found", id="of no known kind"),
    ],
)
async def test_question_that_cannot_be_put_is_refused(
    shared: Rig, capabilities: dict[str, object], method: str, why: str
) -> None:
    async with RawClient(shared) as client:
        await client.initialize(capabilities=capabilities)
        answer = json.loads(text_of(await client.call("ask", method=method)))
    assert answer["error"]["code"] == -32601
    assert why in answer["error"]["message"]


async def test_log_lines_reach_the_only_caller_and_modern_ones_only_on_request(shared: Rig) -> None:
    async with RawClient(shared) as client:
        plain, headers = modern("tools/call", {"name": "log", "arguments": {}})
        assert len(messages_of(await client.post(plain, **headers))) == 1
        asking, headers = modern(
            "tools/call", {"name": "log", "arguments": {}}, **{"io.modelcontextprotocol/logLevel": "info"}
        )
        assert len(messages_of(await client.post(asking, **headers))) == 2
        quiet, headers = modern(
            "tools/call", {"name": "log", "arguments": {}}, **{"io.modelcontextprotocol/logLevel": "error"}
        )
        assert len(messages_of(await client.post(quiet, **headers))) == 1
        await client.initialize()
        line, _ = messages_of(await client.post(call("log")))
        assert line["params"] == {"level": "info", "data": "a line"}


async def test_call_without_an_answer_times_out_and_is_cancelled(rig: Rig) -> None:
    rig.start(stdio_server(), bridge={"REQUEST_TIMEOUT_SECONDS": "0.3"}).ready()
    async with RawClient(rig) as client:
        await client.initialize()
        answer = await client.call("slow")
        assert answer["error"]["code"] == -31001
        assert "within 0.3 s" in answer["error"]["message"]
        assert await cancellations(client, 1) == 1


def cancelled(request_id: int) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}


async def begun(rig: Rig, client: RawClient, *, tag: str, request_id: int) -> asyncio.Task[httpx.Response]:
    """A call that lasts until it is cancelled, once it has reached the server."""
    pending = asyncio.create_task(client.post(call("slow", request_id=request_id, tag=tag)))
    await eventually(lambda: f"slow begins {tag}\n" in rig.log("launcher"))
    return pending


async def cancellations(client: RawClient, wanted: int, *, tag: str = "") -> int:
    """As the server counts them, once there are as many as wanted."""
    for _ in range(2000):
        seen = int(text_of(await client.call("cancelled", tag=tag)))
        if seen >= wanted:
            return seen
        await asyncio.sleep(0.01)
    return seen


async def next_message(lines: object) -> dict[str, object]:
    async for line in lines:  # type: ignore[attr-defined]
        if line.startswith("data: "):
            return json.loads(line[6:])
    raise AssertionError("the stream ended")
