"""Alerts to outputs: one thread for each output, with a bounded queue before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs

from kestrel_framework._pipeline.bounded_queue import BoundedQueue, QueueClosedError
from kestrel_framework.alert import Alert
from kestrel_framework.errors import KestrelError, OutputError
from kestrel_framework.interfaces import OutputHandler

_LARGEST_WRITE: Final = 500
_LONGEST_UNFLUSHED: Final = 1.0


@attrs.frozen
class Delivered:
    """What became of the alerts given to one output."""

    delivered: int
    undelivered: int


class Lane(Protocol):
    """Where the dispatcher sends alerts; called from the detector's thread."""

    name: str

    def submit(self, alerts: Sequence[Alert]) -> None: ...
    def drain(self, deadline: float | None) -> bool: ...
    def abort(self) -> None: ...
    def close(self, deadline: float) -> bool: ...


class OutputWriter:
    """Owns the thread in which all calls into one output are made.

    Alerts are written in order, and flushed whenever none waits, or after a second.
    An alert that cannot be delivered is counted; nothing is dropped without that.
    After an `OutputError` the output is over: it is closed, and what comes later counts
    as undelivered. After a `PluginError` the alerts are tried one by one, so that only
    those it fails for are undelivered.

    Args:
        name: The instance's name.
        output: Not opened yet.
        capacity: How many alerts may wait; then `submit` does.
        on_failure: Told, in the output's thread, why an open output is over.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        output: OutputHandler,
        capacity: int = 10_000,
        on_failure: Callable[[KestrelError], None] = lambda error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._on_failure = on_failure
        self._output = output
        self._queue: BoundedQueue[Alert] = BoundedQueue(capacity)
        self._clock = clock
        self._progress = threading.Condition()
        self._opened = False
        self._error: KestrelError | None = None
        self._waiting = 0
        self._unflushed = 0
        self._flushed_at = 0.0
        self._delivered = 0
        self._undelivered = 0
        self._delivered_in_order = 0
        # A daemon: an output that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"output {name}", daemon=True)

    def start(self) -> None:
        """Begin to open the output; `wait_open` tells what came of it."""
        self._thread.start()

    def wait_open(self, timeout: float | None = None) -> bool:
        """Wait until the output is open, and say whether it is by now.

        Raises:
            OutputError: it cannot be opened.
        """
        with self._progress:
            self._progress.wait_for(lambda: self._opened or self._error is not None, timeout)
            if self._error is not None:
                raise self._error
            return self._opened

    @property
    def error(self) -> KestrelError | None:
        """Why the output is over, or what it last failed for; None while all went well."""
        return self._error

    @property
    def counts(self) -> Delivered:
        """What became of the alerts so far."""
        with self._progress:
            return Delivered(self._delivered, self._undelivered)

    @property
    def delivered_in_order(self) -> int:
        """How many alerts were delivered before any that was not."""
        with self._progress:
            return self._delivered_in_order

    def submit(self, alerts: Sequence[Alert]) -> None:
        """Hand over alerts. Waits where too many are waiting."""
        with self._progress:
            self._waiting += len(alerts)
        taken = self._queue.put_many(alerts)
        if taken < len(alerts):
            self._settle(undelivered=len(alerts) - taken)

    def drain(self, deadline: float | None) -> bool:
        """Wait until nothing is under way, at most until `deadline`, and say whether it is so."""
        timeout = None if deadline is None else max(0.0, deadline - self._clock())
        with self._progress:
            return self._progress.wait_for(lambda: self._waiting == 0, timeout)

    def abort(self) -> None:
        """Take no more alerts, so that nobody waits in `submit`."""
        self._queue.close()

    def close(self, deadline: float) -> bool:
        """Deliver what waits, close the output, and say whether that was done by `deadline`."""
        self._queue.close()
        if self._thread.ident is None:
            return True
        self._thread.join(max(0.0, deadline - self._clock()))
        if not self._thread.is_alive():
            return True
        with self._progress:
            self._undelivered += self._waiting
            self._waiting = 0
        return False

    def _run(self) -> None:
        try:
            self._output.open()
        except BaseException as raised:  # noqa: BLE001 - the engine waits to hear of it
            self._fail(_as_output_error(raised))
            self._output.close()
            return
        with self._progress:
            self._opened = True
            self._flushed_at = self._clock()
            self._progress.notify_all()
        closed = False
        try:
            self._write_until_closed()
        except BaseException as raised:  # noqa: BLE001 - the output is over, not the engine
            error = _as_output_error(raised)
            self._fail(error)
            self._on_failure(error)
            self._settle(undelivered=self._unflushed)
            self._unflushed = 0
            self._output.close()
            closed = True
            self._refuse_until_closed()
        finally:
            if not closed:
                self._output.close()

    def _write_until_closed(self) -> None:
        while True:
            try:
                alerts = self._queue.get_many(_LARGEST_WRITE)
            except QueueClosedError:
                self._flush()
                return
            self._write(alerts)
            late = self._clock() - self._flushed_at >= _LONGEST_UNFLUSHED
            if late or not len(self._queue):
                self._flush()

    def _write(self, alerts: Sequence[Alert]) -> None:
        self._unflushed += len(alerts)
        try:
            self._output.write(alerts)
        except OutputError:
            raise
        except KestrelError as error:
            self._unflushed -= len(alerts)
            if len(alerts) > 1:
                for alert in alerts:
                    self._write((alert,))
            else:
                self._note(error)
                self._settle(undelivered=1)

    def _flush(self) -> None:
        self._flushed_at = self._clock()
        if not self._unflushed:
            return
        try:
            self._output.flush()
        except OutputError:
            raise
        except KestrelError as error:
            self._note(error)
            self._settle(undelivered=self._unflushed)
        else:
            self._settle(delivered=self._unflushed)
        self._unflushed = 0

    def _refuse_until_closed(self) -> None:
        while True:
            try:
                alerts = self._queue.get_many(_LARGEST_WRITE)
            except QueueClosedError:
                return
            self._settle(undelivered=len(alerts))

    def _fail(self, error: KestrelError) -> None:
        with self._progress:
            self._error = error
            self._progress.notify_all()

    def _note(self, error: KestrelError) -> None:
        self._error = error

    def _settle(self, *, delivered: int = 0, undelivered: int = 0) -> None:
        with self._progress:
            self._waiting -= delivered + undelivered
            self._delivered += delivered
            if not self._undelivered:
                self._delivered_in_order += delivered
            self._undelivered += undelivered
            self._progress.notify_all()


class AlertDispatcher:
    """Sends every alert down every lane, in order. Called from the detector's thread."""

    def __init__(self, lanes: Sequence[Lane], clock: Callable[[], float] = time.monotonic) -> None:
        self._lanes = tuple(lanes)
        self._clock = clock

    def dispatch(self, alerts: Sequence[Alert]) -> None:
        """Hand alerts to all lanes. Waits for the slowest that is full."""
        if alerts:
            for lane in self._lanes:
                lane.submit(alerts)

    def drain(self, timeout: float | None) -> bool:
        """Wait until all lanes have done what they were given, and say whether they have."""
        deadline = None if timeout is None else self._clock() + timeout
        return all(lane.drain(deadline) for lane in self._lanes)

    def abort(self) -> None:
        """Free whoever waits in `dispatch`; what is not taken counts as undelivered."""
        for lane in self._lanes:
            lane.abort()

    def close(self, timeout: float) -> list[str]:
        """Close all lanes, the last one first, and return the names of those that hang."""
        deadline = self._clock() + timeout
        for lane in self._lanes:
            lane.abort()
        return [lane.name for lane in reversed(self._lanes) if not lane.close(deadline)]


def _as_output_error(raised: BaseException) -> KestrelError:
    if isinstance(raised, KestrelError):
        return raised
    error = OutputError(f"writing ended with {type(raised).__name__}: {raised}")
    error.__cause__ = raised
    return error
