from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pytest

from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework._plugins.breaker import Breaker, BreakerSettings
from kestrel_framework._plugins.faults import FaultBoundary
from kestrel_framework._plugins.guarded_io import (
    GuardedAction,
    GuardedOutput,
    GuardedSource,
    GuardedStateStore,
    guarded_state_store,
)
from kestrel_framework.action import ActionOutcome, ActionStatus
from kestrel_framework.errors import (
    InputError,
    OutputError,
    PluginError,
    StateConflict,
    StateError,
)
from kestrel_framework.event import EventBatch
from kestrel_framework.interfaces import (
    Change,
    KeyChanged,
    Resynchronize,
    StateWatch,
    SupportsWatch,
    Versioned,
)
from kestrel_framework.testing.fakes import (
    FailingAction,
    FailingOutput,
    FailingSource,
    FakeSource,
    make_action_request,
    make_alert,
)

ACCIDENT = ValueError("a bug")


def boundary() -> FaultBoundary:
    """A boundary whose waits take no time."""
    return FaultBoundary(
        "acme", breaker=Breaker(BreakerSettings(failures=5)), wait=lambda seconds: False
    )


def test_a_source_that_cannot_be_opened_is_over() -> None:
    for error in (ACCIDENT, SystemExit(1), InputError("no such file")):
        with pytest.raises(InputError):
            GuardedSource(FailingSource(open=error), boundary()).open(None)


def test_an_accident_in_one_read_is_not_the_end() -> None:
    inner = FailingSource(FakeSource([{"a": 1}]), read=ACCIDENT)
    source = GuardedSource(inner, boundary())
    with pytest.raises(PluginError, match="a bug"):
        source.read(10, 0.0)
    inner.failing.clear()
    batch = source.read(10, 0.0)
    assert batch is not None
    assert len(batch) == 1


def test_a_source_that_keeps_failing_is_over() -> None:
    inner = FailingSource(read=ACCIDENT)
    source = GuardedSource(inner, boundary())
    for _ in range(5):
        with pytest.raises(PluginError):
            source.read(10, 0.0)
    with pytest.raises(InputError, match="kept failing"):
        source.read(10, 0.0)
    assert inner.calls["read"] == 5
    source.close()
    assert inner.calls["close"] == 1


def test_an_input_error_is_handed_on_as_it_is() -> None:
    error = InputError("the archive is damaged")
    with pytest.raises(InputError) as caught:
        GuardedSource(FailingSource(read=error), boundary()).read(10, 0.0)
    assert caught.value is error


def test_the_other_methods_of_a_source_raise_nothing() -> None:
    source = GuardedSource(FailingSource(acknowledge=ACCIDENT, close=SystemExit(1)), boundary())
    source.acknowledge("here")
    source.close()
    assert source.progress() is None
    assert source.live


@pytest.mark.parametrize(
    "garbage",
    [
        [{"a": 1}],
        7,
        EventBatch(documents=7),  # type: ignore[arg-type]
        EventBatch(payloads=["text"]),  # type: ignore[list-item]
        EventBatch(payloads=[b"x"], payload_format="cbor"),
        EventBatch(position=7),  # type: ignore[arg-type]
        EventBatch(lost={"gone": "many"}),  # type: ignore[dict-item]
        EventBatch(lost={"gone": -1}),
        EventBatch(watermark="now"),  # type: ignore[arg-type]
        EventBatch(stream=b"x"),  # type: ignore[arg-type]
        EventBatch(first_offset="0"),  # type: ignore[arg-type]
        EventBatch(origin=None),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_garbage_from_a_read_is_an_accident(garbage: object) -> None:
    class Source(FakeSource):
        def read(self, max_events: int, timeout: float) -> EventBatch | None:
            return garbage  # type: ignore[return-value]

    with pytest.raises(PluginError):
        GuardedSource(Source(), boundary()).read(10, 0.0)


def test_progress_and_liveness_are_checked() -> None:
    class Source(FakeSource):
        live = False

        def progress(self) -> tuple[int, int] | None:
            return (1, 2)

    class Odd(Source):
        live = True

        def progress(self) -> tuple[int, int] | None:
            return "half"  # type: ignore[return-value]

    assert GuardedSource(Source(), boundary()).progress() == (1, 2)
    assert not GuardedSource(Source(), boundary()).live
    assert GuardedSource(Odd(), boundary()).progress() is None


def test_an_output_that_cannot_be_opened_is_over() -> None:
    for error in (ACCIDENT, OutputError("read-only")):
        with pytest.raises(OutputError):
            GuardedOutput(FailingOutput(open=error), boundary()).open()


@pytest.mark.parametrize("operation", ["write", "flush"])
def test_an_output_error_that_lasts_is_the_end(operation: str) -> None:
    inner = FailingOutput(**{operation: OutputError("disk full", transient=True)})
    output = GuardedOutput(inner, boundary())
    with pytest.raises(OutputError, match="disk full"):
        output.write([make_alert()]) if operation == "write" else output.flush()
    assert inner.calls[operation] == 4


def test_a_transient_output_error_is_retried() -> None:
    class Output(FailingOutput):
        def flush(self) -> None:
            if self.calls["flush"] == 2:
                self.failing.clear()
            super().flush()

    inner = Output(flush=OutputError("disk full", transient=True))
    output = GuardedOutput(inner, boundary())
    output.write([make_alert()])
    output.flush()
    assert len(inner.alerts) == 1


@pytest.mark.parametrize("operation", ["write", "flush"])
def test_an_accident_in_an_output_concerns_these_alerts(operation: str) -> None:
    output = GuardedOutput(FailingOutput(**{operation: ACCIDENT}), boundary())
    for _ in range(8):
        with pytest.raises(PluginError):
            output.write([make_alert()]) if operation == "write" else output.flush()


def test_closing_an_output_raises_nothing() -> None:
    GuardedOutput(FailingOutput(close=SystemExit(1)), boundary()).close()


def test_a_failing_action_is_an_outcome() -> None:
    outcome = GuardedAction(FailingAction(execute=ACCIDENT), boundary()).execute(
        make_action_request()
    )
    assert outcome.status is ActionStatus.FAILED
    assert "a bug" in outcome.reason


def test_an_action_without_an_outcome_failed() -> None:
    executor = SimpleNamespace(execute=lambda request: True)
    outcome = GuardedAction(executor, boundary()).execute(make_action_request())
    assert outcome.status is ActionStatus.FAILED
    executor.execute = lambda request: ActionOutcome(ActionStatus.DONE)
    assert GuardedAction(executor, boundary()).execute(make_action_request()).status is (
        ActionStatus.DONE
    )


class FailingStore:
    """A store all of whose methods raise."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        self.calls += 1
        raise self.error

    def scan(self, prefix: bytes) -> object:
        self.calls += 1
        raise self.error

    def commit(self, *arguments: object) -> Mapping[bytes, int]:
        self.calls += 1
        raise self.error

    def close(self) -> None:
        raise self.error


@pytest.mark.parametrize("error", [ACCIDENT, StateError("gone"), SystemExit(1)])
def test_a_store_raises_state_errors_alone(error: BaseException) -> None:
    store = GuardedStateStore(FailingStore(error), boundary())  # type: ignore[arg-type]
    with pytest.raises(StateError):
        store.get_many([b"k"])
    with pytest.raises(StateError):
        list(store.scan(b""))
    with pytest.raises(StateError):
        store.commit([Change(b"k", b"v")])
    store.close()


def test_a_commit_that_expects_versions_is_made_once() -> None:
    inner = FailingStore(StateError("timeout", transient=True))
    store = GuardedStateStore(inner, boundary())  # type: ignore[arg-type]
    with pytest.raises(StateError):
        store.commit([Change(b"k", b"v")], {b"k": None})
    assert inner.calls == 1


def test_a_conflict_is_handed_on_and_not_retried() -> None:
    inner = FailingStore(StateConflict("fenced off"))
    store = GuardedStateStore(inner, boundary())  # type: ignore[arg-type]
    with pytest.raises(StateConflict):
        store.commit([Change(b"k", b"v")], fence=1)
    assert inner.calls == 1


class WatchableStore(MemoryStateStore):
    """A store whose watch gives what it is told to."""

    def __init__(self, given: object) -> None:
        super().__init__()
        self.given = given

    def watch(self, prefix: bytes) -> StateWatch:  # type: ignore[override]
        return self.given  # type: ignore[return-value]


class GivingWatch:
    """A watch that gives one answer, or raises it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def next(self, timeout: float) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def close(self) -> None:
        raise ACCIDENT


def test_a_store_can_be_watched_if_it_could_without_a_guard() -> None:
    plain = guarded_state_store(FailingStore(ACCIDENT), boundary())  # type: ignore[arg-type]
    assert not isinstance(plain, SupportsWatch)
    store = guarded_state_store(MemoryStateStore(), boundary())
    assert isinstance(store, SupportsWatch)
    watch = store.watch(b"a")
    assert watch.next(0) == (Resynchronize(),)
    versions = store.commit([Change(b"a", b"1"), Change(b"b", b"1")])
    assert watch.next(0) == [KeyChanged(b"a", Versioned(b"1", versions[b"a"]))]
    watch.close()


@pytest.mark.parametrize(
    "answer", [None, [None], iter(()), ACCIDENT, StateError("gone"), SystemExit(1)]
)
def test_a_watch_raises_state_errors_alone(answer: object) -> None:
    store = guarded_state_store(WatchableStore(GivingWatch(answer)), boundary())
    assert isinstance(store, SupportsWatch)
    watch = store.watch(b"")
    with pytest.raises(StateError):
        watch.next(0)
    watch.close()


def test_what_is_no_watch_is_refused() -> None:
    store = guarded_state_store(WatchableStore(object()), boundary())
    assert isinstance(store, SupportsWatch)
    with pytest.raises(StateError):
        store.watch(b"")
