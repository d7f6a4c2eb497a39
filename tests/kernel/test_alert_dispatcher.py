from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from kestrel_framework._pipeline.alert_dispatcher import (
    AlertDispatcher,
    Delivered,
    OutputWriter,
)
from kestrel_framework._plugins.registry import PluginRegistry
from kestrel_framework.alert import Alert
from kestrel_framework.errors import OutputError, PluginError
from kestrel_framework.interfaces import OutputHandler
from kestrel_framework.testing.fakes import FailingOutput, RecordingOutput, make_alert

PATIENCE = 10.0


def started(output: OutputHandler, capacity: int = 1000) -> OutputWriter:
    writer = OutputWriter("siem", output, capacity)
    writer.start()
    assert writer.wait_open(PATIENCE)
    return writer


def closed(writer: OutputWriter) -> None:
    assert writer.close(time.monotonic() + PATIENCE)


def alerts(number: int) -> list[Alert]:
    return [make_alert(n) for n in range(number)]


class HangingOutput(RecordingOutput):
    """An output that hangs in one method until it is released."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method
        self.hanging = threading.Event()
        self.release = threading.Event()

    def write(self, alerts: Sequence[Alert]) -> None:
        self._hang("write")
        super().write(alerts)

    def close(self) -> None:
        self._hang("close")
        super().close()

    def _hang(self, method: str) -> None:
        if method == self._method:
            self.hanging.set()
            self.release.wait(PATIENCE)


def test_alerts_are_written_flushed_and_counted_in_order() -> None:
    output = RecordingOutput()
    writer = started(output)
    sent = alerts(1200)
    writer.submit(sent)
    assert writer.drain(time.monotonic() + PATIENCE)
    assert output.alerts == sent
    assert writer.counts == Delivered(1200, 0)
    closed(writer)
    assert (output.opened, output.closed) == (1, 1)
    assert writer.error is None


def test_an_output_that_waits_for_the_next_alert_is_flushed() -> None:
    output = RecordingOutput()
    writer = started(output)
    for number in range(3):
        writer.submit([make_alert(number)])
        assert writer.drain(time.monotonic() + PATIENCE)
        assert len(output.alerts) == number + 1
    closed(writer)


def test_an_output_that_cannot_be_opened_says_so_and_is_closed() -> None:
    output = FailingOutput(open=OutputError("read-only"))
    writer = OutputWriter("siem", output)
    writer.start()
    with pytest.raises(OutputError, match="read-only"):
        writer.wait_open(PATIENCE)
    closed(writer)
    assert output.calls["close"] == 1


@pytest.mark.parametrize("method", ["write", "flush"])
@pytest.mark.parametrize(
    "error", [OutputError("disk full"), ValueError("a bug"), KeyboardInterrupt()]
)
def test_an_output_that_fails_for_good_counts_what_it_did_not_take(
    method: str, error: BaseException
) -> None:
    output = FailingOutput(**{method: error})
    writer = started(output)
    writer.submit(alerts(3))
    assert writer.drain(time.monotonic() + PATIENCE)
    writer.submit(alerts(2))
    assert writer.drain(time.monotonic() + PATIENCE)
    assert writer.counts == Delivered(0, 5)
    assert output.calls[method] == 1
    assert writer.error is error or writer.error.__cause__ is error  # type: ignore[union-attr]
    closed(writer)
    assert output.calls["close"] == 1


def test_one_alert_that_an_output_fails_for_costs_no_other() -> None:
    class Picky(RecordingOutput):
        def write(self, alerts: Sequence[Alert]) -> None:
            if any(alert.events[0].identity.offset == 2 for alert in alerts):
                raise PluginError("acme", "no such letter")
            super().write(alerts)

    output = Picky()
    writer = started(output)
    writer.submit(alerts(5))
    assert writer.drain(time.monotonic() + PATIENCE)
    assert writer.counts == Delivered(4, 1)
    assert [alert.events[0].identity.offset for alert in output.alerts] == [0, 1, 3, 4]
    assert "no such letter" in str(writer.error)
    closed(writer)


def test_a_flush_that_failed_by_accident_counts_what_was_not_flushed() -> None:
    output = FailingOutput(flush=PluginError("acme", "bug"))
    writer = started(output)
    writer.submit(alerts(3))
    assert writer.drain(time.monotonic() + PATIENCE)
    assert writer.counts == Delivered(0, 3)
    output.failing.clear()
    writer.submit(alerts(1))
    assert writer.drain(time.monotonic() + PATIENCE)
    assert writer.counts == Delivered(1, 3)
    closed(writer)


def test_a_full_queue_holds_up_who_submits_and_loses_nothing() -> None:
    output = HangingOutput("write")
    writer = started(output, capacity=2)
    done = threading.Event()

    def submit() -> None:
        writer.submit(alerts(50))
        done.set()

    threading.Thread(target=submit, daemon=True).start()
    assert output.hanging.wait(PATIENCE)
    assert not done.is_set()
    assert not writer.drain(time.monotonic())
    output.release.set()
    assert done.wait(PATIENCE)
    assert writer.drain(time.monotonic() + PATIENCE)
    assert writer.counts == Delivered(50, 0)
    closed(writer)


def test_aborting_frees_who_submits_and_counts_the_rest() -> None:
    output = HangingOutput("write")
    writer = started(output, capacity=2)
    done = threading.Event()

    def submit() -> None:
        writer.submit(alerts(50))
        done.set()

    threading.Thread(target=submit, daemon=True).start()
    assert output.hanging.wait(PATIENCE)
    writer.abort()
    assert done.wait(PATIENCE)
    assert not writer.close(time.monotonic())
    assert writer.counts == Delivered(0, 50)
    output.release.set()


@pytest.mark.parametrize("method", ["write", "close"])
def test_an_output_that_hangs_is_left_behind(method: str) -> None:
    hanging, fine = HangingOutput(method), RecordingOutput()
    writers = [started(hanging), OutputWriter("fine", fine)]
    writers[1].start()
    assert writers[1].wait_open(PATIENCE)
    dispatcher = AlertDispatcher(writers)
    dispatcher.dispatch(alerts(3))
    assert dispatcher.close(0.2) == ["siem"]
    assert len(fine.alerts) == 3
    assert fine.closed == 1
    assert writers[0].counts.undelivered == (3 if method == "write" else 0)
    hanging.release.set()


def test_every_lane_gets_every_alert_though_one_is_over() -> None:
    failing, fine = FailingOutput(write=OutputError("gone")), RecordingOutput()
    dispatcher = AlertDispatcher([started(failing), started(fine)])
    dispatcher.dispatch(alerts(3))
    dispatcher.dispatch([])
    assert dispatcher.drain(PATIENCE)
    assert len(fine.alerts) == 3
    assert dispatcher.close(PATIENCE) == []


def test_a_full_disk_is_an_error_with_its_reason() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    with full.open("wb", buffering=0) as device:

        class OnFullDisk(RecordingOutput):
            def flush(self) -> None:
                try:
                    device.write(b"alert\n")
                except OSError as error:
                    raise OutputError(f"cannot be written: {error.strerror}") from error

        writer = started(OnFullDisk())
        writer.submit(alerts(2))
        assert writer.drain(time.monotonic() + PATIENCE)
        closed(writer)
    assert writer.counts == Delivered(0, 2)
    assert "No space left on device" in str(writer.error)


def test_the_outputs_of_the_kernel_go_through_a_writer(tmp_path: Path) -> None:
    registry = PluginRegistry.load(discover=False)
    output = registry.outputs["jsonl"].create({"path": str(tmp_path / "alerts.ndjson")})
    writer = started(output)
    writer.submit(alerts(10))
    closed(writer)
    assert writer.counts == Delivered(10, 0)
    assert (tmp_path / "alerts.ndjson").read_text().count("\n") == 10
