"""The time of one source: how far it has come, what is late, and what is not to be believed."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, cast

import attrs

from kestrel_framework.event import TimeSettings
from kestrel_framework.timestamps import NANOSECONDS

BEFORE_ALL_TIME: Final = -(1 << 100)
"""A watermark that nothing is late for."""


@attrs.frozen
class Turn:
    """What became of the events that were put aside.

    Attributes:
        index: The event of the batch at which it was decided; before that event is looked at.
        believed: Whether their times count. If not, the events are out of all sequences.
        goes_back: Whether time went back with them: then it begins anew.
    """

    index: int
    believed: bool
    goes_back: bool = False


@attrs.frozen
class Judgement:
    """What the times of some events mean, in the order in which they came.

    Attributes:
        times: The event time of each; of one that says none, the greatest one before it.
        complete: Before each, and after the last: the time before which no event is
            expected of the source any more.
        late: Those that are older than that.
        aside: Those whose time is not to be believed yet.
        turns: What became of those aside, also of earlier ones; ascending.
    """

    times: Sequence[int]
    complete: Sequence[int]
    late: frozenset[int] = frozenset()
    aside: frozenset[int] = frozenset()
    turns: Sequence[Turn] = ()


class SourceClock:
    """Follows the event time of one source.

    Each event is judged by those before it alone, so it makes no difference how they are cut
    into batches. An event is late if it is older than the greatest time before it by more
    than the disorder, or than the source has promised. One that is further from
    that time than `TimeSettings.largest_jump` is put aside, and moves nothing, until as many in
    a row as `TimeSettings.believed_after` are as far away, and near each other.

    Args:
        settings: What is believed.

    Attributes:
        disorder: How far an event may come after a later one, in nanoseconds.
        greatest: The greatest time that is believed, in nanoseconds since 1970, if there is one.
        promised: No event older than this comes, the source says.
        doubted: The times of the events that are aside.
    """

    def __init__(self, settings: TimeSettings) -> None:
        self._jump = round(settings.largest_jump * NANOSECONDS)
        self._believed_after = settings.believed_after
        self.disorder = 0
        self.greatest: int | None = None
        self.promised: int | None = None
        self.doubted: list[int] = []

    @property
    def complete(self) -> int:
        """The time before which no event is expected any more."""
        seen = BEFORE_ALL_TIME if self.greatest is None else self.greatest - self.disorder
        return seen if self.promised is None else max(seen, self.promised)

    def promise(self, watermark: int) -> None:
        """Hear that no event older than `watermark` will come."""
        if self.promised is None or watermark > self.promised:
            self.promised = watermark

    def judge(self, said: Sequence[int | None]) -> Judgement:
        """Return what the times of the next events mean, given what each of them says."""
        if self.greatest is None or self.doubted or None in said:
            return self._judged_one_by_one(said)
        times = cast("Sequence[int]", said)
        if not times:
            return Judgement((), (self.complete,))
        greatest, least, most = self.greatest, min(times), max(times)
        if max(greatest, most) - min(greatest, least) > self._jump:
            return self._judged_one_by_one(said)
        seen = [greatest, *accumulate(times, max, initial=greatest)][1:]
        complete = self._complete_with(seen)
        late: frozenset[int] = frozenset()
        if least < complete[-1] and any(map(operator.lt, times, complete)):
            late = frozenset([i for i, time in enumerate(times) if time < complete[i]])
        self.greatest = seen[-1]
        return Judgement(times, complete, late)

    def _complete_with(self, seen: Sequence[int]) -> Sequence[int]:
        disorder, promised = self.disorder, self.promised
        complete = [time - disorder for time in seen] if disorder else seen
        return complete if promised is None else [max(time, promised) for time in complete]

    def _judged_one_by_one(self, said: Sequence[int | None]) -> Judgement:
        times: list[int] = []
        complete = [self.complete]
        late: set[int] = set()
        aside: set[int] = set()
        turns: list[Turn] = []
        for index, time in enumerate(said):
            if time is None:
                times.append(self.greatest or 0)
            else:
                times.append(time)
                turn = self._doubt(index, time)
                if turn is not None:
                    turns.append(turn)
                if self.doubted:
                    aside.add(index)
                elif time < self.complete and (turn is None or not turn.believed):
                    late.add(index)
                if not self.doubted and (self.greatest is None or time > self.greatest):
                    self.greatest = time
            complete.append(self.complete)
        return Judgement(times, complete, frozenset(late), frozenset(aside), turns)

    def _doubt(self, index: int, time: int) -> Turn | None:
        """Put a time aside or not, and return what that decides about those aside before.

        Afterwards some are aside exactly if this one is.
        """
        if self.greatest is None or abs(time - self.greatest) <= self._jump:
            return self._decided(index, believed=False)
        if not self.doubted or abs(time - self.doubted[-1]) > self._jump:
            turn = self._decided(index, believed=False)
            self.doubted.append(time)
            return turn if self._believed_after > 1 else self._decided(index, believed=True)
        self.doubted.append(time)
        if len(self.doubted) < self._believed_after:
            return None
        return self._decided(index, believed=True)

    def _decided(self, index: int, *, believed: bool) -> Turn | None:
        if not self.doubted:
            return None
        doubted, self.doubted = self.doubted, []
        if not believed:
            return Turn(index, believed=False)
        before = self.greatest
        self.greatest = max(doubted)
        goes_back = before is not None and self.greatest < before
        if goes_back:
            self.promised = None
        return Turn(index, believed=True, goes_back=goes_back)
