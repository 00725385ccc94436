"""Clients of both eras that call, wait, cancel and vanish at random, and judge every message that reaches them."""

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from soak.wire import Answer, Broken, Wire
from unit.bridge.rig import MODERN, call
from vsm_runtime.bridge import jsonrpc

LEGACY = "2025-11-25"
SERVER_DOWN = jsonrpc.SERVER_DOWN
CANCELLED = jsonrpc.CANCELLED
KINDS = {"fast": 60, "slow": 12, "progress": 10, "large": 6, "cancelled": 6, "dropped": 6}
"""What a call is, with weights."""
MAX_SIZE = 600_000


class Violation(AssertionError):  # noqa: N818 - not a mistake of the caller's
    """Somebody got what is not theirs, or did not get what is."""


class Outages:
    """When there was no server to answer, as seen by whoever killed it."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def begin(self, now: float) -> None:
        self._spans.append((now, float("inf")))

    def end(self, now: float) -> None:
        self._spans[-1] = (self._spans[-1][0], now)

    def excuse(self, begun: float, ended: float) -> bool:
        """Whether a call in this span of time may have failed."""
        return any(start <= ended and begun <= end for start, end in self._spans)


class Caller:
    """One client after the other, until time is over. `tally` counts what became of the calls."""

    def __init__(self, port: int, random: Random, *, outages: Outages, tally: Counter[str]) -> None:
        self._port = port
        self._random = random
        self._outages = outages
        self._tally = tally
        self._wire = Wire(port)
        self._modern = False
        self._session: str | None = None
        self._last_id = 0

    async def run(self, until: float) -> None:
        """Raises Violation."""
        clock = asyncio.get_running_loop().time
        while clock() < until:
            self._modern = self._random.random() < 0.5
            self._wire, self._session = Wire(self._port), None
            if not self._modern and not await self._initialize():
                self._wire.hang_up()
                continue
            for _ in range(self._random.randint(1, 80)):
                if clock() >= until:
                    break
                await self._one_call()
                await asyncio.sleep(self._random.random() * 0.02)
            await self._leave()
            self._tally["clients that came and went"] += 1

    async def _initialize(self) -> bool:
        client = {"name": "soak", "version": "1"}
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client}
        message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        answer = await self._judged("initialize", lambda: self._wire.ask(message, {}))
        if answer is None:
            return False
        self._session = answer.headers.get("mcp-session-id")
        await self._judged("initialized", lambda: self._notify("notifications/initialized"))
        return True

    async def _notify(self, method: str, params: dict[str, Any] | None = None) -> Answer:
        message = {"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})}
        return await self._wire.ask(message, self._headers("", method))

    async def _leave(self) -> None:
        if self._session is not None and self._random.random() < 0.5:
            await self._judged("delete", lambda: self._wire.ask({}, self._headers("", ""), method="DELETE"))
        self._wire.hang_up()

    # -- calls

    async def _one_call(self) -> None:
        (kind,) = self._random.choices(list(KINDS), weights=list(KINDS.values()))
        self._last_id += 1
        nonce = secrets.token_hex(8)
        arguments: dict[str, Any] = {"nonce": nonce}
        match kind:
            case "slow":
                arguments["seconds"] = self._random.random() * 0.3
            case "progress":
                arguments["steps"] = self._random.randint(1, 6)
            case "large":
                arguments |= {
                    "size": self._random.randint(1, MAX_SIZE),
                    "payload": nonce * self._random.randint(1, 9999),
                }
        name = {"cancelled": "hang", "dropped": self._random.choice(["slow", "fast", "hang"])}.get(kind, kind)
        if kind == "dropped":
            arguments["seconds"] = 0.2
        message = call(name, request_id=self._last_id, meta=self._meta(f"token-{nonce}"), **arguments)
        begun = asyncio.get_running_loop().time()
        if kind == "dropped" or (kind == "cancelled" and self._modern):
            await self._dropped(message, name)
        elif kind == "cancelled":
            await self._cancelled(message)
        else:
            answer = await self._judged(kind, lambda: self._wire.ask(message, self._headers(name)))
            if answer is not None:
                self._check(answer, message, nonce, begun=begun)

    async def _dropped(self, message: dict[str, Any], name: str) -> None:
        """Hangs up while the call is under way, which in the modern era is how a call is cancelled."""
        await self._wire.connected()
        task = asyncio.create_task(self._wire.ask(message, self._headers(name)))
        await asyncio.wait([task], timeout=self._random.random() * 0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._wire.hang_up()
        self._tally["dropped"] += 1

    async def _cancelled(self, message: dict[str, Any]) -> None:
        """Asks on one connection and takes it back on another, as the legacy era does it."""
        task = asyncio.create_task(self._judged("cancelled", lambda: self._wire.ask(message, self._headers("hang"))))
        other = Wire(self._port)
        params = {"requestId": message["id"]}
        notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        while not task.done():  # the notification may overtake its call
            await asyncio.wait([task], timeout=0.01 + self._random.random() * 0.05)
            await self._judged("cancel", lambda: other.ask(notification, self._headers("")))
        other.hang_up()
        answer = await task
        for got in answer.messages if answer is not None else []:
            if got.get("id") != message["id"] or got.get("error", {}).get("code") not in (CANCELLED, SERVER_DOWN):
                raise Violation(f"a cancelled call {message['id']} was answered with {str(got)[:300]}")

    async def _judged(self, kind: str, attempt: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """The answer; None for a failure that an outage excuses."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        era = "modern" if self._modern else "legacy"
        try:
            answer = await attempt()
        except (Broken, TimeoutError) as error:
            raise Violation(f"{era} {kind}: no answer ({error!r})") from error
        down = answer.status == 503 or any(m.get("error", {}).get("code") == SERVER_DOWN for m in answer.messages)
        if down:
            if not self._outages.excuse(begun, clock()):
                raise Violation(f"{era} {kind}: refused without an outage: {answer}")
            self._tally["failed in an outage"] += 1
            await asyncio.sleep(0.05)
            return None
        self._tally[f"{era} {kind}"] += 1
        return answer

    def _check(self, answer: Answer, message: dict[str, Any], nonce: str, *, begun: float) -> None:
        *before, last = answer.messages or [{}]
        token = f"token-{nonce}"
        for step, told in enumerate(before):
            params = told.get("params", {})
            mine = (params.get("progressToken"), params.get("message"), params.get("progress"))
            if mine != (token, nonce, step + 1):
                raise Violation(f"{nonce} was told {str(told)[:300]}")
        if last.get("id") != message["id"] or "result" not in last:
            raise Violation(f"{nonce} was answered with HTTP {answer.status}, {str(last)[:300]}")
        arguments = message["params"]["arguments"]
        expected = nonce
        if message["params"]["name"] == "large":
            digest = hashlib.sha256(arguments["payload"].encode()).hexdigest()
            expected = f"{nonce} {digest} " + nonce * (arguments["size"] // len(nonce))
        if last["result"]["content"][0]["text"] != expected:
            raise Violation(f"{nonce} got somebody else's answer: {str(last)[:300]}")
        if message["params"]["name"] == "progress" and len(before) != arguments["steps"]:
            raise Violation(f"{nonce} was told {len(before)} of {arguments['steps']} steps")

    def _meta(self, token: str) -> dict[str, Any]:
        prefix = "io.modelcontextprotocol"
        envelope = {f"{prefix}/protocolVersion": MODERN, f"{prefix}/clientCapabilities": {}}
        return {"progressToken": token, **(envelope if self._modern else {})}

    def _headers(self, name: str, method: str = "tools/call") -> dict[str, str]:
        if self._modern:
            return {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, "Mcp-Name": name}
        return {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": self._session or ""}
