"""The admin port: what is open, what wants the operator's token, and what it says to everybody else."""

import asyncio
import hashlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from vsm_runtime.bridge import admin as module
from vsm_runtime.bridge import egress
from vsm_runtime.bridge.admin import AdminApp
from vsm_runtime.bridge.metrics import Metrics

TOKEN = "5f0c" * 16
GOOD = {"Authorization": f"Bearer {TOKEN}"}
SHA256 = hashlib.sha256(TOKEN.encode()).hexdigest()
ADMIN = [("GET", "/admin/status"), ("POST", "/admin/egress"), ("POST", "/admin/drain")]


@dataclass
class FakeStatus:
    body: dict[str, Any] = field(default_factory=lambda: {"state": "ready", "lastFailure": None})

    def to_json(self) -> dict[str, Any]:
        return dict(self.body)

    def why_not_ready(self) -> str:
        return "the server is down (Exited: exited with code 1)"


@dataclass
class FakeServed:
    ready: bool = True
    status: FakeStatus = field(default_factory=FakeStatus)
    drains: list[float] = field(default_factory=list)

    async def drain(self, seconds: float) -> int:
        self.ready = False
        self.drains.append(seconds)
        return 3


World = tuple[httpx.AsyncClient, FakeServed, pytest.LogCaptureFixture]


def client_of(app: AdminApp) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=("10.9.8.7", 4321))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://admin")


@pytest.fixture
def served() -> FakeServed:
    return FakeServed()


@pytest.fixture
async def client(served: FakeServed) -> AsyncIterator[httpx.AsyncClient]:
    app = AdminApp(served, metrics=Metrics(), admin_token_sha256=SHA256, drain_seconds=2.5)
    async with client_of(app) as client:
        yield client


@pytest.fixture
def world(client: httpx.AsyncClient, served: FakeServed, caplog: pytest.LogCaptureFixture) -> World:
    return client, served, caplog


class TestOpen:
    async def test_live_says_nothing_of_the_server(self, client: httpx.AsyncClient, served: FakeServed) -> None:
        served.ready = False
        assert (await client.get("/livez")).status_code == 200

    async def test_readiness_is_the_servers(self, client: httpx.AsyncClient, served: FakeServed) -> None:
        assert (await client.get("/readyz")).status_code == 200
        served.ready = False
        response = await client.get("/readyz")
        assert (response.status_code, response.text) == (503, served.status.why_not_ready() + "\n")

    async def test_status_is_json_without_a_token(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/status")
        assert response.json() == {"state": "ready", "lastFailure": None}
        assert response.headers["content-type"] == "application/json"

    async def test_metrics_are_in_the_text_format(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/metrics")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain; version=")
        assert "vsm_mcp_ready 0.0\n" in response.text

    @pytest.mark.parametrize("path", ["/", "/mcp", "/status/", "/statusx", "/adminx", "/livez/x"])
    async def test_anything_else_is_not_found(self, client: httpx.AsyncClient, path: str) -> None:
        assert (await client.get(path)).status_code == 404

    @pytest.mark.parametrize("path", ["/livez", "/readyz", "/status", "/metrics"])
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    async def test_nothing_can_be_changed(self, client: httpx.AsyncClient, method: str, path: str) -> None:
        response = await client.request(method, path, headers=GOOD)
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


class TestToken:
    @pytest.mark.parametrize("asked", [*ADMIN, ("GET", "/admin"), ("GET", "/admin/secret")], ids=" ".join)
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            pytest.param({}, 401, id="none"),
            pytest.param({"Authorization": ""}, 401, id="empty"),
            pytest.param({"Authorization": "Bearer "}, 401, id="no token"),
            pytest.param({"Authorization": f"Basic {TOKEN}"}, 401, id="another scheme"),
            pytest.param({"Authorization": f"Bearer {TOKEN[:-1]}"}, 403, id="too short"),
            pytest.param({"Authorization": f"Bearer {TOKEN}x"}, 403, id="too long"),
            pytest.param({"Authorization": f"Bearer {SHA256}"}, 403, id="the hash itself"),
            pytest.param({"Authorization": b"Bearer \xff\xfe"}, 403, id="not ASCII"),
        ],
    )
    async def test_everything_under_admin_wants_it(
        self, world: World, asked: tuple[str, str], headers: dict[str, Any], status: int
    ) -> None:
        client, served, caplog = world
        method, path = asked
        response = await client.request(method, path, headers=headers)
        assert response.status_code == status
        assert (response.headers.get("www-authenticate") == "Bearer") == (status == 401)
        assert response.json().keys() == {"error"}
        assert served.drains == []
        assert f"refused: {method} {path} from 10.9.8.7, {status}" in caplog.text
        assert TOKEN[:-1] not in caplog.text + response.text

    async def test_two_tokens_are_none(self, client: httpx.AsyncClient) -> None:
        headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
        assert (await client.get("/admin/status", headers=headers)).status_code == 401

    @pytest.mark.parametrize("headers", [{}, GOOD, {"Authorization": "Bearer "}])
    async def test_bridge_without_one_refuses_everybody(self, served: FakeServed, headers: dict[str, str]) -> None:
        async with client_of(AdminApp(served, metrics=Metrics())) as client:
            for method, path in ADMIN:
                response = await client.request(method, path, headers=headers)
                assert response.status_code == 403
                assert "was given no admin token" in response.json()["error"]
        assert served.drains == []

    async def test_flood_of_refusals_is_not_a_flood_of_lines(
        self, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(200):
            await client.get("/admin/status")
        assert 1 <= caplog.text.count("refused:") <= 10

    async def test_path_cannot_forge_a_line(self, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
        await client.get("/admin/%0d%0a%1b[31mfalse")
        (record,) = [record for record in caplog.records if record.name == module.__name__]
        assert record.getMessage().replace("\n", "").isprintable()

    async def test_scheme_has_no_case(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/admin/status", headers={"Authorization": f"bearer {TOKEN}"})).status_code == 200

    async def test_unknown_paths_and_methods_are_told_apart(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/admin/x", headers=GOOD)).status_code == 404
        for method, path in ADMIN:
            other = "POST" if method == "GET" else "GET"
            response = await client.request(other, path, headers=GOOD)
            assert (response.status_code, response.headers["allow"]) == (405, method)


class TestAdminStatus:
    async def test_is_the_status_with_the_last_lines(self, client: httpx.AsyncClient, served: FakeServed) -> None:
        assert (await client.get("/admin/status", headers=GOOD)).json()["stderrTail"] == []
        served.status.body["lastFailure"] = {"stderrTail": ["a", "b"]}
        assert (await client.get("/admin/status", headers=GOOD)).json() == {
            **served.status.to_json(),
            "stderrTail": ["a", "b"],
        }


class TestDrain:
    async def test_waits_as_long_as_configured_and_tells_what_is_left(
        self, client: httpx.AsyncClient, served: FakeServed
    ) -> None:
        response = await client.post("/admin/drain", headers=GOOD)
        assert (response.status_code, response.json()) == (200, {"inFlight": 3})
        assert served.drains == [2.5]
        assert (await client.get("/readyz")).status_code == 503


class TestEgress:
    async def test_result_of_each_target_in_order(self, client: httpx.AsyncClient) -> None:
        with socket.socket() as listener, socket.socket() as closed:
            for bound in (listener, closed):
                bound.bind(("127.0.0.1", 0))
            listener.listen()
            ports = [listener.getsockname()[1], closed.getsockname()[1]]
            body = {"targets": [{"host": "127.0.0.1", "port": port, "protocol": "tcp"} for port in ports]}
            response = await client.post("/admin/egress", json=body, headers=GOOD)
        results = response.json()["results"]
        assert [(r["host"], r["port"], r["protocol"], r["result"]) for r in results] == [
            ("127.0.0.1", ports[0], "tcp", "open"),
            ("127.0.0.1", ports[1], "tcp", "refused"),
        ]
        assert all(0 <= r["ms"] < 3000 for r in results)

    @pytest.mark.parametrize(
        ("content", "status", "message"),
        [
            (b"", 400, "not usable JSON"),
            (b"{", 400, "not usable JSON"),
            (b"[" * 60_000, 400, "not usable JSON"),
            (b"[]", 400, "targets must be a list"),
            (b'{"targets": []}', 400, "1 to 16"),
            (b'{"targets": [{"host": "localhost", "port": 1}]}', 400, "must be an IP address"),
            (b" " * (module.MAX_BODY_BYTES + 1), 413, "at most 65536 bytes"),
        ],
    )
    async def test_what_cannot_be_probed_is_said_in_words(
        self, client: httpx.AsyncClient, content: bytes, status: int, message: str
    ) -> None:
        response = await client.post("/admin/egress", content=content, headers=GOOD)
        assert response.status_code == status
        assert message in response.json()["error"]

    async def test_one_probe_at_a_time(self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        running, finish = asyncio.Event(), asyncio.Event()

        async def probe(_: object) -> list[dict[str, Any]]:
            running.set()
            await finish.wait()
            return []

        monkeypatch.setattr(egress, "probe", probe)
        body = {"targets": [{"host": "127.0.0.1", "port": 1}]}
        first = asyncio.create_task(client.post("/admin/egress", json=body, headers=GOOD))
        await running.wait()
        second = await client.post("/admin/egress", json=body, headers=GOOD)
        assert (second.status_code, second.headers["retry-after"]) == (429, "3")
        finish.set()
        assert (await first).json() == {"results": []}
        assert (await client.post("/admin/egress", json=body, headers=GOOD)).status_code == 200

    async def test_probe_that_could_not_be_made_has_no_results(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def probe(_: object) -> list[dict[str, Any]]:
            raise egress.ProbeFailed("127.0.0.1 could not be tried: Too many open files")

        monkeypatch.setattr(egress, "probe", probe)
        body = {"targets": [{"host": "127.0.0.1", "port": 1}]}
        response = await client.post("/admin/egress", json=body, headers=GOOD)
        assert (response.status_code, list(response.json())) == (503, ["error"])


async def test_client_that_leaves_in_the_middle_of_its_body_does_no_harm(served: FakeServed) -> None:
    app = AdminApp(served, metrics=Metrics(), admin_token_sha256=SHA256)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
    scope = {"type": "http", "path": "/admin/egress", "method": "POST", "headers": headers, "client": None}
    await app(scope, receive, send)
    assert sent == []


async def test_refusal_comes_before_the_body_is_read(served: FakeServed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = AdminApp(served, metrics=Metrics(), admin_token_sha256=SHA256)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("read before the token was looked at")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/admin/egress", "method": "POST", "headers": [], "client": None}
    await app(scope, receive, send)
    assert sent[0]["status"] == 401
    assert json.loads(sent[1]["body"])["error"].startswith("/admin wants")
