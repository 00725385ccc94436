"""Questions of a server across the eras, at the hub: whose they are, what becomes of them, and what nobody can do."""

import asyncio
from typing import Any

import pytest

from vsm_runtime.bridge import rounds
from vsm_runtime.bridge.eras import Client, Era, Peer
from vsm_runtime.bridge.hub import Hub, Refused
from vsm_runtime.bridge.jsonrpc import Json, error, request, result
from vsm_runtime.bridge.questions import GATHER_SECONDS, MAX_ROUNDS
from vsm_runtime.bridge.rounds import MAX_PARKED

ALL = frozenset({"sampling", "elicitation", "roots"})
SAMPLE: Json = {"role": "assistant", "content": {"type": "text", "text": "hello"}, "model": "m"}


class FakeLink:
    def __init__(self) -> None:
        self.sent: list[Json] = []
        self.cancelled: list[int] = []

    def send(self, message: Json) -> None:
        self.sent.append(message)

    def cancel(self, request_id: int, reason: str) -> None:
        self.cancelled.append(request_id)


class Caller:
    def __init__(self, era: Era, *, capabilities: frozenset[str] = ALL, who: str = "a", principal: str = "") -> None:
        self.client = Client(era, "v", who, capabilities, principal=principal)
        self.outcome: Json | None = None
        self.told: list[Json] = []
        self.settled = asyncio.Event()

    def settle(self, response: Json) -> None:
        self.outcome = self.outcome or response
        self.settled.set()

    def tell(self, message: Json) -> bool:
        self.told.append(message)
        return True

    async def answer(self) -> Json:
        await asyncio.wait_for(self.settled.wait(), 20)
        assert self.outcome is not None
        return self.outcome


class Setup:
    """A hub in front of a server of one era, which does what the test says."""

    def __init__(self, era: Era) -> None:
        self.hub = Hub(on_end=lambda: None, on_tools_changed=lambda: None)
        self.link = FakeLink()
        self.hub.prepare()
        self.hub.attach(self.link)  # type: ignore[arg-type]
        self.hub.open(Peer(era, "v", {"name": "s", "version": "1"}, {"tools": {}}, None))

    def call(self, caller: Caller, request_id: int = 1, **params: Any) -> int:
        """The id under which the server sees it."""
        self.hub.submit(caller, request(request_id, "tools/call", {"name": "t", "arguments": {}, **params}))
        return int(self.link.sent[-1]["id"])

    def ask(self, server_id: int, method: str = "sampling/createMessage", **params: Any) -> None:
        self.hub.on_message(request(server_id, method, params), None)

    def answered(self, server_id: object) -> Json:
        """What the server got for its question."""
        return next(message for message in self.link.sent if message.get("id") == server_id and "method" not in message)


def modern(**options: Any) -> Caller:
    return Caller(Era.MODERN, **options)


def legacy(**options: Any) -> Caller:
    return Caller(Era.LEGACY, **options)


class TestModernClientOfALegacyServer:
    async def sent_away(self, setup: Setup, *asked: int, caller: Caller | None = None) -> tuple[int, Json]:
        caller = caller or modern()
        bridge_id = setup.call(caller)
        for server_id in asked:
            setup.ask(server_id, text=server_id)
        return bridge_id, (await caller.answer())["result"]

    async def test_all_that_is_asked_in_one_go_comes_in_one_round(self) -> None:
        setup = Setup(Era.LEGACY)
        bridge_id, answer = await self.sent_away(setup, 1001, 1002)
        assert answer["resultType"] == "input_required"
        assert [asked["params"]["text"] for asked in answer["inputRequests"].values()] == [1001, 1002]
        first, second = answer["inputRequests"]
        back = modern(who="b")
        setup.hub.submit(back, returning(answer["requestState"], {second: {"n": 2}, first: {"n": 1}}))
        assert setup.answered(1001)["result"] == {"n": 1}
        assert setup.answered(1002)["result"] == {"n": 2}
        setup.hub.on_message(result(bridge_id, {"content": []}), None)
        final = await back.answer()
        assert (final["id"], final["result"]["resultType"]) == (2, "complete")

    async def test_what_is_missing_is_asked_again(self) -> None:
        setup = Setup(Era.LEGACY)
        _, answer = await self.sent_away(setup, 1001, 1002)
        first, second = answer["inputRequests"]
        back = modern(who="b")
        setup.hub.submit(
            back, returning(answer["requestState"], {first: SAMPLE, "unexpected": {}, second: "no object"})
        )
        again = (await back.answer())["result"]
        assert list(again["inputRequests"]) == [second]
        assert again["requestState"] != answer["requestState"]

    async def test_ticket_is_good_for_one_return(self) -> None:
        setup = Setup(Era.LEGACY)
        _, answer = await self.sent_away(setup, 1001)
        setup.hub.submit(modern(who="b"), returning(answer["requestState"], {}))
        with pytest.raises(Refused, match="not known here"):
            setup.hub.submit(modern(who="c"), returning(answer["requestState"], {}))

    @pytest.mark.parametrize(
        ("principal", "name", "state"),
        [
            pytest.param("mallory", "t", None, id="another principal"),
            pytest.param("alice", "other", None, id="another call"),
            pytest.param("alice", "t", "forged", id="another ticket"),
        ],
    )
    async def test_nobody_else_and_nothing_else_comes_back_with_it(
        self, principal: str, name: str, state: str | None
    ) -> None:
        setup = Setup(Era.LEGACY)
        _, answer = await self.sent_away(setup, 1001, caller=modern(principal="alice"))
        message = returning(state or answer["requestState"], {})
        message["params"]["name"] = name
        with pytest.raises(Refused, match="not known here"):
            setup.hub.submit(modern(who="b", principal=principal), message)
        setup.hub.submit(modern(who="c", principal="alice"), returning(answer["requestState"], {}))

    async def test_answer_that_comes_while_the_client_is_away_waits_for_it(self) -> None:
        setup = Setup(Era.LEGACY)
        bridge_id, answer = await self.sent_away(setup, 1001)
        setup.hub.on_message(result(bridge_id, {"content": ["early"]}), None)
        back = modern(who="b")
        setup.hub.submit(back, returning(answer["requestState"], {}))
        final = await back.answer()
        assert (final["id"], final["result"]["content"]) == (2, ["early"])

    async def test_server_that_dies_while_the_client_is_away_is_told_on_its_return(self) -> None:
        setup = Setup(Era.LEGACY)
        _, answer = await self.sent_away(setup, 1001)
        setup.hub.on_gone()
        setup.hub.prepare()
        setup.hub.attach(setup.link)  # type: ignore[arg-type]
        setup.hub.open(Peer(Era.LEGACY, "v", {}, {}, None))
        back = modern(who="b")
        setup.hub.submit(back, returning(answer["requestState"], {}))
        assert (await back.answer())["error"]["code"] == -31000

    async def test_client_that_stays_away_loses_its_call_and_the_server_hears_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rounds, "PARKED_SECONDS", 0.0)
        setup = Setup(Era.LEGACY)
        bridge_id, answer = await self.sent_away(setup, 1001)
        await asyncio.sleep(0.01)
        assert setup.link.cancelled == [bridge_id]
        assert len(setup.hub.routes) == 0
        with pytest.raises(Refused):
            setup.hub.submit(modern(), returning(answer["requestState"], {}))

    async def test_answer_that_outruns_the_round_is_simply_the_answer(self) -> None:
        setup = Setup(Era.LEGACY)
        caller = modern()
        bridge_id = setup.call(caller)
        setup.ask(1001)
        setup.hub.on_message(result(bridge_id, {"content": []}), None)
        assert (await caller.answer())["result"]["resultType"] == "complete"

    async def test_question_that_is_withdrawn_in_time_sends_nobody_away(self) -> None:
        setup = Setup(Era.LEGACY)
        caller = modern()
        bridge_id = setup.call(caller)
        setup.ask(1001)
        withdrawal = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1001}}
        setup.hub.on_message(withdrawal, None)
        await asyncio.sleep(2 * GATHER_SECONDS)
        assert caller.outcome is None
        setup.hub.on_message(result(bridge_id, {"content": []}), None)
        assert (await caller.answer())["result"]["resultType"] == "complete"

    async def test_so_many_calls_can_wait_and_no_more(self) -> None:
        setup = Setup(Era.LEGACY)
        for n in range(MAX_PARKED):
            caller = modern(who=str(n))
            bridge_id = setup.call(caller)
            setup.hub.on_message(request(5000 + n, "sampling/createMessage", {}), bridge_id)
            await caller.answer()
        bridge_id = setup.call(modern(who="last"))
        setup.hub.on_message(request(9999, "sampling/createMessage", {}), bridge_id)
        assert "too many calls wait" in setup.answered(9999)["error"]["message"]

    async def test_what_the_client_does_not_offer_is_refused_in_the_words_of_its_era(self) -> None:
        setup = Setup(Era.LEGACY)
        setup.call(modern(capabilities=frozenset()))
        setup.ask(1001)
        refusal = setup.answered(1001)["error"]
        assert refusal["code"] == -32021
        assert refusal["data"] == {"requiredCapabilities": {"sampling": {}}}


class TestLegacyClientOfAModernServer:
    def round(self, setup: Setup, bridge_id: int, state: str | None = None, **asked: str) -> None:
        requests = {key: {"method": method, "params": {"key": key}} for key, method in asked.items()}
        answer: Json = {"resultType": "input_required", "inputRequests": requests}
        setup.hub.on_message(result(bridge_id, answer | ({"requestState": state} if state else {})), None)

    async def test_questions_go_out_and_the_server_is_called_again_with_all_answers(self) -> None:
        setup, caller = Setup(Era.MODERN), legacy()
        first = setup.call(caller)
        self.round(setup, first, "state", a="sampling/createMessage", b="elicitation/create")
        assert [m["params"]["key"] for m in caller.told] == ["a", "b"]
        setup.hub.answer(caller.client, result(caller.told[1]["id"], {"action": "accept"}))
        assert len(setup.link.sent) == 1
        setup.hub.answer(caller.client, result(caller.told[0]["id"], SAMPLE))
        again = setup.link.sent[-1]
        assert again["id"] != first
        assert again["params"]["name"] == "t"
        assert again["params"]["inputResponses"] == {"a": SAMPLE, "b": {"action": "accept"}}
        assert again["params"]["requestState"] == "state"
        setup.hub.on_message(result(again["id"], {"resultType": "complete", "content": []}), None)
        assert (await caller.answer()) == {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}

    async def test_state_alone_is_an_invitation_to_call_again_at_once(self) -> None:
        setup, caller = Setup(Era.MODERN), legacy()
        self.round(setup, setup.call(caller), "state")
        assert setup.link.sent[-1]["params"]["requestState"] == "state"
        assert "inputResponses" not in setup.link.sent[-1]["params"]

    async def test_server_that_never_has_enough_is_stopped(self) -> None:
        setup, caller = Setup(Era.MODERN), legacy()
        setup.call(caller)
        for _ in range(MAX_ROUNDS + 1):
            self.round(setup, setup.link.sent[-1]["id"], "more")
        assert f"it has asked {MAX_ROUNDS} times" in (await caller.answer())["error"]["message"]
        assert len(setup.hub.routes) == 0

    @pytest.mark.parametrize(
        ("requests", "why"),
        [
            ([], "must be an object"),
            ({str(n): {"method": "roots/list"} for n in range(17)}, "at most 16"),
            ({"a": 1}, "no method"),
            ({"a": {"method": "roots/list", "params": []}}, "no object"),
            ({"a": {"method": "tools/call"}}, "does not offer tools/call"),
            ({"a": {"method": "elicitation/create", "params": {"mode": "url"}}}, "does not offer elicitation.url"),
        ],
    )
    async def test_input_that_cannot_be_had_fails_the_call(self, requests: Any, why: str) -> None:
        setup, caller = Setup(Era.MODERN), legacy()
        bridge_id = setup.call(caller)
        answer = {"resultType": "input_required", "inputRequests": requests}
        setup.hub.on_message(result(bridge_id, answer), None)
        assert why in (await caller.answer())["error"]["message"]
        assert caller.told == []

    async def test_elicitation_that_fails_at_the_client_is_a_cancelled_one(self) -> None:
        setup, caller = Setup(Era.MODERN), legacy()
        self.round(setup, setup.call(caller), a="elicitation/create")
        setup.hub.answer(caller.client, error(caller.told[0]["id"], -32603, "no screen"))
        assert setup.link.sent[-1]["params"]["inputResponses"] == {"a": {"action": "cancel"}}

    async def test_sampling_that_fails_at_the_client_fails_the_call(self) -> None:
        setup, caller = Setup(Era.MODERN), legacy()
        self.round(setup, setup.call(caller), a="sampling/createMessage")
        setup.hub.answer(caller.client, error(caller.told[0]["id"], -1, "the user said no"))
        assert "the user said no" in (await caller.answer())["error"]["message"]

    async def test_call_that_is_cancelled_between_rounds_is_not_made_again(self) -> None:
        setup, caller = Setup(Era.MODERN), legacy()
        self.round(setup, setup.call(caller), a="sampling/createMessage")
        setup.hub.cancel_by_client(caller.client, 1)
        assert (await caller.answer())["error"]["code"] == -31002
        assert not setup.hub.answer(caller.client, result(caller.told[0]["id"], SAMPLE))
        assert len(setup.link.sent) == 1

    async def test_nobody_else_can_answer_between_rounds(self) -> None:
        setup, caller = Setup(Era.MODERN), legacy()
        self.round(setup, setup.call(caller), a="sampling/createMessage")
        assert not setup.hub.answer(legacy(who="b").client, result(caller.told[0]["id"], SAMPLE))
        assert len(setup.link.sent) == 1


class TestOwnedServer:
    async def test_question_outside_of_calls_reaches_the_owner_and_its_answer_the_server(self) -> None:
        owner = legacy()
        hub, link = Hub(on_end=lambda: None, on_tools_changed=lambda: None, owner=owner), FakeLink()
        hub.prepare()
        hub.attach(link)  # type: ignore[arg-type]
        hub.on_message(request(1001, "roots/list", {}), None)
        assert hub.answer(owner.client, result(owner.told[0]["id"], {"roots": []}))
        assert link.sent == [result(1001, {"roots": []})]

    async def test_shared_server_gets_no_answer_to_it(self) -> None:
        setup = Setup(Era.LEGACY)
        setup.ask(1001, "roots/list")
        assert "nothing says whose call" in setup.answered(1001)["error"]["message"]


def returning(state: object, answers: Json) -> Json:
    params = {"name": "t", "arguments": {}, "inputResponses": answers, "requestState": state}
    return request(2, "tools/call", params)
