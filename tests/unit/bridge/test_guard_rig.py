"""The guard where a client meets it: filter, pin, limits, tokens, draining, counting, over real processes and HTTP."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from unit.bridge.apiserver import OWN_TOKEN, Authority, FakeApiServer, failure
from unit.bridge.rig import (
    DEADLINE_SECONDS,
    HEADERS,
    RawClient,
    Rig,
    answer_of,
    call,
    eventually,
    modern,
    request,
    stdio_server,
    text_of,
    until,
)

OPERATOR = "operator-0123456789"
ADMIN = {"ADMIN_TOKEN_SHA256": hashlib.sha256(OPERATOR.encode()).hexdigest()}
ALICE, BOB, MALLORY = "alice-0123456789abcdef", "bob-0123456789abcdef", "mallory-0123456789abc"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNKNOWN_TOOL = -32602


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def send(rig: Rig, message: object, *, method: str = "POST", **headers: str) -> httpx.Response:
    content = json.dumps(message) if message is not None else None
    return httpx.request(
        method, rig.url, content=content, headers={**HEADERS, **headers}, timeout=DEADLINE_SECONDS, trust_env=False
    )


def listed(rig: Rig, **headers: str) -> list[str]:
    return [tool["name"] for tool in send(rig, request("tools/list"), **headers).json()["result"]["tools"]]


def samples(rig: Rig) -> dict[str, float]:
    lines = [line for line in rig.admin("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(number) for name, _, number in (line.rpartition(" ") for line in lines)}


def call_lines(rig: Rig) -> list[dict[str, Any]]:
    """Whole ones only: the last may be on its way."""
    lines = rig.log("bridge").splitlines(keepends=True)
    return [json.loads(line) for line in lines if '"bridge.calls"' in line and line.endswith("\n")]


def of_call(name: str, *, tool: str, outcome: str = "", method: str = "tools/call") -> str:
    """How a sample is written."""
    labels = {"method": method, **({"outcome": outcome} if outcome else {}), "tool": tool}
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    directory = tmp_path / "tokens"
    directory.mkdir()
    (directory / "alice").write_text(ALICE)
    (directory / "bob").write_text(BOB)
    return directory


@pytest.fixture(scope="module")
def filtered() -> Iterator[Rig]:
    rig = Rig()
    rig.start(stdio_server(), bridge={"TOOLS_ALLOW": '["echo", "p*", "add"]', "TOOLS_DENY": '["pi?"]'}).ready()
    yield rig
    rig.stop()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Alice has a token there, and the operator; nobody else."""
    directory = tmp_path_factory.mktemp("tokens")
    (directory / "alice").write_text(ALICE)
    rig = Rig()
    rig.start(stdio_server(), bridge={"AUTH": "tokens", "AUTH_TOKENS_DIR": str(directory), **ADMIN}).ready()
    yield rig
    rig.stop()


class TestFilter:
    def test_list_holds_what_is_allowed_and_not_denied(self, filtered: Rig) -> None:
        message, headers = modern("tools/list")
        assert listed(filtered) == ["echo", "progress", "add"]
        assert [tool["name"] for tool in send(filtered, message, **headers).json()["result"]["tools"]] == listed(
            filtered
        )

    def test_hash_and_count_are_of_all_tools(self, filtered: Rig, rig: Rig) -> None:
        rig.start(stdio_server()).ready()
        assert filtered.status()["tools"] == rig.status()["tools"]

    def test_allowed_tool_can_be_called(self, filtered: Rig) -> None:
        assert text_of(answer_of(send(filtered, call("echo", a=1)))) == '{"a": 1}'

    @pytest.mark.parametrize("name", ["exit", "pid", "nothing", " echo", "ECHO", "echo\n", "", "p", "p" * 5000])
    def test_anything_else_is_as_if_it_did_not_exist(self, filtered: Rig, name: str) -> None:
        before = filtered.child_pid()
        error = answer_of(send(filtered, call(name)))["error"]
        assert (error["code"], error["message"].startswith("Unknown tool: ")) == (UNKNOWN_TOOL, True)
        message, headers = modern("tools/call", {"name": "exit", "arguments": {}})
        assert answer_of(send(filtered, message, **headers))["error"]["code"] == UNKNOWN_TOOL
        assert filtered.child_pid() == before  # "exit" did not get there

    def test_batch_is_no_way_around_it(self, filtered: Rig) -> None:
        hello = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
        session = send(filtered, request("initialize", hello)).headers["mcp-session-id"]
        batch = [call("pid", request_id=1), call("echo", request_id=2), request("tools/list", request_id=3)]
        answers = {a["id"]: a for a in send(filtered, batch, **{"Mcp-Session-Id": session}).json()}
        assert answers[1]["error"]["code"] == UNKNOWN_TOOL
        assert "result" in answers[2]
        assert [tool["name"] for tool in answers[3]["result"]["tools"]] == ["echo", "progress", "add"]

    def test_new_tools_pass_the_same_filter(self, rig: Rig) -> None:
        rig.start(stdio_server(), bridge={"TOOLS_ALLOW": '["add", "new_*"]', "TOOLS_DENY": '["*_secret"]'}).ready()
        for name in ("new_tool", "new_secret", "other"):
            send(rig, call("add", tool=name))
        assert listed(rig) == ["add", "new_tool"]
        assert "result" in answer_of(send(rig, call("new_tool")))
        assert answer_of(send(rig, call("new_secret")))["error"]["code"] == UNKNOWN_TOOL


class TestLimits:
    async def test_opening_sessions_counts_as_calling(self, rig: Rig) -> None:
        rig.start(stdio_server(), bridge={"CALLS_PER_SECOND_PER_CLIENT": "0.01"}).ready()
        opening = request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}})
        codes = [send(rig, opening).status_code for _ in range(12)]
        assert codes == [200] * 10 + [429] * 2

    async def test_rate_is_each_clients_own_and_says_when_to_come_back(self, rig: Rig, tokens: Path) -> None:
        settings = {"AUTH": "tokens", "AUTH_TOKENS_DIR": str(tokens), "CALLS_PER_SECOND_PER_CLIENT": "0.01"}
        rig.start(stdio_server(), bridge=settings).ready()
        # What connecting takes is let through whatever the rate.
        assert {send(rig, call("echo"), **bearer(ALICE)).status_code for _ in range(10)} == {200}
        refused = send(rig, call("echo"), **bearer(ALICE))
        assert refused.status_code == 429
        assert 90 <= int(refused.headers["retry-after"]) <= 100
        assert "slow down" in refused.json()["error"]["message"]
        assert send(rig, call("echo"), **bearer(BOB)).status_code == 200

    async def test_calls_in_flight_are_each_clients_own(self, rig: Rig, tokens: Path) -> None:
        settings = {"AUTH": "tokens", "AUTH_TOKENS_DIR": str(tokens), "MAX_CALLS_PER_CLIENT": "1"}
        rig.start(stdio_server(), bridge=settings).ready()
        async with RawClient(rig, **bearer(ALICE)) as alice, RawClient(rig, **bearer(BOB)) as bob:
            await alice.initialize()
            slow = asyncio.create_task(alice.post(call("slow", request_id="s")))
            await eventually(lambda: samples(rig)["vsm_mcp_in_flight"] == 1)
            refused = await alice.post(call("echo"))
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert (await bob.post(call("echo"))).status_code == 200
            await alice.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "s"}})
            await slow
            assert (await alice.post(call("echo"))).status_code == 200
        assert samples(rig)["vsm_mcp_in_flight"] == 0


REQUESTS: Sequence[Any] = [
    pytest.param("POST", request("initialize", {"protocolVersion": "2025-11-25"}), {}, id="initialize"),
    pytest.param("POST", call("exit"), {}, id="call"),
    pytest.param("POST", {"jsonrpc": "2.0", "method": "notifications/initialized"}, {}, id="notification"),
    pytest.param("POST", *modern("tools/call", {"name": "exit", "arguments": {}}), id="modern call"),
    pytest.param("POST", *modern("server/discover"), id="discover"),
    pytest.param("POST", "no MCP at all", {}, id="nonsense"),
    pytest.param("GET", None, {}, id="stream"),
    pytest.param("DELETE", None, {"Mcp-Session-Id": "v1.2025-11-25..AAAAAAAAAAAAAAAAAAAAAA"}, id="end of a session"),
]


class TestTokens:
    @pytest.mark.parametrize(("method", "message", "headers"), REQUESTS)
    @pytest.mark.parametrize("sent", [{}, bearer(MALLORY), {"Authorization": f"Basic {ALICE}"}, bearer(OPERATOR)])
    def test_nothing_is_answered_without_one(
        self, closed: Rig, method: str, message: Any, headers: dict[str, str], sent: dict[str, str]
    ) -> None:
        before = closed.child_pid()
        response = send(closed, message, method=method, **headers, **sent)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.json()["error"]["message"]
        assert closed.child_pid() == before

    def test_client_with_one_is_served(self, closed: Rig) -> None:
        assert text_of(answer_of(send(closed, call("echo", a=1), **bearer(ALICE)))) == '{"a": 1}'

    def test_token_does_not_reach_the_server(self, closed: Rig) -> None:
        response = send(closed, call("meta", meta={"x": 1}), **bearer(ALICE))
        assert json.loads(text_of(answer_of(response))) == {"x": 1}

    def test_tokens_of_clients_and_of_the_operator_open_different_doors(self, closed: Rig) -> None:
        url = f"http://127.0.0.1:{closed.admin_port}/admin/status"
        assert httpx.get(url, headers=bearer(ALICE), trust_env=False).status_code == 403
        assert httpx.get(url, headers=bearer(OPERATOR), trust_env=False).status_code == 200
        assert closed.admin("/status").status_code == 200

    def test_no_token_is_in_a_log(self, rig: Rig, tokens: Path) -> None:
        settings = {"AUTH": "tokens", "AUTH_TOKENS_DIR": str(tokens), "LOG_LEVEL": "DEBUG", **ADMIN}
        rig.start(stdio_server(), bridge=settings).ready()
        for token in (ALICE, MALLORY, f"{BOB} {BOB}"):
            send(rig, call("echo"), **bearer(token))
            httpx.get(f"http://127.0.0.1:{rig.admin_port}/admin/status", headers=bearer(token), trust_env=False)
        until(lambda: call_lines(rig), what="a line")
        assert not any(token in rig.log("bridge") + rig.log("launcher") for token in (ALICE, BOB, MALLORY))

    async def test_session_of_one_client_is_of_no_use_to_another(self, rig: Rig, tokens: Path) -> None:
        settings = {"AUTH": "tokens", "AUTH_TOKENS_DIR": str(tokens), "ISOLATION": "session"}
        rig.start_launcher(stdio_server(), "--max-children", "3")
        rig.start_bridge(**settings).ready()
        async with RawClient(rig, **bearer(ALICE)) as alice:
            await alice.initialize()
            session = {"Mcp-Session-Id": alice._http.headers["Mcp-Session-Id"]}
            own = text_of(await alice.call("pid"))
            stolen = send(rig, call("pid"), **bearer(BOB), **session)
            assert stolen.status_code == 404
            assert send(rig, None, method="DELETE", **bearer(BOB), **session).status_code == 404
            assert text_of(await alice.call("pid")) == own


class TestTokenReview:
    @pytest.fixture
    def api(self, tmp_path: Path) -> Iterator[FakeApiServer]:
        api = FakeApiServer(
            users={
                token: {"username": name, "groups": ["all"], "audiences": ["mcp"]}
                for token, name in ((ALICE, "alice"), (BOB, "bob"))
            }
        )
        server = api.start(Authority(tmp_path).server_context("127.0.0.1"))
        yield api
        server.shutdown()
        server.server_close()

    def test_api_server_decides_and_its_absence_lets_nobody_in(
        self, rig: Rig, api: FakeApiServer, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text(OWN_TOKEN)
        settings = {
            "AUTH": "token-review",
            "TOKEN_REVIEW_URL": f"https://127.0.0.1:{api.port}",
            "TOKEN_REVIEW_CA": str(tmp_path / "ca.crt"),
            "TOKEN_REVIEW_TOKEN_FILE": str(tmp_path / "token"),
            "TOKEN_REVIEW_AUDIENCES": "mcp",
            "AUTH_ALLOWED": '["ali*"]',
        }
        rig.start(stdio_server(), bridge=settings).ready()
        assert [send(rig, call("echo"), **bearer(token)).status_code for token in (ALICE, BOB, MALLORY)] == [
            200,
            403,
            401,
        ]
        assert send(rig, call("echo"), **bearer(ALICE)).status_code == 200
        assert len(api.reviews) == 3
        api.instead = lambda: failure(500, "InternalError")
        response = send(rig, call("echo"), **bearer("another-0123456789"))
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert "www-authenticate" not in response.headers
        assert rig.rss_bytes() < 40 << 20


class Pinned:
    """A server whose tools the test changes in a file, and the pin beside it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.more = rig.directory / "more-tools"
        self.more.write_text("")
        self.pin = rig.directory / "pin"

    def start(self, mode: str, *launcher: str, **settings: str) -> "Pinned":
        self.rig.start_launcher(stdio_server(f"--more-tools={self.more}"), *launcher)
        self.rig.start_bridge(TOOL_PIN=mode, PIN_FILE=str(self.pin), **settings)
        return self

    def ready(self) -> "Pinned":
        self.rig.ready()
        return self

    @property
    def hash(self) -> str:
        return str(self.rig.status()["tools"]["hash"])

    @property
    def blocked(self) -> Any:
        return self.rig.status()["blocked"]

    def change(self) -> None:
        self.more.write_text("poisoned\n")

    def admit(self, digest: str) -> None:
        """As the kubelet does: all at once."""
        fresh = self.pin.with_suffix(".new")
        fresh.write_text(digest + "\n")
        fresh.rename(self.pin)


@pytest.fixture
def pinned(rig: Rig) -> Pinned:
    return Pinned(rig)


def ask_for_the_list(pinned: Pinned) -> None:
    response = send(pinned.rig, request("tools/list"))
    assert response.status_code == 503
    assert b"poisoned" not in response.content


def say_that_it_changed(pinned: Pinned) -> None:
    send(pinned.rig, call("add"))


class TestPin:
    @pytest.mark.parametrize("notice", [ask_for_the_list, say_that_it_changed])
    def test_changed_list_reaches_nobody_and_ends_the_server(
        self, pinned: Pinned, notice: Callable[[Pinned], None]
    ) -> None:
        pinned.start("first-use").ready()
        first = pinned.hash
        pinned.change()
        notice(pinned)
        blocked = until(lambda: pinned.blocked, what="blocked")
        assert (blocked["reason"], blocked["expected"]) == ("ToolsChanged", first)
        assert blocked["observed"] == pinned.hash != first
        assert pinned.rig.status()["state"] == "blocked"
        until(lambda: not pinned.rig.children(), what="no child")
        for message, headers in [
            (request("tools/list"), {}),
            (call("echo"), {}),
            (request("initialize", {"protocolVersion": "2025-11-25"}), {}),
            modern("tools/list"),
            modern("server/discover"),
        ]:
            response = send(pinned.rig, message, **headers)
            assert response.status_code == 503
            assert b"poisoned" not in response.content
            assert response.json()["error"]["data"]["reason"] == "ToolsChanged"
        readiness = pinned.rig.admin("/readyz")
        assert readiness.status_code == 503
        assert "not those that were admitted" in readiness.text

    def test_admission_of_what_was_observed_opens_again(self, pinned: Pinned) -> None:
        pinned.start("first-use").ready()
        pinned.change()
        ask_for_the_list(pinned)
        pinned.admit(pinned.blocked["observed"])
        pinned.rig.ready()
        assert "poisoned" in listed(pinned.rig)
        assert pinned.blocked is None

    def test_admission_of_something_else_opens_nothing(self, pinned: Pinned) -> None:
        pinned.start("first-use").ready()
        pinned.change()
        ask_for_the_list(pinned)
        observed, other = pinned.blocked["observed"], "sha256:" + "0" * 64
        pinned.admit(other)
        until(lambda: pinned.blocked["expected"] == other, what="the new pin is seen")
        assert (pinned.rig.status()["state"], pinned.blocked["observed"]) == ("blocked", observed)
        assert pinned.rig.children() == []

    def test_pin_that_is_written_later_counts_for_a_server_that_is_ready(self, pinned: Pinned) -> None:
        pinned.start("first-use").ready()
        pinned.admit("sha256:" + "0" * 64)
        assert until(lambda: pinned.blocked, what="blocked")["reason"] == "ToolsChanged"
        assert send(pinned.rig, call("echo")).status_code == 503

    def test_strict_pin_serves_nothing_before_it_is_admitted(self, pinned: Pinned) -> None:
        pinned.start("strict")
        blocked = until(lambda: pinned.blocked, what="blocked")
        assert (blocked["reason"], blocked["expected"]) == ("ToolsNotAdmitted", None)
        assert "nobody has admitted" in pinned.rig.admin("/readyz").text
        assert send(pinned.rig, request("tools/list")).status_code == 503
        pinned.admit(blocked["observed"])
        pinned.rig.ready()
        assert listed(pinned.rig)

    def test_pin_of_another_life_counts_at_the_first_start(self, pinned: Pinned) -> None:
        pinned.pin.write_text("sha256:" + "0" * 64)
        pinned.start("first-use")
        assert until(lambda: pinned.blocked, what="blocked")["reason"] == "ToolsChanged"

    def test_without_a_pin_tools_may_change(self, pinned: Pinned) -> None:
        pinned.start("off").ready()
        pinned.change()
        assert "poisoned" in listed(pinned.rig)

    async def test_calls_in_flight_are_settled_when_the_pin_closes(self, pinned: Pinned) -> None:
        pinned.start("first-use").ready()
        async with RawClient(pinned.rig) as client:
            slow = asyncio.create_task(client.post(call("slow")))
            await eventually(lambda: samples(pinned.rig)["vsm_mcp_in_flight"] == 1)
            pinned.change()
            await asyncio.to_thread(ask_for_the_list, pinned)
            assert "error" in answer_of(await slow)

    async def test_one_changed_list_closes_the_servers_of_all_sessions(self, pinned: Pinned) -> None:
        pinned.start("first-use", "--max-children", "4", ISOLATION="session").ready()
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(RawClient(pinned.rig)) for _ in range(2)]
            for client in clients:
                await client.initialize()
            assert len({text_of(await client.call("pid")) for client in clients}) == 2
            pinned.change()
            response = await clients[0].post(request("tools/list"))
            assert response.status_code == 503
            assert b"poisoned" not in response.content
            assert [(await client.post(call("pid"))).status_code for client in clients] == [503, 503]
            await eventually(lambda: not pinned.rig.children(), what="no child")


class TestDrain:
    @staticmethod
    def drain(rig: Rig) -> httpx.Response:
        url = f"http://127.0.0.1:{rig.admin_port}/admin/drain"
        return httpx.post(url, headers=bearer(OPERATOR), timeout=DEADLINE_SECONDS, trust_env=False)

    async def test_calls_in_flight_end_and_new_ones_are_refused(self, rig: Rig) -> None:
        rig.start(stdio_server(), bridge={**ADMIN, "DRAIN_SECONDS": "15"}).ready()
        async with RawClient(rig) as client:
            await client.initialize()
            slow = asyncio.create_task(client.post(call("slow", request_id="s")))
            await eventually(lambda: samples(rig)["vsm_mcp_in_flight"] == 1)
            drained = asyncio.create_task(asyncio.to_thread(self.drain, rig))
            await eventually(lambda: rig.admin("/readyz").status_code == 503)
            assert (await client.post(call("echo"))).status_code == 503
            assert not drained.done()
            await client.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "s"}})
            assert (await drained).json() == {"inFlight": 0}
            await slow

    async def test_it_ends_in_time_and_tells_what_is_left(self, rig: Rig) -> None:
        rig.start(stdio_server(), bridge={**ADMIN, "DRAIN_SECONDS": "0.1"}).ready()
        async with RawClient(rig) as client:
            slow = asyncio.create_task(client.post(call("slow")))
            await eventually(lambda: samples(rig)["vsm_mcp_in_flight"] == 1)
            assert (await asyncio.to_thread(self.drain, rig)).json() == {"inFlight": 1}
            slow.cancel()
            await asyncio.gather(slow, return_exceptions=True)


class TestObservability:
    def test_calls_are_counted_by_tool_and_outcome(self, rig: Rig) -> None:
        rig.start(stdio_server()).ready()
        send(rig, call("echo", a=1))
        send(rig, call("nothing of the kind"))
        send(rig, request("tools/list"))
        found = samples(rig)
        assert found[of_call("vsm_mcp_calls_total", tool="echo", outcome="ok")] == 1
        assert found[of_call("vsm_mcp_calls_total", tool="other", outcome="error")] == 1
        assert found[of_call("vsm_mcp_calls_total", tool="", outcome="ok", method="tools/list")] == 1
        assert found[of_call("vsm_mcp_call_seconds_count", tool="echo")] == 1
        assert found['vsm_mcp_bytes_total{direction="in"}'] > 100
        assert found['vsm_mcp_bytes_total{direction="out"}'] > 20
        count = rig.status()["tools"]["count"]
        assert [found[f"vsm_mcp_{name}"] for name in ("ready", "tools", "child_restarts_total")] == [1, count, 0]

    def test_death_of_the_server_shows(self, rig: Rig) -> None:
        rig.start(stdio_server()).ready()
        send(rig, call("exit"))
        until(lambda: samples(rig)["vsm_mcp_child_restarts_total"] == 1, what="a restart")
        assert samples(rig)[of_call("vsm_mcp_calls_total", tool="exit", outcome="server_gone")] == 1

    def test_call_is_one_line_at_debug(self, rig: Rig, tokens: Path) -> None:
        settings = {"AUTH": "tokens", "AUTH_TOKENS_DIR": str(tokens), "LOG_LEVEL": "DEBUG"}
        rig.start(stdio_server(), bridge=settings).ready()
        send(rig, call("echo", a=1), traceparent=PARENT, **bearer(ALICE))
        (line,) = until(lambda: call_lines(rig), what="a line")
        assert (line["method"], line["client"], line["outcome"]) == ("tools/call", "alice", "ok")
        assert line["traceparent"] == PARENT
        assert line["bytesIn"] > 50
        assert line["bytesOut"] > 10
        assert 0 < line["ms"] < 10_000

    def test_calls_leave_no_line_at_info(self, rig: Rig) -> None:
        rig.start(stdio_server()).ready()
        send(rig, call("echo"))
        assert "bridge.calls" not in rig.log("bridge")

    @pytest.mark.parametrize("modern_client", [False, True], ids=["legacy", "modern"])
    def test_trace_of_the_headers_reaches_the_server(self, shared: Rig, *, modern_client: bool) -> None:
        message, headers = modern("tools/call", {"name": "meta", "arguments": {}})
        if not modern_client:
            message, headers = call("meta"), {}
        headers |= {"traceparent": PARENT, "tracestate": "a=b", "baggage": "user=alice"}
        assert json.loads(text_of(answer_of(send(shared, message, **headers)))) == {
            "traceparent": PARENT,
            "tracestate": "a=b",
            "baggage": "user=alice",
        }

    def test_broken_trace_does_not(self, shared: Rig) -> None:
        response = send(shared, call("meta"), traceparent="00-garbage", tracestate="a=b", baggage="=")
        assert json.loads(text_of(answer_of(response))) == {}
