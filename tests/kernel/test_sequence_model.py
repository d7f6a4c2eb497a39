"""The machine of a sequence against a brute-force search, cut, restarted and bounded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import Completion
from kestrel_framework._pipeline.sequence_tracker import EndReason, TrackerLimits
from sequence_shapes import (
    FOLDED_KEY,
    KEY,
    MARKS,
    Seen,
    Shape,
    candidates,
    numbers_of,
    texts_of,
    tracker_for,
)


def found_by(completions: Sequence[Completion]) -> list[tuple[object, object]]:
    """Return completions as the brute-force search does: numbers of events, and the key."""
    keys = [completion.key for completion in completions]
    return list(zip(numbers_of(completions), keys, strict=True))


def brute_force(shape: Shape, events: Sequence[Seen]) -> list[tuple[object, object]]:
    """Find the same by looking at all events again and again, one key after the other."""
    found: list[tuple[object, object]] = []
    fold = shape.keys == (FOLDED_KEY,)
    keys = {same_for(key, fold) for event in events for key in values_of_key(event)}
    for key in keys:
        mine = [
            (n, event)
            for n, event in enumerate(events)
            if key in [same_for(value, fold) for value in values_of_key(event)]
        ]
        for slots in brute_force_key(shape, mine):
            first = events[next(n for n in slots if n is not None)]
            shown = next(v for v in values_of_key(first) if same_for(v, fold) == key)
            found.append((slots, (shown,)))
    return sorted(found, key=repr)


def values_of_key(event: Seen) -> list[object]:
    values = event.key if isinstance(event.key, list) else [event.key]
    return [value for value in values if value is not None]


def same_for(value: object, fold: bool) -> object:
    return value.lower() if fold and isinstance(value, str) else value


def brute_force_key(shape: Shape, events: list[tuple[int, Seen]]) -> list[list[int | None]]:
    stages = [n for n, text in enumerate(shape.steps) if not text.startswith("!")]
    pending: dict[int, list[tuple[int, Seen]]] = {}
    found = []

    def satisfies(text: str, event: Seen, first: Seen | None) -> bool:
        if text.strip(MARKS) not in event.letters:
            return False
        return "=" not in text or (first is not None and first.v == event.v)

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
                late = shape.maxspan is not None and event.time - chain[0][1].time > shape.maxspan
                if late or "+" not in text:
                    del pending[stage - 1]
                if late:
                    continue
                last = offset if shape.until_first else offset - 1
                begun_only = shape.until_first or len(chain) == 1
                earliest = chain[-1][0] + (1 if begun_only else 0)
                if shape.until and any(
                    satisfies(shape.until, other, chain[0][1])
                    for number, other in events
                    if earliest <= number <= last
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
    letters = st.sampled_from(["A", "B", "C", "A", "B=", "C=", "B+", "C+", "B=+"])
    steps = draw(st.lists(letters, min_size=1, max_size=4))
    missing = draw(st.booleans())
    if missing:
        for _ in range(draw(st.integers(1, 3))):
            forbidden = draw(st.sampled_from(["!M", "!N", "!A", "!M="]))
            steps.insert(draw(st.integers(0, len(steps))), forbidden)
    spans = st.integers(0, 8)
    maxspan = draw(spans if missing else st.none() | spans)
    until = draw(st.sampled_from(["", "", "U", "B", "U="]))
    keys = draw(st.sampled_from([(KEY,), (FOLDED_KEY,)]))
    return Shape(tuple(steps), maxspan, until, keys, draw(st.booleans()))


@st.composite
def streams(draw: st.DrawFn) -> list[Seen]:
    time = 0
    events = []
    keys = [1, 1, 1, 2, [1, 2], [2, None, 2], None], ["a", "a", "A", ["A", "a"], ["b", "A"], "B"]
    key: st.SearchStrategy[object] = st.sampled_from(draw(st.sampled_from(keys)))
    letters = st.lists(st.sampled_from("AABBCMNU"), min_size=1, max_size=3).map("".join)
    for _ in range(draw(st.integers(0, 25))):
        time += draw(st.sampled_from([0, 1, 1, 2, 3]))
        events.append(Seen(time, draw(letters), draw(key), draw(st.integers(0, 1))))
    return events


@settings(max_examples=150, deadline=None)
@given(shapes(), streams())
def test_the_machine_finds_what_a_brute_force_search_finds(
    shape: Shape, events: list[Seen]
) -> None:
    find_what_a_brute_force_search_finds(shape, events)


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None)
@given(shapes(), streams())
def test_the_machine_finds_in_thousands_of_streams_what_a_brute_force_search_finds(
    shape: Shape, events: list[Seen]
) -> None:
    find_what_a_brute_force_search_finds(shape, events)


def find_what_a_brute_force_search_finds(shape: Shape, events: list[Seen]) -> None:
    rule = shape.rule()
    tracker = tracker_for(rule)
    done = tracker.advance(candidates(events, rule, texts_of(shape))) + tracker.finish()
    assert sorted(found_by(done), key=repr) == brute_force(shape, events)


@settings(max_examples=100, deadline=None)
@given(shapes(), streams(), st.data())
def test_the_cut_into_calls_and_a_restart_anywhere_change_nothing(
    shape: Shape, events: list[Seen], data: st.DataObject
) -> None:
    rule = shape.rule()
    every = candidates(events, rule, texts_of(shape))
    whole = tracker_for(rule)
    expected = found_by(whole.advance(every) + whole.finish())

    tracker = tracker_for(rule)
    done = []
    for candidate in every:
        done += tracker.advance([candidate])
        match data.draw(st.sampled_from(["", "restart", "replace", "expire"])):
            case "restart":
                following = tracker_for(rule)
                following.restore(tracker.snapshot())
                assert following.statistics == tracker.statistics
                assert following.snapshot() == tracker.snapshot()
                tracker = following
            case "replace":
                following = tracker_for(rule, previous=tracker)
                assert following.take_over(tracker) == {}
                tracker = following
            case "expire":
                done += tracker.expire(candidate.row.timestamp)
    assert found_by(done + tracker.finish()) == expected
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
        assert sorted(found_by(done), key=repr) == brute_force(shape, events)
