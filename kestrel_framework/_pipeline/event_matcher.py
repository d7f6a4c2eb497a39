"""The first half of the flow: from a batch to the events that satisfy conditions.

Nothing here depends on the batches before, so that several processes can do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from kestrel_framework._pipeline.event_decoder import EventDecoder, View
from kestrel_framework._pipeline.flow import Match, MatchedBatch, Target
from kestrel_framework._pipeline.rule_matcher import (
    NOTHING_HOLDS,
    MatcherLimits,
    MatcherStatistics,
    ReadEvent,
    RuleMatcher,
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

    @property
    def decoder(self) -> EventDecoder:
        """What makes views of events."""
        return self._decoder

    @property
    def read_processes(self) -> Callable[[View], tuple[object, ...]] | None:
        """Reads from a view the values at `paths`; None where there are none."""
        return self._read_processes

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
        decoder, matcher = self._decoder, self._matcher
        read_time, parsed_times = decoder.read_time, decoder.parsed_times
        read_processes, verdict_of = self._read_processes, matcher.verdict
        for place, view in decoder.views(batch, found.problems):
            found.places.append(place)
            try:
                found.times.append(parsed_times[read_time(view)])
            except (ValueError, TypeError):
                found.times.append(decoder.odd_time(batch, place, view, found.problems))
            if read_processes is not None:
                found.processes.append(read_processes(view))
            if self.reads_tiebreakers:
                found.tiebreakers.append(decoder.tiebreaker(view))
            verdict = verdict_of(view)
            if verdict is NOTHING_HOLDS:
                continue
            targets = verdict.targets
            if verdict.residuals:
                event = ReadEvent(view, partial(decoder.document, _event(batch, place)))
                targets = matcher.targets(verdict, event)
            if targets:
                found.matches.append(Match(len(found.places) - 1, targets))
        return found

    def document_reader(self, batch: EventBatch, place: int) -> Callable[[], Document]:
        """Return what reads the whole event at a place of a batch where `match` finds one.

        In whatever process it was found. Of the batch, it holds this event alone.
        """
        return partial(self._decoder.document, _event(batch, place))


def _event(batch: EventBatch, place: int) -> bytes | Document:
    return batch.payloads[place] if batch.payloads else batch.documents[place]
