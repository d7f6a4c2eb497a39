"""The thread of one source: opens it, reads batches into the detector's queue, closes it."""

from __future__ import annotations

import threading
from typing import TypeAlias

import attrs

from kestrel_framework._pipeline.bounded_queue import BoundedQueue
from kestrel_framework.errors import InputError, KestrelError, PluginError
from kestrel_framework.event import EventBatch
from kestrel_framework.interfaces import EventSource


@attrs.frozen
class Delivery:
    """A batch that a source handed over; an empty one is its heartbeat."""

    source: str
    batch: EventBatch


@attrs.frozen
class SourceEnded:
    """The last that is heard of a source.

    Attributes:
        source: Its name.
        error: Why it ended, where it did not end by itself.
        opened: Whether it could be opened.
    """

    source: str
    error: KestrelError | None
    opened: bool = True


FromSource: TypeAlias = Delivery | SourceEnded


class SourceReader:
    """Owns the thread in which all calls into one source are made.

    The thread ends after `SourceEnded`, then `finish`. Until then it passes on
    acknowledgements. The source is closed exactly once, whatever happened; what its
    methods raise ends the source and nothing else, except that the next read is
    tried after a `PluginError`.

    Args:
        name: The instance's name.
        source: Not opened yet.
        inbox: Where batches go; a full one holds up reading.
        batch_size: The most events of a read.
        read_timeout: Seconds that a quiet read may take.
        position: Where to go on, or None for the beginning.
    """

    def __init__(
        self,
        name: str,
        source: EventSource,
        inbox: BoundedQueue[FromSource],
        *,
        batch_size: int = 1000,
        read_timeout: float = 0.5,
        position: str | None = None,
    ) -> None:
        self.name = name
        self._source = source
        self._inbox = inbox
        self._batch_size = batch_size
        self._read_timeout = read_timeout
        self._position = position
        self._changed = threading.Condition()
        self._opened = False
        self._discarded = 0
        self._stopping = False
        self._finished = False
        self._acknowledged: str | None = None
        # A daemon: a source that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"source {name}", daemon=True)

    @property
    def discarded(self) -> int:
        """How many events were read and not taken, because the inbox had been closed."""
        return self._discarded

    def start(self) -> None:
        """Open the source and begin to read."""
        self._thread.start()

    def acknowledge(self, position: str) -> None:
        """Have the source hear, soon, that everything up to `position` is done."""
        with self._changed:
            self._acknowledged = position
            self._changed.notify()

    def stop(self) -> None:
        """Read no further batch. What has been read still arrives, then `SourceEnded`."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def finish(self) -> None:
        """Say that there will be no more acknowledgements, so that the source can be closed."""
        with self._changed:
            self._stopping = True
            self._finished = True
            self._changed.notify()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, and say whether it ended in time."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        error: KestrelError | None = None
        try:
            try:
                self._read_to_end()
            except KestrelError as raised:
                error = raised
            except BaseException as raised:  # noqa: BLE001 - the engine must hear of the end
                error = InputError(f"reading ended with {type(raised).__name__}: {raised}")
                error.__cause__ = raised
            self._inbox.put(SourceEnded(self.name, error, self._opened))
            self._pass_on_until_finished()
        finally:
            self._source.close()

    def _read_to_end(self) -> None:
        self._source.open(self._position)
        self._opened = True
        while not self._stopping:
            self._pass_on()
            try:
                batch = self._source.read(self._batch_size, self._read_timeout)
            except PluginError:
                continue
            if batch is None:
                return
            if not self._inbox.put(Delivery(self.name, batch)):
                self._discarded += len(batch)
                return

    def _pass_on(self) -> None:
        with self._changed:
            position, self._acknowledged = self._acknowledged, None
        if position is not None:
            self._source.acknowledge(position)

    def _pass_on_until_finished(self) -> None:
        while True:
            with self._changed:
                while self._acknowledged is None and not self._finished:
                    self._changed.wait()
                over = self._finished
            self._pass_on()
            if over:
                return
