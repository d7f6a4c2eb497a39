"""Each rule of the semantics of sequences by hand."""

from __future__ import annotations

import pytest

from kestrel_framework._pipeline.flow import Candidate, targets_of
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
    Lineage,
    LineageRelation,
    Predicate,
    StepField,
    all_of,
    any_of,
    negation,
)
from kestrel_framework.rule import (
    ANY_EVENT,
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
from sequence_shapes import (
    FOLDED_KEY,
    KEY,
    Seen,
    Shape,
    candidates,
    numbers_of,
    row_of,
    stream,
    texts_of,
    track,
    tracker_for,
)

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
    "until with a middle event": ("A B C", None, "U", "A0 BU1 C2", []),
    "until at the same time but later": ("A B", None, "U", "A0 U0 B0", []),
    "until ends all stages": ("A B C", None, "U", "A0 B1 A2 U3 B4 C5", []),
    # until, where it comes first
    "the completing event ends it": ("A B", None, "^U", "A0 BU1 B2", []),
    "a middle event ends it": ("A B C", None, "^U", "A0 BU1 C2", []),
    "what an event begins stays": ("A B", None, "^U", "A0 AU1 B2", [[1, 2]]),
    # forks
    "a fork goes on again": ("A B+", None, "", "A0 B1 B2", [[0, 1], [0, 2]]),
    "a fork in the middle": ("A B+ C", None, "", "A0 B1 C2 B3 C4", [[0, 1, 2], [0, 3, 4]]),
    "a fork replaces where it comes to": ("A B+ C", None, "", "A0 B1 B2 C3", [[0, 2, 3]]),
    "a step after a fork consumes": ("A B+ C", None, "", "A0 B1 C2 C3", [[0, 1, 2]]),
    "forks of forks": (
        "A B+ C+",
        None,
        "",
        "A0 B1 C2 C3 B4 C5",
        [[0, 1, 2], [0, 1, 3], [0, 4, 5]],
    ),
    "a fork is one step for an event": ("A B+ B+", None, "", "A0 B1 B2", [[0, 1, 2]]),
    "a new beginning replaces the original": ("A B+", None, "", "A0 B1 A2 B3", [[0, 1], [2, 3]]),
    "a fork that comes too late consumes": ("A B+", 5, "", "A0 B6 B6", []),
    "a fork has the time of its first event": ("A B+ C", 5, "", "A0 B4 C6", []),
    "until ends the original and the copy": ("A B+ C", None, "U", "A0 B1 U2 B3 C4", []),
    "until with the event of a fork": ("A B+ C", None, "U", "A0 BU1 C2 B3 C4", []),
    "the first step cannot fork": ("A+ B", None, "", "A0 B1 B2", [[0, 1]]),
    "a gap is that of each copy": ("A !M B+", 9, "", "A0 B1 M2 B3 A4 B5", [[0, _, 1], [4, _, 5]]),
    "a contradicted copy replaces": ("A !M B+ C", 9, "", "A0 B1 M2 B3 C4", []),
    "a copy stays contradicted": ("A !M B C+", 9, "", "A0 M1 B2 C3 C4", []),
    "copies wait": ("A B+ !M", 5, "", "A0 B1 B2 M6", [[0, 1, _], [0, 2, _]]),
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
    shape = Shape(
        tuple(steps.split()), maxspan, until.strip("^"), until_first=until.startswith("^")
    )
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


@pytest.mark.parametrize(
    ("first", "second", "keys"),
    [
        ("Bob", "BOB", [("Bob",)]),
        ("Bob", ["x", "bob"], [("Bob",)]),
        (["BOB", "bob", "Eve"], ["eve", "Bob"], [("Eve",), ("BOB",)]),
        ("straße", "STRAßE", [("straße",)]),
        ("ΣΑΣ", "σας", [("ΣΑΣ",)]),
        ("1", 1, []),
        (1, 1.0, [(1,)]),
        (True, "true", []),
        (None, None, []),
    ],
)
def test_a_key_without_regard_to_case_is_shown_as_the_first_event_has_it(
    first: object, second: object, keys: object
) -> None:
    shape = Shape(("A", "B"), keys=(FOLDED_KEY,))
    rule = shape.rule()
    tracker = tracker_for(rule)
    tracker.advance(candidates([Seen(0, "A", first)], rule, texts_of(shape)))
    following = tracker_for(rule)
    following.restore(tracker.snapshot())
    events = [Seen(0, "X"), Seen(1, "B", second)]
    done = following.advance(candidates(events, rule, texts_of(shape)))
    assert [completion.key for completion in done] == keys


def test_one_key_may_regard_case_and_another_not() -> None:
    step = Step(ANY_EVENT, ALWAYS, (FOLDED_KEY, JoinKey(Field("v"), optional=True), KEY))
    rule = Rule(RuleMetadata("mixed"), SequenceRule((step, step)))
    events = [Seen(0, "A", "x"), Seen(1, "B", "X"), Seen(2, "B", ["X", "x"])]
    done = tracker_for(rule).advance(candidates(events, rule, {0: "A", 1: "B"}))
    assert [(numbers, done[0].key) for numbers in numbers_of(done)] == [([0, 2], ("x", 0, "x"))]


# --- lineage ---

LINEAGE = Lineage(LineageRelation.CHILD, ANY_EVENT, ALWAYS, Field("pid"), Field("ppid"))
SAME = Comparison(ComparisonOperator.EQUAL, Field("v"), StepField(0, "v"))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (all_of([SAME, LINEAGE]), [[0, 2]]),
        (all_of([SAME, negation(LINEAGE)]), [[0, 3]]),
        (any_of([SAME, LINEAGE]), [[0, 1]]),
    ],
)
def test_a_step_that_refers_to_another_asks_for_the_lineage_of_its_own_event(
    condition: Predicate, expected: object
) -> None:
    """The event before had it, or not: that makes no difference."""
    steps = (Step(ANY_EVENT, ALWAYS), Step(ANY_EVENT, condition))
    rules = RuleSet([Rule(RuleMetadata("r"), SequenceRule(steps))])
    tracker = SequenceTracker(rules, targets_of(rules))
    held = [frozenset[Lineage](), frozenset([LINEAGE]), frozenset([LINEAGE]), frozenset[Lineage]()]
    done = tracker.advance(
        [
            Candidate(row_of({"v": v}, n, n), (min(n, 1),), held[n])
            for n, v in enumerate([7, 8, 7, 7])
        ]
    )
    assert numbers_of(done) == expected


@pytest.mark.parametrize("missing", [False, True])
def test_until_and_missing_steps_ask_for_lineage_too(missing: bool) -> None:
    plain = Step(ANY_EVENT, ALWAYS, (KEY,))
    asking = Step(ANY_EVENT, all_of([SAME, LINEAGE]), (KEY,), missing)
    shape = Shape(("A", "!U", "B"), 9) if missing else Shape(("A", "B"), until="U")
    steps = (plain, asking, plain) if missing else (plain, plain)
    rule = Rule(RuleMetadata("r"), SequenceRule(steps, 9, None if missing else asking))
    for lineage, found in ((frozenset([LINEAGE]), 0), (frozenset[Lineage](), 1)):
        every = candidates(stream("A0 U1 B2"), rule, texts_of(shape))
        tracker = tracker_for(rule)
        assert len(tracker.advance([Candidate(c.row, c.targets, lineage) for c in every])) == found


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
    rows = [row_of({"key": 1}, time, time) for time in (0, 1)]
    done = tracker.advance([Candidate(rows[0], (0, 1, 3)), Candidate(rows[1], (0, 2, 4))])
    assert [completion.rule for completion in done] == [1, 2]


# --- limits ---


def test_the_oldest_partial_match_of_a_rule_is_evicted_first() -> None:
    shape = Shape(("A", "B"))
    events = [*(Seen(n, "A", n) for n in range(4)), *(Seen(n + 9, "B", n) for n in range(4))]
    assert track(shape, events, TrackerLimits(per_rule=2)) == [[2, 6], [3, 7]]


def test_the_total_limit_looks_at_all_rules_and_forgets_the_expired_first() -> None:
    rules = RuleSet([Shape(("A", "B"), 5).rule("short"), Shape(("A", "B")).rule("long")])
    tracker = SequenceTracker(rules, targets_of(rules), TrackerLimits(total=2))
    rows = [row_of({"key": n}, time, n) for n, time in enumerate((0, 1, 9))]
    tracker.advance([Candidate(rows[0], (2,)), Candidate(rows[1], (0,)), Candidate(rows[2], (2,))])
    assert tracker.statistics.ended == {EndReason.EXPIRED: 1}
    tracker.advance([Candidate(row_of({"key": 7}, 10, 3), (2,))])
    assert tracker.statistics.ended[EndReason.EVICTED] == 1
    assert tracker.statistics.live == 2


def test_forks_are_bounded_and_as_old_as_their_first_event() -> None:
    shape = Shape(("A", "B+", "C+", "D"))
    rule = shape.rule()
    tracker = tracker_for(rule, TrackerLimits(per_rule=3))
    tracker.advance(candidates(stream("A0 B1 C2"), rule, texts_of(shape)))
    assert tracker.statistics.live == 3
    other = [Seen(0, "X"), Seen(1, "X"), Seen(2, "X"), Seen(9, "A", 2), Seen(9, "B", 2)]
    tracker.advance(candidates(other, rule, texts_of(shape)))
    assert tracker.statistics.live == 3
    assert tracker.statistics.ended == {EndReason.EVICTED: 2}
    assert tracker._machines[0].oldest() == 0


def test_expiry_ends_original_and_copies_and_nothing_younger() -> None:
    shape = Shape(("A", "B+", "C"), 5)
    rule = shape.rule()
    tracker = tracker_for(rule)
    events = [Seen(0, "A", 1), Seen(1, "A", 2), Seen(2, "B", 1), Seen(3, "B", 2)]
    tracker.advance(candidates(events, rule, texts_of(shape)))
    assert tracker.statistics.live == 4
    tracker.expire(6)
    assert tracker.statistics.live == 2
    assert tracker.statistics.ended == {EndReason.EXPIRED: 2}
    tracker.expire(7)
    assert tracker.statistics.live == 0


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


@pytest.mark.parametrize("name", ["per_key", "per_rule", "total", "keys_per_event"])
def test_limits_are_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        TrackerLimits(**{name: 0})


# --- rules that make no sense ---

PLAIN = Step(ANY_EVENT, ALWAYS)
REFERRING = Step(ANY_EVENT, SAME)


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
            "a sample has no missing",
        ),
        (JoinRule((Step(ANY_EVENT, ALWAYS), Step(ANY_EVENT, ALWAYS, missing=True))), "a join has"),
        (JoinRule(()), "waits for an event"),
        (JoinRule((PLAIN, PLAIN), until=Step(ANY_EVENT, ALWAYS, (KEY,))), "join keys"),
        (SequenceRule((PLAIN, PLAIN), until=Step(ANY_EVENT, ALWAYS, (KEY,))), "join keys"),
        (SampleRule((PLAIN, REFERRING)), "a sample has no order"),
        (JoinRule((PLAIN, REFERRING)), "a join has no order"),
        (JoinRule((PLAIN, PLAIN), until=REFERRING), "a join has no order"),
        (
            SequenceRule((Step(ANY_EVENT, ALWAYS, (KEY,)), Step(ANY_EVENT, ALWAYS, (FOLDED_KEY,)))),
            "regard the case",
        ),
        (
            JoinRule(
                (Step(ANY_EVENT, ALWAYS, (KEY,)),), until=Step(ANY_EVENT, ALWAYS, (FOLDED_KEY,))
            ),
            "regard the case",
        ),
    ],
)
def test_a_sequence_without_sense_is_refused(body: RuleBody, problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        tracker_for(Rule(RuleMetadata("r"), body))
