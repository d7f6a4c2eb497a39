"""Partial matches in the order of their first events."""

from __future__ import annotations

from collections.abc import Iterator

from kestrel_framework._pipeline.sequence_tracker.partials import Partial


class AgeOrder:
    """The live partial matches of a sequence, the oldest first.

    A linked list: each can leave from anywhere, and the copy of one stands behind it,
    at a cost that does not depend on how many there are.
    """

    def __init__(self) -> None:
        self.oldest: Partial | None = None
        self._youngest: Partial | None = None

    def __iter__(self) -> Iterator[Partial]:
        partial = self.oldest
        while partial is not None:
            yield partial
            partial = partial.younger

    def add(self, partial: Partial) -> None:
        """Put in the youngest."""
        partial.older, partial.younger = self._youngest, None
        if self._youngest is None:
            self.oldest = partial
        else:
            self._youngest.younger = partial
        self._youngest = partial

    def add_copy(self, copy: Partial, partial: Partial) -> None:
        """Put in one whose first event is that of `partial`."""
        following = partial.younger
        if following is None:
            self.add(copy)
            return
        copy.older, copy.younger = partial, following
        partial.younger = following.older = copy

    def remove(self, partial: Partial) -> None:
        """Take out one that is in."""
        older, younger = partial.older, partial.younger
        if older is None:
            self.oldest = younger
        else:
            older.younger = younger
        if younger is None:
            self._youngest = older
        else:
            younger.older = older
        partial.older = partial.younger = None

    def clear(self) -> None:
        """Take out all."""
        self.oldest = self._youngest = None
