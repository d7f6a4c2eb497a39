"""Brings the step matches of all sources into the order of event time.

Event rules never wait. What satisfies a step of a sequence waits until no source is expected to
bring anything older; then it goes to the tracker in its order, whatever the order in which it
came. See "The Dataflow Model" (Akidau et al., 2015) for watermarks.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from kestrel_framework._pipeline.event_time.encoding import SourceState, TimeState
from kestrel_framework._pipeline.event_time.source_clock import BEFORE_ALL_TIME, SourceClock
from kestrel_framework._pipeline.event_time.waiting_matches import WaitingMatch, WaitingMatches
from kestrel_framework.event import TimeSettings

END_OF_TIME: Final = 1 << 100
"""A watermark after every time."""
MOST_WAITING: Final = 1_000_000
"""How many matches may wait; then the oldest go on early, and time with them."""
_FREED: Final = 64
"""Which part of these then goes on."""

LATE: Final = "late"
IMPLAUSIBLE: Final = "implausible_time"
EARLY: Final = "released_early"
QUIET: Final = "source_left_out"


@attrs.define
class Source:
    """A source that is read.

    Attributes:
        clock: Its time.
        aside: Its matches whose time is not believed yet.
        left_out: Whether nobody waits for it, since it was quiet for long.
    """

    clock: SourceClock
    aside: list[WaitingMatch] = attrs.field(factory=list)
    left_out: bool = False


class EventTime:
    """The order of step matches, over all sources.

    The watermark is the time before which no source is expected to bring anything: the least of
    theirs. It never goes back, but where time itself does.

    Args:
        settings: What times are believed.
        untimely: Counts the step matches that were not followed as they came, by cause: `late`,
            `implausible_time`; how many were `released_early`, since too many waited, and how
            often a quiet source was left out (`source_left_out`).

    Attributes:
        untimely: As given.
        watermark: How far time has come.
        serials: Numbers that no match has yet.
    """

    def __init__(self, settings: TimeSettings, untimely: Counter[str]) -> None:
        self.untimely = untimely
        self.watermark = BEFORE_ALL_TIME
        self._settings = settings
        self._sources: dict[str, Source] = {}
        self._waiting = WaitingMatches()
        self.serials = itertools.count()

    @property
    def greatest(self) -> int | None:
        """The greatest time that is believed, of all sources."""
        return max(
            (
                source.clock.greatest
                for source in self._sources.values()
                if source.clock.greatest is not None
            ),
            default=None,
        )

    @property
    def source_names(self) -> frozenset[str]:
        """The sources that did not end."""
        return frozenset(self._sources)

    def source(self, name: str, disorder: int, *, is_quiet: bool) -> Source:
        """Return a source; a new one is waited for from now on.

        Args:
            name: Its name.
            disorder: How far an event of it may come after a later one, in nanoseconds.
            is_quiet: Whether it brings nothing now; then that is as it was.
        """
        source = self._sources.get(name)
        if source is None:
            source = self._sources[name] = Source(SourceClock(self._settings))
        if not is_quiet:
            source.left_out = False
            source.clock.disorder = disorder
        return source

    def complete_without(self, source: Source) -> int:
        """Return the time before which no other source is expected to bring anything."""
        return min(
            (
                other.clock.complete
                for other in self._sources.values()
                if other is not source and not other.left_out
            ),
            default=END_OF_TIME,
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def promise(self, name: str, watermark: int) -> None:
        """Hear from a source that no event of it older than `watermark` will come."""
        source = self._sources.get(name)
        if source is not None:
            source.clock.promise(watermark)

    def leave_out(self, name: str) -> None:
        """Wait no longer for a source, which is quiet, until it brings something again."""
        source = self._sources.get(name)
        if source is not None and not source.left_out:
            source.left_out = True
            self.untimely[QUIET] += 1

    def end(self, name: str) -> None:
        """Hear that a source brings nothing any more; what is aside of it counts."""
        source = self._sources.pop(name, None)
        if source is not None:
            for match in source.aside:
                self._waiting.add(match)

    def pass_to(self, watermark: int) -> Sequence[WaitingMatch]:
        """Let time go on, and return what its turn is; what comes later and is older, is late."""
        if watermark > self.watermark:
            self.watermark = watermark
        return self._waiting.take_until(self.watermark)

    def pass_on(self) -> Sequence[WaitingMatch]:
        """Let time go on as far as all sources have come, and return what its turn is.

        Where there is no source, everything has its turn, and time begins anew.
        """
        waited_for = [source for source in self._sources.values() if not source.left_out]
        if waited_for:
            return self.pass_to(min(source.clock.complete for source in waited_for))
        if self._sources:
            greatest = self.greatest
            return () if greatest is None else self.pass_to(greatest + 1)
        return self.begin_anew()

    def finish(self) -> Sequence[WaitingMatch]:
        """End all sources, and return all that waits, in order."""
        for name in tuple(self._sources):
            self.end(name)
        return self.begin_anew()

    def begin_anew(self) -> Sequence[WaitingMatch]:
        """Return all that waits, in order; time begins anew after it."""
        self.watermark = BEFORE_ALL_TIME
        return self._waiting.take_until(END_OF_TIME)

    def wait(self, match: WaitingMatch) -> None:
        """Have a match wait for its turn."""
        self._waiting.add(match)

    def wait_together(self, matches: Sequence[WaitingMatch]) -> bool:
        """Have all of some matches wait if there is room, and say whether there is."""
        if len(self._waiting) + len(matches) > MOST_WAITING:
            return False
        self._waiting.add_all(matches)
        return True

    @property
    def is_full(self) -> bool:
        """Whether too many wait."""
        return len(self._waiting) > MOST_WAITING

    def relieve(self) -> Sequence[WaitingMatch]:
        """Return what goes on early where too many wait, the oldest."""
        taken = self._waiting.take_oldest(
            len(self._waiting) - MOST_WAITING + MOST_WAITING // _FREED
        )
        self.watermark = max(self.watermark, taken[-1].timestamp)
        self.untimely[EARLY] += len(taken)
        return taken

    def take_out(self) -> list[tuple[str | None, WaitingMatch]]:
        """Take out all that waits (None), and all that is aside of a source."""
        found: list[tuple[str | None, WaitingMatch]] = [(None, match) for match in self._waiting]
        self._waiting.clear()
        for name, source in self._sources.items():
            found += [(name, match) for match in source.aside]
            source.aside.clear()
        return found

    def put_in(self, matches: Iterable[tuple[str | None, WaitingMatch]]) -> None:
        """Have matches wait (None), or stand aside of their source."""
        for name, match in matches:
            if name is None:
                self._waiting.add(match)
            else:
                self._sources[name].aside.append(match)

    def all_matches(self) -> Iterator[tuple[str | None, WaitingMatch]]:
        """Yield what `take_out` would take out."""
        for match in self._waiting:
            yield None, match
        for name, source in self._sources.items():
            for match in source.aside:
                yield name, match

    def dump(self) -> TimeState:
        """Return what is remembered, without the matches."""
        return TimeState(
            None if self.watermark == BEFORE_ALL_TIME else self.watermark,
            {
                name: SourceState(
                    source.clock.disorder,
                    source.clock.greatest,
                    source.clock.promised,
                    tuple(source.clock.doubted),
                    source.left_out,
                )
                for name, source in self._sources.items()
            },
        )

    def load(self, state: TimeState) -> None:
        """Go on from what another one remembered; the matches come by `put_in`."""
        self.watermark = BEFORE_ALL_TIME if state.watermark is None else state.watermark
        self._waiting.clear()
        self._sources.clear()
        for name, remembered in state.sources.items():
            clock = SourceClock(self._settings)
            clock.disorder = remembered.disorder
            clock.greatest = remembered.greatest
            clock.promised = remembered.promised
            clock.doubted = list(remembered.doubted)
            self._sources[name] = Source(clock, left_out=remembered.left_out)
