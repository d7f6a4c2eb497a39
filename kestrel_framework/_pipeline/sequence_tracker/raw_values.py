"""What events have at the paths of join keys, before it is brought to a type."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, cast

import msgspec

from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent
from kestrel_framework.event import Document, read_path
from kestrel_framework.interpreter import split_path
from kestrel_framework.predicate import Field
from kestrel_framework.values import Scalar, typed_value

ReadRaw: TypeAlias = Callable[[StepEvent], object]
"""Returns what an event has at one path; at several paths, a tuple of that.

That is `msgspec.UNSET` where there is nothing, None, a scalar, an object, or, where a list is
on the way or at its end, a list or tuple of all of these, which may be in lists in turn.
"""

_EMPTY: Final[Document] = MappingProxyType({})
_DEEPEST: Final = 32
"""The longest path that generated code reads; Python compiles no more than a few hundred levels."""

RawValues: TypeAlias = Callable[[Sequence[str]], ReadRaw]
"""Returns what reads some paths, as `operator.attrgetter` does of names."""


def is_plain(path: str) -> bool:
    """Say whether a path has keys and no positions."""
    return all(isinstance(part, str) for part in split_path(path))


def raw_values_of_documents(paths: Sequence[str]) -> ReadRaw:
    """Read plain paths from the documents of events."""
    split = tuple([split_path(path) for path in paths])

    def read(event: StepEvent) -> object:
        values = [tuple(read_path(event.document, path, nulls=True)) for path in split]
        return values[0] if len(values) == 1 else tuple(values)

    if max(map(len, split)) > _DEEPEST:
        return read
    quick = _quick_reader(split)

    def read_quickly(event: StepEvent) -> object:
        try:
            return quick(event.document)
        except AttributeError:
            return read(event)

    return read_quickly


@functools.lru_cache(maxsize=256)  # many rules have the same join keys
def _quick_reader(paths: tuple[tuple[str | int, ...], ...]) -> Callable[[Document], object]:
    """Return what reads paths, or raises AttributeError where the way is not one of objects."""
    known = {"unset": msgspec.UNSET, "empty": _EMPTY}
    values = []
    for path in paths:
        *way, last = map(repr, path)
        steps = "".join([f".get({name}, empty)" for name in way])
        values.append(f"document{steps}.get({last}, unset)")
    source = f"lambda document: ({', '.join(values)})"
    return cast("Callable[[Document], object]", eval(source, known))  # noqa: S307


def scalars(raw: object, field: Field) -> Sequence[Scalar]:
    """Return the values of a field (not of a whole one), given what an event has at its path."""
    if raw is msgspec.UNSET:
        return ()
    if isinstance(raw, (list, tuple)):
        return [*_typed(raw, field)]
    if raw is None:
        raw = field.null_value
    if raw is None or isinstance(raw, Mapping):
        return ()
    typed = typed_value(raw, field.type, field.formats)
    return () if typed is None else (typed,)


def _typed(values: Sequence[object], field: Field) -> Iterator[Scalar]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _typed(value, field)
        else:
            yield from scalars(value, field)
