"""Samples: on a stream, in a search, and against a brute-force search."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import Candidate, targets_of
from kestrel_framework._pipeline.sequence_tracker import (
    EndReason,
    SequenceTracker,
    TrackerLimits,
)
from kestrel_framework._pipeline.sequence_tracker.samples import different_events
from kestrel_framework.event import Event, EventIdentity
from kestrel_framework.predicate import ALWAYS, Field
from kestrel_framework.rule import (
    ANY_EVENT,
    JoinKey,
    Rule,
    RuleMetadata,
    RuleSet,
    SampleRule,
    Step,
)
from sequence_shapes import row_of


def rules_with(filters: int) -> RuleSet:
    step = Step(ANY_EVENT, ALWAYS, (JoinKey(Field("key")),))
    return RuleSet([Rule(RuleMetadata("sample"), SampleRule((step,) * filters))])


def tracker_with(
    filters: int, samples_per_key: int | None = None, limits: TrackerLimits | None = None
) -> SequenceTracker:
    rules = rules_with(filters)
    return SequenceTracker(rules, targets_of(rules), limits, samples_per_key)


def candidates(events: list[tuple[set[int], object]]) -> list[Candidate]:
    """Make an event for each (filters it satisfies, key)."""
    return [
        Candidate(row_of({"key": key}, number, number), tuple(sorted(filters)))
        for number, (filters, key) in enumerate(events)
        if filters
    ]


def found(tracker: SequenceTracker, events: list[tuple[set[int], object]]) -> list[list[int]]:
    done = tracker.advance(candidates(events)) + tracker.finish()
    return [[event.identity.offset for event in item.events if event] for item in done]


def test_a_sample_is_complete_in_any_order_of_its_events() -> None:
    assert found(tracker_with(2), [({1}, 1), ({0}, 1)]) == [[1, 0]]


def test_an_event_is_used_once_in_a_sample() -> None:
    assert found(tracker_with(2), [({0, 1}, 1)]) == []
    assert found(tracker_with(2), [({0, 1}, 1), ({1}, 1)]) == [[0, 1]]
    assert found(tracker_with(3), [({0, 1, 2}, 1), ({0, 1, 2}, 1)]) == []


def test_an_event_changes_its_filter_for_another() -> None:
    assert found(tracker_with(2), [({0, 1}, 1), ({0}, 1)]) == [[1, 0]]


def test_events_agree_in_their_keys() -> None:
    assert found(tracker_with(2), [({0}, 1), ({1}, 2), ({1}, None)]) == []


def test_on_a_stream_a_key_begins_anew_after_a_sample() -> None:
    events: list[tuple[set[int], object]] = [({0}, 1), ({0}, 1), ({1}, 1), ({1}, 1), ({0}, 1)]
    tracker = tracker_with(2)
    assert found(tracker, events) == [[0, 2], [4, 3]]
    assert tracker.statistics.ended[EndReason.COMPLETED] == 5


def test_the_event_that_completes_a_sample_does_not_begin_the_next() -> None:
    tracker = tracker_with(2)
    assert found(tracker, [({0}, 1), ({0, 1}, 1), ({1}, 1)]) == [[0, 1]]
    assert tracker.statistics.live == 1


def test_a_search_takes_several_samples_of_a_key_which_share_events() -> None:
    events: list[tuple[set[int], object]] = [({0}, 1), ({0}, 1), ({1}, 1), ({0}, 1)]
    assert found(tracker_with(2, 1), events) == [[0, 2]]
    assert found(tracker_with(2, 2), events) == [[0, 2], [1, 2]]
    assert found(tracker_with(2, 9), events) == [[0, 2], [1, 2], [3, 2]]


def test_what_a_key_holds_is_bounded() -> None:
    tracker = tracker_with(3)
    assert found(tracker, [({0, 1}, 1)] * 100) == []
    assert tracker.statistics.live == 6


def test_the_key_that_began_first_is_evicted() -> None:
    tracker = tracker_with(2, limits=TrackerLimits(per_rule=2))
    events: list[tuple[set[int], object]] = [({0}, 1), ({0}, 2), ({0}, 3), ({1}, 1), ({1}, 3)]
    assert found(tracker, events) == [[2, 4]]
    assert tracker.statistics.ended[EndReason.EVICTED] == 2


@pytest.mark.parametrize("lists", [12, 18])
def test_choosing_is_quick_where_nothing_fits(lists: int) -> None:
    events = [Event(EventIdentity("s", n), n, {}) for n in range(lists - 1)]
    assert list(different_events([events] * lists)) == []


FILTERS = st.sets(st.integers(0, 2))


@settings(max_examples=200, deadline=None)
@given(st.lists(FILTERS, max_size=9), st.integers(1, 4))
def test_a_search_finds_the_first_samples_that_a_brute_force_search_finds(
    matched: list[set[int]], wanted: int
) -> None:
    every = [
        list(chosen)
        for chosen in itertools.product(
            *([n for n, filters in enumerate(matched) if index in filters] for index in range(3))
        )
        if len(set(chosen)) == 3
    ]
    result = found(tracker_with(3, wanted), [(filters, 1) for filters in matched])
    assert len(result) == min(wanted, len(every))
    assert all(sample in every for sample in result)
    assert len({tuple(sample) for sample in result}) == len(result)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(FILTERS, st.integers(0, 1)), max_size=20), st.data())
def test_a_stream_gives_a_sample_as_soon_as_there_is_one(
    events: list[tuple[set[int], object]], data: st.DataObject
) -> None:
    """Also after a restart at any point."""
    tracker = tracker_with(3)
    held: dict[object, list[tuple[int, set[int]]]] = {}
    for candidate in candidates(events):
        number, (filters, key) = candidate.row.offset, events[candidate.row.offset]
        mine = [*held.get(key, []), (number, filters)]
        possible = any(
            all(index in matched for index, (_, matched) in enumerate(chosen))
            for chosen in itertools.permutations(mine, 3)
        )
        assert bool(tracker.advance([candidate])) is possible
        held[key] = [] if possible else mine
        if data.draw(st.booleans()):
            following = tracker_with(3)
            following.restore(tracker.snapshot())
            assert following.snapshot() == tracker.snapshot()
            tracker = following
