"""From batches to views."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import attrs
import msgspec

from kestrel_framework._pipeline.event_decoder.documents import (
    MalformedEventError,
    checked_document,
    document_of_payload,
)
from kestrel_framework._pipeline.event_decoder.times import TimestampParser
from kestrel_framework._pipeline.event_decoder.views import RawReader, View, ViewTypes
from kestrel_framework._pipeline.flow import Problem
from kestrel_framework.errors import InputError
from kestrel_framework.event import MAX_PAYLOAD_BYTES, Document, EventBatch, EventSettings


@attrs.define
class DecoderStatistics:
    """What a decoder has counted.

    Attributes:
        slow: Events that took the slow way: an odd shape, an unknown or dotted key, odd JSON.
    """

    slow: int = 0


class EventDecoder:
    """Decodes batches, each by itself: nothing depends on the batches before.

    Args:
        settings: Which fields say when an event is, and what comes first.
        paths: The paths that are read, and whether objects matter there.
        always: Paths that are read in any case.

    Attributes:
        types: What reads the views.
        timestamp_field: The path of what says when an event is.
        read_time: Reads what a view says of event time.
        parsed_times: Nanoseconds since 1970 by what that is; errors lead to `odd_time`.
    """

    def __init__(
        self, settings: EventSettings, paths: Mapping[str, bool], always: Sequence[str] = ()
    ) -> None:
        self.statistics = DecoderStatistics()
        own = (settings.timestamp_field, settings.category_field, settings.tiebreaker_field)
        self.types = ViewTypes(paths, [path for path in (*own, *always) if path is not None])
        self.read_time = self.reader(settings.timestamp_field)
        self.parsed_times = TimestampParser(settings.timestamp_unit)
        self.timestamp_field = settings.timestamp_field
        self._tiebreaker = (
            None if settings.tiebreaker_field is None else self.reader(settings.tiebreaker_field)
        )

    @property
    def reads_tiebreakers(self) -> bool:
        """Whether a field says what orders events of one time."""
        return self._tiebreaker is not None

    def views(self, batch: EventBatch, problems: list[Problem]) -> Iterator[tuple[int, View]]:
        """Yield the events of a batch that can be read, with their places in it.

        Args:
            batch: The events.
            problems: Takes what is odd about an event, before it is yielded.

        Raises:
            InputError: the payloads are in a format that is not known.
        """
        if batch.payloads and batch.payload_format != "json":
            raise InputError(
                f'payloads in the format "{batch.payload_format}" cannot be read; only "json" can'
            )
        self.types.refresh()
        if batch.payloads:
            return self._views_of_payloads(batch, problems)
        return self._views_of_documents(batch, problems)

    def view_of_payload(
        self, batch: EventBatch, place: int, problems: list[Problem]
    ) -> View | None:
        """Return the view of one event of a batch of payloads, as `views` would yield it."""
        payload = batch.payloads[place]
        try:
            if len(payload) <= MAX_PAYLOAD_BYTES:
                return self.types.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        return self._slowly(batch, place, problems)

    def odd_time(
        self, batch: EventBatch, place: int, view: View, problems: list[Problem]
    ) -> int | None:
        """Return the time of an event that does not simply say one, or None."""
        field = self.timestamp_field
        value = _first(self.read_time(view))
        if value is None:
            cause, problem = "missing_timestamp", f"there is no `{field}`"
        else:
            try:
                return self.parsed_times[value]
            except (ValueError, TypeError) as error:
                cause, problem = "bad_timestamp", f"`{field}`: {error}"
        message = f"{problem}; the event takes the greatest time seen so far"
        problems.append(_problem(batch, place, cause, message))
        return None

    def tiebreaker(self, view: View) -> int | float | str | None:
        """Return what orders an event among those of its time."""
        return None if self._tiebreaker is None else tiebreaker_of(self._tiebreaker(view))

    def reader(self, path: str) -> RawReader:
        """Return what reads a path from a view; one that views do not hold is never there."""
        if path in self.types.paths:
            return self.types.reader(path)
        return lambda view: msgspec.UNSET

    def reader_of_all(self, paths: Sequence[str]) -> Callable[[View], tuple[object, ...]]:
        """Return what reads several paths from a view; at least one."""
        if len(paths) > 1 and self.types.paths.issuperset(paths):
            return operator.attrgetter(*map(self.types.attribute, paths))
        readers = [self.reader(path) for path in paths]
        return lambda view: tuple([read(view) for read in readers])

    def document(self, event: bytes | Document) -> Document:
        """Return the whole of an event, of which there is a view.

        Where the parts of it that no rule reads make it unreadable, it is what the view holds;
        nothing, if it nests so deeply that it cannot even be made a view of again here, further
        up the stack.
        """
        try:
            if isinstance(event, bytes):
                return document_of_payload(event, _ignore)
            return checked_document(event, _ignore)
        except MalformedEventError:
            batch = (
                EventBatch(payloads=[event])
                if isinstance(event, bytes)
                else EventBatch(documents=[event])
            )
            views = [view for _, view in self.views(batch, [])]
            return self.types.document_of(views[0]) if views else {}

    def view(self, payload: bytes) -> View | None:
        """Return the view of one event, or None if it cannot be read. Nobody hears why."""
        if len(payload) <= MAX_PAYLOAD_BYTES:
            try:
                return self.types.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass
        view = self._slowly(EventBatch(payloads=[payload]), 0, [])
        self.types.refresh()
        return view

    def _views_of_payloads(
        self, batch: EventBatch, problems: list[Problem]
    ) -> Iterator[tuple[int, View]]:
        decode = self.types.decode
        view: View | None
        for place, payload in enumerate(batch.payloads):
            try:
                if len(payload) > MAX_PAYLOAD_BYTES:
                    view = self._slowly(batch, place, problems)
                else:
                    view = decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                view = self._slowly(batch, place, problems)
                decode = self.types.decode
            if view is not None:
                yield place, view

    def _views_of_documents(
        self, batch: EventBatch, problems: list[Problem]
    ) -> Iterator[tuple[int, View]]:
        convert = self.types.convert
        view: View | None
        for place, given in enumerate(batch.documents):
            try:
                view = convert(given) if _is_plain(given) else self._slowly(batch, place, problems)
            except (msgspec.ValidationError, RecursionError, TypeError, ValueError):
                view = self._slowly(batch, place, problems)
                convert = self.types.convert
            if view is not None:
                yield place, view

    def _slowly(self, batch: EventBatch, place: int, problems: list[Problem]) -> View | None:
        """Return the view of an event of an odd shape, or None where there is none."""
        payload = batch.payloads[place] if batch.payloads else None
        if payload is not None and (not payload or payload.isspace()):
            return None
        self.statistics.slow += 1
        notes: list[tuple[str, str]] = []

        def note(cause: str, message: str) -> None:
            notes.append((cause, message))

        try:
            if payload is not None:
                view = self.types.view_of(document_of_payload(payload, note))
                if notes and (plain := self._plainly(payload)) is not None:
                    return plain
            else:
                view = self.types.view_of(checked_document(batch.documents[place], note))
        except MalformedEventError as malformed:
            problems.append(
                _problem(batch, place, malformed.cause, malformed.message, skipped=True)
            )
            return None
        problems += [_problem(batch, place, *each) for each in notes]
        return view

    def _plainly(self, payload: bytes) -> View | None:
        """Return the view of an event whose keys are known now, if they were all that was odd.

        What is odd under keys that no rule reads is then not noted: it is not the next time either,
        nor by another process that has known the keys for longer.
        """
        self.types.refresh()
        try:
            return self.types.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


_PLAIN_TYPES: Final = frozenset((dict, list, tuple, str, int, float, bool, type(None)))


def _is_plain(document: object) -> bool:
    """Say whether the objects in a document are dictionaries, of which a view can be made."""
    if type(document) is not dict or not _PLAIN_TYPES.issuperset(map(type, document.values())):
        return False
    return all(_is_plain(value) for value in document.values() if type(value) is dict)


def _ignore(cause: str, message: str) -> None:
    """Take a note that was taken, where it matters, when the event was matched."""


def documents_of(batch: EventBatch, report: Callable[[Problem], None]) -> list[Document]:
    """Return the whole events of a batch of payloads; report those that cannot be read."""
    found = []
    for place, payload in enumerate(batch.payloads):
        if not payload or payload.isspace():
            continue

        def note(cause: str, message: str, place: int = place) -> None:
            report(_problem(batch, place, cause, message))

        try:
            found.append(document_of_payload(payload, note))
        except MalformedEventError as error:
            report(_problem(batch, place, error.cause, error.message, skipped=True))
    return found


def tiebreaker_of(raw: object) -> int | float | str | None:
    """Return what a tiebreaker field says, given what a view has there."""
    value = _first(raw)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    return None if isinstance(value, float) and math.isnan(value) else value


def _first(raw: object) -> object:
    """Return the first value that is not null, or None."""
    if isinstance(raw, (tuple, list)):
        return next((found for inner in raw if (found := _first(inner)) is not None), None)
    return None if raw is msgspec.UNSET else raw


def _problem(
    batch: EventBatch, place: int, cause: str, message: str, *, skipped: bool = False
) -> Problem:
    line = (batch.first_offset or 0) + place + 1 if batch.payloads else None
    return Problem(cause, message, batch.origin, line, skipped)
