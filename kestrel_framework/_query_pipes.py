"""The pipes that the results of a search pass.

A pipe looks at a result as one document: its first event. `StepField` reads the others,
by position. `count` and `unique_count` add the fields `count` and `percent`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from kestrel_framework._pipeline.result_filter import lets_pass
from kestrel_framework.errors import RuleError
from kestrel_framework.event import Document
from kestrel_framework.interpreter import values_of
from kestrel_framework.predicate import (
    Arithmetic,
    Call,
    Element,
    ElementCount,
    Field,
    Literal,
    StepField,
    Truth,
    Value,
)
from kestrel_framework.rule import Pipe, Rule
from kestrel_framework.values import Kind, Scalar, equality_key

_GroupKey: TypeAlias = tuple[tuple[tuple[Kind, Scalar], ...], ...]

_VALUES: Final = (Literal, Field, StepField, Element, Arithmetic, Call, Truth, ElementCount)
_ORDER_OF_KINDS: Final[Mapping[Kind, int]] = {"boolean": 1, "number": 2, "text": 3}


@attrs.frozen
class Result:
    """What a pipe passes on."""

    events: tuple[Document | None, ...]
    join_keys: tuple[Scalar | None, ...] = ()

    @property
    def document(self) -> Document:
        """The first event."""
        return next((event for event in self.events if event is not None), {})

    def with_fields(self, fields: Mapping[str, object]) -> Result:
        """Return the result with fields added to its first event."""
        events = list(self.events)
        first = next(n for n, event in enumerate(events) if event is not None)
        events[first] = {**self.document, **fields}
        return attrs.evolve(self, events=tuple(events))


def piped(results: list[Result], pipes: Sequence[Pipe], rule: Rule) -> list[Result]:
    """Return what is left of `results` after the pipes, from left to right.

    Raises:
        RuleError: a pipe is unknown, or its arguments are not what it takes.
    """
    for pipe in pipes:
        stage = _STAGES.get(pipe.name)
        if stage is None:
            known = ", ".join(f"`{name}`" for name in sorted(_STAGES))
            problem = f"the pipe `{pipe.name}` is unknown to searches; there are {known}"
            raise RuleError(problem, rule.location, rule_id=rule.rule_id)
        try:
            results = stage(results, pipe)
        except ValueError as error:
            problem = f"the pipe `{pipe.name}` {error}"
            raise RuleError(problem, rule.location, rule_id=rule.rule_id) from error
    return results


# --- the pipes -------------------------------------------------------------------------


def _head(results: list[Result], pipe: Pipe) -> list[Result]:
    return results[: _number_in(pipe)]


def _tail(results: list[Result], pipe: Pipe) -> list[Result]:
    return results[max(0, len(results) - _number_in(pipe)) :]


def _filter(results: list[Result], pipe: Pipe) -> list[Result]:
    condition = pipe.condition
    return [result for result in results if lets_pass(condition, result.events)]


def _sort(results: list[Result], pipe: Pipe) -> list[Result]:
    values = _values_in(pipe)
    return sorted(results, key=lambda result: _sort_key(result, values, pipe.fold))


def _unique(results: list[Result], pipe: Pipe) -> list[Result]:
    return [group[0] for group in _groups(results, pipe).values()]


def _unique_count(results: list[Result], pipe: Pipe) -> list[Result]:
    groups = _groups(results, pipe).values()
    return [group[0].with_fields(_counted(group, results)) for group in groups]


def _count(results: list[Result], pipe: Pipe) -> list[Result]:
    """Count the results, or those of each group, from the smallest group to the largest."""
    if not pipe.arguments:
        return [Result(({"count": len(results), "key": "totals"},))]
    values = _values_in(pipe)
    counted = []
    for group in sorted(_groups(results, pipe).values(), key=len):
        key = [_first_value(group[0], value) for value in values]
        counted.append(Result(({**_counted(group, results), "key": key},)))
    return counted


_STAGES: Final[Mapping[str, Callable[[list[Result], Pipe], list[Result]]]] = {
    "count": _count,
    "filter": _filter,
    "head": _head,
    "sort": _sort,
    "tail": _tail,
    "unique": _unique,
    "unique_count": _unique_count,
}


# --- what they share -------------------------------------------------------------------


def _number_in(pipe: Pipe) -> int:
    match pipe.arguments:
        case [int(number)] if number >= 0:
            return number
        case _:
            raise ValueError("takes one whole number, such as `5`")


def _values_in(pipe: Pipe) -> list[Value]:
    values = [argument for argument in pipe.arguments if isinstance(argument, _VALUES)]
    if not values or len(values) != len(pipe.arguments):
        raise ValueError("takes one or more values, such as `process.name`")
    return values


def _values(result: Result, value: Value) -> list[Scalar]:
    return values_of(value, result.document, result.events)


def _first_value(result: Result, value: Value) -> Scalar | None:
    return next(iter(_values(result, value)), None)


def _sort_key(result: Result, values: Sequence[Value], fold: bool) -> list[tuple[int, Scalar]]:
    """Return what sorts results: null first, then booleans, numbers and texts."""
    key: list[tuple[int, Scalar]] = []
    for value in values:
        first = _first_value(result, value)
        if first is None:
            key.append((0, 0))
        else:
            kind, known = equality_key(first, fold=fold)
            key.append((_ORDER_OF_KINDS[kind], known))
    return key


def _groups(results: list[Result], pipe: Pipe) -> dict[_GroupKey, list[Result]]:
    """Return the results by their values, the groups in the order of their first results."""
    values = _values_in(pipe)
    groups: dict[_GroupKey, list[Result]] = {}
    for result in results:
        key = tuple(
            tuple(equality_key(known, fold=pipe.fold) for known in _values(result, value))
            for value in values
        )
        groups.setdefault(key, []).append(result)
    return groups


def _counted(group: Sequence[Result], results: Sequence[Result]) -> dict[str, object]:
    return {"count": len(group), "percent": len(group) / len(results)}
