from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from kestrel_framework._plugins.breaker import Breaker, BreakerSettings, BreakerState
from kestrel_framework._plugins.error_handling import (
    Backoff,
    Decision,
    Fault,
    HandlerChain,
    RetryTransient,
    always,
    fall_back,
    skip_unexpected,
)
from kestrel_framework._plugins.faults import (
    Failed,
    FaultBoundary,
    FaultReport,
    Returned,
    describe,
)
from kestrel_framework.errors import (
    ConfigurationError,
    InputError,
    KestrelError,
    OutputError,
    PluginError,
    ResourceLimitError,
    RuleError,
    StateConflict,
)

SKIP = HandlerChain(always(Decision.SKIP))
RETRY = HandlerChain(RetryTransient(attempts=4), always(Decision.SKIP))


class Waits:
    """Waits of no time, written down; the given one is cut short."""

    def __init__(self, cut_short: int | None = None) -> None:
        self.seconds: list[float] = []
        self._cut_short = cut_short

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) == self._cut_short


def boundary(
    *, failures: int = 5, waits: Waits | None = None, reports: list[FaultReport] | None = None
) -> FaultBoundary:
    return FaultBoundary(
        "acme",
        "sources.audit",
        breaker=Breaker(BreakerSettings(failures=failures)),
        backoff=Backoff(first=1.0, longest=3.0, random=lambda: 1.0),
        wait=waits or Waits(),
        observer=(reports if reports is not None else []).append,
    )


def raising(error: BaseException) -> Callable[[], object]:
    def function() -> object:
        raise error

    return function


def failed(result: object) -> Failed:
    assert isinstance(result, Failed)
    return result


def overflow() -> object:
    return overflow()


def test_what_is_returned_comes_back() -> None:
    assert boundary().call("read", lambda: 7, SKIP) == Returned(7)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        SystemExit(3),
        MemoryError(),
        GeneratorExit(),
        StopIteration(),
        KeyError("k"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_accident_is_attributed_and_chained(error: BaseException) -> None:
    result = failed(boundary().call("read", raising(error), SKIP))
    assert isinstance(result.error, PluginError)
    assert result.error.plugin == "acme"
    assert result.error.__cause__ is error
    assert "sources.audit" in str(result.error)
    assert type(error).__name__ in str(result.error)
    assert result.error.context["operation"] == "read"


def test_endless_recursion_is_a_fault() -> None:
    result = failed(boundary().call("read", overflow, SKIP))
    assert isinstance(result.error.__cause__, RecursionError)


def test_an_interrupt_is_not_swallowed_and_counts_for_nothing() -> None:
    calls = boundary(failures=1)
    with pytest.raises(KeyboardInterrupt):
        calls.call("read", raising(KeyboardInterrupt()), SKIP)
    assert calls.breaker.state is BreakerState.CLOSED


def test_in_another_thread_only_the_plugin_itself_can_have_interrupted() -> None:
    calls = boundary()
    with ThreadPoolExecutor() as threads:
        result = threads.submit(calls.call, "read", raising(KeyboardInterrupt()), SKIP).result()
    assert "`read` of `sources.audit` failed: KeyboardInterrupt" in str(failed(result).error)


def test_an_explained_error_keeps_its_class_and_context() -> None:
    error = InputError("gone", context={"file": "a", "plugin": "itself"})
    result = failed(boundary().call("read", raising(error), SKIP))
    assert result.error is error
    assert dict(error.context) == {
        "plugin": "itself",
        "instance": "sources.audit",
        "operation": "read",
        "file": "a",
    }


def test_an_error_that_is_not_whole_is_an_accident() -> None:
    class HalfError(KestrelError):
        def __init__(self) -> None:
            pass

    result = failed(boundary().call("read", raising(HalfError()), SKIP))
    assert isinstance(result.error, PluginError)


@pytest.mark.parametrize(
    "error",
    [RuleError("x"), ConfigurationError("x"), ResourceLimitError("x"), StateConflict("x")],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_others_do_not_trip_the_breaker(error: KestrelError) -> None:
    calls = boundary(failures=1)
    for _ in range(10):
        calls.call("compile", raising(error), SKIP)
    assert calls.breaker.state is BreakerState.CLOSED


def test_what_keeps_failing_is_not_called_any_more() -> None:
    reports: list[FaultReport] = []
    calls = boundary(failures=3, reports=reports)
    made = []

    def function() -> object:
        made.append(1)
        raise ValueError

    for _ in range(10):
        result = failed(calls.call("read", function, SKIP))
    assert len(made) == 3
    assert "kept failing" in str(result.error)
    assert result.error.transient
    assert [report.suspended_for > 0 for report in reports[:4]] == [False, False, True, False]
    assert reports[-1].fault.suspended


def test_a_call_may_be_made_in_any_case_and_then_counts_for_nothing() -> None:
    calls = boundary(failures=2)
    for _ in range(5):
        calls.call("close", raising(ValueError()), SKIP, in_any_case=True)
    assert calls.breaker.state is BreakerState.CLOSED
    for _ in range(2):
        calls.call("read", raising(ValueError()), SKIP)
    assert calls.call("close", lambda: "closed", SKIP, in_any_case=True) == Returned("closed")
    assert isinstance(calls.call("read", lambda: 7, SKIP), Failed)


def test_a_transient_error_is_retried_with_growing_waits() -> None:
    waits = Waits()
    errors = [OutputError("busy", transient=True), OutputError("busy", transient=True)]

    def function() -> str:
        if errors:
            raise errors.pop()
        return "written"

    calls = boundary(waits=waits)
    assert calls.call("write", function, RETRY, idempotent=True) == Returned("written")
    assert waits.seconds == [1.0, 2.0]


def test_retries_are_bounded() -> None:
    waits = Waits()
    error = OutputError("busy", transient=True)
    calls = boundary(waits=waits, failures=100)
    result = failed(calls.call("write", raising(error), RETRY, idempotent=True))
    assert result == Failed(error, Decision.SKIP)
    assert waits.seconds == [1.0, 2.0, 3.0]


def test_a_call_that_is_not_idempotent_is_made_once() -> None:
    waits = Waits()
    result = boundary(waits=waits).call("read", raising(InputError("busy", transient=True)), RETRY)
    assert failed(result).decision is Decision.SKIP
    assert waits.seconds == []


def test_a_wait_that_is_cut_short_ends_the_attempts() -> None:
    waits = Waits(cut_short=1)
    error = OutputError("busy", transient=True)
    result = failed(boundary(waits=waits).call("write", raising(error), RETRY, idempotent=True))
    assert result.decision is Decision.SKIP
    assert len(waits.seconds) == 1


def test_every_attempt_is_observed() -> None:
    reports: list[FaultReport] = []
    error = OutputError("busy", transient=True)
    boundary(reports=reports, failures=100).call("write", raising(error), RETRY, idempotent=True)
    assert [report.decision for report in reports] == [Decision.RETRY] * 3 + [Decision.SKIP]
    assert [report.fault.attempt for report in reports] == [1, 2, 3, 4]


def test_a_breaker_that_opens_ends_the_retries() -> None:
    error = OutputError("busy", transient=True)
    result = failed(boundary(failures=2).call("write", raising(error), RETRY, idempotent=True))
    assert "kept failing" in str(result.error)


def test_calls_from_many_threads_all_count() -> None:
    calls = boundary(failures=50)
    barrier = threading.Barrier(10)

    def work() -> None:
        barrier.wait(timeout=10)
        for _ in range(5):
            calls.call("execute", raising(ValueError()), SKIP)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert calls.breaker.state is BreakerState.OPEN


def fault(**changes: object) -> Fault:
    return Fault(InputError("x"), "read", **changes)  # type: ignore[arg-type]


def test_the_first_decision_that_can_be_carried_out_counts() -> None:
    chain = HandlerChain(lambda _: None, always(Decision.CONTINUE), always(Decision.SKIP))
    assert chain.resolve(fault()) is Decision.CONTINUE


def test_without_a_decision_it_is_stop() -> None:
    assert HandlerChain().resolve(fault()) is Decision.STOP


def test_a_fall_back_needs_something_to_fall_back_to() -> None:
    chain = HandlerChain(always(Decision.FALL_BACK), always(Decision.SKIP))
    assert chain.resolve(fault()) is Decision.SKIP
    assert chain.resolve(fault(has_fallback=True)) is Decision.FALL_BACK
    assert fall_back(fault(has_fallback=True)) is Decision.FALL_BACK
    assert fall_back(fault()) is None


def test_a_retry_needs_an_idempotent_call_that_was_made() -> None:
    chain = HandlerChain(always(Decision.RETRY))
    assert chain.resolve(fault()) is Decision.STOP
    assert chain.resolve(fault(idempotent=True)) is Decision.RETRY
    assert chain.resolve(fault(idempotent=True, suspended=True)) is Decision.STOP


def test_a_handler_that_fails_or_answers_nonsense_has_no_say() -> None:
    def broken(_: Fault) -> Decision:
        raise ValueError

    chain = HandlerChain(broken, lambda _: "skip", skip_unexpected)  # type: ignore[arg-type, return-value]
    assert chain.resolve(fault(unexpected=True)) is Decision.SKIP
    assert chain.resolve(fault()) is Decision.STOP


def test_a_lost_race_is_not_retried() -> None:
    conflict = Fault(StateConflict("x"), "commit", idempotent=True)
    assert RetryTransient()(conflict) is None


def test_waits_are_bounded_and_jittered() -> None:
    lazy = Backoff(first=1.0, longest=8.0, random=lambda: 0.0)
    assert [lazy.seconds(attempt) for attempt in (1, 2, 3, 4, 5, 10_000)] == [0.5, 1, 2, 4, 4, 4]


def test_long_messages_are_cut() -> None:
    assert len(describe(ValueError("x" * 100_000))) < 1000
