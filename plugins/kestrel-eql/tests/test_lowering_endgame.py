"""What conditions of the endgame dialect mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    Predicate,
)

Condition: TypeAlias = Callable[..., Predicate]


@pytest.mark.parametrize(
    ("text", "document", "expected"),
    [
        ("a = 1", {"a": 1}, True),
        ('a == "X"', {"a": "x"}, True),
        ('a == "x*z"', {"a": "XYZ"}, True),
        ('a == "x*?"', {"a": "xy?"}, True),
        ('a == "x*?"', {"a": "xyz"}, False),
        ('a != "x*z"', {"a": "abc"}, True),
        ('a != "x*z"', {}, False),
        ('not (a == "*")', {}, False),
        ("not (a > 1)", {}, False),
        ("not (a > 1)", {"a": 0}, True),
        ("not (a > 1 or b > 1)", {"a": 0}, False),
        ("not (a > 1 and b > 1)", {"a": 0}, True),
        ("a > 1 or b > 1", {"b": 2}, True),
        ("null == (a > 1)", {}, True),
        ("a == null", {}, True),
        ("a != null", {"a": 1}, True),
        ("a == 1", {"a": [1, 2]}, False),
        ("a", {"a": "text"}, True),
        ("a", {"a": ""}, False),
        ("a", {"a": 0}, False),
        ("not a", {"a": 0}, True),
        ("not a", {}, False),
        ("arrayContains(a, 1)", {"a": [1, 2]}, True),
        ('arraySearch(a, x, x.b == "C")', {"a": [{"b": "c"}, {"b": "d"}]}, True),
        ("arraySearch(a, x, arraySearch(x.b, y, y == x.d))", {"a": {"b": [2, 1], "d": 1}}, True),
        ("safe(a / b) == 2", {"a": 4, "b": 2}, True),
        ("safe(a > b)", {"a": 4, "b": 2}, True),
        ('wildcard(a, "X*", "y*")', {"a": "xyz"}, True),
        (r"match(a, ?'\w+ x')", {"a": "abc X"}, True),
        ('a in ("X", b)', {"a": "x"}, True),
        ('a not in ("X", "y")', {}, False),
    ],
)  # fmt: skip
def test_endgame_logic(
    condition: Condition, text: str, document: dict[str, object], expected: bool
) -> None:
    assert holds(condition(text, dialect="endgame"), document) is expected
