"""Which elementary conditions on one field a value satisfies: all of them at once.

An elementary condition, a leaf, has a number, and a set of leaves is a mask. Leaves that compare
each value with constants are looked up or scanned for together; the rest is left to
the reference interpreter, which is slow and asked only about values not seen before.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs
import msgspec

from kestrel_framework.functions import Function
from kestrel_framework.interfaces import (
    Pattern,
    PatternDatabase,
    PatternEngine,
    PatternKind,
)
from kestrel_framework.interpreter import called, holds, some_pair, some_text_pair, split_path
from kestrel_framework.patterns import TextTester, compile_regex, compile_wildcard
from kestrel_framework.predicate import (
    Call,
    Cidr,
    Comparison,
    ComparisonOperator,
    Field,
    IsNull,
    Literal,
    Membership,
    Predicate,
    Regex,
    TextPart,
    TextTest,
    Wildcard,
)
from kestrel_framework.schema import FieldType
from kestrel_framework.values import (
    Scalar,
    compare,
    compile_networks,
    equality_key,
    fold_case,
    scalar,
    text_of,
    typed_value,
)


@attrs.frozen
class OfEventType:
    """Some value is the category of events of one of these types; compared exactly."""

    event_types: frozenset[str]


Leaf: TypeAlias = Predicate | OfEventType

_WITH_OBJECTS: Final = (None, FieldType.OBJECT)
_NUMBERS: Final = (int, float)
_RELATIONS: Final[Mapping[ComparisonOperator, Callable[[Any, Any], bool]]] = {
    ComparisonOperator.EQUAL: operator.eq,
    ComparisonOperator.LESS: operator.lt,
    ComparisonOperator.LESS_OR_EQUAL: operator.le,
    ComparisonOperator.GREATER: operator.gt,
    ComparisonOperator.GREATER_OR_EQUAL: operator.ge,
}
_WILDCARDS: Final[Mapping[TextPart, str]] = {
    TextPart.PREFIX: "{}*",
    TextPart.SUFFIX: "*{}",
    TextPart.SUBSTRING: "*{}*",
}


class ValueTests:
    """All leaves on one field.

    Args:
        path: The field.
        ancestors: Returns the event types of a category.
    """

    def __init__(self, path: str, ancestors: Callable[[str], frozenset[str]]) -> None:
        self._parts = split_path(path)
        self._ancestors = ancestors
        self._numbers: dict[Leaf, int] = {}
        self._scalar_tests: dict[Field, _ScalarTests] = {}
        self._null_tests: list[tuple[int, Field]] = []
        self._categories: list[tuple[int, frozenset[str]]] = []
        self._interpreted: list[tuple[int, Predicate]] = []

    def number(self, leaf: Leaf) -> int:
        """Return the number of a leaf, which is new or known."""
        new = len(self._numbers)
        number = self._numbers.setdefault(leaf, new)
        if number == new:
            self._add(leaf, 1 << number)
        return number

    @property
    def leaves(self) -> Sequence[Leaf]:
        """All leaves; their places are their numbers."""
        return tuple(self._numbers)

    @property
    def interpreted(self) -> Sequence[Predicate]:
        """The leaves that are left to the reference interpreter."""
        return tuple(predicate for _, predicate in self._interpreted)

    @property
    def scanned(self) -> int:
        """How many patterns a value is looked up in, or scanned for."""
        return sum(tests.scanned for tests in self._scalar_tests.values())

    def compile(self, engine: PatternEngine) -> None:
        """Make ready what `of_list` and `of_scalar` need; no leaf comes after that."""
        for tests in self._scalar_tests.values():
            tests.compile(engine)

    def of_scalar(self, raw: object) -> int:
        """Return the leaves that one value of the event satisfies by itself."""
        mask = 0
        for tests in self._scalar_tests.values():
            mask |= tests.leaves_of(raw)
        if self._categories and isinstance(raw, str):
            types = self._ancestors(raw)
            for bit, event_types in self._categories:
                if not types.isdisjoint(event_types):
                    mask |= bit
        return mask

    def of_all(self, raw: object, values: Sequence[object]) -> int:
        """Return the leaves that look at everything the event has at the path.

        Args:
            raw: What it has there.
            values: The same, flattened.
        """
        mask = 0
        for bit, field in self._null_tests:
            for value in values:
                if _is_there(field, value):
                    break
            else:
                mask |= bit
        if self._interpreted:
            document = self._document(raw)
            for bit, predicate in self._interpreted:
                if holds(predicate, document):
                    mask |= bit
        return mask

    def _document(self, raw: object) -> Mapping[str, object]:
        """Return an event that has nothing but this field."""
        if raw is msgspec.UNSET:
            return {}
        document: object = raw
        for part in reversed(self._parts):
            document = {str(part): document}
        assert isinstance(document, dict)
        return document

    def _add(self, leaf: Leaf, bit: int) -> None:
        if isinstance(leaf, OfEventType):
            self._categories.append((bit, leaf.event_types))
        elif isinstance(leaf, IsNull) and isinstance(leaf.value, Field) and not leaf.value.whole:
            self._null_tests.append((bit, leaf.value))
        else:
            tested = _field_of_scalar_test(leaf)
            if tested is None or not self._tests_of(tested).add(leaf, bit):
                self._interpreted.append((bit, leaf))

    def _tests_of(self, field: Field) -> _ScalarTests:
        tests = self._scalar_tests.get(field)
        if tests is None:
            tests = self._scalar_tests[field] = _ScalarTests(field)
        return tests


def _is_there(field: Field, raw: object) -> bool:
    if raw is None:
        raw = field.null_value
    if isinstance(raw, Mapping):
        return field.type in _WITH_OBJECTS
    return typed_value(raw, field.type, field.formats) is not None


def _field_of_scalar_test(leaf: Predicate) -> Field | None:
    """Return the field of a leaf that looks at each value by itself."""
    match leaf:
        case Wildcard() | Membership() | Regex() | Cidr():
            tested = leaf.value
        case Comparison(_, Call(_, (value,)), Literal()) | Comparison(_, value, Literal()):
            tested = value
        case TextTest(_, value, Literal()):
            tested = value
        case _:
            return None
    return tested if isinstance(tested, Field) and not tested.whole else None


class _ScalarTests:
    """Leaves that look at each value of a field by itself."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._exact: dict[object, int] = {}
        self._exact_folded: dict[object, int] = {}
        self._patterns = _Patterns()
        self._folded_patterns = _Patterns()
        self._texts_only = 0
        self._others: list[tuple[int, Callable[[Scalar], bool]]] = []
        self._folds = False

    def add(self, leaf: Predicate, bit: int) -> bool:
        """Take a leaf, or say that it is not of this kind."""
        match leaf:
            case Wildcard():
                self._add_wildcards(leaf.patterns, bit, fold=leaf.fold)
            case Membership():
                self._add_choices(leaf.choices, bit, fold=leaf.fold)
            case Comparison(ComparisonOperator.EQUAL, Field(), Literal() as literal):
                self._add_choices((literal,), bit, fold=leaf.fold)
            case Comparison(_, Call() as call, Literal() as literal):
                self._others.append((bit, _call_test(leaf, call, literal)))
            case Comparison(_, _, Literal() as literal):
                return self._add_order(leaf, literal, bit)
            case Regex():
                for text in leaf.patterns:
                    self._patterns.add_regex(text, bit, fold=leaf.fold)
            case Cidr():
                test = compile_networks(leaf.networks)
                self._others.append((bit, lambda value: test(text_of(value))))
            case TextTest(_, _, Literal(part)):
                if not isinstance(part, str):
                    return False
                if "*" in part or "?" in part:
                    self._others.append((bit, _part_test(leaf)))
                    return True
                self._texts_only |= bit
                self._add_wildcards((_WILDCARDS[leaf.kind].format(part),), bit, fold=leaf.fold)
            case _:
                return False
        return True

    @property
    def scanned(self) -> int:
        return len(self._patterns) + len(self._folded_patterns)

    def compile(self, engine: PatternEngine) -> None:
        self._patterns.compile(engine)
        self._folded_patterns.compile(engine)
        self._folds = bool(self._exact_folded or self._folded_patterns)

    def leaves_of(self, raw: object) -> int:
        field = self._field
        value = typed_value(field.null_value if raw is None else raw, field.type, field.formats)
        if value is None:
            return 0
        mask = self._exact.get(equality_key(value), 0)
        if isinstance(value, str):
            mask |= self._patterns.leaves_of(value)
            if self._folds:
                folded = fold_case(value)
                mask |= self._exact_folded.get(("text", folded), 0)
                mask |= self._folded_patterns.leaves_of(folded)
        else:
            mask |= self._exact_folded.get(equality_key(value), 0)
            text = text_of(value)
            mask |= self._patterns.leaves_of(text)
            mask |= self._folded_patterns.leaves_of(fold_case(text))
            mask &= ~self._texts_only
        for bit, test in self._others:
            if test(value):
                mask |= bit
        return mask

    def _add_choices(self, choices: Sequence[Literal], bit: int, *, fold: bool) -> None:
        known = self._exact_folded if fold else self._exact
        for choice in choices:
            value = scalar(choice.value)
            if value is not None:
                key = equality_key(value, fold=fold)
                known[key] = known.get(key, 0) | bit

    def _add_order(self, leaf: Comparison, literal: Literal, bit: int) -> bool:
        bound = scalar(literal.value)
        if bound is None:
            return True
        self._others.append((bit, _order_test(leaf, bound, self._field.type)))
        return True

    def _add_wildcards(self, patterns: Sequence[str], bit: int, *, fold: bool) -> None:
        known = self._folded_patterns if fold else self._patterns
        for text in patterns:
            known.add_wildcard(fold_case(text) if fold else text, bit)


def _call_test(leaf: Comparison, call: Call, literal: Literal) -> Callable[[Scalar], bool]:
    """Return the test of a comparison of what a function makes of a value."""
    bound = scalar(literal.value)
    if call.function is Function.LENGTH and type(bound) in _NUMBERS:
        relation = _RELATIONS[leaf.operator]
        return lambda value: isinstance(value, str) and relation(len(value), bound)
    bounds = () if bound is None else (bound,)
    return lambda value: some_pair(leaf, called(call, ((value,),)), bounds)


def _order_test(
    leaf: Comparison, bound: Scalar, field_type: FieldType | None
) -> Callable[[Scalar], bool]:
    """Return the test for values before or after a bound."""
    name, fold, relation = leaf.operator.value, leaf.fold, _RELATIONS[leaf.operator]

    def test(value: Scalar) -> bool:
        return compare(name, value, bound, fold=fold, field_type=field_type)

    if type(bound) not in _NUMBERS:
        return test
    return lambda value: relation(value, bound) if type(value) in _NUMBERS else test(value)


def _part_test(leaf: TextTest) -> Callable[[Scalar], bool]:
    """Return the test for a part that has signs of wildcards."""
    assert isinstance(leaf.part, Literal)
    part = scalar(leaf.part.value)
    parts = () if part is None else (part,)
    return lambda value: some_text_pair(leaf, (value,), parts)


class _Patterns:
    """Patterns, with the leaves that each is part of; those without a sign are looked up."""

    def __init__(self) -> None:
        self._whole: dict[str, int] = {}
        self._wildcards: dict[str, int] = {}
        self._regexes: dict[tuple[str, bool], int] = {}
        self._masks: list[int] = []
        self._database: PatternDatabase | None = None
        self._refused: list[tuple[int, TextTester]] = []

    def __len__(self) -> int:
        return len(self._whole) + len(self._wildcards) + len(self._regexes)

    def add_wildcard(self, text: str, bit: int) -> None:
        known = self._wildcards if "*" in text or "?" in text else self._whole
        known[text] = known.get(text, 0) | bit

    def add_regex(self, text: str, bit: int, *, fold: bool) -> None:
        self._regexes[text, fold] = self._regexes.get((text, fold), 0) | bit

    def compile(self, engine: PatternEngine) -> None:
        if not (self._wildcards or self._regexes):
            return
        patterns = [
            *[Pattern(PatternKind.WILDCARD, text) for text in self._wildcards],
            *[Pattern(PatternKind.REGEX, text, fold) for text, fold in self._regexes],
        ]
        self._masks = [*self._wildcards.values(), *self._regexes.values()]
        compiled = engine.compile(patterns)
        self._database = compiled.database
        self._database.matches("")  # engines may put off work until then; no event should wait
        self._refused = [
            (self._masks[place], pattern_tester(patterns[place]))
            for place in sorted(compiled.refused)
        ]

    def leaves_of(self, text: str) -> int:
        mask = self._whole.get(text, 0)
        if self._database is None:
            return mask
        masks = self._masks
        for place in self._database.matches(text):
            mask |= masks[place]
        for bits, test in self._refused:
            if test(text):
                mask |= bits
        return mask


def pattern_tester(pattern: Pattern) -> TextTester:
    """Return the reference's test of a whole text against one pattern."""
    if pattern.kind is PatternKind.WILDCARD:
        return compile_wildcard(pattern.text)
    return compile_regex(pattern.text, fold=pattern.fold)
