"""The official client against the bridge, in both eras, with legacy and modern servers behind it."""

import sys
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, MCPError

from unit.bridge.rig import FAKE, Rig

MODERN_SERVER = [sys.executable, str(FAKE / "modern_server.py")]


@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
class TestLegacyServer:
    async def test_lists_and_calls_tools_with_progress(self, shared: Rig, mode: str, version: str) -> None:
        seen: list[float] = []

        async def on_progress(progress: float, *_: Any) -> None:
            seen.append(progress)

        async with Client(shared.url, mode=mode) as client:
            assert client.protocol_version == version
            assert client.server_info is not None
            assert client.server_info.name == "fake"
            assert "echo" in [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool("echo", {"a": 1})
            assert result.content[0].text == '{"a": 1}'
            await client.call_tool("progress", {}, progress_callback=on_progress)
        assert seen == [1, 2, 3]

    async def test_errors_of_the_server_arrive_as_they_are(self, shared: Rig, mode: str, version: str) -> None:
        async with Client(shared.url, mode=mode) as client:
            with pytest.raises(MCPError) as caught:
                await client.call_tool("absent", {})
        assert caught.value.code == -32602


async def test_sampling_works_through_the_bridge(shared: Rig) -> None:
    async def sample(*_: Any) -> types.CreateMessageResult:
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(type="text", text="hey"), model="m"
        )

    async with Client(shared.url, mode="legacy", sampling_callback=sample) as client:
        result = await client.call_tool("ask", {})
    assert "hey" in result.content[0].text


@pytest.fixture(scope="module")
def modern_rig() -> Any:
    rig = Rig()
    rig.start(MODERN_SERVER).ready()
    yield rig
    rig.stop()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_modern_server_serves_clients_of_both_eras(modern_rig: Rig, mode: str) -> None:
    assert modern_rig.status()["protocolVersion"] == "2026-07-28"
    seen: list[float] = []

    async def on_progress(progress: float, *_: Any) -> None:
        seen.append(progress)

    async with Client(modern_rig.url, mode=mode) as client:
        assert client.server_info is not None
        assert client.server_info.name == "official"
        assert {"add", "count"} <= {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool("add", {"a": 1, "b": 2})
        assert result.structured_content == {"result": 3}
        await client.call_tool("count", {}, progress_callback=on_progress)
        assert [str(r.uri) for r in (await client.list_resources()).resources] == ["test://greeting"]
        assert (await client.read_resource("test://greeting")).contents[0].text == "hello"
    assert seen == [1, 2]


def test_bridge_process_imports_neither_the_sdk_nor_pydantic() -> None:
    import subprocess  # noqa: PLC0415

    root = Path(__file__).resolve().parents[3]
    heavy = {"mcp", "pydantic", "httpx", "starlette"}
    program = f"import sys, vsm_runtime.bridge.__main__; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{root}/operator:{root}/runtime"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
