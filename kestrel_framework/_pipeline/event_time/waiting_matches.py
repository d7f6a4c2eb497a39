"""Step matches that wait for their turn in the order of event time."""

from __future__ import annotations

import itertools
import operator
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Self

from kestrel_framework._pipeline.flow import Candidate, Row, ordinal_of
from kestrel_framework.event import Document
from kestrel_framework.predicate import Lineage

_ABSENT: Final = 2
_TIMESTAMP: Final = operator.attrgetter("timestamp")


class WaitingMatch(NamedTuple):
    """An event that satisfies steps. Sorts as events do: see `flow.ordinal_of`.

    Attributes:
        timestamp: Event time in nanoseconds since 1970.
        rank: Of the tiebreaker: numbers before texts, absent ones last.
        tiebreaker: What orders events of one time; 0 where there is none.
        stream: The name of the numbering.
        offset: The number in it.
        serial: Different in every match, so that nothing after it is ever compared.
        targets: The steps.
        decode: Returns the document of what was given; None if that is one.
        given: The event as it came.
        lineage: As in a `Candidate`.
    """

    timestamp: int
    rank: int
    tiebreaker: int | float | str
    stream: str
    offset: int
    serial: int
    targets: tuple[int, ...]
    decode: Callable[[bytes | Document], Document] | None
    given: bytes | Document
    lineage: frozenset[Lineage]

    @classmethod
    def of(cls, candidate: Candidate, serial: int) -> Self:
        """Return a candidate as what waits."""
        row = candidate.row
        place = ordinal_of(row.timestamp, row.tiebreaker, row.stream, row.offset)
        return cls(*place, serial, candidate.targets, row.decode, row.given, candidate.lineage)

    def candidate(self) -> Candidate:
        """Return it as the tracker takes it."""
        tiebreaker = None if self.rank == _ABSENT else self.tiebreaker
        row = Row(self.decode, self.given, self.timestamp, self.stream, self.offset, tiebreaker)
        return Candidate(row, self.targets, self.lineage)


class WaitingMatches:
    """Matches in the order of their events.

    What comes in about that order costs little more than sorting it as it comes; what comes in
    any other, at most a look at all that wait, for each `take_until`.
    """

    def __init__(self) -> None:
        self._sorted: list[WaitingMatch] = []
        self._taken = 0
        self._added: list[WaitingMatch] = []

    def __len__(self) -> int:
        return len(self._sorted) - self._taken + len(self._added)

    def __iter__(self) -> Iterator[WaitingMatch]:
        self._sort()
        return itertools.islice(self._sorted, self._taken, None)

    def add(self, match: WaitingMatch) -> None:
        """Put one in."""
        self._added.append(match)

    def add_all(self, matches: Sequence[WaitingMatch]) -> None:
        """Put some in."""
        self._added += matches

    def take_until(self, watermark: int) -> Sequence[WaitingMatch]:
        """Take out, and return, those of events before `watermark`, in order."""
        self._sort()
        start = self._taken
        if start == len(self._sorted) or self._sorted[start].timestamp >= watermark:
            return ()
        end = bisect_left(self._sorted, watermark, start, key=_TIMESTAMP)
        return self._take(end)

    def take_oldest(self, number: int) -> Sequence[WaitingMatch]:
        """Take out, and return, so many of the oldest, in order."""
        self._sort()
        return self._take(min(self._taken + number, len(self._sorted)))

    def clear(self) -> None:
        """Take out all."""
        self._sorted.clear()
        self._added.clear()
        self._taken = 0

    def _take(self, end: int) -> Sequence[WaitingMatch]:
        taken = self._sorted[self._taken : end]
        self._taken = end
        if 2 * end >= len(self._sorted):
            del self._sorted[:end]
            self._taken = 0
        return taken

    def _sort(self) -> None:
        if not self._added:
            return
        first = bisect_left(self._sorted, min(self._added), self._taken)
        later = self._sorted[first:] + self._added
        later.sort()
        self._sorted[first:] = later
        self._added.clear()
