"""Sequences and events in short, for the tests of the tracker."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from kestrel_framework._pipeline.flow import (
    UNTIL,
    Candidate,
    Completion,
    Row,
    targets_of,
)
from kestrel_framework._pipeline.sequence_tracker import SequenceTracker, TrackerLimits
from kestrel_framework.event import Document
from kestrel_framework.predicate import (
    ALWAYS,
    Comparison,
    ComparisonOperator,
    Field,
    Predicate,
    StepField,
)
from kestrel_framework.rule import (
    ANY_EVENT,
    JoinKey,
    Rule,
    RuleMetadata,
    RuleSet,
    SequenceRule,
    Step,
)

KEY = JoinKey(Field("key"))
FOLDED_KEY = JoinKey(Field("key"), fold=True)
MARKS = "!=+"


@attrs.frozen
class Shape:
    """A sequence in short.

    Steps are letters with marks: `A`, `!M` for a missing event, `B=` where `v` is that of the
    first step that waits, `B+` for a fork.
    """

    steps: tuple[str, ...]
    maxspan: int | None = None
    until: str = ""
    keys: tuple[JoinKey, ...] = (KEY,)
    until_first: bool = False

    @property
    def first(self) -> int:
        """The first step that waits for an event."""
        return next(n for n, text in enumerate(self.steps) if not text.startswith("!"))

    def rule(self, rule_id: str = "shape") -> Rule:
        steps = tuple(self._step(text) for text in self.steps)
        until = self._step(self.until) if self.until else None
        body = SequenceRule(steps, self.maxspan, until, self.until_first)
        return Rule(RuleMetadata(rule_id), body)

    def _step(self, text: str) -> Step:
        condition: Predicate = ALWAYS
        if "=" in text:
            here, first = Field("v"), StepField(self.first, "v")
            condition = Comparison(ComparisonOperator.EQUAL, here, first)
        missing = text.startswith("!")
        return Step(ANY_EVENT, condition, self.keys, missing=missing, fork="+" in text)


@attrs.frozen
class Seen:
    """An event in short: when, which letters it satisfies, its key and its value."""

    time: int
    letters: str
    key: object = 1
    v: int = 0
    tiebreaker: int | None = None


def row_of(document: Document, time: int, offset: int, tiebreaker: int | str | None = None) -> Row:
    """Return the row of an event of the stream `s`."""
    return Row(lambda given: document, document, time, "s", offset, tiebreaker)


def candidates(events: Sequence[Seen], rule: Rule, texts: dict[int, str]) -> list[Candidate]:
    """Return what the matcher would give, where each step's text says which letter it wants."""
    found = []
    for offset, event in enumerate(events):
        document = {"n": offset, "key": event.key, "v": event.v}
        row = row_of(document, event.time, offset, event.tiebreaker)
        numbers = [
            number
            for number, target in enumerate(targets_of(RuleSet([rule])))
            if texts[target.step].strip(MARKS) in event.letters
        ]
        if numbers:
            found.append(Candidate(row, tuple(numbers)))
    return found


def texts_of(shape: Shape) -> dict[int, str]:
    return {**dict(enumerate(shape.steps)), UNTIL: shape.until}


def tracker_for(
    rule: Rule,
    limits: TrackerLimits | None = None,
    samples_per_key: int | None = None,
    previous: SequenceTracker | None = None,
) -> SequenceTracker:
    rules = RuleSet([rule])
    return SequenceTracker(rules, targets_of(rules), limits, samples_per_key, previous=previous)


def numbers_of(completions: Sequence[Completion]) -> list[list[int | None]]:
    return [
        [None if event is None else event.identity.offset for event in completion.events]
        for completion in completions
    ]


def track(
    shape: Shape, events: Sequence[Seen], limits: TrackerLimits | None = None
) -> list[list[int | None]]:
    rule = shape.rule()
    tracker = tracker_for(rule, limits)
    done = tracker.advance(candidates(events, rule, texts_of(shape)))
    return numbers_of(done + tracker.finish())


def stream(text: str) -> list[Seen]:
    """Read `A0 B5 AB7`: letters and time."""
    events = []
    for word in text.split():
        letters = word.rstrip("0123456789")
        events.append(Seen(int(word[len(letters) :]), letters))
    return events
