"""A session outlives what is behind it: nobody has to initialize again because something was started anew."""

from unit.bridge.rig import RawClient, Rig, call, eventually, stdio_server, text_of


async def test_session_survives_the_death_of_the_server(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    async with RawClient(rig) as client:
        await client.initialize()
        await client.call("exit")
        await eventually(lambda: rig.admin("/readyz").status_code == 200, what="ready again")
        assert text_of(await client.call("echo", a=1)) == '{"a": 1}'


async def test_session_survives_a_restart_of_the_bridge(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    async with RawClient(rig) as client:
        await client.initialize(capabilities={"sampling": {}})
        assert rig.bridge is not None
        rig.bridge.kill()
        rig.bridge.wait()
        rig.start_bridge().ready()
        client._url = rig.url
        assert text_of(await client.call("echo", a=1)) == '{"a": 1}'
        async with client.stream(call("ask")) as response:
            question = await anext(line async for line in response.aiter_lines() if line.startswith("data: "))
        assert "sampling/createMessage" in question


async def test_id_that_no_bridge_has_given_out_is_not_found(rig: Rig) -> None:
    rig.start(stdio_server()).ready()
    async with RawClient(rig) as client:
        assert (await client.post(call("echo"), **{"Mcp-Session-Id": "v1.2025-11-25..short"})).status_code == 404
