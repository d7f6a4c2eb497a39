"""The alerts of an engine on their way: to its outputs and its actions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from kestrel_framework._assembly import Assembly
from kestrel_framework._outbox import Outbox
from kestrel_framework._pipeline.action_runner import ActionRunner
from kestrel_framework._pipeline.alert_dispatcher import AlertDispatcher, OutputWriter
from kestrel_framework._plugins.kernel_log import kernel_logger
from kestrel_framework._run_record import ExitStatus, RunRecord
from kestrel_framework.alert import Alert
from kestrel_framework.config import EngineConfig
from kestrel_framework.errors import KestrelError, OutputError


class AlertDelivery:
    """Owns the outputs and the actions of an engine. For its thread, but for `abort`.

    Args:
        assembly: Has them.
        settings: How many alerts may wait, and how long.
        record: Told what goes wrong.

    Attributes:
        writers: The outputs.
    """

    def __init__(self, assembly: Assembly, settings: EngineConfig, record: RunRecord) -> None:
        self._settings = settings
        self._record = record

        def is_over(error: KestrelError) -> None:
            record.fail(error, ExitStatus.OUTPUT_FAILED)

        self.writers = [
            OutputWriter(name, output, settings.queue_alerts, is_over)
            for name, output in assembly.outputs.items()
        ]
        self._actions = ActionRunner(assembly.actions, kernel_logger())
        self._dispatcher = AlertDispatcher([*self.writers, self._actions])

    @property
    def statistics(self) -> dict[str, object]:
        """What became of alerts and actions so far. From any thread."""
        return {
            "outputs": {writer.name: attrs.asdict(writer.counts) for writer in self.writers},
            "actions": dict(self._actions.outcomes),
        }

    def open(self, is_stopping: Callable[[], bool]) -> bool:
        """Open everything, and say whether all is open; a stop ends the waiting."""
        for writer in self.writers:
            writer.start()
        closed = [writer for writer in self.writers if not self._is_open(writer, is_stopping)]
        if closed:
            return False
        self._actions.start()
        return True

    def deliver_again(self, undelivered: Mapping[str, Sequence[Alert]]) -> None:
        """Give each output, by its name, alerts that it may not have from an earlier run."""
        for writer in self.writers:
            writer.submit(undelivered.get(writer.name, ()))

    def dispatch(self, alerts: Sequence[Alert]) -> None:
        """Hand alerts to all outputs and actions. Waits for the slowest that is full."""
        self._dispatcher.dispatch(alerts)

    def is_safe(self, outbox: Outbox | None, *, is_last: bool) -> bool:
        """Say whether all alerts are delivered, or kept until they are, and all actions done.

        If not, another run, or the source, begins again before them: at least once.

        Args:
            outbox: What keeps alerts.
            is_last: Whether to wait all the same, since nothing is delivered later.
        """
        patience = self._settings.close_timeout
        if outbox is None:
            drained = self._dispatcher.drain(patience)
            return drained and not any(writer.counts.undelivered for writer in self.writers)
        if is_last:
            self._dispatcher.drain(patience)
        return self._actions.drain(time.monotonic() + patience) and not outbox.is_full

    def abort(self) -> None:
        """Free whoever waits in `dispatch`. From any thread."""
        self._dispatcher.abort()

    def close(self) -> None:
        """Close everything within the time for closing, and tell what was not delivered."""
        timeout = self._settings.close_timeout
        for name in self._dispatcher.close(timeout):
            self._record.leave_behind(f"the output `{name}`", timeout, ExitStatus.OUTPUT_FAILED)
        for writer in self.writers:
            undelivered = writer.counts.undelivered
            if undelivered and not self._record.knows(writer.error):
                problem = f"the output `{writer.name}` did not deliver {undelivered} alerts"
                error = OutputError(f"{problem}: {writer.error}" if writer.error else problem)
                error.__cause__ = writer.error
                self._record.fail(error, ExitStatus.OUTPUT_FAILED)

    def _is_open(self, writer: OutputWriter, is_stopping: Callable[[], bool]) -> bool:
        try:
            while not writer.wait_open(self._settings.read_timeout):
                if is_stopping():
                    return False
        except OutputError as error:
            self._record.fail(error, ExitStatus.OUTPUT_FAILED, output=writer.name)
            return False
        return True
