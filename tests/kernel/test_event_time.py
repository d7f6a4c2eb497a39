"""Event time: sequences do not depend on the order of arrival, nor on how events are cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.event_time import EventTime, Passage, SourceClock
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector
from kestrel_framework.errors import StateError
from kestrel_framework.event import Document, EventBatch, TimeSettings
from kestrel_framework.reload import OnRuleChange
from kestrel_framework.rule import RuleSet
from timed_events import RULES, SECOND, detector, event, shown, streams

JUMP: Final = TimeSettings(largest_jump=1000.0, believed_after=3)


def fed(
    documents: Sequence[Document],
    disorder: int,
    sizes: Iterable[int] = (),
    found_by: Detector | None = None,
) -> tuple[list[tuple[str, list[object]]], Detector]:
    """Return the findings of documents that come in batches of some sizes, and the detector."""
    found_by = found_by or detector()
    alerts: list[Alert] = []
    start = 0
    for size in [*sizes, len(documents)]:
        part = documents[start : start + size]
        alerts += found_by.feed(EventBatch(documents=part, disorder=disorder))
        start += size
    alerts += found_by.finish()
    return shown(alerts), found_by


def time_of(document: Document) -> int:
    time = document["t"]
    assert isinstance(time, int)
    return time


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Document], list[Document], int]:
    """Draw events in order, and as they come, none later than the disorder, which is third."""
    ordered = draw(streams())
    disorder = draw(st.sampled_from([0, 1, SECOND, 5 * SECOND, 100 * SECOND]))
    delays = [draw(st.integers(0, disorder)) for _ in ordered]
    ranks = draw(st.permutations(range(len(ordered))))
    order = sorted(range(len(ordered)), key=lambda i: (time_of(ordered[i]) + delays[i], ranks[i]))
    if not disorder:  # in order, also where times are equal
        order = list(range(len(ordered)))
    return ordered, [ordered[i] for i in order], disorder


SIZES: Final = st.lists(st.integers(1, 9), max_size=12)


@given(arrivals(), SIZES)
def test_the_order_of_arrival_within_the_disorder_makes_no_difference(
    drawn: tuple[list[Document], list[Document], int], sizes: list[int]
) -> None:
    ordered, arriving, disorder = drawn
    expected, _ = fed(ordered, 0)
    found, found_by = fed(arriving, disorder, sizes)
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert not found_by.statistics.untimely


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(arrivals(), SIZES)
def test_the_order_of_arrival_makes_no_difference_thousands_of_times(
    drawn: tuple[list[Document], list[Document], int], sizes: list[int]
) -> None:
    ordered, arriving, disorder = drawn
    assert sorted(fed(arriving, disorder, sizes)[0], key=str) == sorted(fed(ordered, 0)[0], key=str)


@st.composite
def any_arrivals(draw: st.DrawFn) -> list[Document]:
    """Draw events in any order, some of them far from the others, some without a time."""
    moments = draw(
        st.lists(
            st.one_of(
                st.none(), st.integers(0, 60), st.integers(0, 60), st.integers(4_000, 4_020),
                st.integers(-3_000, -2_990), st.just(9_000),
            ),
            max_size=40,
        )
    )  # fmt: skip
    return [
        {
            **event(number, draw(st.sampled_from("ABCD")), 0, draw(st.integers(0, 1))),
            "t": None if moment is None else (moment + 10_000) * SECOND // 2,
        }
        for number, moment in enumerate(moments)
    ]


DISORDERS: Final = st.sampled_from([0, SECOND, 7 * SECOND])


@given(any_arrivals(), DISORDERS, SIZES)
def test_batches_make_no_difference(
    documents: list[Document], disorder: int, sizes: list[int]
) -> None:
    whole, one = fed(documents, disorder, found_by=detector(JUMP))
    cut, several = fed(documents, disorder, sizes, detector(JUMP))
    assert cut == whole
    assert several.statistics.untimely == one.statistics.untimely
    assert several.partial_matches == one.partial_matches


@given(any_arrivals(), DISORDERS, st.data())
def test_a_snapshot_goes_on_where_it_was_taken(
    documents: list[Document], disorder: int, data: st.DataObject
) -> None:
    whole, _ = fed(documents, disorder, found_by=detector(JUMP))
    first = data.draw(st.integers(0, len(documents)))
    before = detector(JUMP)
    found = shown(before.feed(EventBatch(documents=documents[:first], disorder=disorder)))
    after = detector(JUMP)
    after.restore(before.snapshot())
    found += shown(after.feed(EventBatch(documents=documents[first:], disorder=disorder)))
    assert found + shown(after.finish()) == whole


@given(any_arrivals(), DISORDERS, st.data())
def test_another_rule_set_keeps_what_waits(
    documents: list[Document], disorder: int, data: st.DataObject
) -> None:
    whole, _ = fed(documents, disorder, found_by=detector(JUMP))
    first = data.draw(st.integers(0, len(documents)))
    replaced = detector(JUMP)
    found = shown(replaced.feed(EventBatch(documents=documents[:first], disorder=disorder)))
    replaced.replace(RuleSet(list(reversed(RULES.rules))))
    found += shown(replaced.feed(EventBatch(documents=documents[first:], disorder=disorder)))
    found += shown(replaced.finish())
    assert sorted(found, key=str) == sorted(whole, key=str)


def test_steps_of_rules_that_are_gone_are_counted() -> None:
    found_by = detector()
    found_by.feed(EventBatch(documents=[event(0, "A", 0)], disorder=SECOND))
    found_by.replace(found_by.prepare(RuleSet([]), on_rule_change=OnRuleChange.DROP))
    assert found_by.statistics.untimely == {"rule_changed": 1}
    assert found_by.finish() == []


@given(streams(), st.data())
def test_sources_are_merged_by_their_times(documents: list[Document], data: st.DataObject) -> None:
    expected, _ = fed(documents, 0)
    sides = [data.draw(st.integers(0, 2)) for _ in documents]
    disorder = data.draw(DISORDERS)
    names = ["left", "middle", "right"]
    waiting = {
        name: [d for d, side in zip(documents, sides, strict=True) if names[side] == name]
        for name in names
    }
    merged = detector()
    alerts: list[Alert] = []
    for name in names:
        alerts += merged.feed(EventBatch(source=name, disorder=disorder))
    while waiting:
        name = data.draw(st.sampled_from(sorted(waiting)))
        size = data.draw(st.integers(1, 5))
        part, waiting[name] = waiting[name][:size], waiting[name][size:]
        alerts += merged.feed(
            EventBatch(documents=part, source=name, stream=name, disorder=disorder)
        )
        if not waiting[name]:
            del waiting[name]
            alerts += merged.end_source(name)
    alerts += merged.finish()
    assert sorted(shown(alerts), key=str) == sorted(expected, key=str)
    assert not merged.statistics.untimely


# --- late events ------------------------------------------------------------------------


def test_a_late_event_is_in_no_sequence_and_is_counted() -> None:
    documents = [event(0, "A", 0), event(1, "B", 9 * SECOND), event(2, "B", 3 * SECOND)]
    found, found_by = fed(documents, 5 * SECOND)
    assert ("a-b-until-d", [0, 1]) in found
    assert found_by.statistics.untimely == {"late": 1}


def test_a_late_event_still_is_what_it_is_by_itself() -> None:
    found, found_by = fed([event(0, "E", 9 * SECOND), event(1, "A", 0)], SECOND)
    assert found == [("alone", [1])]
    assert found_by.statistics.untimely == {"late": 1}


def test_only_what_some_rule_looks_for_can_be_late() -> None:
    _, found_by = fed([event(0, "E", 9 * SECOND), event(1, "E", 0)], SECOND)
    assert not found_by.statistics.untimely


def test_an_event_as_old_as_the_disorder_is_in_time() -> None:
    documents = [event(0, "E", 5 * SECOND), event(1, "A", 0), event(2, "B", SECOND)]
    found, found_by = fed(documents, 5 * SECOND)
    assert ("a-b-until-d", [1, 2]) in found
    assert not found_by.statistics.untimely


def test_of_equal_times_none_is_late() -> None:
    documents = [event(0, "A", 5), event(1, "B", 3), event(2, "B", 5)]
    found, found_by = fed([event(9, "E", 0), *documents], 0, [1])
    assert ("a-b-until-d", [0, 2]) in found
    assert found_by.statistics.untimely == {"late": 1}


def test_what_waits_is_found_as_soon_as_time_has_come() -> None:
    found_by = detector()
    assert not found_by.feed(EventBatch(documents=[event(0, "C", 0)], disorder=5 * SECOND))
    assert not found_by.feed(EventBatch(documents=[event(1, "D", 1)], disorder=5 * SECOND))
    last = EventBatch(documents=[event(2, "E", 5 * SECOND + 2)], disorder=5 * SECOND)
    assert shown(found_by.feed(last)) == [("join", [0, 1])]


def test_a_promise_of_the_source_is_enough() -> None:
    found_by = detector()
    steps = [event(0, "C", 0), event(1, "D", 1)]
    assert not found_by.feed(EventBatch(documents=steps, disorder=5 * SECOND))
    heartbeat = EventBatch(disorder=5 * SECOND, watermark=2)
    assert shown(found_by.feed(heartbeat)) == [("join", [0, 1])]


def test_silence_is_found_with_a_heartbeat() -> None:
    found_by = detector()
    found_by.feed([event(0, "A", 0)])
    assert not found_by.feed(EventBatch(watermark=4 * SECOND))
    assert shown(found_by.feed(EventBatch(watermark=4 * SECOND + 1))) == [("a-silence", [0, None])]


def test_silence_is_found_with_an_event_that_no_rule_looks_for() -> None:
    found_by = detector()
    found_by.feed([event(0, "A", 0)])
    assert shown(found_by.feed([event(1, "E", 5 * SECOND)])) == [("a-silence", [0, None])]


# --- several sources ----------------------------------------------------------------------


def batch(source: str, *documents: Document) -> EventBatch:
    return EventBatch(documents=documents, source=source, stream=source)


def test_a_source_that_has_brought_nothing_is_waited_for() -> None:
    found_by = detector()
    found_by.feed(batch("quiet"))
    found_by.feed(batch("busy", event(0, "C", 0), event(1, "D", 1), event(2, "E", 9)))
    assert found_by.partial_matches.live == 0
    assert shown(found_by.end_source("quiet")) == [("join", [0, 1])]


def test_a_quiet_source_is_left_out_and_that_is_counted() -> None:
    found_by = detector()
    found_by.feed(batch("quiet", event(0, "C", 0)))
    found_by.feed(batch("busy", event(1, "D", 1), event(2, "E", 9)))
    assert shown(found_by.leave_out("quiet")) == [("join", [0, 1])]
    assert not found_by.leave_out("quiet")
    assert found_by.statistics.untimely == {"source_left_out": 1}
    found_by.feed(batch("quiet", event(3, "C", 2)))
    assert found_by.statistics.untimely == {"source_left_out": 1, "late": 1}
    found_by.feed(batch("quiet", event(4, "C", 20)))
    found_by.feed(batch("busy", event(5, "D", 21), event(6, "E", 30)))
    assert shown(found_by.finish()) == [("join", [4, 5])]


def test_where_all_sources_are_left_out_nothing_waits() -> None:
    found_by = detector()
    found_by.feed(
        EventBatch(documents=[event(0, "C", 0), event(1, "D", 1)], disorder=99, source="one")
    )
    assert shown(found_by.leave_out("one")) == [("join", [0, 1])]
    assert not found_by.leave_out("unknown")


def test_time_begins_anew_after_the_last_source() -> None:
    found_by = detector()
    found_by.feed(batch("first", event(0, "C", 9 * SECOND)))
    found_by.end_source("first")
    second = batch("second", event(1, "C", 0), event(2, "D", 1))
    assert shown(found_by.feed(second)) == [("join", [0, 2])]
    assert not found_by.statistics.untimely


# --- times that cannot be true ------------------------------------------------------------


def judged(said: Sequence[int | None], believed_after: int = 3) -> tuple[SourceClock, Passage]:
    time = EventTime(TimeSettings(1000.0, believed_after), Counter())
    passage = Passage(time, "", 0, said)
    passage.passed()
    return time.source("", 0, is_quiet=True).clock, passage


def test_one_event_of_the_future_makes_no_other_late() -> None:
    documents = [
        event(0, "C", 0), event(1, "D", 4_000_000_000 * SECOND), event(2, "D", 1),
    ]  # fmt: skip
    found, found_by = fed(documents, 0)
    assert ("join", [0, 2]) in found
    assert found_by.statistics.untimely == {"implausible_time": 1}


def test_events_in_a_row_that_agree_are_believed() -> None:
    late = 5000 * SECOND
    clock, passage = judged([0, late, late + 1, late + 2, late + 3])
    assert clock.greatest == late + 3
    assert [passage.is_aside(index) for index in range(5)] == [False, True, True, False, False]


def test_events_that_do_not_agree_are_not_believed() -> None:
    clock, passage = judged([0, 5000 * SECOND, 9000 * SECOND, 14000 * SECOND, 5000 * SECOND])
    assert clock.greatest == 0
    assert all(map(passage.is_aside, range(1, 5)))


def test_time_can_be_set_back() -> None:
    clock, _ = judged([5000 * SECOND, 1, 2, 3])
    assert clock.greatest == 3
    documents = [
        event(number, name, time)
        for number, (name, time) in enumerate(
            [("E", 5000 * SECOND), ("C", 1), ("E", 2), ("D", 3), ("E", 4)]
        )
    ]
    found, found_by = fed(documents, 0, found_by=detector(JUMP))
    assert found == [("join", [1, 3])]
    assert not found_by.statistics.untimely


def test_an_event_without_a_time_decides_nothing() -> None:
    clock, passage = judged([0, 5000 * SECOND, None, 5000 * SECOND, 5000 * SECOND])
    assert clock.greatest == 5000 * SECOND
    assert passage.times[2] == 0


def test_the_first_event_is_believed() -> None:
    clock, _ = judged([10**30])
    assert clock.greatest == 10**30


def test_with_one_event_enough_every_time_is_believed() -> None:
    clock, _ = judged([0, 5000 * SECOND, 0, -5000 * SECOND], believed_after=1)
    assert clock.greatest == -5000 * SECOND


def test_events_that_are_believed_go_on_in_their_order() -> None:
    times = [("E", 0), ("B", 5002), ("A", 5001), ("E", 5003)]
    documents = [event(n, name, time * SECOND) for n, (name, time) in enumerate(times)]
    found, _ = fed(documents, 0, found_by=detector(JUMP))
    assert ("a-b-until-d", [2, 1]) in found


def test_what_follows_on_events_that_are_believed_is_looked_at() -> None:
    times = [("E", 0), ("A", 5001), ("E", 5002), ("E", 5003), ("B", 5004)]
    documents = [event(n, name, time * SECOND) for n, (name, time) in enumerate(times)]
    found, _ = fed(documents, 0, [2], detector(JUMP))
    assert ("a-b-until-d", [1, 4]) in found


def test_what_is_aside_at_the_end_counts() -> None:
    documents = [event(0, "C", 0), event(1, "C", 5000 * SECOND), event(2, "D", 5001 * SECOND)]
    found, _ = fed(documents, 0, found_by=detector(JUMP))
    assert found == [("join", [0, 2])]


# --- limits -------------------------------------------------------------------------------


def test_where_too_many_wait_the_oldest_go_on_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kestrel_framework._pipeline.event_time.event_time.MOST_WAITING", 64)
    documents = [event(number, "C", number) for number in range(70)]
    found_by = detector()
    found_by.feed(EventBatch(documents=documents, disorder=1000 * SECOND))
    assert found_by.statistics.untimely["released_early"] >= 6
    found_by.feed(EventBatch(documents=[event(99, "D", 0)], disorder=1000 * SECOND))
    assert found_by.statistics.untimely["late"] == 1


def test_a_disorder_is_not_below_zero() -> None:
    with pytest.raises(ValueError, match="disorder"):
        EventBatch(disorder=-1)


# --- state --------------------------------------------------------------------------------


def waiting() -> Detector:
    found_by = detector(JUMP)
    documents = [event(0, "C", 0), event(1, "E", 5000 * SECOND), event(2, "C", 5000 * SECOND)]
    found_by.feed(EventBatch(documents=documents, disorder=9 * SECOND, source="audit"))
    return found_by


@given(st.data())
def test_a_damaged_state_is_refused_and_nothing_changes(data: st.DataObject) -> None:
    state = msgspec.msgpack.decode(waiting().snapshot())
    content = bytearray(state["time"])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = msgspec.msgpack.encode({**state, "time": bytes(content)})
    found_by = detector(JUMP)
    found_by.feed([event(7, "D", 0)])
    before = found_by.snapshot()
    try:
        found_by.restore(damaged)
    except StateError:
        assert found_by.snapshot() == before
    else:
        found_by.finish()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: [2, *state[1:]], "unknown version 2"),
        (lambda state: [*state[:2], [], state[3]], "damaged"),
        (lambda state: state[:2], "damaged"),
    ],
)
def test_a_state_that_makes_no_sense_is_refused(
    change: Callable[[list[object]], object], problem: str
) -> None:
    snapshot = msgspec.msgpack.decode(waiting().snapshot())
    time = msgspec.msgpack.encode(change(msgspec.msgpack.decode(snapshot["time"])))
    with pytest.raises(StateError, match=problem):
        detector(JUMP).restore(msgspec.msgpack.encode({**snapshot, "time": time}))


def test_a_snapshot_of_before_there_was_event_time_is_read() -> None:
    found_by = detector()
    found_by.feed([event(0, "C", 0)])
    state = msgspec.msgpack.decode(found_by.snapshot())
    del state["time"]
    after = detector()
    after.restore(msgspec.msgpack.encode({**state, "version": 2, "decoder": 0}))
    assert shown(after.feed([event(1, "D", 1)])) == [("join", [0, 1])]


def test_events_that_messagepack_cannot_say_wait_too() -> None:
    found_by = detector()
    odd = {**event(0, "C", 10**30), "text": "\ud800", "number": 2**100}
    found_by.feed(EventBatch(documents=[odd], disorder=SECOND))
    after = detector()
    after.restore(found_by.snapshot())
    after.feed(EventBatch(documents=[event(1, "D", 10**30 + 1)], disorder=SECOND))
    (alert,) = after.finish()
    assert alert.events[0].document == odd
