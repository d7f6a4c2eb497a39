"""The detector: events in, alerts out. No threads, no I/O, no clock.

detector = Detector(load_rules("rules", compilers=[EqlCompiler()]))
for alert in detector.feed([document]):
    respond(alert)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs
import msgspec

from kestrel_framework._builtin.native_evaluator import NativeEvaluator
from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._collector_pause import collector_paused
from kestrel_framework._detector_statistics import (
    DetectorStatistics,
    PartialMatches,
    RememberedProcesses,
    RevisionState,
)
from kestrel_framework._generation import Generation, event_matcher
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.event_time import (
    EventTime,
    MatchState,
    Passage,
    TimeState,
    WaitingMatch,
    decode_time,
    encode_time,
)
from kestrel_framework._pipeline.flow import Completion, MatchedBatch, Problem, targets_of
from kestrel_framework._pipeline.loss_ledger import LossLedger
from kestrel_framework._pipeline.process_lineage import (
    DEFAULT_PROCESSES,
    LineageState,
    ProcessLineage,
    decode,
    encode,
)
from kestrel_framework._pipeline.sequence_tracker import EndReason, TrackerLimits
from kestrel_framework._rule_replacement import PreparedRules, prepared
from kestrel_framework.alert import Alert
from kestrel_framework.errors import StateError
from kestrel_framework.event import Document, EventBatch, EventSettings, TimeSettings
from kestrel_framework.interfaces import PatternEngine, PredicateEvaluator
from kestrel_framework.reload import OnRuleChange, ReloadReport
from kestrel_framework.rule import LoadReport, RuleSet
from kestrel_framework.schema import SchemaRegistry

__all__ = [
    "Detector",
    "DetectorStatistics",
    "PartialMatches",
    "PreparedRules",
    "RememberedProcesses",
    "RevisionState",
]

_SNAPSHOT_VERSION: Final = 3
_SNAPSHOT_VERSIONS_READ: Final = (1, 2, 3)
_UNNAMED_STREAM: Final = "documents"
_UNTIMELY: Final[Mapping[str, str]] = {
    "late": "{} events came too late for sequences (see `disorder` of the source)",
    "implausible_time": "{} events are in no sequence: their times are far from all others",
    "released_early": "{} events were followed before their time: too many waited",
}


class Detector:
    """Matches events against a rule set and follows sequences.

    Not safe for use from two threads at once, but for `prepare`. Picklable: a copy has the rule
    set and the state, and builds its generated code again; problems go unheard
    until `on_problem` is set on it. Evaluators given must be picklable themselves.

    The same input gives the same alerts in the same order, whatever the size of the batches.
    While one is made, or given other rules, Python does not look for cyclic garbage.

    Args:
        rules: The rules to begin with.
        schema: What fields and event types mean; the Elastic Common Schema if left out. It
            should be the one the rules were compiled with.
        settings: Which fields say when and what an event is.
        evaluators: Runtimes for programs written by hand, by name, besides `native`.
        pattern_engine: Finds the patterns that match a text; the kernel's own if left out.
        runtime: The runtime that decides about expressions.
        limits: How much unfinished sequences may hold.
        lineage_processes: How many processes are remembered, where rules ask for lineage.
        time: Which event times are believed.
        on_rule_change: What becomes of partial matches whose rule changes or goes.
        on_problem: Told of each oddity of the input and each failed evaluation, in the calling
            thread.

    Raises:
        RuleError: a rule cannot be loaded into its runtime.
        ValueError: `lineage_processes` is below 1.
    """

    def __init__(
        self,
        rules: RuleSet | LoadReport,
        *,
        schema: SchemaRegistry | None = None,
        settings: EventSettings | None = None,
        evaluators: Mapping[str, PredicateEvaluator] | None = None,
        runtime: str = "native",
        pattern_engine: PatternEngine | None = None,
        limits: TrackerLimits | None = None,
        lineage_processes: int = DEFAULT_PROCESSES,
        time: TimeSettings | None = None,
        on_rule_change: OnRuleChange = OnRuleChange.DRAIN,
        on_problem: Callable[[Problem], None] | None = None,
    ) -> None:
        self.on_problem = on_problem
        self.statistics = DetectorStatistics()
        self._schema = schema or SchemaRegistry.ecs()
        self._settings = settings or EventSettings()
        self._evaluators = {"native": NativeEvaluator(), **(evaluators or {})}
        self._runtime = runtime
        self._pattern_engine = pattern_engine or NativePatternEngine()
        self._limits = limits or TrackerLimits()
        self._lineage_processes = lineage_processes
        self._time_settings = time or TimeSettings()
        self._on_rule_change = on_rule_change
        self._time = EventTime(self._time_settings, self.statistics.untimely)
        self._losses = LossLedger()
        self._next_offsets: dict[str, int] = {}
        rule_set = rules.rule_set if isinstance(rules, LoadReport) else rules
        self._generation = self._compiled(rule_set)

    @property
    def rules(self) -> RuleSet:
        """The rule set at work, without old revisions that only go on with what is under way."""
        return self._generation.rules_at_work

    @property
    def revisions(self) -> tuple[RevisionState, ...]:
        """What is known of each revision: first those of `rules`, then old ones that drain.

        Cost: a look at each rule. From any thread.
        """
        generation, counted = self._generation, self.statistics
        return tuple(
            RevisionState(
                *(name := (rule.rule_id, rule.revision)),
                rule.rollout,
                generation.tracker.live_of(number),
                counted.alerts_by_revision[name],
                counted.failures_by_revision[name],
            )
            for number, rule in enumerate(generation.rules)
            if not rule.rollout.draining or generation.has_under_way(number)
        )

    @property
    def sources(self) -> frozenset[str]:
        """The sources that time waits for, or would if they were not quiet."""
        return self._time.source_names

    @property
    def partial_matches(self) -> PartialMatches:
        """What became of partial matches, also before a snapshot that was restored."""
        counted = self._generation.tracker.statistics
        # A copy, made in one step: another thread than the detector's may be reading.
        ended = dict(counted.ended)
        return PartialMatches(
            counted.live,
            {reason.value: number for reason, number in sorted(ended.items(), key=_by_name)},
            counted.keys_left_out,
        )

    @property
    def processes(self) -> RememberedProcesses:
        """What is remembered of processes; the counts go on over snapshots and rule sets."""
        counted = self._generation.lineage.statistics
        return RememberedProcesses(
            counted.live,
            {"marked": counted.evicted_marked, "unmarked": counted.evicted_unmarked},
            counted.long_ids,
            counted.cut_walks,
        )

    def feed(self, events: EventBatch | Iterable[Document]) -> list[Alert]:
        """Return the alerts that these events complete, in the order of the events.

        Documents without a stream of their own are numbered on in one stream.
        """
        batch = events if isinstance(events, EventBatch) else EventBatch(documents=list(events))
        numbered = self._numbered(batch)
        return self._follow(numbered, self._generation.matcher.match(numbered))

    def advance(self, watermark: int) -> list[Alert]:
        """Hear that no event older than `watermark` (nanoseconds since 1970) will come.

        From any source. Returns the alerts of sequences that waited for that.
        """
        return self._passed(self._time.pass_to(watermark))

    def end_source(self, name: str) -> list[Alert]:
        """Hear that a source brings no event any more, and return what waited for it.

        With the last source time ends: with the next event it begins anew.
        """
        self._time.end(name)
        return self._passed(self._time.pass_on())

    def leave_out(self, source: str) -> list[Alert]:
        """Wait no longer for a source until it brings events again, and return what waited.

        What it brings then may be late. An empty batch does not count as events.
        """
        self._time.leave_out(source)
        return self._passed(self._time.pass_on())

    def release(self) -> list[Alert]:
        """Follow now what waits for its turn, in its order, and return what it completes.

        For an end that is not the end of the events, where nothing of the state is kept.
        """
        return self._completed(self._generation.followed(self._time.begin_anew()))

    def finish(self) -> list[Alert]:
        """Hear that no event at all will come, and return the last alerts."""
        generation = self._generation
        last = generation.followed(self._time.finish())
        return self._completed([*last, *generation.tracker.finish()])

    def prepare(
        self, rules: RuleSet, *, on_rule_change: OnRuleChange | None = None
    ) -> PreparedRules:
        """Compile other rules, for `replace`, while the detector works with those it has.

        From any thread, but from one at a time. Costs what making a detector does. Runtimes are
        asked to load programs in this thread.

        Args:
            rules: The rules to go on with.
            on_rule_change: What becomes of what is under way of others; else as always.

        Raises:
            RuleError: a rule cannot be loaded into its runtime.
        """
        return self._prepared(rules, on_rule_change or self._on_rule_change)

    def replace(self, rules: RuleSet | PreparedRules) -> ReloadReport:
        """Go on with other rules, at once, and return what that did.

        What is under way of rules that mean the same goes on. What is under way of others goes on
        with its old meaning while the new one begins beside it, or ends, counted as `rule_changed`:
        as `on_rule_change` says. What processes did goes on as far as queries mean the same. If
        this raises, nothing has changed.

        Cost: of prepared rules, a look at each rule, at each step match that waits for its time,
        and at what ends; see also `PreparedRules.release`. Others are prepared first, and so are
        those that were prepared before the rules at work now.

        Raises:
            RuleError: a rule cannot be loaded into its runtime.
        """
        given = rules if isinstance(rules, PreparedRules) else self.prepare(rules)
        ready = given
        if not ready._handover.is_possible_from(self._generation):
            ready = self._prepared(given.rules, given.on_rule_change)
        handover = ready._handover
        report = handover.carry_out(self._time, self.statistics.untimely, ready.compile_seconds)
        self._generation = handover.generation
        if ready is not rules:
            ready.release()
        return report

    def snapshot(self) -> bytes:
        """Return the state (not the rules) in a versioned encoding that `restore` reads."""
        return msgspec.msgpack.encode(
            {
                "version": _SNAPSHOT_VERSION,
                "tracker": self._generation.tracker.snapshot(),
                "lineage": encode(self._generation.lineage.dump()),
                "time": self._encoded_time(),
                "losses": self._losses.snapshot(),
                "offsets": self._next_offsets,
            }
        )

    def restore(self, snapshot: bytes) -> None:
        """Take over the state of a detector with the same or another rule set.

        Unfinished sequences of rules that this one does not have, with the same meaning, end,
        counted. It has those that it was given, and those that drain in it.

        Raises:
            StateError: the snapshot is damaged, or of a newer version. Nothing has changed.
        """
        try:
            state = msgspec.msgpack.decode(snapshot, type=_Snapshot)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StateError(f"the detector's snapshot is damaged: {error}") from error
        if state.version not in _SNAPSHOT_VERSIONS_READ:
            raise StateError(f"the detector's snapshot has the unknown version {state.version}")
        lineage = LineageState() if state.lineage is None else decode(state.lineage)
        time = TimeState() if state.time is None else decode_time(state.time, self._time.serials)
        self._generation.tracker.restore(state.tracker)
        self._generation.lineage.load(lineage)
        self._time.load(time)
        self._put_in(time.matches)
        self._losses.restore(state.losses)
        self._next_offsets = dict(state.offsets)

    def __getstate__(self) -> dict[str, object]:
        return {
            "rules": self._generation.rules,
            "schema": self._schema,
            "settings": self._settings,
            "evaluators": {k: v for k, v in self._evaluators.items() if k != "native"},
            "runtime": self._runtime,
            "pattern_engine": self._pattern_engine,
            "limits": self._limits,
            "lineage_processes": self._lineage_processes,
            "time": self._time_settings,
            "on_rule_change": self._on_rule_change,
            "statistics": self.statistics,
            "snapshot": self.snapshot(),
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        statistics, snapshot = state.pop("statistics"), state.pop("snapshot")
        self.__init__(**state)  # type: ignore[misc]
        assert isinstance(statistics, DetectorStatistics)
        assert isinstance(snapshot, bytes)
        self.restore(snapshot)
        self.statistics = statistics
        self._time.untimely = statistics.untimely

    def _prepared(
        self,
        rules: RuleSet,
        on_rule_change: OnRuleChange,
        announce: Callable[[RuleSet], None] = lambda rules: None,
    ) -> PreparedRules:
        return prepared(rules, on_rule_change, self._generation, self._compiled, announce)

    @collector_paused()
    def _compiled(self, rules: RuleSet, previous: Generation | None = None) -> Generation:
        return Generation.compiled(
            rules,
            self._schema,
            self._settings,
            self._evaluators,
            self._runtime,
            self._pattern_engine,
            self._limits,
            self._lineage_processes,
            self._report,
            self._evaluation_failed,
            previous,
        )

    @collector_paused()
    def _matcher(self, rules: RuleSet) -> EventMatcher:
        """Return what matches batches by themselves under a rule set."""
        targets = targets_of(rules)
        lineage = ProcessLineage(rules, targets)
        return event_matcher(targets, lineage, self._schema, self._settings, self._pattern_engine)

    def _follow(self, batch: EventBatch, matched: MatchedBatch) -> list[Alert]:
        """Return the alerts of a batch, given what it says by itself."""
        if batch.lost:
            self._note_losses(batch.lost)
        for problem in matched.problems:
            self._report(problem)
        self.statistics.events += len(matched.places)
        passage = Passage(self._time, batch.source, batch.disorder, matched.times)
        if passage.times:
            self._losses.close(passage.times[0])
        untimely = dict(self.statistics.untimely)
        alerts = self._completed(self._generation.findings(batch, matched, passage, self._time))
        if self.statistics.untimely != untimely:
            self._tell_untimely(self.statistics.untimely - Counter(untimely), batch.origin)
        if batch.watermark is not None:
            self._time.promise(batch.source, batch.watermark)
            alerts += self._passed(self._time.pass_on())
        return alerts

    def _passed(self, released: Sequence[WaitingMatch]) -> list[Alert]:
        """Return the alerts of what has its turn now that time has gone on."""
        generation = self._generation
        done = generation.followed(released)
        return self._completed([*done, *generation.tracker.expire(self._time.watermark)])

    def _tell_untimely(self, causes: Counter[str], origin: str) -> None:
        """Say what sequences did not see: it is counted already, and by itself no problem."""
        if self.on_problem is not None:
            for cause, number in causes.items():
                self.on_problem(Problem(cause, _UNTIMELY[cause].format(number), origin))

    def _encoded_time(self) -> bytes:
        matches = [self._generation.match_state(*match) for match in self._time.all_matches()]
        return encode_time(attrs.evolve(self._time.dump(), matches=matches))

    def _put_in(self, matches: Iterable[MatchState]) -> None:
        """Have matches wait again; those of rules that are not there any more are left out."""
        for state in matches:
            match = self._generation.match_of(state)
            if match is None:
                self.statistics.untimely["rule_changed"] += 1
            else:
                self._time.put_in([(state.aside_of, match)])
        self._generation.expect(match.targets for _, match in self._time.all_matches())

    def _numbered(self, batch: EventBatch) -> EventBatch:
        if batch.stream is not None and batch.first_offset is not None:
            return batch
        stream = _UNNAMED_STREAM if batch.stream is None else batch.stream
        first = batch.first_offset
        if first is None:
            first = self._next_offsets.get(stream, 0)
        self._next_offsets[stream] = first + len(batch)
        return attrs.evolve(batch, stream=stream, first_offset=first)

    def _note_losses(self, lost: Mapping[str, int]) -> None:
        self.statistics.lost.update(lost)
        self._losses.record(lost, self._time.greatest)

    def _completed(self, findings: Iterable[Completion]) -> list[Alert]:
        alerts = []
        for finding in filter(self._generation.result_filter.passes, findings):
            times = [event.timestamp for event in finding.events if event is not None]
            lost = self._losses.between(min(times), max(times))
            alert = self._generation.alert_builder.alert(
                finding.rule, finding.events, finding.key, lost
            )
            counter = self.statistics.shadow_alerts if alert.shadow else self.statistics.alerts
            counter[alert.rule.rule_id] += 1
            self.statistics.alerts_by_revision[alert.rule.rule_id, alert.revision] += 1
            alerts.append(alert)
        return alerts

    def _report(self, problem: Problem) -> None:
        self.statistics.problems[problem.cause] += 1
        if problem.skipped:
            self.statistics.skipped[problem.cause] += 1
        if self.on_problem is not None:
            self.on_problem(problem)

    def _evaluation_failed(self, rule_index: int, problem: Problem) -> None:
        rule = self._generation.rules.rules[rule_index]
        self.statistics.failures[rule.rule_id] += 1
        self.statistics.failures_by_revision[rule.rule_id, rule.revision] += 1
        self._report(problem)


def _by_name(item: tuple[EndReason, int]) -> str:
    return item[0].value


class _Snapshot(msgspec.Struct, frozen=True):
    version: int
    tracker: bytes
    losses: list[tuple[str, int, int | None, int | None]]
    offsets: dict[str, int]
    lineage: bytes | None = None
    time: bytes | None = None
