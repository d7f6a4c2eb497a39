"""Where the time of a detector goes: its stages, timed apart over the same events."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from statistics import median

import attrs

from kestrel_framework._builtin.alert_lines import alert_line
from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._pipeline.event_clock import EventClock
from kestrel_framework._pipeline.event_decoder import EventDecoder
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import (
    Candidate,
    MatchedBatch,
    Problem,
    Row,
    targets_of,
)
from kestrel_framework._pipeline.key_views import KeyViews
from kestrel_framework._pipeline.process_lineage import LineageLimits, ProcessLineage
from kestrel_framework._pipeline.rule_matcher import RuleMatcher, paths_read
from kestrel_framework._pipeline.sequence_tracker import SequenceTracker
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector
from kestrel_framework.event import EventBatch, EventSettings
from kestrel_framework.interfaces import PatternEngine
from kestrel_framework.rule import RuleSet
from kestrel_framework.schema import SchemaRegistry


@attrs.frozen
class StageTimes:
    """The CPU seconds of each stage for one pass over all events.

    Attributes:
        decode: From bytes to the fields that rules read.
        fields: From those to the clauses that hold, as far as single fields decide.
        residuals: What clauses ask besides, and noting the events that match.
        lineage: Following processes, and deciding what asks for them.
        sequences: Following sequences, samples and joins.
        output: Writing the alerts as lines of JSON; a detector alone does not, and `whole` is
            without it.
        whole: All of it together, but for `output`, as a detector does it.
    """

    decode: float
    fields: float
    residuals: float
    lineage: float
    sequences: float
    output: float
    whole: float

    @property
    def match(self) -> float:
        """From the fields to the conditions that hold."""
        return self.fields + self.residuals

    @property
    def rest(self) -> float:
        """What none of the stages accounts for: making alerts, counting, and noise."""
        return self.whole - self.decode - self.match - self.lineage - self.sequences


@attrs.frozen
class StageProfile:
    """Where the time of a detector goes.

    Attributes:
        first: The pass in which every value is new.
        warm: The passes after it: the median of each stage.
        values_looked_up: Values in the first pass that a field had not had before: the misses.
        warm_values_looked_up: The same in one warm pass; more than 0 where limits made it forget.
        nodes_made: Combinations in the first pass that had not been seen before.
        residuals_tested: How often a residual was asked in one pass.
        slow_events: Events in the first pass that took the slow way through the decoder.
        times_emptied: How often something remembered was forgotten at a limit, in all passes.
    """

    first: StageTimes
    warm: StageTimes
    values_looked_up: int
    warm_values_looked_up: int
    nodes_made: int
    residuals_tested: int
    slow_events: int
    times_emptied: int


def profile_stages(
    rules: RuleSet,
    batches: Sequence[EventBatch],
    *,
    schema: SchemaRegistry | None = None,
    settings: EventSettings | None = None,
    pattern_engine: PatternEngine | None = None,
    rounds: int = 3,
) -> StageProfile:
    """Time each stage over the same events: one pass when nothing was seen, then warm ones.

    Makes three matchers, and so takes the memory of three detectors.

    Args:
        rules: The rules of the detector.
        batches: The events.
        schema: As for `Detector`.
        settings: As for `Detector`.
        pattern_engine: As for `Detector`.
        rounds: How many warm passes there are.
    """
    schema, settings = schema or SchemaRegistry.ecs(), settings or EventSettings()
    engine = pattern_engine or NativePatternEngine()
    stages = _Stages(rules, schema, settings, engine)
    detector = Detector(rules, schema=schema, settings=settings, pattern_engine=engine)
    gc.freeze()
    first = _one_pass(stages, detector, batches)
    after_first = stages.matcher.statistics
    slow_events = stages.event_matcher.slow_events
    warm = [_one_pass(stages, detector, batches) for _ in range(rounds)]
    after_all = stages.matcher.statistics
    more_values = after_all.values_looked_up - after_first.values_looked_up
    return StageProfile(
        first=first,
        warm=StageTimes(
            **{
                field.name: median(getattr(times, field.name) for times in warm)
                for field in attrs.fields(StageTimes)
            }
        ),
        values_looked_up=after_first.values_looked_up,
        warm_values_looked_up=more_values // rounds,
        nodes_made=after_first.nodes_made,
        residuals_tested=stages.event_matcher.statistics.residuals_tested // (rounds + 1),
        slow_events=slow_events,
        times_emptied=after_all.times_emptied,
    )


class _Stages:
    """The stages of a detector, each by itself."""

    def __init__(
        self,
        rules: RuleSet,
        schema: SchemaRegistry,
        settings: EventSettings,
        patterns: PatternEngine,
    ) -> None:
        self._rules = rules
        self._settings = settings
        self._targets = targets_of(rules)
        lineage = self.lineage()
        targets, paths = (*self._targets, *lineage.targets), lineage.paths
        category = settings.category_field
        wanted = {**dict.fromkeys(paths, False), **paths_read(targets, category)}
        self.decoder = EventDecoder(settings, wanted, paths)
        self.matcher = RuleMatcher(targets, category, schema, self.decoder.types, patterns)
        self.event_matcher = EventMatcher(targets, schema, settings, patterns, paths)

    def lineage(self) -> ProcessLineage:
        """Return what follows processes, without any."""
        return ProcessLineage(self._rules, self._targets, LineageLimits(), _ignore)

    def tracker(self) -> SequenceTracker:
        """Return what follows sequences, without any."""
        views = KeyViews(self._settings)
        return SequenceTracker(self._rules, self._targets, raw_values=views.raw_values)


def _one_pass(stages: _Stages, detector: Detector, batches: Sequence[EventBatch]) -> StageTimes:
    lineage, tracker, event_clock = stages.lineage(), stages.tracker(), EventClock()
    verdict, now = stages.matcher.verdict, time.process_time
    decode = fields = matched_whole = related_whole = sequences = whole = 0.0
    alerts: list[Alert] = []
    before = detector.snapshot()
    for batch in batches:
        started = now()
        for _ in stages.decoder.views(batch, []):
            pass
        decoded = now()
        for _, view in stages.decoder.views(batch, []):
            verdict(view)
        tested = now()
        matched = stages.event_matcher.match(batch)
        matched_at = now()
        candidates = list(_candidates(batch, matched, event_clock, stages.event_matcher))
        related = lineage.decide(matched.processes, candidates)
        related_at = now()
        tracker.advance(related)
        tracked = now()
        alerts += detector.feed(batch)
        whole += now() - tracked
        decode += decoded - started
        fields += tested - decoded
        matched_whole += matched_at - tested
        related_whole += related_at - matched_at
        sequences += tracked - related_at
    started = now()
    alerts += detector.finish()
    finished = now()
    for alert in alerts:
        alert_line(alert)
    output = now() - finished
    detector.restore(before)
    return StageTimes(
        decode=decode,
        fields=fields,
        residuals=matched_whole - decode - fields,
        lineage=related_whole,
        sequences=sequences,
        output=output,
        whole=whole + finished - started,
    )


def _candidates(
    batch: EventBatch, matched: MatchedBatch, event_clock: EventClock, matcher: EventMatcher
) -> Iterator[Candidate]:
    times, first = event_clock.times(matched.times), batch.first_offset or 0
    for match in matched.matches:
        index = match.index
        tiebreaker = matched.tiebreakers[index] if matched.tiebreakers else None
        row = Row(
            matcher.document_reader(batch, matched.places[index]),
            times[index],
            batch.stream or "",
            first + matched.places[index],
            tiebreaker,
            batch.payloads[matched.places[index]] if batch.payloads else None,
        )
        yield Candidate(row, match.targets, index=index)


def _ignore(problem: Problem) -> None:
    """Hear of oddities of the input, which the detector tells of already."""
