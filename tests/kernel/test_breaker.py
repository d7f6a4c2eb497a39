from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._plugins.breaker import Breaker, BreakerSettings, BreakerState, Permit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(BreakerSettings(failures=3, window=10.0, cooldown=5.0), clock)


def admitted(breaker: Breaker) -> Permit:
    permit = breaker.admit()
    assert permit is not None
    return permit


def state_of(breaker: Breaker) -> BreakerState:
    return breaker.state


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(admitted(breaker))


def test_it_opens_at_the_stated_number_of_failures(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert state_of(breaker) is BreakerState.CLOSED
    assert breaker.failed(admitted(breaker))
    assert state_of(breaker) is BreakerState.OPEN
    assert breaker.admit() is None


def test_failures_leave_the_window(breaker: Breaker, clock: Clock) -> None:
    for _ in range(20):
        fail(breaker)
        clock.now += 6.0
    assert state_of(breaker) is BreakerState.CLOSED


def test_successes_between_do_not_hide_failures(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.succeeded(admitted(breaker))
        fail(breaker)
    assert state_of(breaker) is BreakerState.OPEN


def test_after_the_cooldown_there_is_exactly_one_probe(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 4.9
    assert breaker.admit() is None
    assert breaker.seconds_until_probe() == pytest.approx(0.1)
    clock.now += 0.1
    assert admitted(breaker).probe
    assert state_of(breaker) is BreakerState.HALF_OPEN
    assert breaker.admit() is None


def test_a_probe_that_succeeds_closes_and_forgets(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5.0
    breaker.succeeded(admitted(breaker))
    assert state_of(breaker) is BreakerState.CLOSED
    fail(breaker, 2)
    assert state_of(breaker) is BreakerState.CLOSED


def test_a_probe_that_fails_opens_for_a_whole_cooldown(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 7.0
    assert breaker.failed(admitted(breaker))
    clock.now += 4.9
    assert breaker.admit() is None
    clock.now += 0.1
    assert admitted(breaker).probe


def test_an_abandoned_probe_leaves_the_probe_to_the_next(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5.0
    breaker.abandoned(admitted(breaker))
    assert state_of(breaker) is BreakerState.OPEN
    assert admitted(breaker).probe


@pytest.mark.parametrize("how", ["succeeded", "failed", "abandoned"])
def test_a_slow_call_from_before_moves_nothing(breaker: Breaker, clock: Clock, how: str) -> None:
    slow = admitted(breaker)
    fail(breaker, 3)
    clock.now += 5.0
    probe = admitted(breaker)
    getattr(breaker, how)(slow)
    assert state_of(breaker) is BreakerState.HALF_OPEN
    breaker.succeeded(probe)
    assert state_of(breaker) is BreakerState.CLOSED


def test_a_stale_probe_moves_nothing(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5.0
    stale = admitted(breaker)
    breaker.abandoned(stale)
    breaker.succeeded(stale)
    assert state_of(breaker) is BreakerState.OPEN
    breaker.succeeded(admitted(breaker))
    assert not breaker.failed(stale)
    assert state_of(breaker) is BreakerState.CLOSED


def test_a_clock_that_goes_back_does_no_harm(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now -= 500.0
    assert breaker.admit() is None
    clock.now += 505.0
    assert admitted(breaker).probe


def test_many_threads_get_one_probe(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5.0
    barrier = threading.Barrier(16)
    permits: list[Permit | None] = []

    def ask() -> None:
        barrier.wait(timeout=10)
        permits.append(breaker.admit())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(permits) == 16
    assert sum(permit is not None for permit in permits) == 1


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["admit", "succeeded", "failed", "abandoned"]),
            st.floats(min_value=0, max_value=8),
        ),
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_never_more_than_one_probe_and_never_open_for_ever(
    steps: list[str | float], random: object
) -> None:
    clock = Clock()
    breaker = Breaker(BreakerSettings(failures=2, window=10.0, cooldown=5.0), clock)
    under_way: list[Permit] = []
    for step in steps:
        if isinstance(step, float):
            clock.now += step
        elif step == "admit":
            permit = breaker.admit()
            if permit is not None:
                under_way.append(permit)
        elif under_way:
            getattr(breaker, step)(under_way.pop(random.randrange(len(under_way))))  # type: ignore[attr-defined]
        probes = sum(permit.probe for permit in under_way)
        assert probes == (state_of(breaker) is BreakerState.HALF_OPEN)
    for permit in under_way:
        breaker.abandoned(permit)
    clock.now += 5.0
    assert breaker.admit() is not None


@pytest.mark.parametrize(
    "wrong", [{"failures": 0}, {"window": 0.0}, {"cooldown": -1.0}], ids=lambda wrong: str(wrong)
)
def test_settings_without_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        BreakerSettings(**wrong)  # type: ignore[arg-type]
