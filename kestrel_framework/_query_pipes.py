"""The pipes that the results of a search pass.

A pipe looks at a result as one document: its first event. `StepField` reads the others,
by position. What the pipes mean is taken from the engine of the EQL of Endgame:

- `count` gives one result with the fields `count` and `key`; with arguments, one for each
  group with `percent` too.
- `unique_count` adds `count` and `percent` to the first result of each group.
- Both tell the hosts in `hosts` and `total_hosts`, where the events have a `hostname`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

import attrs

from kestrel_framework._pipeline.result_filter import lets_pass
from kestrel_framework.errors import RuleError
from kestrel_framework.event import Document
from kestrel_framework.interpreter import values_of, whole_value
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
from kestrel_framework.schema import FieldType
from kestrel_framework.values import LARGEST_INTEGER, Kind, Scalar, equality_key

_KeyPart: TypeAlias = Scalar | tuple[Scalar, ...] | None
_Key: TypeAlias = tuple[_KeyPart, ...]
_Place: TypeAlias = tuple[tuple[int, object], ...]

_VALUES: Final = (Literal, Field, StepField, Element, Arithmetic, Call, Truth, ElementCount)
_ORDER_OF_KINDS: Final[Mapping[Kind, int]] = {"boolean": 1, "number": 2, "text": 3}
_AFTER_ALL_KINDS: Final = 4
_HOST: Final = Field("hostname", FieldType.KEYWORD)
_HOSTS: Final = Field("hosts", FieldType.KEYWORD)


@attrs.frozen
class Result:
    """What a pipe passes on."""

    events: tuple[Document | None, ...]
    join_keys: tuple[Scalar | None, ...] = ()

    @property
    def document(self) -> Document:
        """The first event."""
        return next((event for event in self.events if event is not None), {})

    def with_fields(self, fields: Mapping[str, object], *, without: str) -> Result:
        """Return the result with fields added to its first event, and one taken out of it."""
        events = list(self.events)
        first = next(n for n, event in enumerate(events) if event is not None)
        kept = {name: value for name, value in self.document.items() if name != without}
        events[first] = {**kept, **fields}
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
    return sorted(results, key=lambda result: _place(_key(result, values), pipe.fold))


def _unique(results: list[Result], pipe: Pipe) -> list[Result]:
    return [group[0] for group in _groups(results, _values_in(pipe), pipe.fold)]


def _unique_count(results: list[Result], pipe: Pipe) -> list[Result]:
    """Count what each group stands for, also what an earlier `unique_count` has counted."""
    total = sum(map(_count_in, results))
    counted = []
    for group in _groups(results, _values_in(pipe), pipe.fold):
        number = sum(map(_count_in, group))
        hosts = _hosts_fields(group, (_HOST, _HOSTS))
        fields = {"count": number, "percent": number / total, **hosts}
        counted.append(group[0].with_fields(fields, without=_HOST.path))
    return counted


def _count(results: list[Result], pipe: Pipe) -> list[Result]:
    """Count the results, or those of each group, from the smallest group to the largest."""
    if not pipe.arguments:
        totals = {"count": len(results), "key": "totals", **_hosts_fields(results, (_HOST,))}
        return [Result((totals,))]
    values = _values_in(pipe)
    counted: list[tuple[tuple[int, _Place], Result]] = []
    for group in _groups(results, values, fold=True):
        key = _key(group[0], values)
        document = {
            "count": len(group),
            "key": _shown(key[0]) if len(key) == 1 else [_shown(part) for part in key],
            "percent": len(group) / len(results),
            **_hosts_fields(group, (_HOST,)),
        }
        counted.append(((len(group), _place(key, pipe.fold)), Result((document,))))
    return [result for _, result in sorted(counted, key=itemgetter(0))]


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


def _key(result: Result, values: Sequence[Value]) -> _Key:
    """Return what each of `values` is for a result."""
    return tuple([_known(result, value) for value in values])


def _known(result: Result, value: Value) -> _KeyPart:
    if isinstance(value, Field) and value.whole:
        return whole_value(value, result.document)
    known = values_of(value, result.document, result.events)
    return tuple(known) if len(known) > 1 else next(iter(known), None)


def _shown(part: _KeyPart) -> object:
    return list(part) if isinstance(part, tuple) else part


def _place(key: _Key, fold: bool) -> _Place:
    """Return what sorts keys: null first, then booleans, numbers, texts and lists."""
    return tuple([_place_of_part(part, fold) for part in key])


def _place_of_part(part: _KeyPart, fold: bool) -> tuple[int, object]:
    if part is None:
        return 0, 0
    if isinstance(part, tuple):
        return _AFTER_ALL_KINDS, tuple([_place_of_part(value, fold) for value in part])
    kind, known = equality_key(part, fold=fold)
    return _ORDER_OF_KINDS[kind], known


def _groups(results: list[Result], values: Sequence[Value], fold: bool) -> list[list[Result]]:
    """Return the results by their keys, the groups in the order of their first results."""
    groups: dict[_Place, list[Result]] = {}
    for result in results:
        groups.setdefault(_place(_key(result, values), fold), []).append(result)
    return list(groups.values())


def _count_in(result: Result) -> int:
    """Return how many results one stands for."""
    match result.document.get("count"):
        case int(number) if not isinstance(number, bool) and 0 < number <= LARGEST_INTEGER:
            return number
        case _:
            return 1


def _hosts_fields(results: Sequence[Result], fields: Sequence[Field]) -> dict[str, object]:
    """Return what tells the hosts of results; nothing where no result names one."""
    read = (values_of(field, result.document) for result in results for field in fields)
    hosts = sorted({name for names in read for name in names if isinstance(name, str)})
    return {"hosts": hosts, "total_hosts": len(hosts)} if hosts else {}
