from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from kestrel_framework._pipeline.bounded_queue import BoundedQueue
from kestrel_framework._pipeline.source_reader import (
    Delivery,
    FromSource,
    SourceEnded,
    SourceReader,
)
from kestrel_framework.errors import InputError, PluginError
from kestrel_framework.event import EventBatch
from kestrel_framework.testing.fakes import FailingSource, FakeSource

PATIENCE = 10.0


class LiveSource(FakeSource):
    """A source that hands over a batch whenever a test lets it, and beats otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = threading.Semaphore(0)
        self.reads = 0
        self.closing = threading.Event()
        self.heard = threading.Event()

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        self.turns.acquire(timeout=PATIENCE)
        self.reads += 1
        return EventBatch(documents=[{"n": self.reads}], position=str(self.reads))

    def acknowledge(self, position: str) -> None:
        super().acknowledge(position)
        self.heard.set()

    def close(self) -> None:
        super().close()
        self.closing.set()


class HangingSource(FakeSource):
    """A source that hangs in one method until it is released."""

    def __init__(self, method: str) -> None:
        super().__init__([{"n": 1}])
        self._method = method
        self.hanging = threading.Event()
        self.release = threading.Event()

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        self._hang("read")
        return super().read(max_events, timeout)

    def close(self) -> None:
        self._hang("close")
        super().close()

    def _hang(self, method: str) -> None:
        if method == self._method:
            self.hanging.set()
            self.release.wait(PATIENCE)


def arrivals(inbox: BoundedQueue[FromSource]) -> Iterator[FromSource]:
    """Yield what arrives, up to the end of the source."""
    while True:
        item = inbox.get(timeout=PATIENCE)
        assert item is not None, "nothing arrived"
        yield item
        if isinstance(item, SourceEnded):
            return


def make_reader(
    source: object, capacity: int = 100, position: str | None = None
) -> tuple[SourceReader, BoundedQueue[FromSource]]:
    inbox: BoundedQueue[FromSource] = BoundedQueue(capacity)
    reader = SourceReader("audit", source, inbox, read_timeout=0.01, position=position)  # type: ignore[arg-type]
    return reader, inbox


def test_batches_arrive_in_order_then_the_end() -> None:
    source = FakeSource([{"n": 1}], [{"n": 2}])
    reader, inbox = make_reader(source, position="here")
    reader.start()
    items = list(arrivals(inbox))
    assert [item.batch.documents for item in items[:-1] if isinstance(item, Delivery)] == [
        [{"n": 1}],
        [{"n": 2}],
    ]
    assert items[-1] == SourceEnded("audit", None)
    reader.finish()
    assert reader.join(PATIENCE)
    assert source.opened_at == ["here"]
    assert source.closed == 1


def test_a_full_inbox_holds_up_reading() -> None:
    source = LiveSource()
    reader, inbox = make_reader(source, capacity=2)
    for _ in range(100):
        source.turns.release()
    reader.start()
    first = inbox.get(timeout=PATIENCE)
    assert isinstance(first, Delivery)
    reader.stop()
    rest = list(arrivals(inbox))
    # One read, two waiting, one in hand, and one or two more as space was made.
    assert source.reads <= 6
    assert source.reads == len(rest)
    reader.finish()
    assert reader.join(PATIENCE)


def test_stopping_keeps_what_was_read() -> None:
    source = LiveSource()
    reader, inbox = make_reader(source)
    source.turns.release()
    reader.start()
    assert isinstance(inbox.get(timeout=PATIENCE), Delivery)
    reader.stop()
    source.turns.release()
    items = list(arrivals(inbox))
    assert len(items) == source.reads
    assert reader.discarded == 0
    reader.finish()
    assert reader.join(PATIENCE)


def test_a_closed_inbox_ends_reading_and_the_loss_is_counted() -> None:
    source = LiveSource()
    reader, inbox = make_reader(source)
    inbox.close()
    source.turns.release()
    reader.start()
    reader.finish()
    assert reader.join(PATIENCE)
    assert reader.discarded == source.reads
    assert source.closed == 1


def test_acknowledgements_are_passed_on_while_reading_and_after_the_end() -> None:
    source = LiveSource()
    reader, inbox = make_reader(source)
    source.turns.release()
    reader.start()
    inbox.get(timeout=PATIENCE)
    reader.acknowledge("1")
    source.turns.release()
    assert source.heard.wait(PATIENCE)
    reader.stop()
    source.turns.release()
    list(arrivals(inbox))
    assert source.closed == 0
    reader.acknowledge("last")
    reader.finish()
    assert reader.join(PATIENCE)
    assert source.acknowledged == ["1", "last"]
    assert source.closed == 1


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("open", InputError("gone")),
        ("read", InputError("damaged")),
        ("open", KeyboardInterrupt()),
        ("read", ValueError("a bug")),
        ("acknowledge", SystemExit(1)),
    ],
)
def test_whatever_a_method_raises_the_end_is_heard_and_the_source_closed(
    method: str, error: BaseException
) -> None:
    source = FailingSource(FakeSource([{"n": 1}]), **{method: error})
    reader, inbox = make_reader(source)
    if method == "acknowledge":
        reader.acknowledge("before")
    reader.start()
    ended = list(arrivals(inbox))[-1]
    assert isinstance(ended, SourceEnded)
    assert ended.error is error or ended.error.__cause__ is error  # type: ignore[union-attr]
    assert ended.opened is (method != "open")
    reader.finish()
    assert reader.join(PATIENCE)
    assert source.calls["close"] == 1


def test_a_read_that_failed_by_accident_is_followed_by_the_next() -> None:
    class Source(FailingSource):
        def read(self, max_events: int, timeout: float) -> EventBatch | None:
            if self.calls["read"] == 2:
                self.failing.clear()
            return super().read(max_events, timeout)

    reader, inbox = make_reader(Source(FakeSource([{"n": 1}]), read=PluginError("acme", "bug")))
    reader.start()
    items = list(arrivals(inbox))
    assert len(items) == 2
    assert items[-1] == SourceEnded("audit", None)
    reader.finish()
    assert reader.join(PATIENCE)


@pytest.mark.parametrize("method", ["read", "close"])
def test_a_source_that_hangs_does_not_hang_who_waits_for_it(method: str) -> None:
    source = HangingSource(method)
    reader, inbox = make_reader(source)
    reader.start()
    if method == "close":
        list(arrivals(inbox))
    reader.finish()
    assert source.hanging.wait(PATIENCE)
    assert not reader.join(0.01)
    source.release.set()
    assert reader.join(PATIENCE)
    assert source.closed == 1


def test_a_reader_that_was_not_started_is_done() -> None:
    reader, _ = make_reader(FakeSource())
    reader.stop()
    reader.finish()
    assert reader.join(0.0)
