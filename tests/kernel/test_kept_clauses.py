"""Clauses that are kept: those that would be made anew, or none."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework import Detector
from kestrel_framework._clauses import (
    Clause,
    ClauseBuilder,
    IndexedFields,
    clauses_kept_with,
)
from kestrel_framework._kept_rules_format import KeptDocument, KeptFile, decode_kept, encode_kept
from kestrel_framework.functions import Function
from kestrel_framework.predicate import (
    MAX_DEPTH,
    And,
    Call,
    Comparison,
    ComparisonOperator,
    Field,
    Lineage,
    LineageRelation,
    Literal,
    Not,
    Or,
    Predicate,
    StepField,
)
from kestrel_framework.rule import Condition, EventRule, Program, Rule, RuleMetadata, RuleSet
from kestrel_framework.testing.strategies import documents, predicates

EQUAL = ComparisonOperator.EQUAL
_CLAUSES = (2, 0, 4, 0, 5)
"""Where the clauses of the only rule stand in the bytes of a document."""


def equals(path: str, value: int = 1) -> Predicate:
    return Comparison(EQUAL, Field(path), Literal(value))


SEVERAL = Comparison(EQUAL, Field("a"), Field("b"))
EITHER = Or((And((equals("a"), equals("b"))), And((equals("a", 2), SEVERAL)), Not(equals("c"))))
OF_STEP = Comparison(EQUAL, Field("a"), StepField(0, "a"))
OF_LINEAGE = Lineage(LineageRelation.CHILD, frozenset(), EITHER, Field("p"), Field("q"))


def rule_of(condition: Condition) -> Rule:
    return Rule(RuleMetadata("id", name="id"), EventRule(frozenset(), condition))


def kept(condition: Condition) -> bytes:
    return encode_kept(
        KeptDocument({}, (KeptFile(("f",), b"", "f", ("id",), (rule_of(condition),)),))
    )


def read(data: bytes) -> Condition | None:
    files = decode_kept(data).files
    return files[0].rules[0].body.conditions[0] if files else None


def clauses_of(predicate: Predicate, is_indexed: Callable[[str], bool]) -> list[object]:
    clauses = ClauseBuilder(IndexedFields(is_indexed)).clauses_of(predicate)
    return [(list(one.conditions.items()), one.residual) for one in clauses]


def has_kept_clauses(condition: Condition | None) -> bool:
    assert condition is not None
    assert not isinstance(condition, Program)
    return clauses_kept_with(condition) is not None


@settings(max_examples=300)
@given(predicates(max_leaves=30), st.sampled_from(["", "a", "abc"]))
def test_they_are_those_that_would_be_made(predicate: Predicate, few: str) -> None:
    data = kept(predicate)
    fresh = decode_kept(encode_without_clauses(predicate)).files
    found = read(data)
    if found is None:
        assert not fresh
        return
    (anew,) = fresh[0].rules[0].body.conditions
    assert not isinstance(found, Program)
    assert not isinstance(anew, Program)
    assert clauses_kept_with(anew) is None
    assert has_kept_clauses(found)
    assert clauses_of(found, lambda path: True) == clauses_of(anew, lambda path: True)
    assert clauses_of(found, few.__contains__) == clauses_of(anew, few.__contains__)


def encode_without_clauses(predicate: Predicate) -> bytes:
    document = msgspec.msgpack.decode(kept(predicate))
    for file in document[2]:
        for rule in file[4]:
            rule[5] = []
    return msgspec.msgpack.encode(document)


@settings(max_examples=100)
@given(predicates(), st.lists(documents(), max_size=3))
def test_events_match_as_they_would_without(
    predicate: Predicate, events: list[dict[str, object]]
) -> None:
    pair = [decode_kept(kept(predicate)), decode_kept(encode_without_clauses(predicate))]
    first, second = (
        Detector(RuleSet([rule for file in one.files for rule in file.rules])) for one in pair
    )
    assert [alert.alert_id for alert in first.feed(events)] == [
        alert.alert_id for alert in second.feed(events)
    ]


@pytest.mark.parametrize(
    "condition",
    [OF_STEP, OF_LINEAGE, And((equals("a"), OF_LINEAGE)), Program("lua", b"", {}, EITHER)],
)
def test_there_are_none_where_other_events_or_programs_decide(condition: Condition) -> None:
    found = read(kept(condition))
    assert found == condition
    assert isinstance(found, Program) or not has_kept_clauses(found)


def test_rules_are_kept_without_where_theirs_would_be_too_deep() -> None:
    deep: Predicate = SEVERAL
    while True:
        deeper = And((equals("a"), Or((equals("b"), deep))))
        if read(kept(deeper)) is None:
            break
        deep = deeper
    for one in (deep, Not(deep), Or((equals("b"), deep))):
        found = read(kept(one))
        assert found is None or found == one
    assert MAX_DEPTH - 6 < depth_of_ors(deep) * 2 <= MAX_DEPTH


def depth_of_ors(predicate: Predicate) -> int:
    count = 0
    while isinstance(predicate, And):
        either = predicate.terms[1]
        assert isinstance(either, Or)
        predicate, count = either.terms[1], count + 1
    return count


def with_clauses(condition: Condition, clauses: object) -> bytes:
    document = msgspec.msgpack.decode(kept(condition))
    place = document
    for number in _CLAUSES[:-1]:
        place = place[number]
    place[_CLAUSES[-1]] = clauses
    return msgspec.msgpack.encode(document)


def numbers_of(condition: Condition) -> list[list[object]]:
    document = msgspec.msgpack.decode(kept(condition))
    for number in _CLAUSES:
        document = document[number]
    (clauses,) = document
    assert isinstance(clauses, list)
    return clauses


def test_what_is_written_is_what_the_tests_below_change() -> None:
    assert numbers_of(EITHER) == [[[0], 1], [[2, 3], 1], [[4, 5], 6]]
    assert has_kept_clauses(read(with_clauses(EITHER, [numbers_of(EITHER)])))


@pytest.mark.parametrize(
    "clauses",
    [
        [[[[7], 1]]],  # not in the table
        [[[[0], 7]]],
        [[[[-1], 1]]],
        [[[[0, 0], 1]]],  # two on one field
        [[[[2, 4], 1]]],
        [[[[1], 1]]],  # reads no field
        [[[[6], 1]]],  # reads two fields
        [],  # those are none; but
        [None, None],  # a rule has as many as conditions
        [[[[0], 1]], [[[0], 1]]],
        [[[["0"], 1]]],
        [[[[0]]]],
        [0],
    ],
)
def test_numbers_that_cannot_be_are_refused(clauses: list[object]) -> None:
    data = with_clauses(EITHER, clauses)
    if not clauses:
        assert not has_kept_clauses(read(data))
        return
    with pytest.raises(ValueError, match=r"kept rules|clause|zip"):
        read(data)


def test_clauses_of_another_condition_are_refused() -> None:
    files = tuple(
        KeptFile((name,), b"", name, ("id",), (rule_of(condition),))
        for name, condition in {"e": EITHER, "d": equals("d"), "l": OF_LINEAGE}.items()
    )
    document = msgspec.msgpack.decode(encode_kept(KeptDocument({}, files)))
    one, other, lineage = (file[4][0] for file in document[2])
    assert lineage[5] == [None]
    for rule, clauses in ((one, other[5]), (other, one[5]), (lineage, one[5])):
        before, rule[5] = rule[5], clauses
        with pytest.raises(ValueError, match="clause"):
            decode_kept(msgspec.msgpack.encode(document))
        rule[5] = before
    assert len(decode_kept(msgspec.msgpack.encode(document)).files) == 3


@pytest.mark.parametrize(
    "residual",
    [
        Comparison(EQUAL, Call(Function.LENGTH, (Field("a"),)), Field("b")),
        Comparison(EQUAL, Field("a"), Field("d")),
    ],
)
def test_a_residual_asks_for_nothing_that_the_condition_does_not(residual: Predicate) -> None:
    rules = [rule_of(EITHER), rule_of(And((equals("a"), residual)))]
    files = tuple([KeptFile(("f",), b"", "f", ("id",), (rule,)) for rule in rules])
    document = msgspec.msgpack.decode(encode_kept(KeptDocument({}, files)))
    first, second = (file[4][0] for file in document[2])
    ((_, number),) = second[5][0]
    first[5] = [[[[0], number]]]
    with pytest.raises(ValueError, match="residual"):
        decode_kept(msgspec.msgpack.encode(document))


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 8), max_size=4), st.integers(0, 8)).map(list),
        max_size=4,
    )
)
def test_whatever_they_are_there_is_a_detector_or_an_error(clauses: list[object]) -> None:
    try:
        found = decode_kept(with_clauses(EITHER, [clauses]))
    except ValueError:
        return
    detector = Detector(RuleSet([rule for file in found.files for rule in file.rules]))
    detector.feed([{}, {"a": 1, "b": [1, 2]}, {"a": {"b": 1}, "c": None}])


def test_a_clause_is_not_shown_nor_compared() -> None:
    found = read(kept(EITHER))
    assert has_kept_clauses(found)
    assert found == EITHER
    assert repr(found) == repr(EITHER)
    assert hash(found) == hash(EITHER)
    assert isinstance(clauses_kept_with(EITHER), tuple)
    assert all(isinstance(one, Clause) for one in clauses_kept_with(EITHER) or ())
