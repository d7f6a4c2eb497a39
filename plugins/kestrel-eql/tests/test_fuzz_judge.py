"""The judge of the fuzz tests: it finds what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from eql_fuzzing import judge
from eql_fuzzing.inputs import numbered_input
from eql_fuzzing.judge import Judge, TooSlowError, in_time

from kestrel_eql import EqlCompiler
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import Rule, RuleSource
from kestrel_framework.schema import SchemaRegistry


def busy(error: Exception | None = None) -> None:
    for _ in range(3_000_000):
        pass
    if error is not None:
        raise error


def test_what_takes_long_is_found_whether_it_succeeds_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judge, "SECONDS", 0.001)
    with pytest.raises(TooSlowError):
        in_time(busy)
    with pytest.raises(TooSlowError):
        in_time(lambda: busy(RuleError("wrong")))
    monkeypatch.setattr(judge, "SECONDS", 100)
    assert in_time(lambda: 1) == 1
    with pytest.raises(RuleError, match="wrong"):
        in_time(lambda: busy(RuleError("wrong")))


@attrs.define
class WrongCompiler(EqlCompiler):
    """Refuses everything, in a wrong way."""

    error: Exception = attrs.field(factory=ValueError, kw_only=True)

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        raise self.error

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no rule error"),
        ExceptionGroup("mixed", [ValueError("no rule error")]),
        RuleError("without a place"),
        RuleError("another file", SourceLocation("other.eql", 3, 5)),
        RuleError("no line", SourceLocation("folder/r.eql")),
        RuleError("no column", SourceLocation("folder/r.eql", 3)),
        RuleError("before the text", SourceLocation("folder/r.eql", 3, 4)),
        RuleError("behind the text", SourceLocation("folder/r.eql", 3, 19)),
        RuleError("below the text", SourceLocation("folder/r.eql", 4, 1)),
        RuleError("", SourceLocation("folder/r.eql", 3, 5)),
    ],
    ids=str,
)
def test_what_is_no_answer_is_found(error: Exception) -> None:
    with pytest.raises((AssertionError, ValueError)):
        Judge(WrongCompiler(error=error)).text("any where tru")


def test_right_answers_are_right() -> None:
    begin, end = SourceLocation("folder/r.eql", 3, 5), SourceLocation("folder/r.eql", 3, 18)
    for place in (begin, end):
        assert not Judge(WrongCompiler(error=RuleError("wrong", place))).text("any where tru")
    assert Judge().text("any where true")
    assert Judge().file(RuleFile("r.eql", b"any where true"))
    assert not Judge().file(RuleFile("r.eql", b"any where"))
    with pytest.raises(AssertionError):
        wrong = RuleError("wrong", SourceLocation("r.eql", 2))
        Judge(WrongCompiler(error=wrong)).file(RuleFile("r.eql", b"any where true"))


def test_a_number_always_gives_the_same_input() -> None:
    assert [numbered_input(n, 500) for n in range(50)] == [
        numbered_input(n, 500) for n in range(50)
    ]
