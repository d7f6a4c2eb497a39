"""Each rule of the sequence semantics by hand, and all of them against a brute-force search."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import (
    UNTIL,
    Candidate,
    Completion,
    Row,
    targets_of,
)
from kestrel_framework._pipeline.sequence_tracker import (
    EndReason,
    SequenceTracker,
    TrackerLimits,
)
from kestrel_framework.errors import RuleError
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
    EventRule,
    JoinKey,
    Rule,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)

KEY = JoinKey(Field("key"))


@attrs.frozen
class Shape:
    """A sequence in short: `A`, `!M` and `B=` (whose `v` is that of the first step that waits)."""

    steps: tuple[str, ...]
    maxspan: int | None = None
    until: str = ""
    keys: tuple[JoinKey, ...] = (KEY,)

    @property
    def first(self) -> int:
        """The first step that waits for an event."""
        return next(n for n, text in enumerate(self.steps) if not text.startswith("!"))

    def rule(self, rule_id: str = "shape") -> Rule:
        steps = tuple(self._step(text) for text in self.steps)
        until = self._step(self.until) if self.until else None
        return Rule(RuleMetadata(rule_id), SequenceRule(steps, self.maxspan, until))

    def _step(self, text: str) -> Step:
        condition: Predicate = ALWAYS
        if text.endswith("="):
            here, first = Field("v"), StepField(self.first, "v")
            condition = Comparison(ComparisonOperator.EQUAL, here, first)
        return Step(ANY_EVENT, condition, self.keys, missing=text.startswith("!"))


@attrs.frozen
class Seen:
    """An event in short: when, which letters it satisfies, its key and its value."""

    time: int
    letters: str
    key: object = 1
    v: int = 0
    tiebreaker: int | None = None


def candidates(events: Sequence[Seen], rule: Rule, texts: dict[int, str]) -> list[Candidate]:
    found = []
    for offset, event in enumerate(events):
        document = {"n": offset, "key": event.key, "v": event.v}
        row = Row(document, frozenset(), event.time, "s", offset, event.tiebreaker)
        numbers = [
            number
            for number, target in enumerate(targets_of(RuleSet([rule])))
            if texts[target.step].strip("!=") in event.letters
        ]
        if numbers:
            found.append(Candidate(row, numbers))
    return found


def texts_of(shape: Shape) -> dict[int, str]:
    return {**dict(enumerate(shape.steps)), UNTIL: shape.until}


def tracker_for(
    rule: Rule, limits: TrackerLimits | None = None, samples_per_key: int | None = None
) -> SequenceTracker:
    rules = RuleSet([rule])
    return SequenceTracker(rules, targets_of(rules), limits, samples_per_key)


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


_: None = None
CASES = {
    # stages
    "two steps in order": ("A B", None, "", "A0 B1", [[0, 1]]),
    "wrong order": ("A B", None, "", "B0 A1", []),
    "one event is never two steps": ("A B", None, "", "AB0", []),
    "one event ends one sequence and begins another": (
        "A A",
        None,
        "",
        "A0 A1 A2",
        [[0, 1], [1, 2]],
    ),
    "what does not match breaks nothing": ("A B", None, "", "A0 X1 X2 B3", [[0, 3]]),
    "the later first step replaces": ("A B", None, "", "A0 A1 B2", [[1, 2]]),
    "a partial match is consumed": ("A B", None, "", "A0 B1 B2", [[0, 1]]),
    "a later second step replaces": ("A B C", None, "", "A0 B1 A2 B3 C4 C5", [[2, 3, 4]]),
    "stages hold their own": ("A B C", None, "", "A0 B1 A2 C3 B4 C5", [[0, 1, 3], [2, 4, 5]]),
    "single step": ("A", None, "", "A0 A1", [[0], [1]]),
    "runs are steps": ("A A A B", None, "", "A0 A1 A2 A3 B4", [[1, 2, 3, 4]]),
    "too few runs": ("A A A B", None, "", "A0 A1 B2", []),
    # order
    "equal times follow the offset": ("A B", None, "", "A5 B5", [[0, 1]]),
    # maxspan
    "maxspan is inclusive": ("A B", 5, "", "A0 B5", [[0, 1]]),
    "maxspan is from first to last": ("A B C", 5, "", "A0 B3 C6", []),
    "too late consumes": ("A B", 5, "", "A0 B6 A7 B8", [[2, 3]]),
    "maxspan of zero": ("A B", 0, "", "A0 B0 A1 B2", [[0, 1]]),
    # until
    "until ends": ("A B", None, "U", "A0 U1 B2", []),
    "until before the first step": ("A B", None, "U", "U0 A1 B2", [[1, 2]]),
    "until with the completing event": ("A B", None, "U", "A0 BU1", [[0, 1]]),
    "until with the first event": ("A B", None, "U", "AU0 B1", [[0, 1]]),
    "until with a middle event": ("A B C", None, "U", "A0 BU1 C2", [[0, 1, 2]]),
    "until at the same time but later": ("A B", None, "U", "A0 U0 B0", []),
    "until ends all stages": ("A B C", None, "U", "A0 B1 A2 U3 B4 C5", []),
    # missing events
    "gap": ("A !M B", 9, "", "A0 M1 B2", []),
    "gap without": ("A !M B", 9, "", "A0 B2", [[0, _, 1]]),
    "gap is strict before": ("A !M B", 9, "", "A0 M0 B2", [[0, _, 2]]),
    "gap is strict after": ("A !M B", 9, "", "A0 M2 B2", [[0, _, 2]]),
    "gap still consumes": ("A !M B", 9, "", "A0 M1 B2 B3", []),
    "gap twice": ("A !M !N B", 9, "", "A0 N1 B2 A3 B4", [[3, _, _, 4]]),
    "a contradicted match replaces": ("A !M B C", 9, "", "A0 B1 A2 M3 B4 C5", []),
    "leading": ("!M A B", 5, "", "M0 A1 B2", []),
    "leading without": ("!M A B", 5, "", "A1 B2", [[_, 0, 1]]),
    "leading long before": ("!M A B", 5, "", "M0 A4 B6", [[_, 1, 2]]),
    "leading counts to the last event, inclusive": ("!M A B", 5, "", "M0 A4 B5", []),
    "leading is strict": ("!M A B", 5, "", "M1 A1 B2", [[_, 1, 2]]),
    "leading looks past an equal time": ("!M A B", 5, "", "M0 M1 A1 B2", []),
    "leading after the first is none": ("!M A B", 5, "", "A1 M2 B3", [[_, 0, 2]]),
    "leading and one step": ("!M A", 3, "", "A0 M1 A4 A5", [[_, 0], [_, 3]]),
    "trailing": ("A B !M", 5, "", "A0 B1 M2", []),
    "trailing without": ("A B !M", 5, "", "A0 B1", [[0, 1, _]]),
    "trailing within maxspan of the first, inclusive": ("A B !M", 5, "", "A0 B1 M5", []),
    "trailing too late": ("A B !M", 5, "", "A0 B1 M6", [[0, 1, _]]),
    "trailing is strict": ("A B !M", 5, "", "A0 B1 M1", [[0, 1, _]]),
    "trailing when the span is used up": ("A B !M", 5, "", "A0 B5 M5", [[0, 1, _]]),
    "trailing after the last": ("A B !M", 5, "", "A0 M1 B2", [[0, 2, _]]),
    "both sides, none": ("!M A B !N", 5, "", "A0 B1", [[_, 0, 1, _]]),
    "both sides, only before": ("!M A B !N", 5, "", "M0 A1 B2", [[_, 1, 2, _]]),
    "both sides, only after": ("!M A B !N", 5, "", "A1 B2 N3", [[_, 0, 1, _]]),
    "both sides, near": ("!M A B !N", 5, "", "M0 A1 B2 N5", []),
    "both sides, far": ("!M A B !N", 5, "", "M0 A1 B2 N6", [[_, 1, 2, _]]),
    "several wait": ("A !M", 5, "", "A0 A1 A2 M6", [[0, _]]),
    # references to earlier steps are told apart by `v`, which is 0 everywhere here
    "reference that holds": ("A B=", None, "", "A0 B1", [[0, 1]]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_of_the_semantics(name: str) -> None:
    steps, maxspan, until, events, expected = CASES[name]
    shape = Shape(tuple(steps.split()), maxspan, until)
    assert track(shape, stream(events)) == expected


def test_a_step_that_refers_to_another_does_not_consume_what_it_does_not_match() -> None:
    shape = Shape(("A", "B="))
    events = [Seen(0, "A", v=1), Seen(1, "B", v=2), Seen(2, "B", v=1)]
    assert track(shape, events) == [[0, 2]]


def test_references_work_in_until_and_in_missing_events() -> None:
    events = [Seen(0, "A", v=1), Seen(1, "X", v=2), Seen(3, "B")]
    other = [Seen(0, "A", v=1), Seen(1, "X", v=1), Seen(3, "B")]
    for shape in (Shape(("A", "B"), until="X="), Shape(("A", "!X=", "B"), 9)):
        assert len(track(shape, events)) == 1
        assert track(shape, other) == []
    trailing = Shape(("A", "!X="), 9)
    assert track(trailing, events) == [[0, None]]
    assert track(trailing, other) == []


def test_tiebreakers_order_events_of_one_time_with_null_last() -> None:
    """The tracker refuses to go back in order, so that order is visible in what it continues."""
    shape = Shape(("A", "B"))
    for first, second, matches in ((1, 2, True), (2, 1, False), (1, None, True), (None, 1, False)):
        events = [Seen(0, "A", tiebreaker=first), Seen(0, "B", tiebreaker=second)]
        assert bool(track(shape, events)) is matches


def test_an_event_does_not_continue_itself() -> None:
    shape = Shape(("A", "A"))
    rule = shape.rule()
    tracker = tracker_for(rule)
    (candidate,) = candidates(stream("A0"), rule, texts_of(shape))
    assert tracker.advance([candidate, candidate]) == []


# --- keys ---


@pytest.mark.parametrize(
    ("first", "second", "keys"),
    [
        (1, 1, [(1,)]),
        (1, 1.0, [(1,)]),
        (1.5, 1.5, [(1.5,)]),
        (1, True, []),
        (1, "1", []),
        (True, True, [(True,)]),
        (True, False, []),
        ("a", "A", []),
        (None, None, []),
        ([], [], []),
        ([None], "a", []),
        (["a", None], "a", [("a",)]),
        (["a", "b", "a"], ["b", "a"], [("b",), ("a",)]),
        (["a", "b"], "b", [("b",)]),
        ({"inner": 1}, {"inner": 1}, []),
        (2**70, 2**70, [(float(2**70),)]),
    ],
)
def test_keys_are_equal_by_value(first: object, second: object, keys: object) -> None:
    shape = Shape(("A", "B"))
    rule = shape.rule()
    events = [Seen(0, "A", first), Seen(1, "B", second)]
    done = tracker_for(rule).advance(candidates(events, rule, texts_of(shape)))
    found = [completion.key for completion in done]
    assert found == keys
    assert [type(part) for key in found for part in key] == [
        type(part) for key in keys for part in key
    ]


def test_an_optional_null_key_equals_itself() -> None:
    shape = Shape(("A", "B"), keys=(JoinKey(Field("key"), optional=True),))
    assert track(shape, [Seen(0, "A", None), Seen(1, "B", [])]) == [[0, 1]]
    assert track(shape, [Seen(0, "A", None), Seen(1, "B", "a")]) == []
    assert track(shape, [Seen(0, "A", None), Seen(1, "B", ["a", None])]) == []


def test_without_keys_all_events_share_one() -> None:
    assert track(Shape(("A", "B"), keys=()), [Seen(0, "A", 1), Seen(1, "B", 2)]) == [[0, 1]]


def test_keys_of_different_steps_meet_by_position() -> None:
    first = Step(ANY_EVENT, ALWAYS, (JoinKey(Field("key")), JoinKey(Field("v"))))
    second = Step(ANY_EVENT, ALWAYS, (JoinKey(Field("v")), JoinKey(Field("key"))))
    rule = Rule(RuleMetadata("swapped"), SequenceRule((first, second)))
    texts = {0: "A", 1: "B"}
    events = [Seen(0, "A", key=1, v=2), Seen(1, "B", key=1, v=2), Seen(2, "B", key=2, v=1)]
    assert numbers_of(tracker_for(rule).advance(candidates(events, rule, texts))) == [[0, 2]]


def test_the_number_of_keys_of_an_event_is_bounded_and_counted() -> None:
    keys = (JoinKey(Field("key")), JoinKey(Field("key")))
    shape = Shape(("A", "B"), keys=keys)
    rule = shape.rule()
    tracker = tracker_for(rule, TrackerLimits(keys_per_event=10))
    tracker.advance(candidates([Seen(0, "A", list(range(1000)))], rule, texts_of(shape)))
    assert tracker.statistics.live == 10
    assert tracker.statistics.keys_left_out == 1000 * 1000 - 10


# --- the order of completions, and time ---


def test_what_waits_completes_when_its_time_has_passed() -> None:
    shape = Shape(("A", "!M"), 5)
    rule = shape.rule()
    tracker = tracker_for(rule)
    assert tracker.advance(candidates(stream("A0"), rule, texts_of(shape))) == []
    assert tracker.expire(5) == []
    assert numbers_of(tracker.expire(6)) == [[0, None]]
    assert tracker.expire(100) == []
    assert tracker.statistics.live == 0


def test_events_of_the_rule_are_enough_to_pass_time() -> None:
    shape = Shape(("A", "!M"), 5)
    rule = shape.rule()
    tracker = tracker_for(rule)
    done = tracker.advance(candidates(stream("A0 A6 M6"), rule, texts_of(shape)))
    assert numbers_of(done) == [[0, None]]


def test_expire_forgets_what_cannot_go_on() -> None:
    shape = Shape(("!M", "A", "B"), 5)
    rule = shape.rule()
    tracker = tracker_for(rule)
    tracker.advance(candidates(stream("M0 A0"), rule, texts_of(shape)))
    tracker.expire(5)
    assert tracker.statistics.live == 2
    tracker.expire(6)
    assert tracker.statistics.live == 0
    assert tracker.statistics.ended == {EndReason.EXPIRED: 2}


def test_rules_complete_in_their_order_and_event_rules_are_ignored() -> None:
    shape = Shape(("A", "B"))
    event_rule = Rule(RuleMetadata("event"), EventRule(ANY_EVENT, ALWAYS))
    rules = RuleSet([event_rule, shape.rule("one"), shape.rule("two")])
    tracker = SequenceTracker(rules, targets_of(rules))
    rows = [Row({"key": 1}, frozenset(), time, "s", time) for time in (0, 1)]
    done = tracker.advance([Candidate(rows[0], [0, 1, 3]), Candidate(rows[1], [0, 2, 4])])
    assert [completion.rule for completion in done] == [1, 2]


# --- limits ---


def test_the_oldest_partial_match_of_a_rule_is_evicted_first() -> None:
    shape = Shape(("A", "B"))
    events = [*(Seen(n, "A", n) for n in range(4)), *(Seen(n + 9, "B", n) for n in range(4))]
    assert track(shape, events, TrackerLimits(per_rule=2)) == [[2, 6], [3, 7]]


def test_the_total_limit_looks_at_all_rules_and_forgets_the_expired_first() -> None:
    rules = RuleSet([Shape(("A", "B"), 5).rule("short"), Shape(("A", "B")).rule("long")])
    tracker = SequenceTracker(rules, targets_of(rules), TrackerLimits(total=2))
    rows = [Row({"key": n}, frozenset(), time, "s", n) for n, time in enumerate((0, 1, 9))]
    tracker.advance([Candidate(rows[0], [2]), Candidate(rows[1], [0]), Candidate(rows[2], [2])])
    assert tracker.statistics.ended == {EndReason.EXPIRED: 1}
    tracker.advance([Candidate(Row({"key": 7}, frozenset(), 10, "s", 3), [2])])
    assert tracker.statistics.ended[EndReason.EVICTED] == 1
    assert tracker.statistics.live == 2


def test_waiting_matches_and_leading_events_are_bounded() -> None:
    waiting = Shape(("A", "!M"), 100)
    assert track(waiting, stream("A0 A1 A2"), TrackerLimits(per_key=2)) == [[1, None], [2, None]]
    leading = Shape(("!M", "A"), 100)
    rule = leading.rule()
    tracker = tracker_for(rule, TrackerLimits(per_rule=3))
    events = [Seen(n, "M", n) for n in range(10)]
    tracker.advance(candidates(events, rule, texts_of(leading)))
    assert tracker.statistics.live == 3
    assert tracker.statistics.ended == {EndReason.EVICTED: 7}


def test_dead_partial_matches_do_not_pile_up() -> None:
    shape = Shape(("A", "B"), keys=())
    rule = shape.rule()
    tracker = tracker_for(rule)
    tracker.advance(candidates([Seen(n, "A") for n in range(5000)], rule, texts_of(shape)))
    (machine,) = tracker._machines.values()
    assert tracker.statistics.live == 1
    assert len(list(machine._by_age)) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["per_key", "per_rule", "total", "keys_per_event"])
def test_limits_are_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        TrackerLimits(**{name: 0})


# --- rules that make no sense ---


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (SequenceRule((Step(ANY_EVENT, ALWAYS), Step(ANY_EVENT, ALWAYS, (KEY,)))), "join keys"),
        (SequenceRule((Step(ANY_EVENT, ALWAYS, missing=True),), 5), "waits for an event"),
        (SequenceRule(()), "waits for an event"),
        (
            SequenceRule((Step(ANY_EVENT, ALWAYS), Step(ANY_EVENT, ALWAYS, missing=True))),
            "maxspan",
        ),
        (
            SampleRule((Step(ANY_EVENT, ALWAYS), Step(ANY_EVENT, ALWAYS, missing=True))),
            "missing",
        ),
    ],
)
def test_a_sequence_without_sense_is_refused(body: SequenceRule, problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        tracker_for(Rule(RuleMetadata("r"), body))


# --- against a brute-force search ---


def brute_force(shape: Shape, events: Sequence[Seen]) -> list[list[int | None]]:
    """Find the same by looking at all events again and again, one key after the other."""
    found = []
    keys = {key for event in events for key in values_of_key(event)}
    for key in keys:
        mine = [(n, event) for n, event in enumerate(events) if key in values_of_key(event)]
        found += brute_force_key(shape, mine)
    return sorted(found, key=repr)


def values_of_key(event: Seen) -> list[object]:
    values = event.key if isinstance(event.key, list) else [event.key]
    return [value for value in values if value is not None]


def brute_force_key(shape: Shape, events: list[tuple[int, Seen]]) -> list[list[int | None]]:
    stages = [n for n, text in enumerate(shape.steps) if not text.startswith("!")]
    pending: dict[int, list[tuple[int, Seen]]] = {}
    found = []

    def satisfies(text: str, event: Seen, first: Seen | None) -> bool:
        if text.strip("!=") not in event.letters:
            return False
        return not text.endswith("=") or (first is not None and first.v == event.v)

    for offset, event in events:
        for stage in reversed(range(len(stages))):
            text = shape.steps[stages[stage]]
            if stage == 0:
                if not satisfies(text, event, None):
                    continue
                chain = [(offset, event)]
            else:
                chain = pending.get(stage - 1, [])
                if not chain or not satisfies(text, event, chain[0][1]):
                    continue
                del pending[stage - 1]
                if shape.maxspan is not None and event.time - chain[0][1].time > shape.maxspan:
                    continue
                if shape.until and any(
                    satisfies(shape.until, other, chain[0][1])
                    for number, other in events
                    if chain[-1][0] < number < offset
                ):
                    continue
                chain = [*chain, (offset, event)]
            if stage == len(stages) - 1:
                if stands(shape, stages, chain, events, satisfies):
                    slots: list[int | None] = [None] * len(shape.steps)
                    for step, (number, _event) in zip(stages, chain, strict=True):
                        slots[step] = number
                    found.append(slots)
            else:
                pending[stage] = chain
    return found


def stands(shape, stages, chain, events, satisfies) -> bool:  # type: ignore[no-untyped-def]
    """Say whether no forbidden event speaks against a complete chain."""
    first, last = chain[0][1], chain[-1][1]
    before, after = [], []
    for number, text in enumerate(shape.steps):
        if not text.startswith("!"):
            continue
        times = [event.time for _, event in events if satisfies(text, event, first)]
        if number < stages[0]:
            leading = [event.time for _, event in events if satisfies(text, event, None)]
            before += [time for time in leading if time < first.time]
        elif number > stages[-1]:
            after += [time for time in times if time > last.time]
        else:
            previous = max(index for index, step in enumerate(stages) if step < number)
            start, end = chain[previous][1].time, chain[previous + 1][1].time
            if any(start < time < end for time in times):
                return False
    span = shape.maxspan
    has_leading, has_trailing = shape.steps[0][0] == "!", shape.steps[-1][0] == "!"
    if not before and not after:
        return True
    if has_leading and not before:
        return True
    if has_trailing and not after:
        return True
    if has_leading and has_trailing:
        return bool(min(after) - max(before) > span)
    if has_leading:
        return bool(last.time - max(before) > span)
    return bool(min(after) - first.time > span)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    letters = st.sampled_from(["A", "B", "C", "A", "B=", "C="])
    steps = draw(st.lists(letters, min_size=1, max_size=4))
    missing = draw(st.booleans())
    if missing:
        for _ in range(draw(st.integers(1, 3))):
            forbidden = draw(st.sampled_from(["!M", "!N", "!A", "!M="]))
            steps.insert(draw(st.integers(0, len(steps))), forbidden)
    spans = st.integers(0, 8)
    maxspan = draw(spans if missing else st.none() | spans)
    until = draw(st.sampled_from(["", "", "U", "B", "U="]))
    return Shape(tuple(steps), maxspan, until)


@st.composite
def streams(draw: st.DrawFn) -> list[Seen]:
    time = 0
    events = []
    key = st.sampled_from([1, 1, 1, 2, [1, 2], [2, None, 2], None])
    letters = st.lists(st.sampled_from("AABBCMNU"), min_size=1, max_size=3).map("".join)
    for _ in range(draw(st.integers(0, 25))):
        time += draw(st.sampled_from([0, 1, 1, 2, 3]))
        events.append(Seen(time, draw(letters), draw(key), draw(st.integers(0, 1))))
    return events


@settings(max_examples=600, deadline=None)
@given(shapes(), streams())
def test_the_machine_finds_what_a_brute_force_search_finds(
    shape: Shape, events: list[Seen]
) -> None:
    assert sorted(track(shape, events), key=repr) == brute_force(shape, events)


@settings(max_examples=150, deadline=None)
@given(shapes(), streams(), st.data())
def test_the_cut_into_calls_and_a_restart_anywhere_change_nothing(
    shape: Shape, events: list[Seen], data: st.DataObject
) -> None:
    rule = shape.rule()
    every = candidates(events, rule, texts_of(shape))
    whole = tracker_for(rule)
    expected = numbers_of(whole.advance(every) + whole.finish())

    tracker = tracker_for(rule)
    done = []
    for candidate in every:
        done += tracker.advance([candidate])
        match data.draw(st.sampled_from(["", "restart", "adopt", "expire"])):
            case "restart":
                following = tracker_for(rule)
                following.restore(tracker.snapshot())
                assert following.statistics == tracker.statistics
                assert following.snapshot() == tracker.snapshot()
                tracker = following
            case "adopt":
                following = tracker_for(rule)
                following.adopt(tracker)
                assert following.statistics == tracker.statistics
                tracker = following
            case "expire":
                done += tracker.expire(candidate.row.timestamp)
    assert numbers_of(done + tracker.finish()) == expected
    begun = sum(tracker.statistics.ended.values()) + tracker.statistics.live
    assert begun == sum(whole.statistics.ended.values()) + whole.statistics.live


@settings(max_examples=100, deadline=None)
@given(shapes(), streams(), st.integers(1, 4))
def test_limits_hold_and_invent_nothing_without_missing_events(
    shape: Shape, events: list[Seen], limit: int
) -> None:
    rule = shape.rule()
    limits = TrackerLimits(per_key=limit, per_rule=limit, total=limit)
    tracker = tracker_for(rule, limits)
    done = []
    for candidate in candidates(events, rule, texts_of(shape)):
        done += tracker.advance([candidate])
        assert 0 <= tracker.statistics.live <= limit
    done += tracker.finish()
    if (
        not any(text.startswith("!") for text in shape.steps)
        and not tracker.statistics.ended[EndReason.EVICTED]
    ):
        assert sorted(numbers_of(done), key=repr) == brute_force(shape, events)
