"""Reads join keys from the bytes of events: of most events that are steps, no more is ever read."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import msgspec

from kestrel_framework._pipeline.event_decoder import EventDecoder, RawReader, View
from kestrel_framework._pipeline.sequence_tracker import (
    ReadRaw,
    StepEvent,
    raw_values_of_documents,
)
from kestrel_framework.event import Document, EventSettings


class KeyViews:
    """Views of events that hold the join keys of a rule set.

    Args:
        settings: Which fields say when and what an event is.
    """

    def __init__(self, settings: EventSettings) -> None:
        self._settings = settings
        self._paths: dict[str, bool] = {}
        self._decoder: EventDecoder | None = None
        self._decode: Callable[[bytes], View] = self._first_view
        self._given: bytes | Document | None = None
        self._view: View | None = None

    def raw_values(self, paths: Sequence[str]) -> ReadRaw:
        """Return what reads some paths; the `RawValues` of a tracker.

        All are asked for before the first event comes.
        """
        self._paths.update(dict.fromkeys(paths, False))
        read_from_document = raw_values_of_documents(paths)
        read_view: RawReader | None = None

        def read(event: StepEvent) -> object:
            nonlocal read_view
            given = event.given
            if given is not self._given:
                self._given = given
                try:
                    self._view = self._decode(given) if isinstance(given, bytes) else None
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    self._view = self._odd_view(given)
            view = self._view
            if view is None:
                return read_from_document(event)
            if read_view is None:
                read_view = self._reader(paths)
                if read_view is None:
                    return read_from_document(event)
            return read_view(view)

        return read

    def _first_view(self, payload: bytes) -> View:
        self._decoder = EventDecoder(self._settings, self._paths)
        self._decode = self._decoder.types.decode
        return self._decode(payload)

    def _odd_view(self, given: bytes | Document) -> View | None:
        """Return the view of bytes that only the slow way can read, or None; learn from them."""
        assert isinstance(given, bytes)
        assert self._decoder is not None
        view = self._decoder.view(given)
        self._decode = self._decoder.types.decode
        return view

    def _reader(self, paths: Sequence[str]) -> RawReader | None:
        """Return what reads paths from a view, if views hold all of them."""
        assert self._decoder is not None
        types = self._decoder.types
        if not types.paths.issuperset(paths):
            return None
        return operator.attrgetter(*map(types.attribute, paths))
