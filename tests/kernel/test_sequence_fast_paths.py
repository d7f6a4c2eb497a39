"""The quick ways through the tracker against the ways that every rule and event can take."""

from __future__ import annotations

import operator

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import Candidate, Row, targets_of
from kestrel_framework._pipeline.sequence_tracker import (
    SequenceTracker,
    TrackerLimits,
    TrackerStatistics,
)
from kestrel_framework._pipeline.sequence_tracker.keys import (
    KeyReader,
    key_of,
    key_part,
)
from kestrel_framework.event import Document
from kestrel_framework.interpreter import values_of
from kestrel_framework.predicate import (
    Comparison,
    ComparisonOperator,
    Field,
    StepField,
    negation,
)
from kestrel_framework.rule import JoinKey, Rule, RuleSet, SequenceRule
from kestrel_framework.schema import FieldType
from kestrel_framework.values import Scalar, fold_case
from sequence_shapes import KEY, MARKS, Shape, numbers_of, row_of

# --- keys ---

SCALARS = st.sampled_from(
    ["a", "A", "b", "", "1", "true", "10.0.0.1", "::ffff:10.0.0.1", "ß", "\ud800"]
) | st.sampled_from([None, True, False, 0, 1, 1.0, 1.5, -0.0, 2**63, 2**70, float("nan")])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name"]), inner, max_size=2)
    ),
    max_leaves=6,
)
ODD_DOCUMENTS = st.fixed_dictionaries({}, optional={"host": VALUES, "user": VALUES, "id": VALUES})
USUAL = st.sampled_from(["a", "a", "B", True, 1, None, ["a", None]])
USUAL_DOCUMENTS = st.fixed_dictionaries({"id": USUAL, "host": st.fixed_dictionaries({"id": USUAL})})
DOCUMENTS = ODD_DOCUMENTS | USUAL_DOCUMENTS
PATHS = st.sampled_from(["id", "host.id", "host.name", "user.id", "host.id.name", "host[0].id"])
PLAIN_KEYS = st.builds(
    JoinKey,
    st.builds(
        Field,
        st.sampled_from(["id", "host.id"]),
        st.sampled_from([None, FieldType.KEYWORD]),
        null_value=st.sampled_from([None, "x"]),
    ),
)
JOIN_KEYS = PLAIN_KEYS | st.builds(
    JoinKey,
    st.builds(
        Field,
        PATHS,
        st.sampled_from([None, None, *FieldType]),
        st.sampled_from([False, False, False, True]),
        st.just(()),
        st.sampled_from([None, None, "x", 7]),
    ),
    st.booleans(),
    st.booleans(),
)


def keys_literally(
    join_keys: tuple[JoinKey, ...], document: Document, limit: int
) -> tuple[list[object], int]:
    """Say again what the keys of an event are, and how many are left out."""
    every: list[tuple[Scalar | None, ...]] = [()]
    for join_key in join_keys:
        values: dict[object, Scalar | None] = {}
        for value in values_of(join_key.value, document):
            if join_key.fold and isinstance(value, str):
                value = fold_case(value)
            values.setdefault(key_part(value), value)
        if not values and join_key.optional:
            values[None] = None
        every = [(*key, value) for key in every for value in values.values()]
    return [key_of(key) for key in every[:limit]], max(0, len(every) - limit)


@settings(max_examples=1500, deadline=None)
@given(st.lists(JOIN_KEYS, max_size=3).map(tuple), DOCUMENTS, st.sampled_from([1, 3, 256]))
def test_keys_are_read_quickly_as_they_are_read_slowly(
    join_keys: tuple[JoinKey, ...], document: Document, limit: int
) -> None:
    statistics = TrackerStatistics()
    reader = KeyReader(join_keys, limit, statistics)
    row = row_of(document, 0, 0)
    found = reader.read(row)
    expected = keys_literally(join_keys, document, limit)
    assert (found if isinstance(found, list) else [found], statistics.keys_left_out) == expected
    assert reader.keys(row) == expected[0]


@given(DOCUMENTS)
def test_keys_may_come_from_elsewhere_than_documents(document: Document) -> None:
    """As from views of events, whose attributes `operator.attrgetter` reads."""
    join_keys = (JoinKey(Field("id")), JoinKey(Field("host")))
    names = {"id": "offset", "host": "stream"}

    def attributes(paths: list[str]) -> operator.attrgetter[object]:
        return operator.attrgetter(*[names[path] for path in paths])

    def never(given: bytes | Document) -> Document:
        raise AssertionError("the document is not needed")

    row = Row(never, b"", 0, "stream", 5)
    one = KeyReader(join_keys[1:], 9, TrackerStatistics(), attributes)  # type: ignore[arg-type]
    two = KeyReader(join_keys, 9, TrackerStatistics(), attributes)  # type: ignore[arg-type]
    assert one.read(row) == "stream"
    assert two.read(row) == [(5, "stream")]


# --- steps ---

# Holds for every event, but only who knows the events before can say so.
HOLDS = negation(Comparison(ComparisonOperator.EQUAL, Field("nothing"), StepField(0, "nothing")))


def test_a_key_may_have_a_very_long_path() -> None:
    """Code for it cannot be compiled, least of all where many calls are under way."""
    document: dict[str, object] = {"a": 5}
    for _ in range(2_999):
        document = {"a": document}
    reader = KeyReader((JoinKey(Field(".".join(["a"] * 3_000))),), 9, TrackerStatistics())
    found = reader.read(row_of(document, 0, 0))
    assert (found if isinstance(found, list) else [found]) == [5]


def slowly(rule: Rule) -> Rule:
    """Return a rule with the same meaning, no step of which is plain."""
    body = rule.body
    assert isinstance(body, SequenceRule)
    steps = tuple(attrs.evolve(step, predicate=HOLDS) for step in body.steps)
    return attrs.evolve(rule, body=attrs.evolve(body, steps=steps))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Shape, list[tuple[Row, str]], TrackerLimits]:
    steps = draw(st.lists(st.sampled_from("ABC"), min_size=2, max_size=4))
    shape = Shape(
        tuple(steps),
        draw(st.none() | st.integers(0, 9)),
        draw(st.sampled_from(["", "", "U", "B"])),
        draw(st.sampled_from([(KEY,), (KEY, JoinKey(Field("v")))])),
        draw(st.booleans()),
    )
    time = 0
    rows = []
    keys = st.sampled_from(["a", "a", "a", "b", 1, ["a", "b"], ["c", None], None])
    for offset in range(draw(st.integers(0, 40))):
        time += draw(st.sampled_from([0, 0, 1, 1, 2, 4, -1]))
        document = {"key": draw(keys), "v": draw(st.sampled_from(["x", "x", "y"]))}
        tiebreaker = draw(st.sampled_from([None, None, None, 1, 2]))
        letters = draw(st.sampled_from(["A", "B", "C", "AB", "ABC", "U", "BU", "A", "B"]))
        rows.append((row_of(document, time, offset, tiebreaker), letters))
    limit = draw(st.sampled_from([2, 4, 1000]))
    total = draw(st.sampled_from([3, 1000]))
    return shape, rows, TrackerLimits(limit, limit, total, draw(st.sampled_from([1, 256])))


def entries(tracker: SequenceTracker) -> list[object]:
    """Return what a tracker holds, the oldest first."""
    return [
        (stage, partial.key, [event.offset for event in partial.events])
        for machine in tracker._machines.values()
        for stage, partial in machine.dump().partials  # type: ignore[union-attr]
    ]


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_plain_steps_do_what_all_steps_do(
    world: tuple[Shape, list[tuple[Row, str]], TrackerLimits],
) -> None:
    shape, rows, limits = world
    letters = [*(text.strip(MARKS) for text in shape.steps), *([shape.until] * bool(shape.until))]
    rule = shape.rule()
    trackers = []
    for same in (rule, slowly(rule)):
        rules = RuleSet([same])
        trackers.append(SequenceTracker(rules, targets_of(rules), limits))
    quick, slow = trackers
    for row, satisfied in rows:
        numbers = [number for number, letter in enumerate(letters) if letter in satisfied]
        if not numbers:
            continue
        found, expected = ([*t.advance([Candidate(row, tuple(numbers))])] for t in trackers)
        assert numbers_of(found) == numbers_of(expected)
        assert [one.key for one in found] == [one.key for one in expected]
        assert quick.statistics == slow.statistics
        assert list(quick.statistics.ended) == list(slow.statistics.ended)
        assert entries(quick) == entries(slow)
