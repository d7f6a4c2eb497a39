"""What rules find in events: the compiler and the kernel together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest

from kestrel_framework.event import EventSettings
from kestrel_framework.query import search
from kestrel_framework.rule import Rule
from kestrel_framework.schema import SchemaRegistry

Compiled: TypeAlias = Callable[..., Rule]
Found: TypeAlias = list[list[object]]
Finds: TypeAlias = Callable[..., Found]

SETTINGS = EventSettings(timestamp_field="t", timestamp_unit="s", category_field="type")


@pytest.fixture
def finds(compiled: Compiled) -> Finds:
    """Search events, which come one second after the other, and return the `n` of each result."""

    def run(text: str, events: Sequence[Mapping[str, object]], **options: str) -> Found:
        documents = [{"t": time, **event} for time, event in enumerate(events)]
        rule = compiled(text, **options)
        results = search(rule, documents, settings=SETTINGS, schema=SchemaRegistry(), size=None)
        return [[event and event["n"] for event in result.events] for result in results]

    return run


def process(number: int, identity: str, parent: str, **more: object) -> dict[str, object]:
    """Return the start of a process."""
    ids = {"entity_id": identity, "parent": {"entity_id": parent}, **more}
    return {"n": number, "type": "process", "process": ids}


def file(number: int, identity: str) -> dict[str, object]:
    return {"n": number, "type": "file", "process": {"entity_id": identity}}


FAMILY = [
    process(1, "a", "root", name="word"),
    process(2, "b", "a", name="cmd"),
    process(3, "c", "b", name="powershell"),
    process(4, "x", "root", name="cmd"),
    file(5, "c"),
    file(6, "a"),
    file(7, "x"),
]


# --- lineage ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('child of [process where process.name == "word"]', [2]),
        ('descendant of [process where process.name == "word"]', [2, 3, 5]),
        ('event of [process where process.name == "word"]', [1, 6]),
        ('not descendant of [process where process.name == "word"]', [1, 4, 6, 7]),
        ('descendant of [process where process.name == "nobody"]', []),
        (
            'child of [process where process.name : "cmd" '
            'and child of [process where process.name == "word"]]',
            [3, 5],
        ),
        (
            'event of [process where process.name == "cmd"] '
            'and not descendant of [process where process.name == "word"]',
            [4, 7],
        ),
    ],
)
def test_lineage(finds: Finds, condition: str, found: list[int]) -> None:
    assert finds(f"any where {condition}", FAMILY) == [[number] for number in found]


def test_lineage_in_steps_and_until(finds: Finds) -> None:
    word = '[process where process.name == "word"]'
    sequence = f"sequence [process where child of {word}] [file where descendant of {word}]"
    assert finds(sequence, FAMILY) == [[2, 5]]
    assert finds(f"{sequence} until [process where not descendant of {word}]", FAMILY) == []


def test_lineage_of_endgame(finds: Finds) -> None:
    events = [
        {"n": 1, "type": "process", "unique_pid": 1, "unique_ppid": 0, "name": "A"},
        {"n": 2, "type": "process", "unique_pid": 2, "unique_ppid": 1, "name": "b"},
        {"n": 3, "type": "file", "unique_pid": 2},
    ]
    found = finds('any where child of [process where name == "a"]', events, dialect="endgame")
    assert found == [[2], [3]]


# --- joins, forks -------------------------------------------------------------


def event(number: int, kind: str, **fields: object) -> dict[str, object]:
    return {"n": number, "type": kind, **fields}


def test_a_join_takes_events_in_any_order(finds: Finds) -> None:
    events = [event(1, "b", k="X"), event(2, "a", k="y"), event(3, "a", k="x"), event(4, "b")]
    join = "join by k [a where true] [b where true]"
    assert finds(join, events, dialect="endgame") == [[3, 1]]
    assert finds(join, events, dialect="endgame", case="sensitive") == []


def test_until_makes_a_join_forget(finds: Finds) -> None:
    events = [event(1, "a"), event(2, "stop"), event(3, "b")]
    join = "join [a where true] [b where true]"
    assert finds(join, events, dialect="endgame") == [[1, 3]]
    assert finds(f"{join} until [stop where true]", events, dialect="endgame") == []


def test_a_fork_goes_on_with_a_copy(finds: Finds) -> None:
    events = [event(1, "a"), event(2, "b"), event(3, "b")]
    sequence = "sequence [a where true] [b where true]"
    assert finds(sequence, events, dialect="endgame") == [[1, 2]]
    assert finds(f"{sequence} fork", events, dialect="endgame") == [[1, 2], [1, 3]]


@pytest.mark.parametrize(("dialect", "found"), [("elastic", [[1, 2]]), ("endgame", [])])
def test_an_event_that_ends_and_completes(finds: Finds, dialect: str, found: Found) -> None:
    events = [event(1, "a"), event(2, "b", stop=True)]
    text = "sequence [a where true] [b where true] until [b where stop == true]"
    assert finds(text, events, dialect=dialect) == found


# --- steps that refer to others --------------------------------------------------


def test_a_step_that_runs_is_known_by_its_last_event(finds: Finds) -> None:
    events = [event(1, "a", x=1), event(2, "a", x=2), event(3, "b", x=1), event(4, "b", x=2)]
    text = "sequence with maxspan=1m [a where true] with runs=2 as e [b where x == e.x]"
    assert finds(text, events) == [[1, 2, 4]]


def test_until_refers_to_the_event_of_a_step(finds: Finds) -> None:
    events = [event(1, "a", x=1), event(2, "stop", x=1), event(3, "b")]
    text = "sequence [a where true] as e [b where true] until [stop where x == e.x]"
    assert finds(text, events) == []
    assert finds(text, [events[0], event(2, "stop", x=2), events[2]]) == [[1, 3]]


def test_missing_events_at_both_ends(finds: Finds) -> None:
    text = (
        "sequence with maxspan=2s ![no where true] ![never where true] [a where true]"
        " ![no where true] ![never where true]"
    )
    assert finds(text, [event(1, "a")]) == [[None, None, 1, None, None]]


def test_keys_that_may_be_null_beside_keys_of_the_steps(finds: Finds) -> None:
    text = "sequence by ?k with maxspan=1m [a where true] by x [b where true] by y"
    assert finds(text, [event(1, "a", x=1), event(2, "b", y=1)]) == [[1, 2]]
    assert finds(text, [event(1, "a", x=1, k=1), event(2, "b", y=1)]) == []
    assert finds(text, [event(1, "a"), event(2, "b")]) == []


# --- lists ------------------------------------------------------------------------


def test_positions_and_counts_of_elements(finds: Finds) -> None:
    events = [event(1, "a", l=["x", "y"]), event(2, "a", l=["y", "x", "x"]), event(3, "a")]
    assert finds('any where l[0] == "x"', events) == [[1]]
    assert finds('any where not l[0] == "x"', events) == [[2], [3]]
    text = 'any where arrayCount(l, e, e == "X") == 2'
    assert finds(text, events, dialect="endgame") == [[2]]
    text = 'any where arrayCount(l, e, e == "X") == 0'
    assert finds(text, events, dialect="endgame") == [[3]]
    assert finds("any where length(l) == 3", events, dialect="endgame") == [[2]]
