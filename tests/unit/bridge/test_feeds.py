"""Feeds: what waits for a reader is bounded by what can change, and reaches only whoever asked for it."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from vsm_runtime.bridge.feeds import ALL_LISTS, RESOURCE_UPDATED, SUBSCRIPTION_KEY, Board, Feed
from vsm_runtime.bridge.sessions import MAX_ENDED, MAX_STATES, SessionTable

TOOLS = "notifications/tools/list_changed"
URIS = [f"test://{n}" for n in range(5)]


@given(st.lists(st.tuples(st.sampled_from([TOOLS, RESOURCE_UPDATED]), st.sampled_from(URIS)), max_size=200))
def test_a_feed_that_nobody_reads_holds_one_notification_of_each_kind(published: list[tuple[str, str]]) -> None:
    feed = Feed(lists=frozenset({TOOLS}))
    feed.uris.update(URIS[:2])
    for method, uri in published:
        feed.offer(method, {"uri": uri} if method == RESOURCE_UPDATED else {})
    waiting = [(m["method"], m.get("params", {}).get("uri")) for m in feed.take()]
    assert len(waiting) == len(set(waiting)) <= 3
    wanted = {(m, u if m == RESOURCE_UPDATED else None) for m, u in published if m == TOOLS or u in URIS[:2]}
    assert set(waiting) == wanted
    assert feed.take() == []


def test_notifications_of_a_subscription_carry_its_id() -> None:
    feed = Feed(lists=ALL_LISTS, subscription_id="s")
    feed.offer(TOOLS, {})
    assert feed.take()[0]["params"]["_meta"] == {SUBSCRIPTION_KEY: "s"}


def test_questions_beyond_the_bound_are_not_taken() -> None:
    feed = Feed(lists=frozenset())
    assert [feed.ask({"id": n}) for n in range(17)] == [True] * 16 + [False]
    feed.end()
    assert not feed.ask({"id": 99})


def test_board_wants_what_its_feeds_want_and_no_more() -> None:
    board, changes = Board(), []
    board.on_change = lambda: changes.append(board.wanted())
    one, two = Feed(lists=frozenset({TOOLS})), Feed(lists=frozenset())
    two.uris.add("test://1")
    board.add(one)
    board.add(two)
    board.remove(one)
    assert changes == [
        ({TOOLS}, frozenset()),
        ({TOOLS}, {"test://1"}),
        (frozenset(), {"test://1"}),
    ]


def test_new_server_may_have_changed_everything() -> None:
    board, feed = Board(), Feed(lists=frozenset({TOOLS}))
    feed.uris.add("test://1")
    board.add(feed)
    board.publish_all()
    assert {m["method"] for m in feed.take()} == {TOOLS, RESOURCE_UPDATED}


async def test_a_later_reader_takes_the_place_of_an_earlier_one() -> None:
    feed = Feed(lists=ALL_LISTS)
    first = feed.attach()
    waiting = asyncio.create_task(feed.change(30))
    await asyncio.sleep(0)
    second = feed.attach()
    await waiting
    assert (feed.is_current(first), feed.is_current(second)) == (False, True)


async def test_reader_is_woken_by_the_end() -> None:
    feed = Feed(lists=ALL_LISTS)
    reader = feed.attach()
    waiting = asyncio.create_task(feed.change(30))
    await asyncio.sleep(0)
    feed.end()
    await waiting
    assert not feed.is_current(reader)


class TestSessionTable:
    async def test_is_bounded_and_forgets_who_did_nothing_for_longest(self) -> None:
        forgotten: list[Feed] = []
        table = SessionTable(forgotten.append, idle_seconds=600)
        first = table.of("0")
        for n in range(1, MAX_STATES + 1):
            table.find("1")
            table.of(str(n))
        assert len(table) == MAX_STATES
        assert forgotten == [first.feed]
        assert first.feed.ended
        assert table.find("1") is not None

    async def test_ended_session_is_known_as_such(self) -> None:
        table = SessionTable(lambda _: None, idle_seconds=600)
        feed = table.of("a").feed
        table.end("a")
        assert feed.ended
        assert table.is_ended("a")
        assert not table.is_ended("b")
        for n in range(MAX_ENDED):
            table.end(str(n))
        assert not table.is_ended("a")

    async def test_idle_sessions_are_forgotten_but_not_those_with_a_reader(self) -> None:
        forgotten: list[Feed] = []
        gone = asyncio.Event()

        def forget(feed: Feed) -> None:
            forgotten.append(feed)
            gone.set()

        table = SessionTable(forget, idle_seconds=0.01)
        read = table.of("read").feed
        read.attach()
        idle = table.of("idle").feed
        await asyncio.wait_for(gone.wait(), 10)
        assert forgotten == [idle]
        assert len(table) == 1
