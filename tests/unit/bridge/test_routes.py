"""The table of calls: whatever clients do, an answer belongs to exactly one of them."""

from hypothesis import given
from hypothesis import strategies as st

from vsm_runtime.bridge.eras import Client, Era
from vsm_runtime.bridge.routes import QUIET_SECONDS, Call, Question, Routes


class Caller:
    def __init__(self, identity: str, key: str = "") -> None:
        self.client = Client(Era.LEGACY, "2025-11-25", identity, key=key)

    def settle(self, response: object) -> None: ...

    def tell(self, message: object) -> bool:
        return True


def opened(routes: Routes, who: str, request_id: int | str = 1, method: str = "tools/call") -> tuple[Caller, int]:
    caller = Caller(who)
    return caller, routes.open(caller, method=method, client_id=request_id, progress_token=None).bridge_id


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, "1", 2])), max_size=30), st.randoms())
def test_each_answer_goes_to_its_own_call_whatever_the_ids(calls: list[tuple[str, int | str]], random: object) -> None:
    routes = Routes()
    expected = {}
    for who, request_id in calls:
        caller, bridge_id = opened(routes, who, request_id)
        expected[bridge_id] = (caller, request_id)
    assert len(expected) == len(calls)
    order = list(expected)
    random.shuffle(order)  # type: ignore[attr-defined]
    for bridge_id in order:
        call = routes.close(bridge_id)
        assert call is not None
        assert (call.caller, call.client_id) == expected[bridge_id]
        assert routes.close(bridge_id) is None
    assert len(routes) == 0
    assert not routes._by_client


def test_cancellation_needs_the_client_and_the_type_of_the_id() -> None:
    routes = Routes()
    caller, bridge_id = opened(routes, "a", 1)
    assert routes.of_client(Caller("b").client, 1) is None
    assert routes.of_client(caller.client, "1") is None
    found = routes.of_client(caller.client, 1)
    assert found is not None
    assert found.bridge_id == bridge_id


def test_answers_of_foreign_types_match_nothing() -> None:
    routes = Routes()
    opened(routes, "a")
    for foreign in ("1", True, None, 1.0, [], 2):
        assert routes.close(foreign) is None


def question(call: Call, server_id: int | str) -> Question:
    return Question(call.caller.client, "sampling/createMessage", call, server_id)


def test_cause_is_known_only_while_one_client_has_calls_that_can_ask() -> None:
    routes = Routes()
    assert routes.cause(None, now=0) is None
    one, first = opened(routes, "a")
    opened(routes, "b", method="tools/list")
    assert routes.cause(None, now=0).caller is one  # type: ignore[union-attr]
    other, second = opened(routes, "b")
    assert routes.cause(None, now=0) is None
    assert routes.cause(second, now=0).caller is other  # type: ignore[union-attr]
    routes.close(first)
    assert routes.cause(None, now=0).caller is other  # type: ignore[union-attr]


def test_question_is_answered_once_and_only_by_its_client() -> None:
    routes = Routes()
    caller, bridge_id = opened(routes, "a")
    call = routes.cause(bridge_id, now=0)
    assert call is not None
    token = routes.ask(question(call, 5), now=0)
    assert routes.answered(token, Caller("b").client) is None
    found = routes.answered(token, caller.client)
    assert found is not None
    assert found.server_id == 5
    assert routes.answered(token, caller.client) is None


def test_questions_end_with_their_call_and_with_their_withdrawal() -> None:
    routes = Routes()
    caller, bridge_id = opened(routes, "a")
    call = routes.cause(bridge_id, now=0)
    assert call is not None
    kept, withdrawn = (routes.ask(question(call, server_id), now=0) for server_id in (5, "5"))
    found = routes.withdrawn("5")
    assert found is not None
    assert (found[0], found[1].server_id) == (withdrawn, "5")
    assert routes.withdrawn("5") is None
    routes.close(bridge_id)
    assert routes.answered(kept, caller.client) is None
    assert not routes._questions


def test_call_that_waits_for_its_clients_answer_is_no_cause_while_another_works() -> None:
    routes = Routes()
    _, waiting = opened(routes, "a")
    call = routes.cause(waiting, now=0)
    assert call is not None
    routes.ask(question(call, 1), now=10)
    working, _ = opened(routes, "b")
    assert routes.cause(None, now=10 + QUIET_SECONDS / 2) is None
    assert routes.cause(None, now=10 + QUIET_SECONDS * 2).caller is working  # type: ignore[union-attr]


def test_late_question_of_one_users_call_never_reaches_another_user() -> None:
    routes = Routes()
    waiting = routes.open(Caller("a", "ada"), method="tools/call", client_id=1, progress_token=None)
    routes.ask(question(waiting, 1), now=10)
    routes.open(Caller("b", "bob"), method="tools/call", client_id=1, progress_token=None)
    assert routes.cause(None, now=1000) is None


def test_call_that_was_handed_over_is_not_the_former_callers_any_more() -> None:
    routes = Routes()
    first, bridge_id = opened(routes, "a", 1)
    call = routes.get(bridge_id)
    assert call is not None
    token = routes.ask(question(call, 5), now=0)
    second = Caller("b")
    heir = routes.hand_over(call, second, client_id=2)
    assert (routes.is_open(call), routes.is_open(heir)) == (False, True)
    assert routes.of_client(first.client, 1) is None
    assert routes.of_client(second.client, 2) is heir
    assert routes.answered(token, first.client) is None
    found = routes.answered(token, second.client)
    assert found is not None
    assert found.call is heir


def test_call_that_is_put_again_has_a_new_id_and_the_old_one_answers_nothing() -> None:
    routes = Routes()
    caller, old = opened(routes, "a", 7)
    call = routes.get(old)
    assert call is not None
    routes.renew(call)
    assert routes.close(old) is None
    assert routes.of_client(caller.client, 7) is call
    assert routes.close(call.bridge_id) is call
    assert len(routes) == 0
