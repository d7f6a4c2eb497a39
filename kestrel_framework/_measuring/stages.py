"""Where the time of a detector goes: its stages, timed apart over the same events."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from statistics import median

import attrs

from kestrel_framework._builtin.alert_lines import alert_line
from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._measuring.passes import times_one_by_one
from kestrel_framework._pipeline.candidate_builder import proposed_candidates
from kestrel_framework._pipeline.event_clock import EventClock
from kestrel_framework._pipeline.event_decoder import View
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.event_scanner import EventScanner
from kestrel_framework._pipeline.flow import Problem, targets_of
from kestrel_framework._pipeline.key_views import KeyViews
from kestrel_framework._pipeline.process_lineage import LineageLimits, ProcessLineage
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
        decode: From bytes to the fields that rules read, event time, and what tells processes
            apart.
        fields: From those to the clauses that hold, as far as single fields decide.
        residuals: What clauses ask besides, and noting the events that match.
        lineage: Choosing the events that mean something, following processes, and deciding what
            asks for them.
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
    def verdict(self) -> float:
        """From bytes to the conditions that hold."""
        return self.decode + self.match

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


def verdict_times(
    rules: RuleSet, batches: Sequence[EventBatch], *, pattern_engine: PatternEngine | None = None
) -> tuple[list[float], list[float]]:
    """Return the CPU seconds from bytes to verdict of each event that comes alone, ascending.

    Args:
        rules: The rules whose conditions are tested.
        batches: The events.
        pattern_engine: As for `Detector`.

    Returns:
        Those of a matcher that has seen nothing, and of one that has seen the same events.
    """
    engine = pattern_engine or NativePatternEngine()
    matcher = _Stages(rules, SchemaRegistry.ecs(), EventSettings(), engine).matcher
    return times_one_by_one(matcher.match, batches), times_one_by_one(matcher.match, batches)


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
    fresh = _Stages(rules, schema, settings, engine)
    first = _one_pass(stages, fresh, detector, batches)
    del fresh
    gc.collect()
    gc.freeze()  # or the rounds would free it, and look through what the first pass has left
    after_first = stages.matcher.statistics
    slow_events = stages.matcher.slow_events
    warm = [_one_pass(stages, stages, detector, batches) for _ in range(rounds)]
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
        residuals_tested=after_first.residuals_tested,
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
        self.matcher = EventMatcher(
            (*self._targets, *lineage.targets), schema, settings, patterns, lineage.paths
        )
        self._reader = (
            None
            if self.matcher.scanner is None
            else EventScanner(
                self.matcher.decoder, self.matcher.rule_matcher, lineage.paths, walks=False
            )
        )

    def read(self, batches: Sequence[EventBatch]) -> None:
        """Read of each event what the matcher reads of it."""
        for batch in batches:
            self._scan_or_view(self._reader, batch, _nothing)

    def test(self, batches: Sequence[EventBatch]) -> None:
        """Read each event, and find out what its fields decide."""
        for batch in batches:
            self._scan_or_view(self.matcher.scanner, batch, self.matcher.rule_matcher.verdict)

    def _scan_or_view(
        self, scanner: EventScanner | None, batch: EventBatch, test: Callable[[View], object]
    ) -> None:
        """Scan the events of a batch; view and test those that a scanner leaves."""
        decoder = self.matcher.decoder
        views = decoder.views(batch, [])
        if scanner is None:
            for place, view in views:
                self._view(batch, place, view)
                test(view)
            return
        scanner.learn()
        scan = scanner.scan
        for place, payload in enumerate(batch.payloads):
            if scan(payload) is None:
                left = decoder.view_of_payload(batch, place, [])
                if left is not None:
                    self._view(batch, place, left)
                    test(left)

    def _view(self, batch: EventBatch, place: int, view: View) -> None:
        """Read the time of a view, and what is wanted of it."""
        decoder, read_processes = self.matcher.decoder, self.matcher.read_processes
        try:
            decoder.parsed_times[decoder.read_time(view)]
        except (ValueError, TypeError):
            decoder.odd_time(batch, place, view, [])
        if read_processes is not None:
            read_processes(view)

    def lineage(self) -> ProcessLineage:
        """Return what follows processes, without any."""
        return ProcessLineage(self._rules, self._targets, LineageLimits(), _ignore)

    def tracker(self) -> SequenceTracker:
        """Return what follows sequences, without any."""
        views = KeyViews(self._settings)
        return SequenceTracker(self._rules, self._targets, raw_values=views.raw_values)


def _one_pass(
    stages: _Stages, tested_apart: _Stages, detector: Detector, batches: Sequence[EventBatch]
) -> StageTimes:
    """Time the stages, some over all batches at once: each finds in the caches what it left there.

    Args:
        stages: What is timed.
        tested_apart: Finds out how long fields take; of the same rules as `stages`.
        detector: Does all of it together.
        batches: The events.
    """
    now = time.process_time
    started = now()
    tested_apart.read(batches)
    decoded = now()
    tested_apart.read(batches)  # all shapes are known by now
    decoded_again = now()
    tested_apart.test(batches)
    tested = now()
    for batch in batches:
        stages.matcher.match(batch)
    matched = now()
    related, sequences = _in_turn(stages, batches)
    before = detector.snapshot()
    alerts: list[Alert] = []
    whole_started = now()
    for batch in batches:
        alerts += detector.feed(batch)
    alerts += detector.finish()
    finished = now()
    for alert in alerts:
        alert_line(alert)
    written = now()
    detector.restore(before)
    decode = decoded - started
    fields = tested - decoded_again - (decoded_again - decoded)
    return StageTimes(
        decode=decode,
        fields=fields,
        residuals=matched - tested - decode - fields,
        lineage=related,
        sequences=sequences,
        output=written - finished,
        whole=finished - whole_started,
    )


def _nothing(view: View) -> None:
    """Leave a view as it is."""


def _in_turn(stages: _Stages, batches: Sequence[EventBatch]) -> tuple[float, float]:
    """Return the time that lineage and sequences take, which depend on each other."""
    lineage, tracker, event_clock = stages.lineage(), stages.tracker(), EventClock()
    now = time.process_time
    following = sequences = 0.0
    for batch in batches:
        found = stages.matcher.match(batch)
        matched = now()
        times = event_clock.times(found.times)
        proposed = proposed_candidates(
            batch, found, found.matches, times, stages.matcher, tracker.idle
        )
        related = lineage.decide(found.processes, proposed)
        followed = now()
        tracker.advance(related)
        following += followed - matched
        sequences += now() - followed
    return following, sequences


def _ignore(problem: Problem) -> None:
    """Hear of oddities of the input, which the detector tells of already."""
