"""The first half of the flow: from a batch to the events that satisfy conditions.

Nothing here depends on the batches before, so that several processes can do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from kestrel_framework._pipeline.event_decoder import EventDecoder, View, tiebreaker_of
from kestrel_framework._pipeline.event_scanner import EventScanner, event_scanner
from kestrel_framework._pipeline.flow import Match, MatchedBatch, Target
from kestrel_framework._pipeline.rule_matcher import (
    NOTHING_HOLDS,
    MatcherLimits,
    MatcherStatistics,
    ReadEvent,
    RuleMatcher,
    Verdict,
    paths_read,
)
from kestrel_framework.errors import RuleError
from kestrel_framework.event import Document, EventBatch, EventSettings
from kestrel_framework.interfaces import PatternEngine
from kestrel_framework.schema import SchemaRegistry


class EventMatcher:
    """Decodes batches and finds the events that satisfy targets.

    Args:
        targets: The conditions; their places are their numbers.
        schema: The schema the rules were compiled with.
        settings: Which fields say when and what an event is.
        patterns: Finds the patterns that match a text.
        paths: Paths whose values are wanted of every event, for the tree of processes.
        limits: What to remember of events.

    Raises:
        RuleError: one of `paths` cannot be read from every event.

    Attributes:
        target_count: How many targets there are.
        paths: The paths whose values are wanted.
        reads_tiebreakers: Whether a field says what orders events of one time.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        schema: SchemaRegistry,
        settings: EventSettings,
        patterns: PatternEngine,
        paths: Sequence[str] = (),
        limits: MatcherLimits | None = None,
    ) -> None:
        self.target_count = len(targets)
        self.paths = tuple(paths)
        self.reads_tiebreakers = settings.tiebreaker_field is not None
        wanted = {**dict.fromkeys(paths, False), **paths_read(targets, settings.category_field)}
        self._decoder = EventDecoder(settings, wanted, paths)
        views = self._decoder.types
        for path in paths:
            if path not in views.paths:
                raise RuleError(
                    f"processes cannot be told apart by `{path}`: it has a position or an odd "
                    "name, or goes on from a field that says when or what an event is"
                )
        self._matcher = RuleMatcher(
            targets, settings.category_field, schema, views, patterns, limits
        )
        self._read_processes = self._decoder.reader_of_all(paths) if paths else None
        tiebreaker = () if settings.tiebreaker_field is None else (settings.tiebreaker_field,)
        self._scanner = event_scanner(self._decoder, self._matcher, (*paths, *tiebreaker))

    @property
    def decoder(self) -> EventDecoder:
        """What makes views of events."""
        return self._decoder

    @property
    def read_processes(self) -> Callable[[View], tuple[object, ...]] | None:
        """Reads from a view the values at `paths`; None where there are none."""
        return self._read_processes

    @property
    def scanner(self) -> EventScanner | None:
        """What scans payloads; None where that was not compiled."""
        return self._scanner

    @property
    def rule_matcher(self) -> RuleMatcher:
        """What finds, for each view, the targets that hold."""
        return self._matcher

    @property
    def statistics(self) -> MatcherStatistics:
        """What the matcher has done so far."""
        return self._matcher.statistics

    @property
    def slow_events(self) -> int:
        """How many events took the slow way through the decoder, for their shape."""
        return self._decoder.statistics.slow

    def match(self, batch: EventBatch) -> MatchedBatch:
        """Return what a batch says by itself.

        Raises:
            InputError: the payloads are in a format that is not known.
        """
        found = MatchedBatch()
        # One event after the other from bytes to verdict: what it leaves in the processor's
        # cache is needed at once, and its view is gone before the next one comes.
        views = self._decoder.views(batch, found.problems)
        if self._scanner is not None and batch.payloads:
            self._scan(self._scanner, batch, found)
        else:
            for place, view in views:
                self._test(batch, place, view, found)
        return found

    def dismantle(self) -> None:
        """Let go of everything, part by part, but for `decoder`; nothing can be matched any more.

        See `RuleMatcher.dismantle`.
        """
        if self._scanner is not None:
            vars(self._scanner).clear()
            self._scanner = None
        self._matcher.dismantle()

    def _scan(self, scanner: EventScanner, batch: EventBatch, found: MatchedBatch) -> None:
        scanner.learn()
        scan, decoder = scanner.scan, self._decoder
        places, times, matches = found.places, found.times, found.matches
        processes = None if self._read_processes is None else found.processes
        for place, payload in enumerate(batch.payloads):
            scanned = scan(payload)
            if scanned is None:
                view = decoder.view_of_payload(batch, place, found.problems)
                if view is not None:
                    self._test(batch, place, view, found)
                continue
            verdict, time, values = scanned
            targets = verdict.targets
            if verdict.residuals:
                view = decoder.view_of_payload(batch, place, found.problems)
                if view is None:
                    continue
                targets = self._targets(batch, place, view, verdict)
            if targets:
                matches.append(Match(len(places), targets))
            places.append(place)
            times.append(time)
            if self.reads_tiebreakers:
                found.tiebreakers.append(tiebreaker_of(values[-1]))
                values = values[:-1]
            if processes is not None:
                processes.append(values)

    def _test(self, batch: EventBatch, place: int, view: View, found: MatchedBatch) -> None:
        decoder = self._decoder
        found.places.append(place)
        try:
            found.times.append(decoder.parsed_times[decoder.read_time(view)])
        except (ValueError, TypeError):
            found.times.append(decoder.odd_time(batch, place, view, found.problems))
        if self._read_processes is not None:
            found.processes.append(self._read_processes(view))
        if self.reads_tiebreakers:
            found.tiebreakers.append(decoder.tiebreaker(view))
        verdict = self._matcher.verdict(view)
        if verdict is not NOTHING_HOLDS:
            targets = self._targets(batch, place, view, verdict)
            if targets:
                found.matches.append(Match(len(found.places) - 1, targets))

    def _targets(
        self, batch: EventBatch, place: int, view: View, verdict: Verdict
    ) -> tuple[int, ...]:
        """Return the targets that hold for an event, given what its fields decide."""
        if not verdict.residuals:
            return verdict.targets
        event = ReadEvent(view, partial(self._decoder.document, _event(batch, place)))
        return self._matcher.targets(verdict, event)

    def document_reader(self, batch: EventBatch, place: int) -> Callable[[], Document]:
        """Return what reads the whole event at a place of a batch where `match` finds one.

        In whatever process it was found. Of the batch, it holds this event alone.
        """
        return partial(self._decoder.document, _event(batch, place))


def _event(batch: EventBatch, place: int) -> bytes | Document:
    return batch.payloads[place] if batch.payloads else batch.documents[place]
