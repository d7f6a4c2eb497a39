"""The way of one batch through event time."""

from __future__ import annotations

from collections.abc import Sequence

from kestrel_framework._pipeline.event_time.event_time import (
    END_OF_TIME,
    IMPLAUSIBLE,
    LATE,
    EventTime,
)
from kestrel_framework._pipeline.event_time.source_clock import Turn
from kestrel_framework._pipeline.event_time.waiting_matches import WaitingMatch
from kestrel_framework._pipeline.flow import Match


class Passage:
    """Takes the step matches of one batch in, and lets time go on with its events.

    What is done for an event comes in this order: `passed_before`, then what the event completes
    by itself, then `take`. So the order of all findings does not depend on the batch.

    Args:
        time: The stage.
        source: The name of the source of the batch.
        disorder: How far an event of it may come after a later one, in nanoseconds.
        said: What the events say of their times.

    Attributes:
        times: The event time of each.
        is_straight: Whether step matches go to the tracker in the order in which they come:
            the source is alone and says that they are in order, and nothing waits.
        is_doubtful: Whether some events are aside, or were when the batch began.
    """

    def __init__(
        self, time: EventTime, source: str, disorder: int, said: Sequence[int | None]
    ) -> None:
        self._time = time
        self._source = time.source(source, disorder, is_quiet=not said)
        was_doubtful = bool(self._source.clock.doubted)
        self._judgement = judgement = self._source.clock.judge(said)
        self._turns = list(reversed(judgement.turns))
        self._others = time.complete_without(self._source)
        self.times = judgement.times
        self.is_straight = not disorder and self._others == END_OF_TIME and time.is_empty
        self.is_doubtful = was_doubtful or bool(judgement.aside)
        self._late = judgement.late
        if self.times and min(self.times) < time.watermark:
            self._late |= self._older_than(time.watermark)

    def in_time(self, matches: Sequence[Match], steps: frozenset[int]) -> Sequence[Match]:
        """Return matches without the steps that events came too late for, which is counted.

        Args:
            matches: What satisfies what.
            steps: The targets that are steps.
        """
        if not self._late:
            return matches
        kept = []
        for match in matches:
            if match.index in self._late and not steps.isdisjoint(match.targets):
                self._time.untimely[LATE] += 1
                targets = tuple([number for number in match.targets if number not in steps])
                if targets:
                    kept.append(Match(match.index, targets))
            else:
                kept.append(match)
        return kept

    def is_aside(self, index: int) -> bool:
        """Say whether the time of an event is not believed yet."""
        return index in self._judgement.aside

    def has_turn_before(self, index: int) -> bool:
        """Say whether it is decided before an event what becomes of those aside."""
        return bool(self._turns) and self._turns[-1].index <= index

    def passed_before(self, index: int) -> Sequence[WaitingMatch]:
        """Let time go on to before an event, and return what its turn is."""
        if not self._turns:
            return self._time.pass_to(self._watermark(index))
        released: list[WaitingMatch] = []
        decided_at = -1
        while self._turns and self._turns[-1].index <= index:
            turn = self._turns.pop()
            decided_at = turn.index
            released += self._time.pass_to(self._watermark(decided_at))
            released += self._decided(turn)
        if decided_at < index:
            released += self._time.pass_to(self._watermark(index))
        return released

    def passed(self) -> Sequence[WaitingMatch]:
        """Let time go on to after the last event, and return what its turn is."""
        return self.passed_before(len(self.times))

    def take(self, index: int, match: WaitingMatch) -> None:
        """Take in what satisfies steps; events come in their order, after `passed_before`."""
        if self.is_aside(index):
            self._source.aside.append(match)
        else:
            self._time.wait(match)

    def _older_than(self, watermark: int) -> frozenset[int]:
        """Return the events that time, over all sources, has passed: until it goes back."""
        judgement = self._judgement
        ends = [turn.index for turn in judgement.turns if turn.goes_back]
        until = ends[0] if ends else len(self.times)
        older = [i for i, moment in enumerate(self.times[:until]) if moment < watermark]
        return frozenset(older) - judgement.aside

    def _watermark(self, index: int) -> int:
        return min(self._judgement.complete[index], self._others)

    def _decided(self, turn: Turn) -> Sequence[WaitingMatch]:
        aside, self._source.aside = self._source.aside, []
        if not turn.believed:
            self._time.untimely[IMPLAUSIBLE] += len(aside)
            return ()
        released = self._time.begin_anew() if turn.goes_back else ()
        if self.is_straight:
            return sorted(aside)
        for match in aside:
            self._time.wait(match)
        return released
