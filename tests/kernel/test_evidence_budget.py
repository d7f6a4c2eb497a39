"""The events that partial matches hold take no more bytes than they may."""

from __future__ import annotations

import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import Candidate, Row, targets_of
from kestrel_framework._pipeline.sequence_tracker import (
    EndReason,
    SequenceTracker,
    TrackerLimits,
)
from kestrel_framework._pipeline.sequence_tracker.evidence_budget import weight_of
from kestrel_framework.event import Document
from kestrel_framework.rule import RuleSet
from sequence_shapes import Shape

KIB: Final = 1024
BEGINS_FIRST: Final = 0
BEGINS_SECOND: Final = 2


def tracker(
    limits: TrackerLimits,
    maxspan: int | None = None,
    previous: SequenceTracker | None = None,
) -> SequenceTracker:
    """Return a tracker of two sequences, whose first steps are targets 0 and 2."""
    rules = RuleSet([Shape(("A", "B"), maxspan).rule("one"), Shape(("A", "B")).rule("two")])
    return SequenceTracker(rules, targets_of(rules), limits, previous=previous)


def decoded(given: bytes | Document) -> Document:
    assert isinstance(given, bytes)
    document: Document = json.loads(given)
    return document


def begin(number: int, size: int, *targets: int) -> Candidate:
    """Return an event of so many bytes that begins sequences under a key of its own."""
    payload = json.dumps({"key": number, "text": "x" * size}).encode()
    return Candidate(Row(decoded, payload, number, "s", number), targets)


def held(tracker: SequenceTracker) -> int:
    """Return the bytes that are held, each event once."""
    events = {
        id(event): event
        for machine in tracker._machines.values()
        for entry in machine.held()
        for event in entry
    }
    return sum(map(weight_of, events.values()))


def evicted(tracker: SequenceTracker) -> int:
    return tracker.statistics.ended[EndReason.EVICTED]


def test_the_oldest_go_where_all_rules_hold_too_much() -> None:
    tracked = tracker(TrackerLimits(total_bytes=800 * KIB))
    for number in range(100):
        tracked.advance([begin(number, 4 * KIB, (BEGINS_FIRST, BEGINS_SECOND)[number % 2])])
        assert held(tracked) <= 900 * KIB
    assert evicted(tracked) > 0
    oldest = [machine.oldest() or 0 for machine in tracked._machines.values()]
    assert abs(oldest[0] - oldest[1]) <= 1  # of both rules alike
    assert max(oldest) == 100 - tracked.statistics.live + 1


def test_a_rule_that_holds_too_much_takes_nothing_from_others() -> None:
    tracked = tracker(TrackerLimits(rule_bytes=400 * KIB))
    tracked.advance([begin(0, 4 * KIB, BEGINS_SECOND)])
    tracked.advance([begin(number, 4 * KIB, BEGINS_FIRST) for number in range(1, 200)])
    first, second = tracked._machines.values()
    assert held(tracked) <= 450 * KIB
    assert second.live == 1
    assert 0 < first.live == 199 - evicted(tracked)


def test_an_event_counts_once_whoever_holds_it() -> None:
    tracked = tracker(TrackerLimits(total_bytes=800 * KIB))
    tracked.advance([begin(n, 4 * KIB, BEGINS_FIRST, BEGINS_SECOND) for n in range(18)])
    assert tracked.statistics.live == 36
    assert evicted(tracked) == 0


def test_what_has_expired_goes_before_anything_is_evicted() -> None:
    tracked = tracker(TrackerLimits(total_bytes=800 * KIB), maxspan=2)
    for number in range(200):
        tracked.advance([begin(number, 4 * KIB, BEGINS_FIRST)])
    assert evicted(tracked) == 0


def test_one_event_can_be_more_than_all_may_hold() -> None:
    tracked = tracker(TrackerLimits(total_bytes=8 * KIB))
    tracked.advance([begin(0, 100 * KIB, BEGINS_FIRST)])
    assert tracked.statistics.live == 0
    assert evicted(tracked) == 1


def test_it_holds_after_a_restart() -> None:
    before, after = tracker(TrackerLimits()), tracker(TrackerLimits(total_bytes=800 * KIB))
    before.advance([begin(number, 4 * KIB, BEGINS_FIRST) for number in range(100)])
    after.restore(before.snapshot())
    assert after.statistics.live == 100
    after.advance([begin(100, 4 * KIB, BEGINS_FIRST)])
    assert held(after) <= 900 * KIB
    assert evicted(after) > 0


def test_it_holds_after_a_change_of_rules() -> None:
    before = tracker(TrackerLimits(total_bytes=800 * KIB))
    before.advance([begin(number, 4 * KIB, BEGINS_FIRST) for number in range(20)])
    after = tracker(TrackerLimits(total_bytes=800 * KIB), previous=before)
    after.take_over(before)
    assert (after.statistics.live, evicted(after)) == (20, 0)
    after.advance([begin(number, 4 * KIB, BEGINS_SECOND) for number in range(20, 40)])
    assert held(after) <= 900 * KIB
    assert evicted(after) > 0


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3 * KIB), st.integers(0, 2)), max_size=9)),
    st.integers(1, 40),
)
def test_no_more_is_held_than_an_eighth_above_the_limit(
    batches: list[list[tuple[int, int]]], limit: int
) -> None:
    tracked = tracker(TrackerLimits(rule_bytes=limit * KIB, total_bytes=2 * limit * KIB))
    number = 0
    for batch in batches:
        candidates = []
        for size, which in batch:
            targets = ((BEGINS_FIRST,), (BEGINS_SECOND,), (BEGINS_FIRST, BEGINS_SECOND))[which]
            candidates.append(begin(number, size, *targets))
            number += 1
        tracked.advance(candidates)
        for machine in tracked._machines.values():
            alone = {id(event): event for entry in machine.held() for event in entry}
            assert sum(map(weight_of, alone.values())) <= limit * KIB * 9 / 8
        assert held(tracked) <= 2 * limit * KIB + limit * KIB / 8
    assert tracked.statistics.live == sum(each.live for each in tracked._machines.values())


def test_odd_documents_have_a_weight() -> None:
    for document in ({"a": "\ud800"}, {"a": 1 << 100}, {"a": {1, 2}}):
        row = Row(None, document, 0, "s", 0)
        assert weight_of(row) > 200


@pytest.mark.parametrize("name", ["rule_bytes", "total_bytes"])
def test_limits_are_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        TrackerLimits(**{name: 0})
