"""The reference for what a predicate tree means: slow, and obviously correct.

The matcher and every runtime are tested against it. The tracker asks it where a step
refers to the events of earlier steps.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import attrs

from kestrel_framework.event import Document, read_path
from kestrel_framework.functions import Function, apply, calculate
from kestrel_framework.predicate import (
    MAX_COMBINATIONS,
    And,
    AnyElement,
    Arithmetic,
    Call,
    Cidr,
    Comparison,
    ComparisonOperator,
    Constant,
    Element,
    ElementCount,
    Field,
    FieldLike,
    IsNull,
    Lineage,
    Literal,
    Membership,
    Not,
    Or,
    Predicate,
    Regex,
    StepField,
    TextPart,
    TextTest,
    Truth,
    Value,
    Wildcard,
)
from kestrel_framework.schema import FieldType
from kestrel_framework.values import (
    Kind,
    Scalar,
    compile_networks,
    compile_regex,
    compile_wildcard,
    equality_key,
    fold_case,
    order_key,
    scalar,
    text_of,
    typed_value,
)

NO_VARIABLES: Final[Mapping[str, object]] = {}
_WITH_POSITIONS: Final = re.compile(r"(.*?)((?:\[[0-9]{1,9}\])+)", re.DOTALL)

_TEXT_TESTS: Final[Mapping[TextPart, Callable[[str, str], bool]]] = {
    TextPart.PREFIX: str.startswith,
    TextPart.SUFFIX: str.endswith,
    TextPart.SUBSTRING: str.__contains__,
}


def holds(
    predicate: Predicate,
    document: Document,
    steps: Sequence[Document | None] = (),
    variables: Mapping[str, object] = NO_VARIABLES,
    lineage: Collection[Lineage] = (),
) -> bool:
    """Say whether `predicate` holds for an event.

    Cost: linear in the tree and in the values of each field, except that a leaf or
    function over several many-valued operands looks at up to `MAX_COMBINATIONS`, and
    that quantifiers inside quantifiers multiply.

    Args:
        predicate: The tree; not deeper than `MAX_DEPTH`.
        document: The event.
        steps: The events of the earlier steps, for `StepField`; `None` where a
            step has no event.
        variables: The elements that quantifiers around the predicate have bound.
        lineage: The `Lineage` nodes that hold for the event. Only what has followed all
            events can know them.
    """
    return _Evaluation(document, steps, variables, lineage).holds(predicate)


def values_of(
    value: Value,
    document: Document,
    steps: Sequence[Document | None] = (),
    variables: Mapping[str, object] = NO_VARIABLES,
    lineage: Collection[Lineage] = (),
) -> list[Scalar]:
    """Return the values of a node for an event, in order; none for null.

    A whole field that is a list has none: its value is no scalar.
    """
    return _Evaluation(document, steps, variables, lineage).values(value)


def entries(field: FieldLike, root: object) -> list[Scalar | Mapping[str, object]]:
    """Return what `root` has at the path of a field, in order: values, typed, and objects.

    Objects are there where the field has no type or the type `object`.
    """
    may_be_object = field.type in (None, FieldType.OBJECT)
    found: list[Scalar | Mapping[str, object]] = []
    for raw in _raw_values(field, root):
        if isinstance(raw, Mapping):
            if may_be_object:
                found.append(raw)
        elif (typed := typed_value(raw, field.type, field.formats)) is not None:
            found.append(typed)
    return found


def field_values(field: FieldLike, root: object) -> list[Scalar]:
    """Return the values that `root` has at the path of a field, typed, in order."""
    return [entry for entry in entries(field, root) if not isinstance(entry, Mapping)]


def whole_value(field: Field, root: Document) -> Scalar | tuple[Scalar, ...] | None:
    """Return the one value of a whole field: a scalar, a tuple, or None."""
    values = tuple(field_values(field, root))
    if not values:
        return None
    return values if has_list(root, field.path) else values[0]


def has_list(root: object, path: str) -> bool:
    """Say whether a list stands on the way to a path or at its end."""
    value = root
    for part in split_path(path):
        if isinstance(part, int) and isinstance(value, (list, tuple)):
            value = value[part] if part < len(value) else None
        elif isinstance(part, str) and isinstance(value, Mapping):
            value = value.get(part)
        else:
            break
    return isinstance(value, (list, tuple))


@lru_cache(maxsize=65536)
def split_path(path: str) -> tuple[str | int, ...]:
    """Return the keys and positions of a path; "" has none."""
    if "[" not in path:
        return tuple(path.split(".")) if path else ()
    parts: list[str | int] = []
    for name in path.split("."):
        found = _WITH_POSITIONS.fullmatch(name)
        if found is None:
            parts.append(name)
            continue
        if found[1]:
            parts.append(found[1])
        parts.extend(int(position) for position in found[2][1:-1].split("]["))
    return tuple(parts)


def combinations(operands: Sequence[Sequence[Scalar]]) -> Iterator[tuple[Scalar, ...]]:
    """Yield every combination of the operands' values, the last changing fastest.

    At most `MAX_COMBINATIONS`, if two or more operands have several values.
    """
    every = itertools.product(*operands)
    if sum(len(values) > 1 for values in operands) > 1:
        return itertools.islice(every, MAX_COMBINATIONS)
    return every


def calculated(node: Arithmetic, operands: Sequence[Sequence[Scalar]]) -> list[Scalar]:
    """Return the results for all combinations of the operands' values, nulls left out."""
    symbol = node.operator.value
    results = [calculate(symbol, left, right) for left, right in combinations(operands)]
    return [result for result in results if result is not None]


def called(node: Call, operands: Sequence[Sequence[Scalar]]) -> list[Scalar]:
    """Return the results for all combinations of the arguments' values, nulls left out."""
    results = [
        apply(node.function, arguments, fold=node.fold) for arguments in combinations(operands)
    ]
    return [result for result in results if result is not None]


def some_pair(
    node: Comparison, left_values: Sequence[Scalar], right_values: Sequence[Scalar]
) -> bool:
    """Say whether some left value stands in the comparison's relation to some right value.

    Cost: linear, also where both sides have many values: equality by sets, order
    by the least and the greatest of each kind.
    """
    if node.operator is ComparisonOperator.EQUAL:
        left_keys = {equality_key(value, fold=node.fold) for value in left_values}
        return any(equality_key(value, fold=node.fold) in left_keys for value in right_values)
    field_type = compared_type(node)
    left_bounds = _bounds(left_values, field_type, node.fold)
    right_bounds = _bounds(right_values, field_type, node.fold)
    for kind in left_bounds.keys() & right_bounds.keys():
        (left_least, left_greatest), (right_least, right_greatest) = (
            left_bounds[kind],
            right_bounds[kind],
        )
        match node.operator:
            case ComparisonOperator.LESS:
                found = left_least < right_greatest
            case ComparisonOperator.LESS_OR_EQUAL:
                found = left_least <= right_greatest
            case ComparisonOperator.GREATER:
                found = left_greatest > right_least
            case _:
                found = left_greatest >= right_least
        if found:
            return True
    return False


def some_text_pair(node: TextTest, values: Sequence[Scalar], parts: Sequence[Scalar]) -> bool:
    """Say whether some value that is a text starts with, ends with or contains some part."""
    test = _TEXT_TESTS[node.kind]
    for value, part in combinations([values, parts]):
        if isinstance(value, str) and isinstance(part, str):
            if node.fold:
                value, part = fold_case(value), fold_case(part)
            if test(value, part):
                return True
    return False


def compared_type(node: Comparison) -> FieldType | None:
    """Return the field type whose order a comparison follows, if it is a special one."""
    for operand in (node.left, node.right):
        if isinstance(operand, (Field, StepField, Element)) and operand.type in (
            FieldType.VERSION,
            FieldType.IP,
        ):
            return operand.type
    return None


@attrs.frozen
class _Evaluation:
    """One event, with what is bound to it."""

    document: Document
    steps: Sequence[Document | None]
    variables: Mapping[str, object]
    lineage: Collection[Lineage]

    def holds(self, predicate: Predicate) -> bool:
        match predicate:
            case Constant():
                return predicate.holds
            case And():
                return all(self.holds(term) for term in predicate.terms)
            case Or():
                return any(self.holds(term) for term in predicate.terms)
            case Not():
                return not self.holds(predicate.term)
            case AnyElement():
                return any(
                    self._elements(predicate, entries(predicate.array, self._root(predicate.array)))
                )
            case Lineage():
                return predicate in self.lineage
            case IsNull():
                return self._is_null(predicate.value)
            case Comparison():
                return self._compares(predicate)
            case Membership():
                choices = {
                    equality_key(known, fold=predicate.fold)
                    for choice in predicate.choices
                    if (known := scalar(choice.value)) is not None
                }
                return any(
                    equality_key(value, fold=predicate.fold) in choices
                    for value in self.values(predicate.value)
                )
            case Wildcard():
                return self._some_text(predicate.value, _wildcards(predicate), predicate.fold)
            case Regex():
                tests = [compile_regex(text, fold=predicate.fold) for text in predicate.patterns]
                return self._some_text(predicate.value, tests, False)
            case Cidr():
                return self._some_text(
                    predicate.value, [compile_networks(predicate.networks)], False
                )
            case TextTest():
                return some_text_pair(
                    predicate, self.values(predicate.value), self.values(predicate.part)
                )

    def values(self, value: Value) -> list[Scalar]:
        match value:
            case Literal():
                known = scalar(value.value)
                return [] if known is None else [known]
            case Field(whole=True):
                known_value = whole_value(value, self.document)
                return (
                    [] if known_value is None or isinstance(known_value, tuple) else [known_value]
                )
            case Field() | StepField() | Element():
                return field_values(value, self._root(value))
            case ElementCount():
                return [self._count(value)]
            case Call(Function.LENGTH, (Field(whole=True) as array,)) if has_list(
                self.document, array.path
            ):
                return [len(list(_raw_values(array, self.document)))]
            case Arithmetic():
                return calculated(value, [self.values(value.left), self.values(value.right)])
            case Call():
                return called(value, [self.values(argument) for argument in value.arguments])
            case Truth():
                if self.holds(value.holds):
                    return [True]
                return [False] if self.holds(value.fails) else []

    def _root(self, field: FieldLike) -> object:
        """Return what the path of a field starts from."""
        match field:
            case Field():
                return self.document
            case StepField():
                known = 0 <= field.step < len(self.steps)
                return self.steps[field.step] if known else None
            case Element():
                return self.variables.get(field.variable)

    def _compares(self, node: Comparison) -> bool:
        if not _is_whole(node.left) and not _is_whole(node.right):
            return some_pair(node, self.values(node.left), self.values(node.right))
        left, right = self._one_value(node.left), self._one_value(node.right)
        if isinstance(left, tuple) and isinstance(right, tuple):
            return node.operator is ComparisonOperator.EQUAL and (
                [equality_key(value, fold=node.fold) for value in left]
                == [equality_key(value, fold=node.fold) for value in right]
            )
        if isinstance(left, tuple) or isinstance(right, tuple):
            return False
        lefts, rights = [] if left is None else [left], [] if right is None else [right]
        return some_pair(
            node,
            lefts if _is_whole(node.left) else self.values(node.left),
            rights if _is_whole(node.right) else self.values(node.right),
        )

    def _one_value(self, value: Value) -> Scalar | tuple[Scalar, ...] | None:
        if isinstance(value, Field) and value.whole:
            return whole_value(value, self.document)
        return None

    def _is_null(self, value: Value) -> bool:
        if isinstance(value, (Field, StepField, Element)):
            return not entries(value, self._root(value))
        return not self.values(value)

    def _elements(
        self, node: AnyElement | ElementCount, elements: Iterable[object]
    ) -> Iterator[bool]:
        """Yield whether each element satisfies the predicate."""
        for element in elements:
            variables = {**self.variables, node.variable: element}
            yield attrs.evolve(self, variables=variables).holds(node.predicate)

    def _count(self, node: ElementCount) -> int:
        root = self._root(node.array)
        if not has_list(root, node.array.path):
            return 0
        return sum(self._elements(node, entries(node.array, root)))

    def _some_text(self, value: Value, tests: Sequence[Callable[[str], bool]], fold: bool) -> bool:
        texts = [text_of(known) for known in self.values(value)]
        if fold:
            texts = [fold_case(text) for text in texts]
        return any(test(text) for text in texts for test in tests)


def _raw_values(field: FieldLike, root: object) -> Iterator[object]:
    if field.null_value is None:
        yield from read_path(root, split_path(field.path))
        return
    for raw in read_path(root, split_path(field.path), nulls=True):
        yield field.null_value if raw is None else raw


def _is_whole(value: Value) -> bool:
    return isinstance(value, Field) and value.whole


def _bounds(
    values: Sequence[Scalar], field_type: FieldType | None, fold: bool
) -> dict[Kind, tuple[Any, Any]]:
    """Return the least and the greatest key of each kind."""
    keys: dict[Kind, list[Any]] = {}
    for value in values:
        folded = fold_case(value) if fold and isinstance(value, str) else value
        if (ordered := order_key(folded, field_type)) is not None:
            keys.setdefault(ordered[0], []).append(ordered[1])
    return {kind: (min(known), max(known)) for kind, known in keys.items()}


def _wildcards(node: Wildcard) -> list[Callable[[str], bool]]:
    return [
        compile_wildcard(fold_case(pattern) if node.fold else pattern) for pattern in node.patterns
    ]
