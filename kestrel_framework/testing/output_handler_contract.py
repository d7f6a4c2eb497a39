"""What every output must do."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from typing import ClassVar

import pytest

from kestrel_framework.errors import OutputError
from kestrel_framework.interfaces import OutputHandler
from kestrel_framework.testing.contract import Contract, if_supported
from kestrel_framework.testing.fakes import make_alert, make_process_event


class OutputHandlerContract(Contract, contract=True):
    """Give it an `output` that is not open, and `delivered` to look at what arrived.

    Attributes:
        discards_known_alerts: An alert written again is not delivered again.
        can_be_unwritable: Where it writes can be missing or full; needs the fixture
            `unwritable_output`.
    """

    discards_known_alerts: ClassVar[bool] = False
    can_be_unwritable: ClassVar[bool] = False

    @pytest.fixture
    def output(self) -> OutputHandler:
        """Return an output that is not open."""
        raise NotImplementedError("define a fixture `output` that returns your output")

    @pytest.fixture
    def delivered(self) -> Callable[[], Sequence[str]]:
        """Return a callable that returns the ids of all alerts that arrived, in order."""
        raise NotImplementedError("define a fixture `delivered`")

    @pytest.fixture
    def unwritable_output(self) -> OutputHandler:
        """Return an output that cannot deliver anything."""
        raise NotImplementedError("define a fixture `unwritable_output`")

    def test_is_an_output(self, output: OutputHandler) -> None:
        """It has all methods of the interface."""
        assert isinstance(output, OutputHandler)
        output.close()

    def test_delivers_in_order_what_was_flushed(
        self, output: OutputHandler, delivered: Callable[[], Sequence[str]]
    ) -> None:
        """After a flush, everything written has arrived, in the order it was written."""
        alerts = [make_alert(number) for number in range(5)]
        output.open()
        output.write(alerts[:2])
        output.write(alerts[2:3])
        output.flush()
        assert list(delivered()) == [alert.alert_id for alert in alerts[:3]]
        output.write(alerts[3:])
        output.flush()
        assert list(delivered()) == [alert.alert_id for alert in alerts]
        output.close()
        assert list(delivered()) == [alert.alert_id for alert in alerts]

    def test_takes_no_alerts(
        self, output: OutputHandler, delivered: Callable[[], Sequence[str]]
    ) -> None:
        """An empty write, and a flush after nothing, are fine."""
        output.open()
        output.write([])
        output.flush()
        output.flush()
        output.close()
        assert not delivered()

    def test_delivers_whatever_an_event_has(
        self, output: OutputHandler, delivered: Callable[[], Sequence[str]]
    ) -> None:
        """Whoever causes events must not be able to stop alerts by their content."""
        values: list[object] = [
            "\x1b[2J\x07\x00\r\n",
            "\u202ereversed\u2066",
            "lone \ud800 surrogate",
            "x" * 100_000,
            10**40,
            float("nan"),
            -0.0,
            None,
            [None, [[]], {"": {}}],
        ]
        alerts = []
        for number, value in enumerate(values):
            document = make_process_event(command_line=value)
            alerts.append(
                make_alert(number, document=document, fields={"process.command_line": value})
            )
        output.open()
        output.write(alerts)
        output.flush()
        output.close()
        assert list(delivered()) == [alert.alert_id for alert in alerts]

    def test_does_not_change_alerts(self, output: OutputHandler) -> None:
        """Other outputs get the same objects."""
        alert = make_alert()
        before = copy.deepcopy(alert.to_document(with_events=True))
        output.open()
        output.write([alert])
        output.flush()
        output.close()
        assert alert.to_document(with_events=True) == before

    def test_closes_twice(self, output: OutputHandler) -> None:
        """A second close does nothing."""
        output.open()
        output.close()
        output.close()

    def test_closes_unopened(self, output: OutputHandler) -> None:
        """An engine that could not start closes what it made."""
        output.close()

    @if_supported("discards_known_alerts")
    def test_delivers_an_alert_once(
        self, output: OutputHandler, delivered: Callable[[], Sequence[str]]
    ) -> None:
        """Delivery is at least once; this output makes it exactly once."""
        output.open()
        output.write([make_alert(1), make_alert(2), make_alert(1)])
        output.flush()
        output.write([make_alert(2), make_alert(3)])
        output.flush()
        output.close()
        assert list(delivered()) == [make_alert(number).alert_id for number in (1, 2, 3)]

    @if_supported("can_be_unwritable")
    def test_says_that_it_cannot_deliver(self, unwritable_output: OutputHandler) -> None:
        """What is not delivered is an `OutputError` at the latest when it is flushed."""
        with pytest.raises(OutputError) as raised:
            _deliver(unwritable_output)
        assert raised.value.problem, "say what is wrong"
        with pytest.raises(OutputError):
            # What failed must not succeed in silence when it is tried again.
            _write(unwritable_output)
        with contextlib.suppress(OutputError):
            unwritable_output.close()
        unwritable_output.close()


def _deliver(output: OutputHandler) -> None:
    output.open()
    _write(output)


def _write(output: OutputHandler) -> None:
    output.write([make_alert()])
    output.flush()
