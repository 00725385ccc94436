"""Limits for one client, on a clock that the tests move."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vsm_runtime.bridge.limits import Limited, Limits


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refusal(limits: Limits, key: str) -> float | None:
    """Enters, and returns None; or the seconds after which to try again."""
    try:
        limits.enter(key)
    except Limited as limited:
        return limited.retry_after_seconds
    return None


def accepted(limits: Limits, key: str, attempts: int) -> int:
    """How many calls in a row get in, each of them ending at once."""
    count = 0
    for _ in range(attempts):
        if refusal(limits, key) is None:
            limits.leave(key)
            count += 1
    return count


class TestInFlight:
    def test_limit_is_each_clients_own(self) -> None:
        limits = Limits(2, 0)
        limits.enter("a")
        limits.enter("a")
        with pytest.raises(Limited, match="2 calls in flight"):
            limits.enter("a")
        limits.enter("b")

    def test_end_of_a_call_makes_room_for_one(self) -> None:
        limits = Limits(1, 0)
        for _ in range(3):
            limits.enter("a")
            with pytest.raises(Limited) as limited:
                limits.enter("a")
            assert limited.value.retry_after_seconds > 0
            limits.leave("a")

    @pytest.mark.parametrize("rate", [0, 10], ids=["without a rate", "with a rate"])
    def test_end_of_what_had_not_begun_is_a_mistake(self, rate: float) -> None:
        limits = Limits(1, rate)
        with pytest.raises(ValueError, match="had not begun"):
            limits.leave("a")
        limits.enter("a")
        limits.leave("a")
        with pytest.raises(ValueError, match="had not begun"):
            limits.leave("a")


class TestRate:
    @pytest.mark.parametrize(("rate", "burst"), [(0.1, 1), (0.5, 1), (0.6, 2), (1, 2), (2.5, 5), (100, 200)])
    def test_two_seconds_worth_may_come_at_once(self, rate: float, burst: int) -> None:
        assert accepted(Limits(64, rate, clock=Clock()), "a", 500) == burst

    def test_no_rate_is_no_limit(self) -> None:
        assert accepted(Limits(64, 0, clock=Clock()), "a", 5000) == 5000

    @given(st.floats(0.01, 1e4), st.floats(0, 1e6))
    def test_who_waits_as_long_as_told_is_let_in(self, rate: float, start: float) -> None:
        clock = Clock()
        clock.now = start
        limits = Limits(64, rate, clock=clock)
        accepted(limits, "a", math.ceil(2 * rate) if rate < 100 else 200)
        for _ in range(5):
            wait_seconds = refusal(limits, "a")
            if wait_seconds is not None:
                assert 0 < wait_seconds <= 1 / rate
                clock.now += wait_seconds * (1 + 1e-9) + 1e-9
                limits.enter("a")
            limits.leave("a")

    def test_refusal_for_calls_in_flight_costs_nothing_of_the_rate(self) -> None:
        limits = Limits(1, 1, clock=Clock())
        limits.enter("a")
        for _ in range(10):
            with pytest.raises(Limited, match="in flight"):
                limits.enter("a")
        limits.leave("a")
        assert accepted(limits, "a", 10) == 1

    def test_clock_that_goes_back_neither_gives_nor_takes(self) -> None:
        clock = Clock()
        limits = Limits(64, 1, clock=clock)
        assert accepted(limits, "a", 1) == 1
        clock.now -= 500
        assert accepted(limits, "a", 10) == 1
        clock.now += 501
        assert accepted(limits, "a", 10) == 1


class TestForgetting:
    def test_client_with_a_call_in_flight_is_never_forgotten(self) -> None:
        limits = Limits(1, 1, max_clients=2, clock=Clock())
        limits.enter("a")
        for number in range(100):
            assert accepted(limits, f"other {number}", 1) == 1
        with pytest.raises(Limited, match="in flight"):
            limits.enter("a")
        limits.leave("a")

    def test_new_client_is_refused_when_all_that_are_known_are_busy(self) -> None:
        limits = Limits(4, 0, max_clients=2, clock=Clock())
        limits.enter("a")
        limits.enter("b")
        with pytest.raises(Limited, match="too many clients"):
            limits.enter("c")
        limits.enter("a")
        limits.leave("b")
        limits.enter("c")

    def test_who_was_idle_longest_goes_first_and_who_keeps_trying_stays(self) -> None:
        limits = Limits(4, 1, max_clients=2, clock=Clock())
        assert accepted(limits, "a", 9) == 2
        assert accepted(limits, "b", 9) == 2
        assert accepted(limits, "a", 1) == 0  # tries, is refused, and is now the more recent one
        assert accepted(limits, "c", 1) == 1  # b makes room
        assert accepted(limits, "a", 1) == 0


class AnyUse(RuleBasedStateMachine):
    """A model that never forgets, against the real thing that must not let in more."""

    @initialize(max_calls=st.integers(1, 3), rate=st.sampled_from([0.0, 0.5, 3.0]), max_clients=st.integers(1, 4))
    def begin(self, max_calls: int, rate: float, max_clients: int) -> None:
        self.clock = Clock()
        self.max_calls, self.rate, self.max_clients = max_calls, rate, max_clients
        self.limits = Limits(max_calls, rate, max_clients=max_clients, clock=self.clock)
        self.in_flight: Counter[str] = Counter()

    @rule(key=st.sampled_from("abcdef"))
    def enter(self, key: str) -> None:
        wait_seconds = refusal(self.limits, key)
        if wait_seconds is None:
            self.in_flight[key] += 1
        else:
            assert wait_seconds > 0
            full = self.in_flight[key] == self.max_calls
            crowded = not self.in_flight[key] and sum(n > 0 for n in self.in_flight.values()) == self.max_clients
            assert full or crowded or self.rate

    @rule(key=st.sampled_from("abcdef"))
    def leave(self, key: str) -> None:
        if self.in_flight[key]:
            self.limits.leave(key)
            self.in_flight[key] -= 1

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def bounds_hold(self) -> None:
        if not hasattr(self, "limits"):
            return
        assert max(self.in_flight.values(), default=0) <= self.max_calls
        assert sum(n > 0 for n in self.in_flight.values()) <= self.max_clients
        assert len(self.limits._busy) + len(self.limits._idle) <= self.max_clients
        assert {key: client.in_flight for key, client in self.limits._busy.items()} == +self.in_flight


TestAnyUse = AnyUse.TestCase


@given(
    rate=st.floats(0.1, 50),
    gaps=st.lists(st.floats(0, 3), max_size=200),
)
def test_no_window_of_time_holds_more_than_rate_and_burst_allow(rate: float, gaps: list[float]) -> None:
    clock = Clock()
    limits = Limits(64, rate, clock=clock)
    times = []
    for gap in gaps:
        clock.now += gap
        if accepted(limits, "a", 1):
            times.append(clock.now)
    burst = max(1, math.ceil(2 * rate))
    for first in range(0, len(times), 7):
        window = times[-1] - times[first]
        assert len(times) - first <= burst + rate * window + 0.01
