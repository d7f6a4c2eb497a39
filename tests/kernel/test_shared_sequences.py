"""Sequences that several members feed are those of one engine that sees all events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_members import Clock, Member, config, pass_time

from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework.event import Document
from timed_events import detector, shown, streams

NAMES: Final = ("ada", "bob", "cyd")
_MOST_ROUNDS: Final = 500


def one_engine(ordered: Sequence[Document]) -> list[tuple[str, list[object]]]:
    alone = detector()
    return sorted(shown([*alone.feed(ordered), *alone.finish()]), key=str)


def finish(members: Sequence[Member], clock: Clock) -> None:
    """Have members work until all is over."""
    for member in members:
        member.end()
    for _ in range(_MOST_ROUNDS):
        for member in members:
            member.commit()
        if all(member.membership.is_over for member in members):
            return
        clock.now += 1.0
    raise AssertionError("it is never over")


def each_once(
    findings: Iterable[tuple[str, list[object]]],
) -> list[tuple[str, list[object]]]:
    """Return findings without those that a killed member had delivered and not committed."""
    return sorted({str(finding): finding for finding in findings}.values(), key=str)


def found_by(members: Sequence[Member]) -> list[tuple[str, list[object]]]:
    return sorted(shown([alert for member in members for alert in member.alerts]), key=str)


@st.composite
def shared_streams(draw: st.DrawFn) -> tuple[list[Document], list[list[Document]]]:
    """Draw events in order, and what each of two or three members sees of them."""
    keys = st.sampled_from([0, 1, 2, 3, "x", None, True, [1, 2], [0, 3, "x"]])
    ordered: list[Document] = [{**document, "key": draw(keys)} for document in draw(streams())]
    seen_by = draw(
        st.lists(st.integers(0, len(NAMES) - 1), min_size=len(ordered), max_size=len(ordered))
    )
    parts = [
        [document for document, who in zip(ordered, seen_by, strict=True) if who == number]
        for number in range(len(NAMES))
    ]
    return ordered, parts


STEPS: Final = st.lists(
    st.tuples(st.integers(0, len(NAMES) - 1), st.sampled_from(["read", "read", "commit"])),
    max_size=60,
)


@given(shared_streams(), STEPS)
def test_members_find_together_what_one_engine_finds(
    drawn: tuple[list[Document], list[list[Document]]], steps: list[tuple[int, str]]
) -> None:
    ordered, parts = drawn
    store, clock = MemoryStateStore(), Clock()
    members = [
        Member(config(name, NAMES), part, store, clock)
        for name, part in zip(NAMES, parts, strict=True)
    ]
    for number, what in steps:
        if what == "read":
            members[number].read(1)
        else:
            members[number].commit()
        clock.now += 0.1
    finish(members, clock)
    assert found_by(members) == one_engine(ordered)
    assert not any(member.untimely for member in members)
    assert [key for key, _ in store.scan(b"shared/inbox/")] == []


def kills_and_alerts(
    parts: list[list[Document]], steps: list[tuple[int, str]]
) -> tuple[int, list[tuple[str, list[object]]]]:
    """Return how many members died on the way, and what was found, each once."""
    store, clock = MemoryStateStore(), Clock()
    configs = [config(name, NAMES) for name in NAMES]
    members: list[Member] = []
    for number, part in enumerate(parts):
        members.append(Member(configs[number], part, store, clock))
    runs = list(members)
    kills = 0
    for number, what in steps:
        if what == "read":
            members[number].read(2)
        elif what == "commit":
            members[number].commit()
        elif what == "turn":  # what it finds is delivered, and perhaps never committed
            members[number].turn()
        elif what == "kill":
            members[number] = Member(configs[number], parts[number], store, clock)
            runs.append(members[number])
            kills += 1
        else:  # long enough that the silent are taken for dead
            pass_time(clock, 11.0, members[number])
        clock.now += 0.1
    finish(members, clock)
    return kills, each_once(found_by(runs))


STEPS_WITH_KILLS: Final = st.lists(
    st.tuples(
        st.integers(0, len(NAMES) - 1),
        st.sampled_from(["read", "read", "commit", "commit", "turn", "kill", "silence"]),
    ),
    max_size=80,
)


@given(shared_streams(), STEPS_WITH_KILLS)
def test_members_that_are_killed_find_the_same(
    drawn: tuple[list[Document], list[list[Document]]], steps: list[tuple[int, str]]
) -> None:
    ordered, parts = drawn
    _, found = kills_and_alerts(parts, steps)
    assert found == each_once(one_engine(ordered))


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None)
@given(shared_streams(), STEPS_WITH_KILLS)
def test_members_that_are_killed_find_the_same_thousands_of_times(
    drawn: tuple[list[Document], list[list[Document]]], steps: list[tuple[int, str]]
) -> None:
    ordered, parts = drawn
    _, found = kills_and_alerts(parts, steps)
    assert found == each_once(one_engine(ordered))
