"""A source from anything that can be iterated: the shortest way to bring events."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from kestrel_framework.event import Document, EventBatch
from kestrel_framework.interfaces import EventSource


def source_from_iterable(
    documents: Iterable[Document], *, stream: str | None = None
) -> EventSource:
    """Return a source that hands over `documents` once and then ends.

    The iterable is taken one document at a time, in the source's thread. While
    it blocks, so does `read`: a generator that waits long for events should
    rather be an `EventSource` of its own. It cannot go back to a position.

    Args:
        documents: Nested mappings in the Elastic Common Schema. If it is a
            generator, it is closed with the source.
        stream: The name of the numbering of the events; the engine names one if left out.
    """
    return _IterableSource(documents, stream)


class _IterableSource:
    def __init__(self, documents: Iterable[Document], stream: str | None) -> None:
        self._documents = documents
        self._stream = stream
        self._iterator: Iterator[Document] | None = None
        self._read = 0

    def open(self, position: str | None) -> None:
        self._iterator = iter(self._documents)

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        if self._iterator is None:
            return None
        deadline = time.monotonic() + timeout
        documents: list[Document] = []
        for document in self._iterator:
            documents.append(document)
            if len(documents) >= max_events or time.monotonic() >= deadline:
                break
        if not documents:
            return None
        first, self._read = self._read, self._read + len(documents)
        offset = None if self._stream is None else first
        return EventBatch(documents=documents, stream=self._stream, first_offset=offset)

    def acknowledge(self, position: str) -> None:
        """Do nothing: an iterable cannot go back."""

    def close(self) -> None:
        iterator, self._iterator = self._iterator, None
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
