"""What a rule means as a digest: canonical, and the same in every version of Kestrel."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from kestrel_framework._canonical_json import canonical_json
from kestrel_framework.functions import Function
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    Call,
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    Not,
    Predicate,
    Wildcard,
)
from kestrel_framework.predicate_traversal import to_data
from kestrel_framework.rule import (
    EventRule,
    JoinKey,
    JoinRule,
    Pipe,
    Program,
    Rule,
    RuleBody,
    RuleMetadata,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import FieldType
from kestrel_framework.testing.strategies import predicates

_FIELD = Field("process.name", FieldType.KEYWORD, formats=("é",), null_value=1.0)
_LEAF = Comparison(ComparisonOperator.LESS, _FIELD, Literal(-0.0), fold=True)
_CONDITION = And(
    (
        Not(_LEAF),
        Wildcard(Field("a"), ('*"\\\ud800', "\N{KELVIN SIGN}\n%s")),
        Comparison(ComparisonOperator.EQUAL, Call(Function.LENGTH, (Field("b"),)), Literal(2**70)),
        Comparison(ComparisonOperator.EQUAL, Literal(None), Literal(True)),
    )
)
_STEP = Step(
    frozenset({"process", "file"}), _CONDITION, (JoinKey(Field("k"), fold=True),), name="first"
)
_PROGRAM = Program("lua", b"\x00", {"b": FieldType.IP, "a": FieldType.LONG}, _LEAF)


@given(predicates(steps=2, lineage=1, max_leaves=20))
def test_the_canonical_text_is_the_json_of_the_tree(predicate: Predicate) -> None:
    assert canonical_json(predicate) == json.dumps(to_data(predicate), sort_keys=True)


def test_every_text_and_number_is_written_as_json_writes_it() -> None:
    assert canonical_json(_CONDITION) == json.dumps(to_data(_CONDITION), sort_keys=True)


def test_what_is_no_part_of_a_rule_has_no_canonical_text() -> None:
    with pytest.raises(TypeError, match="a list has no canonical form"):
        canonical_json([1])


@pytest.mark.parametrize(
    ("body", "pipes", "digest"),
    [
        (
            EventRule(frozenset(), NEVER),
            (),
            "b4a767e621a6c01dbed2053636db0aba5bccbafb3587248cb648ad80e7566173",
        ),
        (
            EventRule(frozenset({"x", "y"}), _CONDITION),
            (),
            "e9d535cdc8426a6953d38fc3904f13f73b4b527ee849f275c044a44f1f0164fe",
        ),
        (
            EventRule(frozenset({"x"}), _PROGRAM),
            (),
            "cb836cb034931d5ba9bf4c63abe7896233b370623a43c5d86f1478671169f9fa",
        ),
        (
            EventRule(frozenset({"x"}), Program("wasm", b"", {})),
            (),
            "601c105d8792a8a469d91da194d69b5e7ccc189c763b5d3fdf080b64a37187c2",
        ),
        (
            SequenceRule((_STEP, Step(frozenset(), ALWAYS, missing=True))),
            (),
            "32cdf0e1b975f1ffff5307064826ed47800bed38fec02d0fb53e03fc5cf32375",
        ),
        (
            SequenceRule((_STEP,), 10**12, _STEP, until_first=True),
            (),
            "16b680f4050acd355477025c14c5649bcd4dbbc1683a4f7a6d51733ebcb5253e",
        ),
        (
            SampleRule((_STEP, _STEP)),
            (),
            "49d868d51824ab004ca0b38bc33864852d53d93cf6b6035af588f41c28b8bdf3",
        ),
        (
            JoinRule((_STEP, _STEP), _STEP),
            (),
            "e7a7d331c147e7e8a1a06052a354e887950a533c68d92fb02d28dbf385542336",
        ),
        (
            EventRule(frozenset(), ALWAYS),
            (Pipe("head", (5,)), Pipe("filter", (_LEAF,))),
            "6b96eb552e970601b68b4248dbd17fb174c5b5a0e0c9fdb5cb131fc23d789f2f",
        ),
    ],
)
def test_digests_are_those_of_the_first_version(
    body: RuleBody, pipes: tuple[Pipe, ...], digest: str
) -> None:
    """Sequences that are under way are found again by them after an update."""
    assert Rule(RuleMetadata("r"), body, pipes=pipes).semantic_hash == digest
