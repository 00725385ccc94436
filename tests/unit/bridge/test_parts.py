"""The small pure parts: eras, sessions, settings, backoff, log lines, the memory budget."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_runtime.bridge import checks, sessions
from vsm_runtime.bridge.asgi import Budget, NoMemory, Reservation
from vsm_runtime.bridge.backoff import Backoff
from vsm_runtime.bridge.eras import (
    ASKABLE,
    Client,
    Era,
    Peer,
    askable,
    capabilities_of,
    needed_to_ask,
    params_for,
    response_for,
)
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.logs import shown
from vsm_runtime.bridge.settings import InvalidSetting, Settings

LEGACY = Client(Era.LEGACY, "2025-11-25", "l")
MODERN = Client(Era.MODERN, "2026-07-28", "m")


def peer(era: Era) -> Peer:
    return Peer(era, "2026-07-28" if era is Era.MODERN else "2025-11-25", {"name": "s", "version": "1"}, {}, None)


class TestEras:
    def test_legacy_client_gets_an_envelope_towards_a_modern_server(self) -> None:
        params = params_for(peer(Era.MODERN), client=LEGACY, params={"a": 1, "_meta": {"x": 1}}, progress_token=7)
        meta = params["_meta"]
        assert params["a"] == 1
        assert (meta["x"], meta["progressToken"]) == (1, 7)
        assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        assert meta["io.modelcontextprotocol/clientCapabilities"] == {}
        assert "io.modelcontextprotocol/logLevel" not in meta

    def test_own_progress_token_never_reaches_the_server(self) -> None:
        params = {"_meta": {"progressToken": "mine"}}
        assert params_for(peer(Era.LEGACY), client=LEGACY, params=params, progress_token=None) == {}
        assert params == {"_meta": {"progressToken": "mine"}}

    def test_modern_answer_loses_what_a_legacy_client_does_not_know(self) -> None:
        answer = {"id": 1, "result": {"tools": [], "resultType": "complete", "ttlMs": 5, "cacheScope": "public"}}
        assert response_for(LEGACY, peer=peer(Era.MODERN), method="tools/list", response=answer)["result"] == {
            "tools": []
        }

    def test_rounds_of_a_modern_client_do_not_reach_a_legacy_server(self) -> None:
        params = {"name": "t", "inputResponses": {"a": {}}, "requestState": "s"}
        assert params_for(peer(Era.LEGACY), client=MODERN, params=params, progress_token=None) == {"name": "t"}
        assert params_for(peer(Era.MODERN), client=MODERN, params=params, progress_token=None) == params

    @given(st.sets(st.sampled_from(sorted(ASKABLE))))
    def test_what_a_client_may_be_asked_survives_its_way_through_capabilities_and_session(
        self, flags: set[str]
    ) -> None:
        if {"sampling.tools", "sampling.context"} & flags:
            flags.add("sampling")
        capabilities = capabilities_of(frozenset(flags))
        assert askable(capabilities) == flags
        session = sessions.begin(protocol_version="2025-11-25", capabilities=capabilities)
        resumed = sessions.resume(session.session_id)
        assert resumed is not None
        assert resumed.capabilities == flags

    @pytest.mark.parametrize(
        ("method", "params", "flag"),
        [
            ("sampling/createMessage", {}, "sampling"),
            ("sampling/createMessage", {"tools": []}, "sampling.tools"),
            ("elicitation/create", {"mode": "form"}, "elicitation"),
            ("elicitation/create", {"mode": "url"}, "elicitation.url"),
            ("roots/list", {}, "roots"),
            ("tools/call", {}, None),
        ],
    )
    def test_question_needs_the_capability_of_its_kind(self, method: str, params: Json, flag: str | None) -> None:
        assert needed_to_ask(method, params) == flag

    def test_elicitation_without_modes_is_the_form_mode_of_older_clients(self) -> None:
        assert askable({"elicitation": {}}) == {"elicitation"}
        assert askable({"elicitation": {"url": {}}}) == {"elicitation.url"}

    def test_call_of_a_modern_client_is_complete_but_not_cacheable(self) -> None:
        response = response_for(MODERN, peer=peer(Era.LEGACY), method="tools/call", response={"id": 1, "result": {}})
        assert response["result"]["resultType"] == "complete"
        assert "ttlMs" not in response["result"]

    def test_missing_resource_has_the_modern_code_for_a_modern_client(self) -> None:
        error: dict[str, Any] = {"id": 1, "error": {"code": -32002, "message": "m"}}
        assert (
            response_for(MODERN, peer=peer(Era.LEGACY), method="resources/read", response=error)["error"]["code"]
            == -32602
        )

    def test_address_that_a_legacy_server_wants_visited_becomes_a_round(self) -> None:
        wanted = {"mode": "url", "elicitationId": "1", "url": "https://example.invalid/", "message": "sign in"}
        error: Json = {"code": -32042, "message": "m", "data": {"elicitations": [wanted]}}
        able = Client(Era.MODERN, "2026-07-28", "m", frozenset({"elicitation.url"}))
        answer = response_for(able, peer=peer(Era.LEGACY), method="tools/call", response={"id": 1, "error": error})
        assert answer["result"]["resultType"] == "input_required"
        assert answer["result"]["inputRequests"] == {"0": {"method": "elicitation/create", "params": wanted}}
        assert "requestState" not in answer["result"]
        answer = response_for(MODERN, peer=peer(Era.LEGACY), method="tools/call", response={"id": 1, "error": error})
        assert answer["error"]["code"] == -32021
        assert answer["error"]["data"] == {"requiredCapabilities": {"elicitation": {"url": {}}}}

    @pytest.mark.parametrize(("client", "era"), [(LEGACY, Era.LEGACY), (MODERN, Era.MODERN)], ids=["legacy", "modern"])
    def test_answers_within_one_era_are_left_alone(self, client: Client, era: Era) -> None:
        answer = {"id": 1, "result": {"resultType": "input_required"}}
        assert response_for(client, peer=peer(era), method="tools/call", response=answer) is answer


class TestSessions:
    def test_id_carries_all_that_the_client_said(self) -> None:
        session = sessions.begin(protocol_version="2025-06-18", capabilities={"sampling": {}, "roots": {}, "x": 1})
        assert sessions.resume(session.session_id) == session
        assert session.capabilities == {"sampling", "roots"}
        assert session.session_id.isascii()
        assert len(session.session_id) < 64

    def test_no_two_are_equal(self) -> None:
        assert len({sessions.begin(protocol_version="2025-06-18", capabilities=None).nonce for _ in range(100)}) == 100

    @given(st.text())
    def test_anything_else_is_no_session(self, text: str) -> None:
        assert sessions.resume(text) is None


class TestHeaders:
    @given(st.text())
    def test_encoded_values_survive(self, text: str) -> None:
        try:
            text.encode()
        except UnicodeEncodeError:
            return
        encoded = checks.encode_header(text)
        assert encoded.isascii()
        assert encoded.isprintable()
        assert checks.decode_header(encoded) == text

    @pytest.mark.parametrize("value", ["=?base64?Z?=", "=?base64?/w==?=", "=?base64?Zh==?="])
    def test_broken_encodings_equal_nothing(self, value: str) -> None:
        assert checks.decode_header(value) is None


class TestSettings:
    def test_defaults_are_those_of_the_pod(self) -> None:
        settings = Settings.from_env({"VSM_BRIDGE_PORT": "", "OTHER": "x"})
        assert (settings.port, settings.admin_port, settings.path) == (8080, 8081, "/mcp")
        assert (settings.max_message_bytes, settings.request_timeout_seconds) == (10485760, 60.0)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("TRANSPORT", "sse"),
            ("PORT", "70000"),
            ("PORT", "-1"),
            ("PORT", "²"),
            ("PORT", "1" * 30),
            ("PATH", "mcp"),
            ("MAX_MESSAGE_BYTES", "10MiB"),
            ("REQUEST_TIMEOUT_SECONDS", "0"),
            ("HANDSHAKE_TIMEOUT_SECONDS", "nan"),
            ("LOG_LEVEL", "verbose"),
        ],
    )
    def test_malformed_value_is_named(self, name: str, value: str) -> None:
        with pytest.raises(InvalidSetting, match=f"VSM_BRIDGE_{name} is .* it must be"):
            Settings.from_env({f"VSM_BRIDGE_{name}": value})

    @pytest.mark.parametrize(
        "url", ["", "http://example.com:80/", "https://127.0.0.1:1/", "http://127.0.0.1/", "http://[::1"]
    )
    def test_upstream_must_be_in_the_pod(self, url: str) -> None:
        with pytest.raises(InvalidSetting, match="VSM_BRIDGE_UPSTREAM"):
            Settings.from_env({"VSM_BRIDGE_TRANSPORT": "streamable-http", "VSM_BRIDGE_UPSTREAM": url})


class TestBackoff:
    def test_doubles_up_to_a_minute(self) -> None:
        backoff = Backoff()
        assert [backoff.after(0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]

    def test_a_minute_of_health_resets_it_and_less_does_not(self) -> None:
        backoff = Backoff()
        assert [backoff.after(0), backoff.after(59.9), backoff.after(60), backoff.after(0)] == [1, 2, 0, 2]

    def test_first_failure_of_a_server_that_had_served_is_not_waited_for(self) -> None:
        backoff = Backoff()
        assert [backoff.after(seconds) for seconds in (10, 10, 10)] == [0, 2, 4]
        assert Backoff().after(9.9) == 1

    def test_never_overflows(self) -> None:
        backoff = Backoff(failures=10**6)
        assert backoff.after(0) == 60


@given(st.text())
def test_shown_text_is_one_that_a_terminal_and_a_log_can_bear(text: str) -> None:
    result = shown(text, 50)
    assert len(result) <= 50
    assert not any(ord(c) < 32 and c not in "\t\n" for c in result)
    result.encode()


class TestBudget:
    def test_small_requests_cost_nothing(self) -> None:
        budget = Budget(100)
        Reservation(budget).need(Reservation.FREE_BYTES)
        assert budget.left_bytes == 100

    def test_all_requests_share_it_and_give_it_back(self) -> None:
        budget = Budget(1_000_000)
        one, two = Reservation(budget), Reservation(budget)
        one.need(100_000)
        one.need(700_000)
        one.need(200_000)
        with pytest.raises(NoMemory):
            two.need(400_000)
        one.release()
        two.need(400_000)
        two.release()
        assert budget.left_bytes == 1_000_000
