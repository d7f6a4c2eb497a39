"""The functions of predicate trees."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.functions import FUNCTIONS, Function, apply, calculate
from kestrel_framework.testing.strategies import scalars
from kestrel_framework.values import Scalar, scalar

BETWEEN: Final = Function.BETWEEN
INFINITY: Final = float("inf")


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        (BETWEEN, ("welcome to event query", " ", " "), "to"),
        (BETWEEN, ("welcome to event query", " ", " ", True), "to event"),
        (BETWEEN, ("welcome", "w", "x"), ""),
        (BETWEEN, ("welcome", "x", "w"), ""),
        (BETWEEN, ("aa", "a", "a"), ""),
        (BETWEEN, ("aXb", "", ""), ""),
        (BETWEEN, ("aXb", "A", "b"), ""),
        (BETWEEN, (1, "a", "b"), None),
        (BETWEEN, ("aXb", "a", "b", 1), None),
        (Function.BETWEEN_OR_NULL, ("a [b] c", "[", "]"), "b"),
        (Function.BETWEEN_OR_NULL, ("[]", "[", "]"), ""),
        (Function.BETWEEN_OR_NULL, ("welcome", "w", "x"), None),
        (Function.BETWEEN_OR_NULL, ("welcome", "x", "w"), None),
        (Function.CONCAT, ("a", 1, True, 1.5), "a1true1.5"),
        (Function.INDEX_OF, ("subdomain.example.com", "."), 9),
        (Function.INDEX_OF, ("subdomain.example.com", ".", 10), 17),
        (Function.INDEX_OF, ("subdomain.example.com", "."[:0], -5), 0),
        (Function.INDEX_OF, ("subdomain", "x"), None),
        (Function.INDEX_OF, ("subdomain", "s", 2**62), None),
        (Function.INDEX_OF, ("subdomain", "s", 0.0), None),
        (Function.INDEX_OF, ("subdomain", "s", True), None),
        (Function.LENGTH, ("",), 0),
        (Function.LENGTH, ("a😀",), 2),
        (Function.LENGTH, (12,), None),
        (Function.NUMBER, ("1337",), 1337),
        (Function.NUMBER, ("42.5",), 42.5),
        (Function.NUMBER, ("-1",), -1),
        (Function.NUMBER, ("0xdeadbeef",), 3735928559),
        (Function.NUMBER, ("0xdeadbeef", 16), 3735928559),
        (Function.NUMBER, ("deadbeef", 16), 3735928559),
        (Function.NUMBER, ("-0x1F",), -31),
        (Function.NUMBER, ("0x10", 10), None),
        (Function.NUMBER, ("0x10", 36), 42804),
        (Function.NUMBER, ("z", 36), 35),
        (Function.NUMBER, ("12", 1), None),
        (Function.NUMBER, ("12", 37), None),
        (Function.NUMBER, ("12", 2), None),
        (Function.NUMBER, ("1_0", 16), None),
        (Function.NUMBER, ("  1337\t\n",), 1337),
        (Function.NUMBER, (" 0x1F ", 16), 31),
        (Function.NUMBER, ("1 0",), None),
        (Function.NUMBER, ("- 1",), None),
        (Function.NUMBER, ("\u00a01",), None),
        (Function.NUMBER, ("  ",), None),
        (Function.NUMBER, ("nan",), None),
        (Function.NUMBER, (5,), 5),
        (Function.NUMBER, (True,), None),
        (Function.NUMBER, ("f" * 100, 16), float(16**100 - 1)),
        (Function.NUMBER, ("z" * 100_000, 36), None),
        (Function.STRING, (445,), "445"),
        (Function.STRING, (True,), "true"),
        (Function.SUBSTRING, ("start regsvr32.exe", 6), "regsvr32.exe"),
        (Function.SUBSTRING, ("start regsvr32.exe", 0, 5), "start"),
        (Function.SUBSTRING, ("start regsvr32.exe", -4), ".exe"),
        (Function.SUBSTRING, ("start regsvr32.exe", -4, -1), ".ex"),
        (Function.SUBSTRING, ("abc", 2, 1), ""),
        (Function.SUBSTRING, ("abc", 1.0), None),
        (Function.SUBSTRING, (5, 0), None),
        (Function.STRING, (), None),
        (Function.LENGTH, ("a", "b"), None),
    ],
)
def test_the_result(
    function: Function, arguments: tuple[Scalar, ...], result: Scalar | None
) -> None:
    found = apply(function, arguments)
    assert (found, type(found)) == (result, type(result))


def test_folding_compares_without_case_and_returns_the_text_as_it_was() -> None:
    assert apply(BETWEEN, ("System IDLE Process", "SYSTEM ", " process"), fold=True) == "IDLE"
    assert apply(Function.INDEX_OF, ("aEXPLORER", "explorer"), fold=True) == 1
    assert apply(Function.INDEX_OF, ("İx", "X"), fold=True) == 1


@pytest.mark.parametrize(
    ("left", "operator", "right", "result"),
    [
        (83, "/", 2, 41),
        (-83, "/", 2, -41),
        (83, "/", -2, -41),
        (-83, "%", 2, -1),
        (83, "%", -2, 1),
        (83, "/", 2.0, 41.5),
        (5.5, "%", 2, 1.5),
        (1, "/", 0, None),
        (1, "%", 0.0, None),
        (0.0, "/", 0, None),
        (INFINITY, "-", INFINITY, None),
        (INFINITY, "%", 2, None),
        (1e308, "*", 10, INFINITY),
        (2**62, "+", 2**62, float(2**63)),
        (2**62, "*", 2**62, float(2**124)),
        (-(2**63), "/", -1, float(2**63)),
        (-83, "floor /", 2, -42),
        (83, "floor /", -2, -42),
        (-83, "floor /", 2.0, -41.5),
        (-83, "floor %", 2, 1),
        (83, "floor %", -3, -1),
        (-5.5, "floor %", 2, 0.5),
        (1, "floor /", 0, None),
        (1, "floor %", 0, None),
        (INFINITY, "floor %", 2, None),
        (-(2**63), "floor /", -1, float(2**63)),
        (True, "+", 1, None),
        ("1", "+", 1, None),
    ],
)
def test_arithmetic(left: Scalar, operator: str, right: Scalar, result: Scalar | None) -> None:
    found = calculate(operator, left, right)
    assert (found, type(found)) == (result, type(result))


@given(st.sampled_from(Function), st.lists(scalars(), max_size=5), st.booleans())
def test_any_arguments_give_a_scalar_or_null(
    function: Function, arguments: list[Scalar], fold: bool
) -> None:
    known = [value for value in map(scalar, arguments) if value is not None]
    result = apply(function, known, fold=fold)
    assert result is None or scalar(result) == result
    if not FUNCTIONS[function].takes(len(known)):
        assert result is None


@given(st.sampled_from(["+", "-", "*", "/", "%", "floor /", "floor %"]), scalars(), scalars())
def test_any_operands_give_a_scalar_or_null(operator: str, left: Scalar, right: Scalar) -> None:
    result = calculate(operator, scalar(left) or 0, scalar(right) or 0)
    assert result is None or scalar(result) == result


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31).filter(bool))
def test_division_and_remainder_belong_together(left: int, right: int) -> None:
    quotient, remainder = calculate("/", left, right), calculate("%", left, right)
    if isinstance(quotient, int) and isinstance(remainder, int):
        assert quotient * right + remainder == left
        assert remainder == 0 or (remainder < 0) == (left < 0)
