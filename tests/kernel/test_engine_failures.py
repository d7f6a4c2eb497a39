"""The engine, where a source, an output or the engine itself fails or hangs."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from engine_parts import (
    ABSENT,
    PATIENCE,
    SHELL,
    InThread,
    LiveSource,
    Parts,
    build,
    event,
    impatient,
)

from kestrel_framework.alert import Alert
from kestrel_framework.config import (
    EngineConfig,
)
from kestrel_framework.engine import ExitStatus
from kestrel_framework.errors import (
    InputError,
    OutputError,
)
from kestrel_framework.event import EventBatch
from kestrel_framework.rule import (
    RuleSet,
)
from kestrel_framework.testing.fakes import (
    FailingOutput,
    FailingSource,
    FakeSource,
    RecordingOutput,
)


@pytest.mark.parametrize("error", [InputError("gone"), ValueError("a bug"), SystemExit(1)])
def test_a_source_that_cannot_be_opened_stops_the_engine(error: BaseException) -> None:
    failing, live = FailingSource(open=error), LiveSource([event()])
    output = RecordingOutput()
    report = build(Parts({"bad": failing, "live": live}, {"siem": output})).run()
    assert report.exit_status is ExitStatus.INPUT_FAILED
    assert isinstance(report.failures[0], InputError)
    assert failing.calls["close"] == 1
    assert output.closed == 1


def test_a_source_that_ends_with_an_error_leaves_what_it_gave() -> None:
    class Damaged(FakeSource):
        def read(self, max_events: int, timeout: float) -> EventBatch | None:
            batch = super().read(max_events, timeout)
            if batch is None:
                raise InputError("the archive is cut off")
            return batch

    output = RecordingOutput()
    fine = FakeSource([event()])
    report = build(
        Parts({"bad": Damaged([event()]), "fine": fine}, {"siem": output}),
        RuleSet((SHELL, ABSENT)),
    ).run()
    assert report.exit_status is ExitStatus.INPUT_FAILED
    assert "cut off" in str(report.failures[0])
    assert len(output.alerts) == 2


def test_a_source_that_keeps_failing_ends_and_the_others_go_on() -> None:
    output = RecordingOutput()
    failing = FailingSource(read=ValueError("a bug"))
    report = build(Parts({"bad": failing, "fine": FakeSource([event()])}, {"siem": output})).run()
    assert report.exit_status is ExitStatus.INPUT_FAILED
    assert len(output.alerts) == 1
    faults = report.statistics["errors_by_cause"]
    assert isinstance(faults, dict)
    assert faults["fault: sources.bad"] >= 5
    assert failing.calls["close"] == 1


def test_malformed_events_are_skipped_and_counted() -> None:
    output = RecordingOutput()
    good = json.dumps(event()).encode()
    batch = EventBatch(payloads=[b"{", b"[1]", good, b"\xff", b"", good])
    report = build(Parts({"audit": FakeSource(batch)}, {"siem": output})).run()
    assert len(output.alerts) == 2
    assert report.statistics["skipped"] == 3
    assert report.exit_status is ExitStatus.FINE


def test_an_output_that_cannot_be_opened_keeps_the_engine_from_starting() -> None:
    source, fine = FakeSource([event()]), RecordingOutput()
    bad = FailingOutput(open=OutputError("read-only"))
    report = build(Parts({"audit": source}, {"fine": fine, "bad": bad})).run()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert "read-only" in str(report.failures[0])
    assert source.opened_at == []
    assert (fine.closed, bad.calls["close"]) == (1, 1)


@pytest.mark.parametrize("method", ["write", "flush"])
@pytest.mark.parametrize("error", [OutputError("disk full"), ValueError("bug"), SystemExit(1)])
def test_an_output_that_fails_shows_at_the_end_and_the_others_go_on(
    method: str, error: BaseException
) -> None:
    fine, bad = RecordingOutput(), FailingOutput(**{method: error})
    report = build(
        Parts({"audit": FakeSource([event()], [event()])}, {"bad": bad, "fine": fine})
    ).run()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert len(fine.alerts) == 2
    assert report.statistics["outputs"] == {
        "bad": {"delivered": 0, "undelivered": 2},
        "fine": {"delivered": 2, "undelivered": 0},
    }
    assert bad.calls["close"] == 1


def test_a_full_disk_is_an_output_that_failed() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")

    class OnFullDisk(RecordingOutput):
        def flush(self) -> None:
            try:
                with Path("/dev/full").open("wb", buffering=0) as device:
                    device.write(b"alert\n")
            except OSError as error:
                raise OutputError(f"cannot be written: {error.strerror}") from error

    report = build(Parts({"audit": FakeSource([event()])}, {"siem": OnFullDisk()})).run()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert "No space left on device" in str(report.failures[0])


@pytest.mark.parametrize("method", ["acknowledge", "close"])
def test_a_source_whose_last_words_fail_does_no_harm(method: str) -> None:
    inner = FakeSource(EventBatch(documents=[event()], position="0"))
    source = FailingSource(inner, **{method: ValueError("a bug")})
    report = build(Parts({"audit": source})).run()
    assert report.exit_status is ExitStatus.FINE
    assert source.calls[method] == 1
    assert report.statistics["errors"] == 1


def test_what_hangs_on_close_is_left_behind() -> None:
    release = threading.Event()

    class Source(FakeSource):
        def close(self) -> None:
            release.wait(PATIENCE)

    class Output(RecordingOutput):
        def close(self) -> None:
            release.wait(PATIENCE)

    fine = RecordingOutput()
    engine = build(
        Parts({"stuck": Source([event()])}, {"fine": fine, "slow": Output()}), engine=impatient()
    )
    report = engine.run()
    release.set()
    problems = " ".join(map(str, report.failures))
    assert "the source `stuck` did not close within 0.3 s" in problems
    assert "the output `slow` did not close within 0.3 s" in problems
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert len(fine.alerts) == 1
    assert fine.closed == 1


def test_a_source_that_hangs_in_read_can_be_stopped() -> None:
    release, reading = threading.Event(), threading.Event()

    class Source(FakeSource):
        def read(self, max_events: int, timeout: float) -> EventBatch | None:
            reading.set()
            release.wait(PATIENCE)
            return None

    engine = build(Parts({"stuck": Source()}), engine=impatient())
    running = InThread(engine)
    assert reading.wait(PATIENCE)
    engine.stop()
    report = running.report()
    release.set()
    assert "did not close" in str(report.failures[0])


def test_an_output_that_hangs_can_be_stopped_and_the_loss_is_counted() -> None:
    release, writing = threading.Event(), threading.Event()

    class Output(RecordingOutput):
        def write(self, alerts: Sequence[Alert]) -> None:
            writing.set()
            release.wait(PATIENCE)

    settings = EngineConfig(read_timeout=0.05, close_timeout=0.3, queue_alerts=1)
    source = LiveSource([event()] * 50, [event()] * 50)
    engine = build(Parts({"audit": source}, {"stuck": Output()}), engine=settings)
    running = InThread(engine)
    assert writing.wait(PATIENCE)
    engine.stop()
    report = running.report()
    release.set()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    outputs = report.statistics["outputs"]
    assert isinstance(outputs, dict)
    assert outputs["stuck"]["delivered"] == 0
    assert outputs["stuck"]["undelivered"] >= 50


def test_a_fault_of_the_kernel_itself_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    output = RecordingOutput()
    engine = build(Parts({"audit": FakeSource([event()], [event()])}, {"siem": output}))
    feed = engine._detector.feed
    calls: list[int] = []

    def failing_once(batch: EventBatch) -> list[Alert]:
        calls.append(len(batch))
        if sum(calls) == 1 == len(batch):
            raise ZeroDivisionError
        return feed(batch)

    monkeypatch.setattr(engine._detector, "feed", failing_once)
    report = engine.run()
    assert len(output.alerts) == 1
    assert report.exit_status is ExitStatus.INPUT_FAILED
    assert report.statistics["lost_by_cause"] == {"not_processed": 1}
