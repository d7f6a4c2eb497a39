"""Streams with changes of rules in between, and what rules find in them by themselves."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import attrs
from hypothesis import strategies as st

from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector
from kestrel_framework.event import Document, EventBatch, EventSettings
from kestrel_framework.predicate import (
    ALWAYS,
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    Not,
)
from kestrel_framework.reload import OnRuleChange
from kestrel_framework.rule import (
    EventRule,
    JoinKey,
    JoinRule,
    Rule,
    RuleBody,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import SchemaRegistry

MILLISECOND = 1_000_000
SETTINGS = EventSettings("t", "ms", "kind")
SCHEMA = SchemaRegistry()
NEUTRAL = "z"
SHAPES = ("ab", "abc", "a-c", "ab-", "-bc", "abU", "aFb", "sample", "join", "joinU", "event")
"""`-` stands for a missing event `d`, `F` for a fork, `U` for an `until`."""

Found = tuple[str, str, tuple[int | None, ...]]


@attrs.frozen
class Revision:
    """One meaning of a rule: its shape, and a number that tells it from the others."""

    shape: str
    serial: int

    @property
    def holds(self) -> bool:
        return self.shape in ("sample", "join", "joinU")

    @property
    def beginning(self) -> str:
        """The kinds of events that begin something."""
        if self.shape == "event":
            return "a"
        return "ab" if self.holds else next(letter for letter in self.shape if letter != "-")

    @property
    def rule(self) -> Rule:
        return Rule(RuleMetadata(f"rule-{self.shape}"), self._body())

    def _body(self) -> RuleBody:
        # Always true, and another condition for each number.
        odd = Not(Comparison(ComparisonOperator.EQUAL, Field("n"), Literal(-1 - self.serial)))
        keys = (JoinKey(Field("key")),)

        def step(kind: str, *, missing: bool = False, fork: bool = False) -> Step:
            return Step(frozenset(kind), odd, keys, missing=missing, fork=fork)

        until = Step(frozenset("u"), ALWAYS, keys)
        steps: tuple[Step, ...]
        match self.shape:
            case "event":
                return EventRule(frozenset("a"), odd)
            case "sample":
                return SampleRule((step("a"), step("b")))
            case "join":
                return JoinRule((step("a"), step("b")))
            case "joinU":
                return JoinRule((step("a"), step("b")), until)
            case "ab-":
                steps = (step("a"), step("b"), step("d", missing=True))
            case "a-c":
                steps = (step("a"), step("d", missing=True), step("c"))
            case "-bc":
                steps = (step("d", missing=True), step("b"), step("c"))
            case "aFb":
                steps = (step("a"), step("b", fork=True), step("c"))
            case shape:
                steps = tuple(step(letter) for letter in shape if letter != "U")
        return SequenceRule(
            steps, maxspan=15 * MILLISECOND, until=until if "U" in self.shape else None
        )


@attrs.frozen
class Program:
    """Events in the order in which they come, and the rules in force for each.

    Attributes:
        events: The events.
        rules: The revisions that are in force from some events on.
        cuts: Where batches end besides.
        disorder: As in `EventBatch`.
    """

    events: Sequence[Document]
    rules: Sequence[tuple[int, Sequence[Revision]]]
    cuts: frozenset[int]
    disorder: int = 0

    def rules_for(self, index: int) -> Sequence[Revision]:
        """Return the revisions in force when an event comes."""
        return [revisions for start, revisions in self.rules if start <= index][-1]

    def run(self, on_rule_change: OnRuleChange) -> tuple[Detector, list[Alert]]:
        """Feed a detector, and give it the rules where they change."""
        detector = detector_of(self.rules[0][1], on_rule_change)
        alerts: list[Alert] = []
        changes = dict(self.rules[1:])
        ends = sorted({*self.cuts, *changes, len(self.events)})
        for start, end in itertools.pairwise([0, *ends]):
            if start in changes:
                detector.replace(RuleSet(revision.rule for revision in changes[start]))
            batch = EventBatch(documents=self.events[start:end], disorder=self.disorder)
            alerts += detector.feed(batch)
        return detector, alerts + detector.finish()


def detector_of(
    revisions: Sequence[Revision], on_rule_change: OnRuleChange = OnRuleChange.DRAIN
) -> Detector:
    rules = RuleSet(revision.rule for revision in revisions)
    return Detector(rules, settings=SETTINGS, schema=SCHEMA, on_rule_change=on_rule_change)


def found_in(alerts: Sequence[Alert]) -> list[Found]:
    """Return which revisions found which events, without an order."""
    return sorted(
        (
            (
                alert.rule.rule_id,
                alert.revision,
                tuple(None if part is None else part.identity.offset for part in alert.evidence),
            )
            for alert in alerts
        ),
        key=repr,
    )


def found_alone(
    revision: Revision, program: Program, begins: Sequence[bool]
) -> tuple[list[Found], int]:
    """Return what a revision finds where nothing else is, and how much it begins.

    Args:
        revision: The revision.
        program: The events.
        begins: Whether each event may begin something.
    """
    first = begins.index(True)
    if revision.holds:
        return _held_alone(revision, program, begins, first)
    events = [
        {**event, "kind": NEUTRAL}
        if index < first or (str(event["kind"]) in revision.beginning and not begins[index])
        else event
        for index, event in enumerate(program.events)
    ]
    detector = detector_of([revision])
    alerts = detector.feed(EventBatch(documents=events, disorder=program.disorder))
    alerts += detector.finish()
    partial = detector.partial_matches
    return found_in(alerts), partial.live + sum(partial.ended.values())


def _held_alone(
    revision: Revision, program: Program, begins: Sequence[bool], first: int
) -> tuple[list[Found], int]:
    """Do what a sample or join of `a` and `b` does, which no event satisfies both of."""
    rule = revision.rule
    slots: dict[object, list[int | None]] = {}
    held: Counter[tuple[object, int]] = Counter()
    found: list[Found] = []
    begun = 0
    events = program.events
    for offset in sorted(range(len(events)), key=lambda offset: (events[offset]["t"], offset)):
        kind, key = events[offset]["kind"], events[offset]["key"]
        if offset < first:
            continue
        if kind == "u" and revision.shape == "joinU":
            slots.pop(key, None)
            del held[key, 0], held[key, 1]
        if kind not in ("a", "b") or (key not in slots and not begins[offset]):
            continue
        filled = slots.setdefault(key, [None, None])
        place = "ab".index(str(kind))
        held[key, place] += 1
        begun += held[key, place] <= (2 if revision.shape == "sample" else 1)
        if filled[place] is None:
            filled[place] = offset
        if None not in filled:
            del held[key, 0], held[key, 1]
            found.append((rule.rule_id, rule.revision, tuple(slots.pop(key))))
    return found, begun


def every_revision(program: Program) -> list[Revision]:
    return list(dict.fromkeys(one for _, revisions in program.rules for one in revisions))


def entries_begun(detector: Detector) -> int:
    """Return how many partial matches there were."""
    partial = detector.partial_matches
    return partial.live + sum(partial.ended.values())


@st.composite
def programs(
    draw: st.DrawFn, *, in_order: bool, may_return: bool = True, shapes: Sequence[str] = SHAPES
) -> Program:
    """Draw events and changes of rules; where not `in_order`, events come up to 10 ms late."""
    kinds = st.sampled_from("aaabbbccdu")
    drawn = draw(
        st.lists(
            st.tuples(kinds, st.sampled_from("xy"), st.integers(0, 5), st.integers(0, 10)),
            min_size=12,
            max_size=50,
        )
    )
    times = itertools.accumulate(step for _, _, step, _ in drawn)
    timed = [
        (time + (0 if in_order else late), {"kind": kind, "key": key, "t": time})
        for time, (kind, key, _, late) in zip(times, drawn, strict=True)
    ]
    events = [document for _, document in sorted(timed, key=lambda each: each[0])]
    serials = Counter[str]()
    chosen = draw(st.lists(st.sampled_from(shapes), min_size=1, max_size=5, unique=True))
    starts = [
        0,
        *sorted(draw(st.sets(st.sampled_from(range(len(events))), min_size=1, max_size=4)) - {0}),
    ]
    rules = []
    now = {shape: Revision(shape, 0) for shape in chosen}
    for start in starts:
        if start:
            for shape in chosen:
                now = dict(_changed(draw, shape, now, serials, may_return=may_return))
        rules.append((start, list(now.values())))
    cuts = draw(st.frozensets(st.integers(1, len(events)), max_size=8))
    return Program(events, rules, cuts, 0 if in_order else 10 * MILLISECOND)


def _changed(
    draw: st.DrawFn,
    shape: str,
    now: dict[str, Revision],
    serials: Counter[str],
    *,
    may_return: bool,
) -> Iterator[tuple[str, Revision]]:
    """Yield the revisions in force, with another one of a shape, or none, or the same."""
    yield from ((other, one) for other, one in now.items() if other != shape)
    change = draw(st.sampled_from(["keep", "keep", "change", "remove", "back"]))
    if change == "keep" and shape in now:
        yield shape, now[shape]
    elif change == "back" and may_return and not shape.startswith("-"):
        yield shape, Revision(shape, draw(st.integers(0, serials[shape])))
    elif change != "remove":
        serials[shape] += 1
        yield shape, Revision(shape, serials[shape])
