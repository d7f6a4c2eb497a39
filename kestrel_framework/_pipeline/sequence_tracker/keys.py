"""Join keys: which values tie an event to others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Final, Literal, TypeAlias

from kestrel_framework.event import Document
from kestrel_framework.interpreter import split_path, values_of
from kestrel_framework.predicate import Field, Value
from kestrel_framework.rule import JoinKey
from kestrel_framework.schema import FieldType
from kestrel_framework.values import (
    LARGEST_INTEGER,
    SMALLEST_INTEGER,
    Scalar,
    fold_case,
    order_key,
)

KeyPart: TypeAlias = str | int | float | tuple[Literal["boolean"], bool] | None
"""A value of a key, in a form in which Python finds equal what Kestrel does: true is not 1."""

Key: TypeAlias = tuple[KeyPart, ...]
"""The values an event has for the join keys, by position."""

_NULL: Final[tuple[KeyPart, ...]] = (None,)


class KeyReader:
    """Reads the keys of events for steps that have the same join keys.

    Where a join key folds case, its texts are folded in the key: they are what events are
    grouped by, whatever event comes first.

    Args:
        join_keys: In the order of the rule.
        limit: How many keys of one event are taken.
    """

    def __init__(self, join_keys: tuple[JoinKey, ...], limit: int) -> None:
        self._parts = [
            (_value_reader(key.value), key.optional, _folded_part if key.fold else key_part)
            for key in join_keys
        ]
        self._folds = any(key.fold for key in join_keys)
        self._limit = limit

    def keys(self, document: Document) -> tuple[list[Key], int]:
        """Return the different keys of an event, in order, and how many were left out.

        A key field with several values gives a key for each of them, several
        such fields for each combination. A null key gives none, unless it is optional.
        """
        choices = []
        number = 1
        for read, optional, part_of in self._parts:
            values = read(document)
            parts: tuple[KeyPart, ...]
            if len(values) == 1:
                parts = (part_of(values[0]),)
            else:
                parts = tuple(dict.fromkeys(map(part_of, values)))
            if not parts:
                if not optional:
                    return [], 0
                parts = _NULL
            number *= len(parts)
            choices.append(parts)
        if number == 1:
            return [tuple([parts[0] for parts in choices])], 0
        keys = list(itertools.islice(itertools.product(*choices), self._limit))
        return keys, number - len(keys)

    def shown(self, key: Key, document: Document) -> tuple[Scalar | None, ...]:
        """Return a key as the values it stands for, its folded texts as an event spells them.

        Where the event spells a text in several ways, the first counts.
        """
        values = key_values(key)
        if not self._folds:
            return values
        return tuple(
            [
                next((known for known in read(document) if part_of(known) == part), value)
                for (read, _, part_of), part, value in zip(self._parts, key, values, strict=True)
            ]
        )


def key_part(value: Scalar) -> KeyPart:
    """Return a value in the form keys have; equal numbers become the same one."""
    if isinstance(value, bool):
        return "boolean", value
    if (
        isinstance(value, float)
        and value.is_integer()
        and math.fabs(value) <= LARGEST_INTEGER
        and SMALLEST_INTEGER <= int(value) <= LARGEST_INTEGER
    ):
        return int(value)
    return value


def _folded_part(value: Scalar) -> KeyPart:
    return fold_case(value) if isinstance(value, str) else key_part(value)


def key_of(values: Iterable[Scalar | None]) -> Key:
    """Return the key that `key_values` shows as `values`."""
    return tuple([None if value is None else key_part(value) for value in values])


def key_values(key: Key) -> tuple[Scalar | None, ...]:
    """Return a key as the values it stands for."""
    return tuple([part[1] if isinstance(part, tuple) else part for part in key])


def key_order(
    values: Iterable[Scalar | None], types: Iterable[FieldType | None] = ()
) -> tuple[tuple[int, object], ...]:
    """Return what sorts keys: ascending, null first, then booleans, numbers and texts.

    Where the type of a key field orders its texts (versions, addresses), they are in that order.
    """
    return tuple([_place(value, field_type) for value, field_type in zip_longest(values, types)])


def _place(value: Scalar | None, field_type: FieldType | None) -> tuple[int, object]:
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    if not isinstance(value, str):
        return 2, value
    ordered = order_key(value, field_type)
    return (4, value) if ordered is None else (3, ordered[1])


def _value_reader(value: Value) -> Callable[[Document], Sequence[Scalar]]:
    """Return what reads the values of a node: fast for a field with one plain text or integer."""

    def interpret(document: Document) -> Sequence[Scalar]:
        return values_of(value, document)

    if not isinstance(value, Field) or value.type not in (
        None,
        FieldType.KEYWORD,
        FieldType.LONG,
    ):
        return interpret
    path = split_path(value.path)
    takes_texts = value.type is not FieldType.LONG
    takes_integers = value.type is not FieldType.KEYWORD

    def read(document: Document) -> Sequence[Scalar]:
        found: object = document
        for name in path:
            if type(found) is not dict:
                break
            found = found.get(name)
        else:
            if type(found) is str and takes_texts:
                return (found,)
            if (
                type(found) is int
                and takes_integers
                and SMALLEST_INTEGER <= found <= LARGEST_INTEGER
            ):
                return (found,)
        return values_of(value, document)

    return read
