"""Rules that would take long to load are refused where they are compiled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kestrel_eql.lowering import MAX_NODES
from kestrel_framework.errors import RuleError
from kestrel_framework.rule import Rule

Compiled = Callable[..., Rule]
Refused = Callable[..., list[RuleError]]


def test_runs_count_as_often_as_they_run(compiled: Compiled, refused: Refused) -> None:
    condition = " or ".join(f"a == {number}" for number in range(200))
    text = f"sequence with maxspan=1m [any where {condition}]"
    assert compiled(f"{text} with runs=40")
    (problem,) = refused(f"{text} with runs=100")
    assert f"the rule is too large: {MAX_NODES:,} conditions and values" in problem.problem
    assert problem.location is not None
    assert (problem.location.line, problem.location.column) == (1, 1)


def test_so_do_their_join_keys(compiled: Compiled, refused: Refused) -> None:
    keys = ", ".join(f"k{number}" for number in range(400))
    text = f"sequence by {keys} with maxspan=1m [any where true]"
    assert compiled(f"{text} with runs=50")
    assert "too large" in refused(f"{text} with runs=100")[0].problem


def test_pipes_count(compiled: Compiled, refused: Refused) -> None:
    condition = " or ".join(f"a == {number}" for number in range(100))
    text = f"any where true {f'| filter {condition} ' * 10}"
    assert compiled(text, dialect="endgame")
    sequence = f"sequence with maxspan=1m [any where {condition}] with runs=90"
    assert compiled(sequence, dialect="endgame")
    whole = text.replace("any where true", sequence)
    assert "too large" in refused(whole, dialect="endgame")[0].problem


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("elastic", "a regex ({})"),
        ("elastic", "a regex~ ({})"),
        ("endgame", "match(a, {})"),
        ("endgame", "wildcard(a, {})"),
    ],
)
def test_regular_expressions_count_together(
    compiled: Compiled, refused: Refused, dialect: str, text: str
) -> None:
    some, many = (
        text.format(", ".join(f'".?{number}"' for number in range(count))) for count in (300, 1_100)
    )
    assert compiled(f"any where {some}", dialect=dialect)
    problems = {error.problem for error in refused(f"any where {many}", dialect=dialect)}
    assert problems == {"the rule has too many regular expressions, or too large ones"}


def test_one_regular_expression_can_be_too_large(compiled: Compiled, refused: Refused) -> None:
    assert compiled('any where a regex "[a-z]{900}"')
    text = '"' + "[^x]{1000}" * 40 + '"'
    (problem,) = refused(f"any where a regex {text}")
    assert problem.problem == "the rule has too many regular expressions, or too large ones"
    (problem,) = refused(f'any where a == "*?{"å" * 99_000}"', dialect="endgame")
    assert problem.problem == "the pattern is too large"
