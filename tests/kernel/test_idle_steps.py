"""Steps of sequences that have not begun are not looked at, and nobody can tell."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias
from unittest.mock import patch

import pytest
from drawn_rules import EVENT_TYPES, SCHEMA, SETTINGS, bodies, conditions, documents, in_order
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import Candidate, Target, targets_of
from kestrel_framework._pipeline.sequence_tracker import SequenceTracker, TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.machine import SequenceMachine
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector, PartialMatches
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.predicate import ALWAYS, Field
from kestrel_framework.rule import (
    ANY_EVENT,
    JoinKey,
    JoinRule,
    Rule,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)
from sequence_shapes import Shape, candidates, row_of, stream, texts_of, tracker_for

_Finding: TypeAlias = tuple[str, tuple[object, ...], str]
_Outcome: TypeAlias = list[tuple[list[_Finding], PartialMatches]]


@st.composite
def samples(draw: st.DrawFn) -> SampleRule:
    keys = (JoinKey(Field("k"), optional=draw(st.booleans())),)
    step = st.builds(Step, EVENT_TYPES, conditions(), st.just(keys))
    return SampleRule(tuple(draw(st.lists(step, min_size=2, max_size=3))))


@st.composite
def runs(draw: st.DrawFn) -> SequenceRule:
    """Return a sequence in which a step comes several times one after the other."""
    keys = (JoinKey(Field("k")),)
    first, second, last = (
        Step(draw(EVENT_TYPES), draw(conditions()), keys, fork=draw(st.booleans()) and n > 0)
        for n in range(3)
    )
    steps = (first, *[second] * draw(st.integers(2, 3)), last)
    return SequenceRule(steps, draw(st.none() | st.integers(0, 9)))


def outcome(
    rules: RuleSet,
    events: Sequence[Document],
    size: int,
    *,
    limits: TrackerLimits | None = None,
    lateness: int | None = None,
    restarts: bool = False,
) -> _Outcome:
    """Return what a detector finds, and has counted, batch by batch, and in the end.

    Args:
        rules: The rules.
        events: The events.
        size: How many are in a batch.
        limits: How much unfinished sequences may hold.
        lateness: How late an event may be, if the detector is told how late it is.
        restarts: Whether another detector goes on after each batch.
    """
    detector = Detector(rules, schema=SCHEMA, settings=SETTINGS, limits=limits)
    outcome, latest = [], 0
    for begin in range(0, len(events), size):
        batch = events[begin : begin + size]
        latest = max(latest, *(time for event in batch if isinstance(time := event["t"], int)))
        watermark = None if lateness is None else latest - lateness
        alerts = detector.feed(EventBatch(documents=batch, watermark=watermark))
        outcome.append((in_short(alerts), detector.partial_matches))
        if restarts:
            snapshot = detector.snapshot()
            detector = Detector(rules, schema=SCHEMA, settings=SETTINGS, limits=limits)
            detector.restore(snapshot)
    outcome.append((in_short(detector.finish()), detector.partial_matches))
    return outcome


def outcome_of_all_steps(
    rules: RuleSet,
    events: Sequence[Document],
    size: int,
    *,
    limits: TrackerLimits | None = None,
    lateness: int | None = None,
) -> _Outcome:
    """Return what a detector finds that looks at every step of every sequence."""

    def nothing_is_idle(tracker: SequenceTracker, targets: Collection[int]) -> frozenset[int]:
        return frozenset()

    with patch.object(SequenceTracker, "idle", nothing_is_idle):
        return outcome(rules, events, size, limits=limits, lateness=lateness)


def in_short(alerts: Sequence[Alert]) -> list[_Finding]:
    return [
        (
            alert.rule.rule_id,
            tuple(event and event.document["n"] for event in alert.evidence),
            repr(alert.join_keys),
        )
        for alert in alerts
    ]


def together(outcome: _Outcome) -> list[_Finding]:
    return [finding for findings, _ in outcome for finding in findings]


def idle_literally(
    tracker: SequenceTracker, targets: Sequence[Target], asked: Collection[int]
) -> set[int]:
    """Say again which steps are idle."""
    machines = tracker._machines
    patient = {
        rule
        for rule, machine in machines.items()
        if isinstance(machine, SequenceMachine) and machine.has_trailing
    }
    later = {
        number
        for number in asked
        if isinstance(machine := machines[targets[number].rule], SequenceMachine)
        and machine.is_later(targets[number].step)
    }
    begun = {targets[number].rule for number in asked if number not in later}
    if begun & patient or any(machines[rule].live for rule in patient):
        return set()
    return {
        number
        for number in later
        if not machines[targets[number].rule].live and targets[number].rule not in begun
    }


class TestWhichStepsAreIdle:
    """Targets are numbered by steps, then `until`."""

    @pytest.mark.parametrize(
        ("shape", "seen", "asked", "idle"),
        [
            (Shape(("A", "B", "C")), "", {1, 2}, {1, 2}),
            (Shape(("A", "B", "C")), "", {0, 1, 2}, set()),
            (Shape(("A", "B", "C")), "A0", {1, 2}, set()),
            (Shape(("A", "B", "C")), "A0 B1", {2}, set()),
            (Shape(("A", "B", "C")), "A0 B1 C2", {1, 2}, {1, 2}),
            (Shape(("A",)), "", {0}, set()),
            (Shape(("A", "B"), until="U"), "", {1, 2}, {1, 2}),
            (Shape(("A", "B"), until="U"), "A0", {1, 2}, set()),
            (Shape(("A", "B"), until="U"), "A0 U1", {1, 2}, {1, 2}),
            (Shape(("!M", "A", "B"), maxspan=9), "", {0}, set()),
            (Shape(("!M", "A", "B"), maxspan=9), "", {2}, {2}),
            (Shape(("!M", "A", "B"), maxspan=9), "M0", {2}, set()),
            (Shape(("A", "!M", "B"), maxspan=9), "", {1, 2}, {1, 2}),
            (Shape(("A", "!M", "B"), maxspan=9), "A0", {1, 2}, set()),
            (Shape(("A", "!M"), maxspan=9), "", {1}, {1}),
            (Shape(("A", "!M"), maxspan=9), "A0", {1}, set()),
            (Shape(("A", "!M"), maxspan=9), "A0 M1 M99", {1}, {1}),
            (Shape(("A", "B+", "C")), "A0 B1 C2", {1, 2}, set()),
        ],
    )
    def test_of_a_sequence(self, shape: Shape, seen: str, asked: set[int], idle: set[int]) -> None:
        rule = shape.rule()
        tracker = tracker_for(rule)
        tracker.advance(candidates(stream(seen), rule, texts_of(shape)))
        assert tracker.idle(frozenset(asked)) == idle

    @given(
        st.lists(
            st.sampled_from(
                [
                    Shape(("A", "B", "C")),
                    Shape(("B", "A"), until="U"),
                    Shape(("A", "!M"), maxspan=9),
                    Shape(("!M", "A", "B"), maxspan=9),
                ]
            ),
            min_size=1,
            max_size=3,
        ),
        st.lists(st.integers(0, 2), max_size=6),
        st.data(),
    )
    def test_of_several_rules_as_it_is_said(
        self, shapes: list[Shape], begun: list[int], data: st.DataObject
    ) -> None:
        rules = RuleSet([shape.rule(f"rule {n}") for n, shape in enumerate(shapes)])
        targets = targets_of(rules)
        tracker = SequenceTracker(rules, targets)
        for time, rule in enumerate(begun):
            numbers = [n for n, one in enumerate(targets) if (one.rule, one.step) == (rule, 0)]
            if numbers:
                tracker.advance([Candidate(row_of({"key": 1}, time, time), (numbers[0],))])
        asked = data.draw(st.frozensets(st.integers(0, len(targets) - 1)))
        expected = idle_literally(tracker, targets, asked)
        assert tracker.idle(asked) == tracker.idle(tuple(sorted(asked))) == expected

    def test_none_while_another_rule_waits_for_what_does_not_come(self) -> None:
        waiting, other = Shape(("A", "!M"), maxspan=9), Shape(("C", "D"))
        rules = RuleSet([waiting.rule("waiting"), other.rule("other")])
        tracker = SequenceTracker(rules, targets_of(rules))
        assert tracker.idle((3,)) == {3}
        assert tracker.idle((0, 3)) == set()
        tracker.advance([Candidate(row_of({"key": 1}, 0, 0), (0,))])
        assert tracker.idle((3,)) == set()
        assert len(tracker.advance([Candidate(row_of({"key": 1}, 99, 1), (3,))])) == 1
        assert tracker.idle((3,)) == {3}

    def test_none_of_a_snapshot_that_goes_on(self) -> None:
        shape = Shape(("A", "B"))
        first, second = tracker_for(shape.rule()), tracker_for(shape.rule())
        first.advance(candidates(stream("A0"), shape.rule(), texts_of(shape)))
        second.restore(first.snapshot())
        assert second.idle((1,)) == set()

    @pytest.mark.parametrize("kind", [SampleRule, JoinRule])
    def test_none_of_samples_and_joins(self, kind: type[SampleRule | JoinRule]) -> None:
        step = Step(ANY_EVENT, ALWAYS, (JoinKey(Field("key")),))
        tracker = tracker_for(Rule(RuleMetadata("rule"), kind((step, step))))
        assert tracker.idle((0, 1)) == set()
        assert tracker.idle((1,)) == set()


@st.composite
def streams(draw: st.DrawFn, most: int) -> list[Document]:
    drawn = draw(st.lists(documents(), min_size=3, max_size=most))
    ordered = in_order(drawn) if draw(st.booleans()) else drawn
    return [{**document, "n": n} for n, document in enumerate(ordered)]


RULES = st.lists(bodies() | runs() | samples(), min_size=1, max_size=4).map(
    lambda drawn: RuleSet([Rule(RuleMetadata(f"{n}"), body) for n, body in enumerate(drawn)])
)
LIMITS = st.none() | st.builds(TrackerLimits, total=st.integers(1, 6), per_rule=st.integers(1, 4))


def check_all_sizes(
    rules: RuleSet, events: list[Document], limits: TrackerLimits | None
) -> list[_Finding]:
    """See that batches of all sizes give what looking at every step gives; return that."""
    everything = together(outcome_of_all_steps(rules, events, len(events), limits=limits))
    for size in range(1, len(events) + 1):
        found = outcome(rules, events, size, limits=limits)
        assert together(found) == everything
        assert found == outcome_of_all_steps(rules, events, size, limits=limits)
    return everything


class TestNothingChanges:
    @settings(max_examples=100, deadline=None)
    @given(RULES, streams(8), LIMITS)
    def test_whatever_the_batches(
        self, rules: RuleSet, events: list[Document], limits: TrackerLimits | None
    ) -> None:
        note("found something" if check_all_sizes(rules, events, limits) else "found nothing")

    @pytest.mark.slow
    @settings(max_examples=1500, deadline=None)
    @given(RULES, streams(25), LIMITS)
    def test_whatever_the_batches_very_often(
        self, rules: RuleSet, events: list[Document], limits: TrackerLimits | None
    ) -> None:
        check_all_sizes(rules, events, limits)

    @settings(max_examples=50, deadline=None)
    @given(RULES, streams(8), st.integers(1, 4), st.integers(0, 9))
    def test_whatever_is_told_of_time_and_wherever_it_starts_again(
        self, rules: RuleSet, events: list[Document], size: int, lateness: int
    ) -> None:
        expected = outcome_of_all_steps(rules, events, size, lateness=lateness)
        assert outcome(rules, events, size, lateness=lateness) == expected
        assert outcome(rules, events, size, lateness=lateness, restarts=True) == expected
