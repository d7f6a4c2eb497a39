from __future__ import annotations

from types import SimpleNamespace

import pytest

from kestrel_framework._plugins.breaker import Breaker, BreakerSettings
from kestrel_framework._plugins.faults import FaultBoundary
from kestrel_framework._plugins.guarded_io import (
    GuardedAction,
    GuardedOutput,
    GuardedSource,
)
from kestrel_framework.action import ActionOutcome, ActionStatus
from kestrel_framework.errors import (
    InputError,
    OutputError,
    PluginError,
)
from kestrel_framework.event import EventBatch
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
