"""What the compiler must do with any input, and checks of whether it did."""

from __future__ import annotations

import functools
import gc
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NoReturn, TypeVar

import attrs

from kestrel_eql import EqlCompiler
from kestrel_eql.formatter import format_query
from kestrel_framework.detector import Detector
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.event import Document
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.query import search
from kestrel_framework.rule import Rule, RuleMetadata, RuleSet, RuleSource, errors_in
from kestrel_framework.schema import SchemaRegistry

SECONDS: Final = 1.0
"""How much processor time one step with one input may take."""
_MORE_TRIES: Final = 2
DIALECTS: Final = ("elastic", "endgame")
SCHEMAS: Final[Mapping[str, SchemaRegistry]] = {
    "without": SchemaRegistry(),
    "ecs": SchemaRegistry.ecs(),
    "strict": attrs.evolve(SchemaRegistry.ecs(), strict=True),
}
EVENTS: Final[Sequence[Document]] = (
    {
        "@timestamp": "2020-01-01T00:00:00Z",
        "event": {"category": "process", "type": ["start", None]},
        "process": {"name": "NC.exe", "args": ["a", "b", 1], "pid": 1, "entity_id": "e"},
        "user": {"id": "0"},
        "a": "xaxa" * 50,
        "b": 2,
        "k": [1, 2],
    },
    {"@timestamp": "2020-01-01T00:00:01Z", "a": [{"b": 1}, 3, None], "b": [1, None, "x"]},
    {"@timestamp": 5, "event": {"category": ["any", "file"]}, "a": 1, "b": {"c": float("inf")}},
    {"@timestamp": "no time", "event": "process", "a": "\ud800", "process": None},
    {"a": -(2**63), "b": True, "list": [[1], {"k": "v"}], "e0": {"x": 1}},
)  # fmt: skip

_ValueT = TypeVar("_ValueT")


class TooSlowError(AssertionError):
    """An input takes longer than it may."""


def in_time(work: Callable[[], _ValueT]) -> _ValueT:
    """Return what `work` returns, if it does so within `SECONDS` of processor time.

    Work that takes longer is done again, since it may have been the first to need something that
    is made once, or other programs may keep the processor's caches busy. Measuring coverage makes
    some loops more than twenty times slower: then only what never ends is found. The slow tests
    are without it.

    Raises:
        TooSlowError: it takes longer each time.
    """
    allowed = SECONDS * (60 if sys.gettrace() else 1)
    taken, result = _timed(work)
    for _ in range(_MORE_TRIES):
        if taken <= allowed:
            return result()
        gc.freeze()  # what other tests have left is not looked through for garbage
        try:
            taken, result = _timed(work)
        finally:
            gc.unfreeze()
    if taken > allowed:
        raise TooSlowError(f"took {taken:.2f} s")
    return result()


def _timed(work: Callable[[], _ValueT]) -> tuple[float, Callable[[], _ValueT]]:
    """Return how long work took, and what gives its result, or raises its error."""
    begin = time.process_time()
    try:
        value = work()
    except (RuleError, ExceptionGroup) as error:
        return time.process_time() - begin, functools.partial(_raise, error)
    return time.process_time() - begin, lambda: value


def _raise(error: Exception) -> NoReturn:
    raise error


@attrs.frozen
class Judge:
    """Compiles inputs, and checks everything that a caller may rely on.

    Attributes:
        compiler: The compiler.
        thorough: Whether what compiles is also formatted and pickled.
    """

    compiler: EqlCompiler = attrs.field(factory=EqlCompiler)
    thorough: bool = True

    def text(self, text: str, *, dialect: str = "elastic", schema: str = "without") -> bool:
        """Return whether a text compiles.

        Raises:
            AssertionError: something else happens than that it compiles, or is refused
                with a place.
        """
        begin = SourceLocation("folder/r.eql", 3, 5)
        source = RuleSource(RuleMetadata("r"), "eql", text, begin, {"dialect": dialect})
        return self._source(source, SCHEMAS[schema])

    def file(self, file: RuleFile, *, schema: str = "without") -> bool:
        """Return whether a file holds rules, all of which compile.

        Raises:
            AssertionError: something else happens than that they compile, or are refused
                with a place.
        """
        text = file.content.decode("utf-8-sig", "replace").replace("\r\n", "\n")
        try:
            sources = in_time(lambda: self.compiler.read(file))
        except (RuleError, ExceptionGroup) as error:
            for problem in _errors_in(error):
                _check_place(problem, text, SourceLocation(file.path, 1, 1), whole=True)
            return False
        for source in sources:
            assert source.location.path == file.path
        ours = [source for source in sources if source.language == self.compiler.language]
        compiled = [self._source(source, SCHEMAS[schema]) for source in ours]
        return bool(compiled) and all(compiled)

    def _source(self, source: RuleSource, schema: SchemaRegistry) -> bool:
        try:
            rule = in_time(lambda: self.compiler.compile(source, schema))
        except (RuleError, ExceptionGroup) as error:
            for problem in _errors_in(error):
                _check_place(problem, source.text, source.location)
            return False
        for warning in rule.warnings:
            _check_place(warning, source.text, source.location)
        self._check_rule(rule, source.text, schema)
        return True

    def _check_rule(self, rule: Rule, text: str, schema: SchemaRegistry) -> None:
        """Check that a compiled rule can be used for whatever rules are for."""
        assert in_time(lambda: rule.semantic_hash)
        in_time(lambda: search(rule, EVENTS, schema=schema, size=None))
        if rule.streaming_problem is None:
            detector = in_time(lambda: Detector(RuleSet([rule]), schema=schema))
            in_time(lambda: detector.feed(EVENTS))
            in_time(detector.finish)
            assert not detector.statistics.failures
        if self.thorough:
            assert pickle.loads(pickle.dumps(rule)) == rule
            formatted = in_time(lambda: format_query(text))
            assert in_time(lambda: format_query(formatted)) == formatted


def _errors_in(error: RuleError | ExceptionGroup[RuleError]) -> Iterator[RuleError]:
    if isinstance(error, ExceptionGroup):
        assert error.split(RuleError)[1] is None, repr(error)
    found = list(errors_in(error))
    assert found
    for problem in found:
        assert isinstance(problem, RuleError), repr(problem)
        yield problem


def _check_place(
    problem: RuleError, text: str, begin: SourceLocation, *, whole: bool = False
) -> None:
    """Check that a problem says where it is, and that this is a place of the text.

    Args:
        problem: The problem.
        text: The text.
        begin: Where the text begins in its file.
        whole: Whether a problem may concern the whole file, or a whole line of it.
    """
    assert str(problem)
    assert problem.problem
    place = problem.location
    assert place is not None, problem
    assert place.path == begin.path
    place.caret()
    if whole and place.line is None:
        return
    assert place.line is not None, problem
    lines = text.split("\n")
    number = place.line - (begin.line or 1)
    assert 0 <= number < len(lines), problem
    if whole and place.column is None:
        return
    assert place.column is not None, problem
    before = (begin.column or 1) - 1 if number == 0 else 0
    assert before < place.column <= before + len(lines[number]) + 1, problem
