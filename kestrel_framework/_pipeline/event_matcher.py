"""The first half of the flow: from a batch to the events that satisfy conditions.

Nothing here depends on the batches before, so that several processes can do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from kestrel_framework._pipeline.event_decoder import (
    DecodedBatch,
    EventDecoder,
)
from kestrel_framework._pipeline.flow import Match, MatchedBatch, Target
from kestrel_framework._pipeline.rule_matcher import (
    MatcherLimits,
    MatcherStatistics,
    ReadEvent,
    RuleMatcher,
    paths_read,
)
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
        self._matcher = RuleMatcher(
            targets, settings.category_field, schema, views, patterns, limits
        )
        self._read_processes = self._decoder.reader_of_all(paths) if paths else None

    @property
    def decoder(self) -> EventDecoder:
        """What makes views of events."""
        return self._decoder

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
        decoded = self._decoder.decode(batch)
        processes: Sequence[tuple[object, ...]] = ()
        if self._read_processes is not None:
            processes = list(map(self._read_processes, decoded.views))
        return MatchedBatch(
            decoded.places,
            decoded.times,
            self._decoder.tiebreakers(decoded),
            [problem for _, problem in decoded.problems],
            processes,
            self._matches(batch, decoded),
        )

    def document(self, batch: EventBatch, place: int) -> Document:
        """Return the whole event at a place of a batch where `match` finds one, in any process."""
        return self._decoder.document(batch, place)

    def _matches(self, batch: EventBatch, decoded: DecodedBatch) -> list[Match]:
        matches = []
        matcher = self._matcher
        verdict_of = matcher.verdict
        for index, view in enumerate(decoded.views):
            verdict = verdict_of(view)
            if verdict.residuals:
                place = decoded.places[index]
                event = ReadEvent(view, partial(self._decoder.document, batch, place, view))
                targets = matcher.targets(verdict, event)
                if targets:
                    matches.append(Match(index, targets, event.read_document))
            elif verdict.targets:
                place = decoded.places[index]
                read = partial(self._decoder.document, batch, place, view)
                matches.append(Match(index, verdict.targets, read))
        return matches
