"""The public port against the letter of the specification, for both eras, and the admin port."""

import json
from typing import Any

import httpx
import pytest

from unit.bridge.rig import (
    DEADLINE_SECONDS,
    HEADERS,
    MODERN,
    RawClient,
    Rig,
    answer_of,
    call,
    modern,
    request,
    stdio_server,
    text_of,
)

PING = request("ping")


async def send(rig: Rig, method: str = "POST", path: str = "/mcp", **arguments: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=DEADLINE_SECONDS, trust_env=False) as http:
        return await http.request(method, f"http://127.0.0.1:{rig.port}{path}", **arguments)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Origin": "https://evil.example"}, 403, id="foreign origin"),
        pytest.param({"Origin": "http://evil.example", "Host": "evil.example"}, 403, id="rebound name in both"),
        pytest.param({"Origin": "null"}, 403, id="opaque origin"),
        pytest.param({"Origin": "http://localhost.evil.example"}, 403, id="looks local"),
        pytest.param({"Origin": "http://localhost:6274"}, 200, id="local page"),
        pytest.param({"Origin": "http://[::1]:80"}, 200, id="local page over IPv6"),
        pytest.param({}, 200, id="no browser"),
        pytest.param({"Content-Type": "text/plain"}, 415, id="not JSON"),
        pytest.param({"Content-Type": "application/json; charset=utf-8"}, 200, id="JSON with a charset"),
        pytest.param({"Accept": "application/json"}, 406, id="accepts no stream"),
        pytest.param({"Accept": "text/html"}, 406, id="accepts no JSON"),
        pytest.param({"Accept": "*/*"}, 200, id="accepts everything"),
        pytest.param({"MCP-Protocol-Version": "1999-01-01"}, 400, id="unknown version"),
        pytest.param({"MCP-Protocol-Version": "2025-06-18"}, 200, id="older version"),
        pytest.param({"Mcp-Session-Id": "stolen"}, 404, id="no session of ours"),
    ],
)
async def test_headers_decide(shared: Rig, headers: dict[str, str], status: int) -> None:
    response = await send(shared, headers={**HEADERS, **headers}, content=json.dumps(PING))
    assert response.status_code == status, response.text
    assert ("error" in response.json()) == (status != 200)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"{", -32700, id="not JSON"),
        pytest.param(b"[" * 100_000, -32700, id="too deep"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}', -32700, id="NaN"),
        pytest.param(b"[]", -32600, id="empty batch"),
        pytest.param(b"[" + b",".join([json.dumps(PING).encode()] * 33) + b"]", -32600, id="long batch"),
        pytest.param(b"[1]", -32600, id="batch of no message"),
        pytest.param(b'{"id":1,"method":"ping"}', -32600, id="no version"),
        pytest.param(b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, id="null id"),
        pytest.param(b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, id="boolean id"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600, id="positional parameters"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"result":{}}', -32600, id="answer to nothing"),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"x":1e999}}}',
            -32600,
            id="infinite number",
        ),
    ],
)
async def test_malformed_body_is_a_bad_request(shared: Rig, body: bytes, code: int) -> None:
    response = await send(shared, headers=HEADERS, content=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("method", "version", "allowed"),
    [
        ("PUT", "2025-11-25", "POST, GET, DELETE"),
        ("GET", MODERN, "POST"),
        ("DELETE", MODERN, "POST, GET"),
        ("DELETE", "2025-11-25", "POST, GET"),
    ],
)
async def test_methods_of_another_era_or_without_a_session_are_not_allowed(
    shared: Rig, method: str, version: str, allowed: str
) -> None:
    response = await send(shared, method, headers={**HEADERS, "MCP-Protocol-Version": version})
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


async def test_other_paths_are_not_found(shared: Rig) -> None:
    assert (await send(shared, path="/", headers=HEADERS, content="{}")).status_code == 404
    assert (await send(shared, path="/mcp/", headers=HEADERS, content="{}")).status_code == 404


async def test_answers_are_not_held_back_by_the_network_stack(shared: Rig) -> None:
    """Head and body are two writes: with Nagle's algorithm on, each answer would wait 40 ms for an acknowledgement."""
    async with RawClient(shared) as client:
        await client.initialize()
        elapsed = sorted([(await client.post(call("echo"))).elapsed.total_seconds() for _ in range(21)])
    assert elapsed[10] < 0.035


class TestLegacy:
    @pytest.mark.parametrize(
        ("asked", "given"),
        [
            ("2024-11-05", "2024-11-05"),
            ("2025-11-25", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
            ("nonsense", "2025-11-25"),
        ],
    )
    async def test_each_client_negotiates_its_own_version(self, shared: Rig, asked: str, given: str) -> None:
        async with RawClient(shared) as client:
            result = (await client.initialize(version=asked))["result"]
        assert result["protocolVersion"] == given
        assert result["serverInfo"]["name"] == "fake"
        assert result["instructions"] == "use with care"

    async def test_only_what_the_bridge_can_carry_is_promised(self, shared: Rig) -> None:
        async with RawClient(shared) as client:
            result = (await client.initialize())["result"]
        assert result["capabilities"] == {"tools": {"listChanged": True}, "logging": {}}

    async def test_initialize_must_name_a_version(self, shared: Rig) -> None:
        async with RawClient(shared) as client:
            response = await client.post(request("initialize", {"capabilities": {}}))
        assert response.json()["error"]["code"] == -32602
        assert "mcp-session-id" not in response.headers

    async def test_notifications_are_accepted(self, shared: Rig) -> None:
        async with RawClient(shared) as client:
            await client.initialize()
            response = await client.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert (response.status_code, response.content) == (202, b"")

    @pytest.mark.parametrize("method", ["tasks/list", "resources/subscribe", "server/discover", "x/unknown"])
    async def test_methods_that_cannot_be_carried_are_not_found(self, shared: Rig, method: str) -> None:
        async with RawClient(shared) as client:
            await client.initialize()
            response = await client.post(request(method))
        assert response.status_code == 200
        assert response.json()["error"]["code"] == -32601

    async def test_call_works_without_a_session(self, shared: Rig) -> None:
        async with RawClient(shared) as client:
            assert text_of(await client.call("echo", a=1)) == '{"a": 1}'

    async def test_text_survives_unchanged(self, shared: Rig) -> None:
        value = 'ünï ✓ 𝄞 \u2028 \\ " \n {"id": 1}'
        async with RawClient(shared) as client:
            await client.initialize()
            assert json.loads(text_of(await client.call("echo", value=value)))["value"] == value

    async def test_half_a_surrogate_pair_survives(self, shared: Rig) -> None:
        body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"x":"\\ud800"}}}'
        response = await send(shared, headers=HEADERS, content=body)
        assert json.loads(text_of(answer_of(response)))["x"] == "\ud800"


class TestBatches:
    """Only 2025-03-26 knows them."""

    async def test_every_request_of_a_batch_is_answered_in_one_body(self, shared: Rig) -> None:
        batch = [
            call("echo", request_id="a", n=1),
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            request("tools/list", request_id=2),
            request("x/unknown", request_id=3),
            call("ask", request_id=4),
        ]
        async with RawClient(shared) as client:
            await client.initialize(version="2025-03-26", capabilities={"sampling": {}})
            response = await client.post(batch)
        answers = {answer["id"]: answer for answer in response.json()}
        assert text_of(answers["a"]) == '{"n": 1}'
        assert "echo" in [tool["name"] for tool in answers[2]["result"]["tools"]]
        assert answers[3]["error"]["code"] == -32601
        assert "cannot be reached before its answer" in text_of(answers[4])

    async def test_answers_of_a_batch_share_the_memory_for_large_ones(self, rig: Rig) -> None:
        rig.start(stdio_server()).ready()
        batch = [call("flood", request_id=n, size=4 << 20) for n in range(12)]
        before = rig.rss_bytes()
        async with RawClient(rig) as client:
            await client.initialize(version="2025-03-26")
            answers = (await client.post(batch)).json()
        refused = [answer["error"]["code"] for answer in answers if "error" in answer]
        assert len(answers) == 12
        assert refused
        assert set(refused) == {-31004}
        assert rig.rss_bytes() - before < 160 << 20

    async def test_batch_of_notifications_gets_no_body(self, shared: Rig) -> None:
        async with RawClient(shared) as client:
            await client.initialize(version="2025-03-26")
            response = await client.post([{"jsonrpc": "2.0", "method": "notifications/initialized"}])
        assert (response.status_code, response.content) == (202, b"")

    async def test_initialize_may_not_be_in_a_batch(self, shared: Rig) -> None:
        response = await send(shared, headers=HEADERS, content=json.dumps([request("initialize")]))
        assert response.status_code == 400

    async def test_other_versions_are_told_so(self, shared: Rig) -> None:
        async with RawClient(shared) as client:
            await client.initialize(version="2025-11-25")
            response = await client.post([PING])
        assert response.status_code == 400
        assert "only 2025-03-26 knows batches" in response.json()["error"]["message"]


class TestModern:
    async def test_discover_tells_versions_capabilities_and_who_the_server_is(self, shared: Rig) -> None:
        message, headers = modern("server/discover")
        async with RawClient(shared) as client:
            result = (await client.post(message, **headers)).json()["result"]
        assert result["supportedVersions"][0] == MODERN
        assert result["capabilities"] == {"tools": {"listChanged": True}, "logging": {}}
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "fake"
        assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == ("complete", 0, "private")

    async def test_legacy_answer_is_completed(self, shared: Rig) -> None:
        message, headers = modern("tools/list")
        async with RawClient(shared) as client:
            result = (await client.post(message, **headers)).json()["result"]
        assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == ("complete", 0, "private")
        assert len(result["tools"]) >= 14

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            pytest.param({"Mcp-Method": "tools/list"}, -32020, id="method differs"),
            pytest.param({"Mcp-Method": ""}, -32020, id="method missing"),
            pytest.param({"Mcp-Name": "pid"}, -32020, id="name differs"),
            pytest.param({"Mcp-Name": "=?base64?broken?="}, -32020, id="name unreadable"),
            pytest.param({"MCP-Protocol-Version": "2025-11-25"}, -32020, id="version differs"),
        ],
    )
    async def test_headers_must_say_what_the_body_says(self, shared: Rig, change: dict[str, str], code: int) -> None:
        message, headers = modern("tools/call", {"name": "echo", "arguments": {}})
        async with RawClient(shared) as client:
            response = await client.post(message, **(headers | change))
        assert response.status_code == 400
        assert response.json()["error"]["code"] == code
        assert response.json()["id"] == 1

    async def test_encoded_name_header_is_understood(self, shared: Rig) -> None:
        message, headers = modern("tools/call", {"name": "echo", "arguments": {"a": 1}})
        async with RawClient(shared) as client:
            response = await client.post(message, **(headers | {"Mcp-Name": "=?base64?ZWNobw==?="}))
        assert text_of(answer_of(response)) == '{"a": 1}'

    async def test_duplicate_routing_header_is_refused(self, shared: Rig) -> None:
        message, headers = modern("tools/list")
        pairs = [*HEADERS.items(), *headers.items(), ("Mcp-Method", "tools/call")]
        response = await send(shared, headers=pairs, content=json.dumps(message))
        assert response.json()["error"]["code"] == -32020

    async def test_unsupported_version_names_the_supported_ones(self, shared: Rig) -> None:
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2099-01-01",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        message = request("tools/list", {"_meta": meta})
        async with RawClient(shared) as client:
            headers = {"MCP-Protocol-Version": "2099-01-01", "Mcp-Method": "tools/list"}
            response = await client.post(message, **headers)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == -32022
        assert response.json()["error"]["data"] == {"supported": [MODERN], "requested": "2099-01-01"}

    async def test_capabilities_must_be_an_object(self, shared: Rig) -> None:
        message, headers = modern("tools/list", **{"io.modelcontextprotocol/clientCapabilities": []})
        async with RawClient(shared) as client:
            response = await client.post(message, **headers)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)

    async def test_envelope_without_capabilities_is_refused(self, shared: Rig) -> None:
        message, headers = modern("tools/list")
        del message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        async with RawClient(shared) as client:
            response = await client.post(message, **headers)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)

    @pytest.mark.parametrize("method", ["ping", "logging/setLevel", "resources/subscribe", "x/unknown"])
    async def test_unknown_method_is_404(self, shared: Rig, method: str) -> None:
        message, headers = modern(method)
        async with RawClient(shared) as client:
            response = await client.post(message, **headers)
        assert (response.status_code, response.json()["error"]["code"]) == (404, -32601)

    async def test_error_of_the_server_gets_its_status(self, shared: Rig) -> None:
        message, headers = modern("tools/call", {"name": "absent", "arguments": {}})
        async with RawClient(shared) as client:
            response = await client.post(message, **headers)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)

    async def test_envelope_does_not_reach_a_legacy_server(self, shared: Rig) -> None:
        message, headers = modern("tools/call", {"name": "meta", "arguments": {}}, traceparent="00-1-2-01")
        async with RawClient(shared) as client:
            response = await client.post(message, **headers)
        assert json.loads(text_of(answer_of(response))) == {"traceparent": "00-1-2-01"}


class TestAdmin:
    @pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/readyz", 200), ("/status", 200), ("/mcp", 404)])
    def test_paths(self, shared: Rig, path: str, status: int) -> None:
        assert shared.admin(path).status_code == status

    def test_nothing_can_be_changed_there(self, shared: Rig) -> None:
        response = httpx.post(f"http://127.0.0.1:{shared.admin_port}/status", trust_env=False)
        assert response.status_code == 405
