"""Events that are written unusually: the matcher takes them as the reference does.

.venv/bin/python -m pytest -q tests/kernel/test_matcher_odd_events.py
"""

from __future__ import annotations

from random import Random

import pytest

from kestrel_framework.functions import Function
from kestrel_framework.predicate import (
    And,
    AnyElement,
    Call,
    Comparison,
    ComparisonOperator,
    Element,
    ElementCount,
    Field,
    IsNull,
    Literal,
    Not,
    Or,
    Predicate,
    Wildcard,
)
from kestrel_framework.schema import FieldType
from matcher_crowds import SCHEMA
from matcher_reference import Scene, document_in, event_in, targets_for

NAME = Field("process.name", FieldType.KEYWORD)
WHOLE = Field("process.name", whole=True)
ARGS = Field("process.args")
EQUAL = ComparisonOperator.EQUAL
TELLING: list[Predicate] = [
    Comparison(EQUAL, NAME, Literal("x"), fold=True),
    Comparison(EQUAL, NAME, Literal("1")),
    Comparison(EQUAL, Field("process.name"), Literal(1)),
    Comparison(EQUAL, Field("process.name"), Literal(value=True)),
    Comparison(EQUAL, WHOLE, Literal("x")),
    Comparison(EQUAL, WHOLE, Field("process.args", whole=True)),
    Comparison(EQUAL, Call(Function.LENGTH, (WHOLE,)), Literal(1)),
    Wildcard(NAME, ("*",)),
    IsNull(NAME),
    IsNull(WHOLE),
    IsNull(Field("process.name")),
    IsNull(Field("process.name", null_value="n")),
    IsNull(Field("process")),
    Comparison(EQUAL, Field("process.name", null_value="x"), Literal("x")),
    Comparison(EQUAL, Field("process.args[0]"), Literal("x")),
    And((Wildcard(ARGS, ("x*",)), Wildcard(ARGS, ("*y",)))),
    Not(Or((Wildcard(ARGS, ("x*",)), Wildcard(ARGS, ("*y",))))),
    Comparison(EQUAL, ElementCount(ARGS, "e", Wildcard(Element("e"), ("*",))), Literal(2)),
    AnyElement(Field("process"), "e", Comparison(EQUAL, Element("e", "name"), Literal("x"))),
]
ODD_EVENTS = [
    b'{"process":{"name":"x"}}',
    b'{"process":{"name":"X","args":["xa","by"]}}',
    b'{"process.name":"x"}',
    b'{"process\\u002ename":"x"}',
    b'{"\\u0070rocess":{"n\\u0061me":"x"}}',
    b'{"process.name":"x","process":{"args":["x"]}}',
    b'{"process":{"name":"y"},"process.name":"x"}',
    b'{"process.name":"x","process":{"name":"y"}}',
    b'{"process":{"name.":"x"}}',
    b'{"process":{".name":"x"}}',
    b'{"process.":{"name":"x"}}',
    b'{"process..name":"x"}',
    b'{"process":{"..name":"x","name":"y"}}',
    b'{".":{"process":{"name":"x"}}}',
    b'{"process":{"name":"y"},"process":{"name":"x"}}',
    b'{"process":{"name":"x"},"process":{}}',
    b'{"process":{"name":"x"},"process":5}',
    b'{"process":5,"process":{"name":"x"}}',
    b'{"process":{"name":"x","name":null}}',
    b'{"process":{"name":"y","n\\u0061me":"x"}}',
    b'{"process":[{"name":"x"},{"name":"y"}]}',
    b'{"process":[[{"name":["x"]}],null,5]}',
    b'{"process":[{"name":"y"},{"process.name":"x"}]}',
    b'{"process":[{"args":"x"},{"args":"ay"}]}',
    b'{"process":{"name":{"name":"x"}}}',
    b'{"process":{"name":[{"x":1},"x"]}}',
    b'{"process":{"name":[]}}',
    b'{"process":{"name":[null]}}',
    b'{"process":{"name":[[],[null]]}}',
    b'{"process":{"name":null}}',
    b'{"process":{"name":{}}}',
    b'{"process":{"name":[{}]}}',
    b'{"process":null}',
    b'{"process":[]}',
    b'{"process":{}}',
    b'{"process":[{}]}',
    b"{}",
    b'{"process":{"name":1}}',
    b'{"process":{"name":1.0}}',
    b'{"process":{"name":true}}',
    b'{"process":{"name":[1,true,"1",1.0]}}',
    b'{"process":{"name":[true,1]}}',
    b'{"process":{"name":["x"],"args":["x"]}}',
    b'{"process":{"name":["x",1],"args":["x",true]}}',
    b'{"process":{"name":"x","args":"x"}}',
    b'{"process":{"name":["x","1"],"args":["x",1]}}',
    b'{"process":{"args":["xa",["by"]]}}',
    b'{"process":{"args":["a",["x"]]}}',
    b'{"process":{"args":"xy"}}',
    b'{"process":{"args":["x",{"x":1}]}}',
    b'{"process.args":["x","y"]}',
    b'{"process":{"args":[["x","y"]]}}',
    b'{"process":{"args[0]":"x"}}',
    b'{"process.args[0]":"x"}',
    b'{"Process":{"name":"x"}}',
    b'{"process":{"Name":"x"}}',
    b'{"process ":{"name":"x"}}',
    b'{"process":{"name":"x"}} ',
    b' {"process":{"name":"x"}}',
    b'\xef\xbb\xbf{"process":{"name":"x"}}',
    b'{"process":{"name":"\xff"}}',
    b'{"process":{"name":"x","\xff":1}}',
    b'{"z":"\xff","process":{"name":"x"}}',
    b'{"process":{"name":NaN}}',
    b'{"process":{"name":"x"},"z":NaN}',
    b'{"process":{"name":"x"},"z":01}',
    b'{"process":{"name":"x"},"z":"\x01"}',
    b'{"process":{"name":"x"},"z":[1,]}',
    b'{"process":{"name":"x"}}}',
    b'{"process":{"name":"x"},"z":\'y\'}',
    b'{"process":{"name":"x"},"z":+1}',
    b'{"process":{"name":"x"},"z":.5}',
    b'{"process":{"name":"x"},"z":"\\x"}',
    b'{"process":{"name":"x"},"z":"\\u12"}',
    b'{"process":{"name":"x"},"z":-}',
    b'{"process":{"name":"x"},"z":1.}',
    b'{"process":{"name":"x"},"z":1e}',
    b'{"process":{"name":"x"},"z":nul}',
    b'{"process":{"name":"x"},"z":{"a" "b"}}',
    b'{"process":{"name":"x"},"z":{5:1}}',
    b'{"process":{"name":"x"},"z":[1 2]}',
    b'{"process":{"name":"x"},"z":"\\ud800"}',
    b'{"process":{"name":"x"},"\\ud800":1}',
    b'{"process":{"name":"x","z":' + b"[" * 98 + b"]" * 98 + b"}}",
    b'{"process":{"name":"x","z":' + b"[" * 99 + b"]" * 99 + b"}}",
    b'{"process":{"name":' + b"[" * 98 + b'"x"' + b"]" * 98 + b"}}",
    b'{"process.name":' + b"[" * 98 + b'"x"' + b"]" * 98 + b"}",
    b'{"process.name":' + b"[" * 99 + b'"x"' + b"]" * 99 + b"}",
]

TOO_DEEP = [
    b'{"process":{"name":' + b"[" * 99 + b'"x"' + b"]" * 99 + b"}}",
    b'{"process":{"name":' + b"[" * 200 + b'"x"' + b"]" * 200 + b',"args":"x"}}',
]
"""Events with a value at a path that is read, too deep to count."""

BELOW_A_VALUE = [
    b'{"process":{"name":"x","name.y":"x"}}',
    b'{"process":{"name":"x","name.y.z":null}}',
]
"""Events in which a dotted key goes on from a value: unfolded, that is a list of two."""


class TestOddEvents:
    """Events that are written unusually, in any order: what came before must not count."""

    @pytest.mark.parametrize("payload", ODD_EVENTS)
    def test_alone(self, payload: bytes) -> None:
        Scene(targets_for(TELLING), [payload], SCHEMA).check()

    @pytest.mark.parametrize("seed", range(12))
    def test_one_after_the_other(self, seed: int) -> None:
        random = Random(seed)
        payloads = random.sample(ODD_EVENTS, len(ODD_EVENTS))
        decoded = [document_in(one) for one in payloads if event_in(one) is not None]
        conditions = random.sample(TELLING, random.choice((2, 5, len(TELLING))))
        events = [*payloads, *decoded, *payloads[: len(payloads) // 2]]
        Scene(targets_for(conditions), events, SCHEMA, batch=random.choice((1, 9))).check()

    @pytest.mark.parametrize("payload", TOO_DEEP)
    def test_too_deep(self, payload: bytes) -> None:
        Scene(targets_for(TELLING), [payload], SCHEMA).check()

    @pytest.mark.parametrize("payload", BELOW_A_VALUE)
    def test_below_a_value(self, payload: bytes) -> None:
        Scene(targets_for(TELLING), [payload], SCHEMA).check()

    @pytest.mark.parametrize("payload", BELOW_A_VALUE)
    def test_below_a_whole_value(self, payload: bytes) -> None:
        whole = Comparison(EQUAL, WHOLE, Literal("x"))
        Scene(targets_for([whole]), [payload], SCHEMA).check()
