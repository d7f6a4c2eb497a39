"""Joins: each rule by hand, and all of them against a literal transcription."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import UNTIL, Candidate, Completion, targets_of
from kestrel_framework._pipeline.sequence_tracker import (
    EndReason,
    SequenceTracker,
    TrackerLimits,
)
from kestrel_framework.detector import Detector
from kestrel_framework.errors import StateError
from kestrel_framework.event import Document, EventSettings
from kestrel_framework.predicate import ALWAYS, Field
from kestrel_framework.query import search
from kestrel_framework.rule import (
    ANY_EVENT,
    JoinKey,
    JoinRule,
    Rollout,
    RolloutMode,
    Rule,
    RuleMetadata,
    RuleSet,
    Step,
)
from kestrel_framework.schema import FieldType, SchemaRegistry
from sequence_shapes import (
    FOLDED_KEY,
    KEY,
    Seen,
    candidates,
    numbers_of,
    row_of,
    stream,
    tracker_for,
)


@attrs.frozen
class Join:
    """A join in short: the letter of each filter, and of `until`."""

    filters: str
    until: str = ""
    keys: tuple[JoinKey, ...] = (KEY,)

    @property
    def rule(self) -> Rule:
        step = Step(ANY_EVENT, ALWAYS, self.keys)
        body = JoinRule((step,) * len(self.filters), step if self.until else None)
        return Rule(RuleMetadata("join"), body)

    def candidates(self, events: Sequence[Seen]) -> list[Candidate]:
        texts = {**dict(enumerate(self.filters)), UNTIL: self.until}
        return candidates(events, self.rule, texts)

    def found(self, events: Sequence[Seen]) -> list[list[int | None]]:
        tracker = tracker_for(self.rule)
        done = tracker.advance(self.candidates(events))
        assert tracker.finish() == []
        return numbers_of(done)


CASES = {
    "in order": ("AB", "", "A0 B1", [[0, 1]]),
    "in any order": ("AB", "", "B0 A1", [[1, 0]]),
    "not yet": ("ABC", "", "A0 B1 A2 B3", []),
    "the first event stays": ("AB", "", "A0 A1 B2", [[0, 2]]),
    "one event for several filters": ("ABC", "", "AB0 C1", [[0, 0, 1]]),
    "one event for all of them": ("AB", "", "AB0", [[0, 0]]),
    "one filter": ("A", "", "A0 A1", [[0], [1]]),
    "the key begins anew": ("AB", "", "A0 B1 B2 A3", [[0, 1], [3, 2]]),
    "a later filter takes the completing event again": ("AB", "", "B0 AB1 A2", [[1, 0], [2, 1]]),
    "an earlier filter does not": ("AB", "", "A0 AB1 B2", [[0, 1]]),
    "an event completes twice": ("ABC", "", "B0 C1 ABC2 A3", [[2, 0, 1], [3, 2, 2]]),
    "no time is too long": ("AB", "", "A0 B999999999999", [[0, 1]]),
    "equal times": ("AB", "", "A0 B0", [[0, 1]]),
    "until forgets": ("AB", "U", "A0 U1 B2 A3", [[3, 2]]),
    "until comes before the filters": ("AB", "U", "A0 BU1 A2", [[2, 1]]),
    "until with all filters": ("AB", "U", "A0 ABU1", [[1, 1]]),
    "until of nothing": ("AB", "U", "U0 A1 B2", [[1, 2]]),
    "until may be a filter": ("AB", "A", "A0 A1 B2 B3", [[1, 2]]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_of_the_semantics(name: str) -> None:
    filters, until, events, expected = CASES[name]
    assert Join(filters, until).found(stream(events)) == expected


def test_events_agree_in_their_keys() -> None:
    events = [Seen(0, "A", 1), Seen(1, "B", 2), Seen(2, "B", None), Seen(3, "B", [2, 1])]
    assert Join("AB").found(events) == [[0, 3]]
    assert Join("AB", keys=()).found(events) == [[0, 1]]
    optional = (JoinKey(Field("key"), optional=True),)
    assert Join("AB", keys=optional).found([Seen(0, "A", None), *events]) == [[0, 3], [1, 4]]


def test_until_forgets_its_own_key_alone() -> None:
    events = [Seen(0, "A", 1), Seen(1, "A", 2), Seen(2, "U", 1), Seen(3, "B", [1, 2])]
    join = Join("AB", "U")
    tracker = tracker_for(join.rule)
    done = tracker.advance(join.candidates(events))
    assert [(completion.key, numbers_of([completion])) for completion in done] == [((2,), [[1, 3]])]
    assert tracker.statistics.ended == {EndReason.UNTIL: 1, EndReason.COMPLETED: 2}
    assert tracker.statistics.live == 1


def test_the_key_is_shown_as_the_event_of_the_first_filter_has_it() -> None:
    join = Join("AB", keys=(FOLDED_KEY,))
    done = tracker_for(join.rule).advance(
        join.candidates([Seen(0, "B", "bob"), Seen(1, "A", ["Eve", "BOB", "Bob"])])
    )
    assert [completion.key for completion in done] == [("BOB",)]


# --- limits ---


def test_the_key_that_began_first_is_evicted() -> None:
    join = Join("AB")
    tracker = tracker_for(join.rule, TrackerLimits(per_rule=2))
    events = [*(Seen(n, "A", n) for n in range(4)), *(Seen(n + 9, "B", n) for n in (2, 3, 1))]
    done = tracker.advance(join.candidates(events))
    assert [completion.key for completion in done] == [(2,), (3,)]
    assert tracker.statistics.ended == {EndReason.EVICTED: 2, EndReason.COMPLETED: 4}
    assert tracker.statistics.live == 1


def test_the_total_limit_looks_at_joins_too() -> None:
    join = Join("AB")
    tracker = tracker_for(join.rule, TrackerLimits(total=3))
    tracker.advance(join.candidates([Seen(n, "A", n) for n in range(9)]))
    assert tracker.statistics.live == 3


# --- state ---


def forged(choices: list[list[int]], key: object = 1, copies: int = 1) -> bytes:
    """Return a snapshot of a join of two filters whose key holds the events of these numbers."""
    join = Join("AB")
    tracker = tracker_for(join.rule)
    tracker.advance(join.candidates([Seen(0, "A"), Seen(0, "A", 2)]))
    name, version, _, content = msgspec.msgpack.decode(tracker.snapshot())
    inside = msgspec.msgpack.decode(content)
    piece = b"m" + msgspec.msgpack.encode([[key], choices])
    inside[1][0][4] = [piece] * copies
    content = msgspec.msgpack.encode(inside)
    return msgspec.msgpack.encode([name, version, zlib.crc32(content), content])


@pytest.mark.parametrize(
    "snapshot",
    [
        forged([[0, 1], []]),
        forged([[], []]),
        forged([[0]]),
        forged([[0], []], copies=2),
        forged([[0], [1]]),
    ],
)
def test_a_state_that_no_join_can_have_is_refused(snapshot: bytes) -> None:
    tracker = tracker_for(Join("AB").rule)
    with pytest.raises(StateError, match="do not fit their rule"):
        tracker.restore(snapshot)
    assert tracker.statistics.live == 0
    tracker.restore(forged([[0], []]))
    assert tracker.statistics.live == 1


# --- against a literal transcription ---


def transcription(join: Join, events: Sequence[Seen]) -> list[tuple[list[int], object]]:
    """Say the semantics again, over a dictionary of lists."""
    fold = join.keys == (FOLDED_KEY,)
    slots: dict[object, list[int | None]] = {}
    found: list[tuple[list[int], object]] = []
    for number, event in enumerate(events):
        keys = list(dict.fromkeys(same_for(value, fold) for value in values_of_key(event)))
        if join.until and join.until in event.letters:
            for key in keys:
                slots.pop(key, None)
        for index, letter in enumerate(join.filters):
            if letter not in event.letters:
                continue
            for key in keys:
                mine = slots.setdefault(key, [None] * len(join.filters))
                if mine[index] is None:
                    mine[index] = number
                full = [known for known in mine if known is not None]
                if len(full) == len(mine):
                    first = values_of_key(events[full[0]])
                    shown = next(value for value in first if same_for(value, fold) == key)
                    found.append((full, (shown,)))
                    del slots[key]
    return found


def values_of_key(event: Seen) -> list[object]:
    values = event.key if isinstance(event.key, list) else [event.key]
    return [value for value in values if value is not None]


def same_for(value: object, fold: bool) -> object:
    return value.lower() if fold and isinstance(value, str) else value


def found_by(completions: Sequence[Completion]) -> list[tuple[object, object]]:
    keys = [completion.key for completion in completions]
    return list(zip(numbers_of(completions), keys, strict=True))


JOINS = st.builds(
    Join,
    st.lists(st.sampled_from("ABC"), min_size=1, max_size=4).map("".join),
    st.sampled_from(["", "", "U", "A"]),
    st.sampled_from([(KEY,), (FOLDED_KEY,)]),
)
EVENTS = st.lists(
    st.builds(
        Seen,
        st.integers(0, 20),
        st.lists(st.sampled_from("AABBCCU"), min_size=1, max_size=3).map("".join),
        st.sampled_from([1, 1, "a", "A", ["a", "A", 1], ["A", None], None, []]),
    ),
    max_size=25,
).map(lambda events: sorted(events, key=lambda event: event.time))


@settings(max_examples=400, deadline=None)
@given(JOINS, EVENTS)
def test_the_machine_finds_what_the_transcription_finds(join: Join, events: list[Seen]) -> None:
    tracker = tracker_for(join.rule)
    assert found_by(tracker.advance(join.candidates(events))) == transcription(join, events)


@settings(max_examples=150, deadline=None)
@given(JOINS, EVENTS, st.data())
def test_the_cut_into_calls_and_a_restart_anywhere_change_nothing(
    join: Join, events: list[Seen], data: st.DataObject
) -> None:
    tracker = tracker_for(join.rule)
    done = []
    for candidate in join.candidates(events):
        done += tracker.advance([candidate])
        match data.draw(st.sampled_from(["", "restart", "replace", "expire"])):
            case "restart":
                following = tracker_for(join.rule)
                following.restore(tracker.snapshot())
                assert following.statistics == tracker.statistics
                assert following.snapshot() == tracker.snapshot()
                tracker = following
            case "replace":
                following = tracker_for(join.rule, previous=tracker)
                assert following.take_over(tracker) == {}
                tracker = following
            case "expire":
                done += tracker.expire(candidate.row.timestamp)
    assert found_by(done + tracker.finish()) == transcription(join, events)


@settings(max_examples=100, deadline=None)
@given(JOINS, EVENTS, st.integers(1, 4))
def test_limits_hold(join: Join, events: list[Seen], limit: int) -> None:
    tracker = tracker_for(join.rule, TrackerLimits(per_rule=limit, total=limit))
    done = []
    for candidate in join.candidates(events):
        done += tracker.advance([candidate])
        assert 0 <= tracker.statistics.live <= limit
    if not tracker.statistics.ended[EndReason.EVICTED]:
        assert found_by(done) == transcription(join, events)


# --- as people use them ---

SETTINGS = EventSettings("t", "ms", "kind")


def as_users(documents: Sequence[Document], key: Field) -> tuple[list[Any], list[Any]]:
    """Return what a search and a detector find, as times and keys."""
    steps = tuple(Step(frozenset(kind), ALWAYS, (JoinKey(key),)) for kind in "abc")
    rule = Rule(RuleMetadata("join"), JoinRule(steps[:2], steps[2]))
    schema = SchemaRegistry()
    results = search(rule, documents, settings=SETTINGS, schema=schema)
    alerts = Detector(RuleSet([rule]), schema=schema, settings=SETTINGS).feed(documents)
    return (
        [([one and one["t"] for one in r.events], r.join_keys) for r in results],
        [([one and one.document["t"] for one in a.evidence], a.join_keys) for a in alerts],
    )


def test_a_search_and_a_detector_find_joins_in_the_order_of_completion() -> None:
    documents: list[Document] = [
        {"t": time, "kind": kind, "key": key}
        for time, kind, key in [
            *[(1, "b", "x"), (2, "a", "y"), (3, "b", "y"), (4, "a", "x")],
            *[(5, "a", "x"), (6, "c", "x"), (7, "b", "x"), (8, "a", "x")],
        ]
    ]
    expected = [([2, 3], ("y",)), ([4, 1], ("x",)), ([8, 7], ("x",))]
    assert as_users(documents, Field("key")) == (expected, expected)


def test_a_date_among_the_keys_is_a_text() -> None:
    moment = "2024-02-29T01:02:03Z"
    documents = [{"t": n, "kind": "ab"[n], "key": moment} for n in (0, 1)]
    found, alerted = as_users(documents, Field("key", FieldType.DATE))
    assert found == alerted == [([0, 1], ("2024-02-29T01:02:03.000Z",))]


def test_rules_of_all_kinds_complete_in_their_order() -> None:
    rules = RuleSet([attrs.evolve(Join("AB").rule, metadata=RuleMetadata(n)) for n in "xy"])
    tracker = SequenceTracker(rules, targets_of(rules))
    rows = [row_of({"key": 1}, time, time) for time in (0, 1)]
    done = tracker.advance([Candidate(rows[0], (0, 3)), Candidate(rows[1], (1, 2))])
    assert [(completion.rule, numbers_of([completion])) for completion in done] == [
        (0, [[0, 1]]),
        (1, [[1, 0]]),
    ]


def test_a_canary_takes_all_spellings_of_a_key_together() -> None:
    step = Step(ANY_EVENT, ALWAYS, (FOLDED_KEY,))
    rule = Rule(RuleMetadata("canary"), JoinRule((step,)), rollout=Rollout(RolloutMode.CANARY, 0.5))
    detector = Detector(RuleSet([rule]), schema=SchemaRegistry(), settings=SETTINGS)
    sides = [
        [
            alert.shadow
            for alert in detector.feed([{"t": since + n, "key": f"{name}{n}"} for n in range(50)])
        ]
        for name, since in (("bob", 0), ("BOB", 50))
    ]
    assert sides[0] == sides[1]
    assert 10 < sum(sides[0]) < 40
