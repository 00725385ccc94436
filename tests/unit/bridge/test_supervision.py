"""A server that dies, hangs or never starts: what clients, the kubelet and the operator get to see, and when."""

import asyncio
import json
import os
import signal
import sys
import time

from unit.bridge.rig import (
    DEADLINE_SECONDS,
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
    until,
)


def test_ready_comes_after_the_handshake_and_tells_who_the_server_is(rig: Rig) -> None:
    rig.start(stdio_server("--page=5")).ready()
    status = rig.status()
    assert status["state"] == "ready"
    assert status["protocolVersion"] == "2025-11-25"
    assert status["serverInfo"] == {"name": "fake", "version": "1.0"}
    assert status["tools"]["count"] == len(status["tools"]["names"]) > 10  # on three pages and more
    assert status["tools"]["hash"].startswith("sha256:")
    assert (status["restarts"], status["consecutiveFailures"], status["lastFailure"]) == (0, 0, None)


def test_bridge_waits_for_a_launcher_that_starts_later(rig: Rig) -> None:
    rig.start_bridge()
    assert rig.admin("/livez").status_code == 200
    assert rig.admin("/readyz").status_code == 503
    assert rig.status()["state"] == "starting"
    rig.start_launcher(stdio_server())
    rig.ready()
    assert rig.status()["lastFailure"] is None


def test_crash_at_start_is_told_with_its_last_words(rig: Rig) -> None:
    rig.start(stdio_server("--crash-at-start"))
    failure = rig.failure()
    assert failure["reason"] == "Exited"
    assert failure["exitCode"] == 1
    assert failure["message"] == "exited with code 1 during the handshake"
    assert failure["stderrTail"][-1] == "ModuleNotFoundError: No module named 'absent'"
    assert "exited with code 1" in rig.admin("/readyz").text


def test_program_that_does_not_exist_is_told_in_words(rig: Rig) -> None:
    rig.start(["/nowhere/absent"])
    failure = rig.failure()
    assert failure["exitCode"] == 127
    assert "cannot execute '/nowhere/absent': No such file or directory" in failure["stderrTail"][0]


def test_second_crash_waits_twice_as_long(rig: Rig) -> None:
    rig.start(stdio_server("--crash-at-start"))
    until(lambda: rig.status()["consecutiveFailures"] == 2)
    assert rig.status()["restarts"] == 1
    assert "started again after 2 s" in rig.admin("/readyz").text


def test_server_that_never_answers_initialize_is_a_timeout_and_is_ended(rig: Rig) -> None:
    rig.start(stdio_server("--silent-to=initialize"), bridge={"HANDSHAKE_TIMEOUT_SECONDS": "0.5"})
    pid = until(rig.child_pid)
    failure = rig.failure()
    assert failure["reason"] == "HandshakeTimeout"
    assert failure["message"] == "the handshake was not completed within 0.5 s"
    assert failure["exitCode"] == 0  # it left when its stdin was closed, and that was heard
    assert not alive(pid)


def test_server_of_an_unknown_version_is_a_handshake_error(rig: Rig) -> None:
    rig.start(stdio_server("--version=1999-01-01"))
    failure = rig.failure()
    assert failure["reason"] == "HandshakeError"
    assert "'1999-01-01'" in failure["message"]


def test_server_that_dies_of_the_probe_is_spared_it_the_next_time(rig: Rig) -> None:
    rig.start(stdio_server("--unknown=dies"))
    assert rig.failure()["exitCode"] == 9
    rig.ready()
    assert rig.status()["restarts"] == 1


def test_server_that_ignores_the_probe_becomes_ready_by_initialize(rig: Rig) -> None:
    rig.start(stdio_server("--unknown=silent"), bridge={"HANDSHAKE_TIMEOUT_SECONDS": "4"}).ready()
    assert rig.status()["restarts"] == 0


def test_without_a_launcher_the_failure_says_so(rig: Rig) -> None:
    rig.start_bridge(HANDSHAKE_TIMEOUT_SECONDS="0.2")
    failure = rig.failure()
    assert failure["reason"] == "ConnectFailed"
    assert "nothing to connect to within 0.2 s" in failure["message"]


async def test_killed_server_fails_its_calls_at_once_and_comes_back(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    pid = rig.child_pid()
    async with RawClient(rig) as client:
        await client.initialize()
        pending = asyncio.create_task(client.post(call("slow", request_id="mine")))
        await eventually(lambda: "slow begins" in rig.log("launcher"))
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        response = await pending
        assert time.monotonic() - killed < 1.0
        assert rig.admin("/readyz").status_code == 503
        assert response.status_code == 503
        assert answer_of(response)["id"] == "mine"
        assert answer_of(response)["error"]["code"] == -31000

        refused = await client.post(call("echo", request_id=7))
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert refused.json()["error"]["data"]["state"] in ("backoff", "starting")
        assert (rig.failure()["reason"], rig.failure()["signal"]) == ("Exited", "SIGKILL")

        await asyncio.to_thread(rig.ready)
        assert rig.status()["restarts"] == 1
        # The session outlives the server, and the new server is another process.
        assert text_of(await client.call("pid")) == str(rig.child_pid()) != str(pid)


async def test_readiness_falls_within_milliseconds_of_the_death(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    async with RawClient(rig) as client:
        await client.initialize()
        os.kill(rig.child_pid(), signal.SIGKILL)
        killed = time.monotonic()
        await eventually(lambda: rig.admin("/readyz").status_code == 503)
        assert time.monotonic() - killed < 0.5


async def test_exit_in_a_call_is_an_error_for_its_client_and_quotes_the_last_words(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    async with RawClient(rig) as client:
        await client.initialize()
        answer = await client.call("exit", code=42)
    assert answer["error"]["code"] == -31000
    failure = rig.failure()
    assert failure["exitCode"] == 42
    assert failure["stderrTail"][-1] == "last words"


async def test_nothing_that_a_dead_server_started_survives_it(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    async with RawClient(rig) as client:
        await client.initialize()
        in_group = int(text_of(await client.call("spawn")))
        own_session = int(text_of(await client.call("spawn", session=True)))
        assert alive(in_group)
        assert alive(own_session)
        os.kill(rig.child_pid(), signal.SIGKILL)
        assert rig.failure()["signal"] == "SIGKILL"
    assert not alive(in_group)
    assert not alive(own_session)


async def test_death_is_noticed_at_once_although_a_daemon_holds_stdout_open(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    async with RawClient(rig) as client:
        await client.initialize()
        daemon = int(text_of(await client.call("spawn", session=True)))
        pending = asyncio.create_task(client.post(call("slow")))
        await eventually(lambda: "slow begins" in rig.log("launcher"))
        killed = time.monotonic()
        os.kill(rig.child_pid(), signal.SIGKILL)
        response = await pending
        assert (response.status_code, answer_of(response)["error"]["code"]) == (503, -31000)
        assert rig.admin("/readyz").status_code == 503
        assert time.monotonic() - killed < 0.5
    assert not alive(daemon)


async def test_many_clients_that_come_and_go_have_one_child_and_leave_no_process_behind(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    pid = rig.child_pid()

    async def come_and_go() -> None:
        async with RawClient(rig) as client:
            await client.initialize()
            assert text_of(await client.call("pid")) == str(pid)
            message, headers = modern("tools/call", {"name": "pid", "arguments": {}})
            assert text_of(answer_of(await client.post(message, **headers))) == str(pid)
            abandoned = asyncio.create_task(client.post(call("slow")))
            await asyncio.sleep(0)
            abandoned.cancel()

    for _ in range(3):
        await asyncio.gather(*(come_and_go() for _ in range(20)))
        assert rig.children() == [pid]
    assert rig.status()["restarts"] == 0


def test_bridge_that_is_killed_leaves_no_server_behind_and_the_next_one_gets_its_own(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    pid = rig.child_pid()
    assert rig.bridge is not None
    rig.bridge.kill()
    until(lambda: not alive(pid))
    rig.start_bridge().ready()
    assert rig.children() == [rig.child_pid()] != [pid]


def test_bridge_after_a_crash_waits_for_the_stubborn_child_that_it_left(rig: Rig) -> None:
    rig.start(stdio_server("--ignore-eof"), launcher="--stdin-grace-seconds 60").ready()
    pid = rig.child_pid()
    assert rig.bridge is not None
    rig.bridge.kill()
    rig.start_bridge()
    assert rig.status()["state"] == "starting"
    os.kill(pid, signal.SIGKILL)  # in place of the launcher, which would do so after a minute
    rig.ready()
    assert (rig.status()["restarts"], rig.status()["lastFailure"]) == (0, None)


def test_launcher_that_is_started_anew_gets_its_server_back(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    assert rig.launcher is not None
    rig.launcher.kill()
    rig.launcher.wait()
    until(lambda: rig.admin("/readyz").status_code == 503)
    failure = rig.failure()
    assert failure["reason"] == "Exited"
    assert "container ended" in failure["message"]
    rig.start_launcher(stdio_server())
    rig.ready()


def test_memory_kill_is_told_as_such(rig: Rig) -> None:
    counter = rig.directory / "memory.events"
    counter.write_text("low 0\noom 0\noom_kill 2\n")
    rig.start(stdio_server(), launcher=f"--cgroup-root {rig.directory}").ready()
    counter.write_text("low 0\noom 1\noom_kill 3\n")
    os.kill(rig.child_pid(), signal.SIGKILL)
    failure = rig.failure()
    assert failure["reason"] == "OOMKilled"
    assert failure["message"] == "killed for exceeding its memory limit"


async def test_bridge_that_is_told_to_end_lets_calls_finish_and_the_server_leave(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    pid = rig.child_pid()
    assert rig.bridge is not None
    async with RawClient(rig) as client:
        await client.initialize()
        async with client.stream(call("progress", steps=20_000, meta={"progressToken": 1})) as response:
            lines = response.aiter_lines()
            await anext(lines)
            rig.bridge.send_signal(signal.SIGTERM)
            *_, last = [json.loads(line[6:]) async for line in lines if line.startswith("data: ")]
        assert text_of(last) == "done"
    assert await asyncio.to_thread(rig.bridge.wait, DEADLINE_SECONDS) == 0
    until(lambda: not alive(pid))


def test_server_that_ignores_its_end_is_ended(rig: Rig) -> None:
    rig.start(stdio_server("--ignore-eof"), launcher="--stdin-grace-seconds 0.1 --term-grace-seconds 0.1").ready()
    pid = rig.child_pid()
    assert rig.bridge is not None
    rig.bridge.terminate()
    rig.bridge.wait(DEADLINE_SECONDS)
    until(lambda: not alive(pid))


async def test_status_follows_the_tools_that_a_server_says_it_changed(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    before = rig.status()["tools"]
    async with RawClient(rig) as client:
        await client.initialize()
        await client.call("add", tool="new")
    await eventually(lambda: rig.status()["tools"]["count"] == before["count"] + 1)
    assert rig.status()["tools"]["hash"] != before["hash"]


def test_malformed_setting_stops_the_start_and_is_named(rig: Rig) -> None:
    try:
        rig.start_bridge(MAX_MESSAGE_BYTES="10 MiB")
    except AssertionError as error:
        assert "VSM_BRIDGE_MAX_MESSAGE_BYTES is '10 MiB'; it must be a whole number" in str(error)  # noqa: PT017
    else:
        raise AssertionError("it started")
    assert rig.bridge is not None
    assert rig.bridge.returncode == 2


def test_asyncio_server_with_both_pipes_in_its_loop_works(rig: Rig) -> None:
    """stdin and stdout have to be descriptions of their own: on one shared socket this common recipe ends itself."""
    program = """
import asyncio, json, sys
async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    while line := await reader.readline():
        message = json.loads(line)
        if message.get("method") == "initialize":
            result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "a", "version": "1"}}
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        else:
            answer = {"jsonrpc": "2.0", "id": message.get("id"), "error": {"code": -32601, "message": "no"}}
        if "id" in message:
            transport.write(json.dumps(answer).encode() + b"\\n")
asyncio.run(main())
"""
    rig.start([sys.executable, "-I", "-c", program]).ready()
    assert rig.status()["protocolVersion"] == "2025-06-18"
    assert rig.status()["tools"]["count"] == 0


async def test_initialize_is_refused_while_there_is_no_server(rig: Rig) -> None:
    rig.start(stdio_server("--crash-at-start"))
    rig.failure()
    async with RawClient(rig) as client:
        response = await client.post(request("initialize", {"protocolVersion": "2025-11-25"}))
    assert response.status_code == 503
    assert "ModuleNotFoundError" not in response.text  # the server's stderr is for its operator
