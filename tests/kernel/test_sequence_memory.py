"""What partial matches hold: the order of their age, their events, and how many bytes."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import Candidate
from kestrel_framework._pipeline.sequence_tracker import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.age_order import AgeOrder
from kestrel_framework._pipeline.sequence_tracker.partials import Partial
from kestrel_framework.predicate import Field
from kestrel_framework.rule import JoinKey
from sequence_shapes import KEY, Seen, Shape, candidates, row_of, texts_of, tracker_for

SECOND = JoinKey(Field("second"))


# --- the order of age ---


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("accdddot"), st.integers(0, 99)), max_size=200))
def test_ages_are_in_the_order_of_a_list(actions: list[tuple[str, int]]) -> None:
    """Add the youngest, copy one, end one, look for the oldest, tidy: a list does the same."""
    ages = AgeOrder()
    expected: list[Partial] = []
    for number, (action, choice) in enumerate(actions):
        event = row_of({}, number, number)
        partial = Partial(number, event, event)
        if action == "a":
            ages.add(partial)
            expected.append(partial)
        elif action == "c" and expected:
            place = choice % min(len(expected), 3)
            ages.add_copy(partial, expected[place])
            expected.insert(place + 1, partial)
        elif action == "d" and expected:
            expected.pop(choice % min(len(expected), 3)).clear()
        elif action == "t":
            ages.tidy()
        assert list(ages) == expected
        if action == "o":
            assert ages.oldest() is (expected[0] if expected else None)


def test_copies_stay_in_order_when_their_original_leaves() -> None:
    ages = AgeOrder()
    event = row_of({}, 0, 0)
    original, first, second, of_first = [Partial(number, event, event) for number in range(4)]
    ages.add(original)
    ages.add_copy(first, original)
    ages.add_copy(second, original)
    ages.add_copy(of_first, first)
    original.clear()
    assert ages.oldest() is second
    assert list(ages) == [second, first, of_first]
    second.clear()
    first.clear()
    assert ages.oldest() is of_first


@pytest.mark.parametrize("steps", ["A B C", "A B+ C"])
def test_what_has_ended_does_not_pile_up_behind_what_has_not(steps: str) -> None:
    shape = Shape(tuple(steps.split()))
    rule = shape.rule()
    tracker = tracker_for(rule)
    events = [Seen(0, "A", 1), *(Seen(n, "AB"[n % 2], 2) for n in range(4000))]
    every = candidates(events, rule, texts_of(shape))
    tracker.advance(every[:100])
    gc.collect()
    tracemalloc.start()
    tracker.advance(every[100:])
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tracker.statistics.live <= 3
    assert grown < 25_000


# --- events ---


class Document(dict[str, object]):
    """A document that can be watched."""


SPANS = ["A0 A1", "A0 B1 A2 B3", "A0 B1 C2", "A0 U1", "A0 B1 U2", "A0 X50 A60", "A0 B1 A60 A61"]


@pytest.mark.parametrize("text", SPANS)
@pytest.mark.parametrize("steps", ["A B C", "A B+ C", "A !M B C", "A B C !M"])
def test_the_events_of_what_has_ended_are_let_go(steps: str, text: str) -> None:
    """Whatever ended, also behind what is older and live: only events of what is live are held."""
    shape = Shape(tuple(steps.split()), 20, "U")
    rule = shape.rule()
    tracker = tracker_for(rule)
    tracker.advance([Candidate(row_of({"key": "older"}, 0, 0), (0,))])
    documents = []
    for word in text.split():
        document = Document(key=1, v=0)
        documents.append(weakref.ref(document))
        letter, time = word[0], int(word[1:])
        row = row_of(document, time, len(documents))
        for candidate in candidates([Seen(time, letter)], rule, texts_of(shape)):
            tracker.advance([Candidate(row, candidate.targets)])
        del document, row
    held = {
        event.offset
        for machine in tracker._machines.values()
        for _, partial in machine.dump().partials  # type: ignore[union-attr]
        for event in partial.events
    }
    known = [number for number, document in enumerate(documents, 1) if document() is not None]
    assert known == sorted(held - {0})


# --- bytes ---


def grown_by(keys: tuple[JoinKey, ...], steps: str, number: int) -> float:
    """Return how many bytes a live partial match holds, its events and their texts left out."""
    shape = Shape(tuple(steps.split()), 10**9, keys=keys)
    rule = shape.rule()
    tracker = tracker_for(rule, TrackerLimits.unlimited())
    every: list[Sequence[Candidate]] = []
    for step in range(len(shape.steps) - 1):
        rows = [row_of({"key": f"host-{n}", "second": f"user-{n}"}, step, n) for n in range(number)]
        assert all(row.document for row in rows)
        every.append([Candidate(row, (step,)) for row in rows])
    gc.collect()
    tracemalloc.start()
    for some in every:
        tracker.advance(some)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tracker.statistics.live == number
    return grown / number


@pytest.mark.parametrize(
    ("keys", "steps", "most"),
    [((KEY,), "A B", 100), ((KEY,), "A B C", 150), ((KEY, SECOND), "A B", 175)],
)
def test_a_live_partial_match_is_small(keys: tuple[JoinKey, ...], steps: str, most: int) -> None:
    assert grown_by(keys, steps, 30_000) <= most
