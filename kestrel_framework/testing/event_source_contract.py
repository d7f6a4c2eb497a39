"""What every event source must do."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final

import pytest

from kestrel_framework.errors import InputError
from kestrel_framework.event import EventBatch, unfold_dotted_keys
from kestrel_framework.interfaces import EventSource, SupportsProgress
from kestrel_framework.testing.contract import Contract, if_supported

_PATIENCE_SECONDS: Final = 10.0
_MANY: Final = 1_000


class EventSourceContract(Contract, contract=True):
    """Give it a `source` that is not open and has two or more events ready.

    Attributes:
        is_live: It never ends by itself.
        supports_positions: It can go on after a position; needs the fixture
            `another_source`, a callable that returns further sources of the same input.
        can_be_unreadable: Its input can be missing; needs the fixture `unreadable_source`.
    """

    is_live: ClassVar[bool] = False
    ends: ClassVar[bool] = True
    supports_positions: ClassVar[bool] = False
    can_be_unreadable: ClassVar[bool] = False

    def __init_subclass__(cls, *, contract: bool = False, **arguments: object) -> None:
        cls.ends = not cls.is_live
        super().__init_subclass__(contract=contract, **arguments)

    @pytest.fixture
    def source(self) -> EventSource:
        """Return a source that is not open and has two or more events ready."""
        raise NotImplementedError("define a fixture `source` that returns your source")

    @pytest.fixture
    def another_source(self) -> Callable[[], EventSource]:
        """Return a callable that makes another source of the same input each time."""
        raise NotImplementedError("define a fixture `another_source`, or do not claim positions")

    @pytest.fixture
    def unreadable_source(self) -> EventSource:
        """Return a source that is not open and whose input cannot be read."""
        raise NotImplementedError("define a fixture `unreadable_source`")

    def test_is_an_event_source(self, source: EventSource) -> None:
        """It has all methods of the interface."""
        assert isinstance(source, EventSource)
        source.close()

    def test_hands_over_events_of_the_right_types(self, source: EventSource) -> None:
        """Events are mappings with text keys, or bytes; dotted keys are unfolded."""
        batches = _batches(source)
        assert sum(map(_events, batches)) >= 2, "the source needs two or more events ready"
        for batch in batches:
            assert isinstance(batch, EventBatch)
            for document in batch.documents:
                assert isinstance(document, Mapping)
                assert all(isinstance(key, str) for key in document)
                assert unfold_dotted_keys(document) is document, "unfold dotted keys"
            assert all(isinstance(payload, bytes) for payload in batch.payloads)
            assert batch.position is None or isinstance(batch.position, str)
            assert all(count > 0 for count in batch.lost.values()), "what is not lost is left out"

    def test_hands_over_no_more_than_asked_for(self, source: EventSource) -> None:
        """A read returns at most `max_events` events."""
        for batch in _batches(source, max_events=1):
            assert len(batch) <= 1

    def test_offsets_of_a_stream_only_grow(self, source: EventSource) -> None:
        """No two events have one identity."""
        ends: dict[str, int] = {}
        for batch in _batches(source, max_events=1):
            if batch.stream is None:
                assert batch.first_offset is None, "an offset needs the name of its stream"
            elif len(batch):
                assert batch.first_offset is not None, "a stream needs offsets"
                assert batch.first_offset >= ends.get(batch.stream, 0)
                ends[batch.stream] = batch.first_offset + len(batch)

    def test_does_not_change_events_afterwards(self, source: EventSource) -> None:
        """What was handed over belongs to the engine."""
        source.open(None)
        first = _first_batch(source, max_events=1)
        before = copy.deepcopy((list(first.documents), list(first.payloads)))
        _rest(source, max_events=1)
        source.close()
        assert (list(first.documents), list(first.payloads)) == before

    @if_supported("ends")
    def test_stays_at_its_end(self, source: EventSource) -> None:
        """After the end, every read says so again."""
        source.open(None)
        _rest(source, max_events=_MANY)
        assert source.read(1, 0) is None
        assert source.read(1, 0) is None
        source.close()

    @if_supported("is_live")
    def test_a_quiet_source_returns_in_time(self, source: EventSource) -> None:
        """A read waits no longer than it may, and then returns an empty batch."""
        source.open(None)
        quiet = False
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not quiet and time.monotonic() < deadline:
            began = time.monotonic()
            batch = source.read(_MANY, 0.05)
            assert batch is not None, "a live source does not end"
            assert time.monotonic() - began < 2
            quiet = not len(batch)
        source.close()
        assert quiet, "the source never was quiet"

    def test_acknowledges_its_positions(self, source: EventSource) -> None:
        """It may hear of any of its positions, and of the latest more than once."""
        source.open(None)
        batch = _first_batch(source, max_events=1)
        if batch.position is not None:
            source.acknowledge(batch.position)
            source.acknowledge(batch.position)
        source.close()

    def test_closes_twice(self, source: EventSource) -> None:
        """A second close does nothing."""
        source.open(None)
        source.close()
        source.close()

    def test_closes_unopened(self, source: EventSource) -> None:
        """An engine that could not start closes what it made."""
        source.close()

    def test_progress_stays_in_its_bounds(self, source: EventSource) -> None:
        """Progress, where there is any, never passes its total nor goes back."""
        source.open(None)
        seen = [_progress(source)]
        seen += [_progress(source) for _ in _batches_of_open(source, max_events=1)]
        source.close()
        known = [progress for progress in seen if progress is not None]
        assert all(0 <= done <= total for done, total in known)
        assert [done for done, _ in known] == sorted(done for done, _ in known)

    @if_supported("supports_positions")
    def test_goes_on_after_each_position(
        self, source: EventSource, another_source: Callable[[], EventSource]
    ) -> None:
        """Opened at a position, another source hands over exactly what follows it."""
        batches = [batch for batch in _batches(source, max_events=1) if len(batch)]
        everything = [_identified(batch) for batch in batches]
        for number, batch in enumerate(batches):
            assert batch.position is not None, "each batch with events has a position"
            rest = _rest_after(another_source(), batch.position)
            assert [_identified(later) for later in rest] == everything[number + 1 :]

    @if_supported("supports_positions")
    def test_refuses_a_position_that_is_not_its_own(
        self, another_source: Callable[[], EventSource]
    ) -> None:
        """A damaged position is an error, and not the beginning."""
        for position in ("", "no position", "{}", "[]", '{"offset": -1}', "-1"):
            source = another_source()
            with pytest.raises(InputError):
                source.open(position)
            source.close()

    @if_supported("can_be_unreadable")
    def test_says_that_its_input_is_unreadable(self, unreadable_source: EventSource) -> None:
        """What cannot be read is an `InputError`, when it is opened or read."""
        with pytest.raises(InputError) as raised:
            _batches(unreadable_source)
        assert raised.value.problem, "say what is wrong"
        unreadable_source.close()


def _batches(source: EventSource, *, max_events: int = _MANY) -> list[EventBatch]:
    """Return what the source has ready now, or all there is if it ends."""
    source.open(None)
    try:
        return list(_batches_of_open(source, max_events))
    finally:
        source.close()


def _batches_of_open(source: EventSource, max_events: int) -> Iterator[EventBatch]:
    events = 0
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and events < _MANY:
        batch = source.read(max_events, 0.2)
        if batch is None or (events and not len(batch) and not batch.lost):
            return
        events += _events(batch)
        yield batch


def _first_batch(source: EventSource, max_events: int) -> EventBatch:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        batch = source.read(max_events, 0.2)
        assert batch is not None, "the source ended before its first event"
        if _events(batch):
            return batch
    raise AssertionError("the source had no event in time")


def _rest(source: EventSource, max_events: int) -> None:
    for _ in _batches_of_open(source, max_events):
        pass


def _rest_after(source: EventSource, position: str) -> list[EventBatch]:
    """Return what follows a position, up to the end or the first quiet read."""
    batches = []
    source.open(position)
    try:
        while (batch := source.read(1, 0.5)) is not None and (len(batch) or batch.lost):
            batches.append(batch)
    finally:
        source.close()
    return [batch for batch in batches if len(batch)]


def _events(batch: EventBatch) -> int:
    return len(batch.documents) + sum(bool(payload.strip()) for payload in batch.payloads)


def _identified(batch: EventBatch) -> object:
    return batch.stream, batch.first_offset, list(batch.documents), list(batch.payloads)


def _progress(source: EventSource) -> tuple[int, int] | None:
    return source.progress() if isinstance(source, SupportsProgress) else None
