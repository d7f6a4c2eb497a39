"""Join keys: which values tie an event to others."""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any, Final, TypeAlias, cast

from kestrel_framework._pipeline.sequence_tracker.raw_values import (
    RawValues,
    is_plain,
    raw_values_of_documents,
    scalars,
)
from kestrel_framework._pipeline.sequence_tracker.statistics import TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent
from kestrel_framework.interpreter import values_of
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


class Boolean(enum.Enum):
    """A boolean in a key: Python finds true and 1 equal, Kestrel does not."""

    TRUE = True
    FALSE = False

    __hash__ = object.__hash__


KeyPart: TypeAlias = str | int | float | Boolean | None
"""A value of a key, in a form in which Python finds equal what Kestrel does."""

Key: TypeAlias = KeyPart | tuple[KeyPart, ...]
"""The values an event has for the join keys, by position; where there is one, it alone."""

ReadKey: TypeAlias = Callable[[StepEvent], Key | list[Key]]
"""Returns the one key of an event, or a list of its keys: none, one, or several."""

OwnsKey: TypeAlias = Callable[[Key], bool]
"""Says of a key whether it is followed here."""

_NULL: Final[tuple[KeyPart, ...]] = (None,)
_TYPES_OF_PLAIN_TEXTS: Final = (None, FieldType.KEYWORD)


class KeyReader:
    """Reads the keys of events for steps that have the same join keys.

    Where a join key folds case, its texts are folded in the key: they are what events are
    grouped by, whatever event comes first.

    Args:
        join_keys: In the order of the rule.
        limit: How many keys of one event are taken.
        statistics: Where to count the others.
        raw_values: Where the values of fields come from.
        owns: Which keys are taken; None for all. Of an event with one plain text for each
            key, that one is.

    Attributes:
        read: What `keys` returns, but quickly for events with one plain text for each key.
    """

    def __init__(
        self,
        join_keys: tuple[JoinKey, ...],
        limit: int,
        statistics: TrackerStatistics,
        raw_values: RawValues = raw_values_of_documents,
        owns: OwnsKey | None = None,
    ) -> None:
        self._join_keys = join_keys
        self._owns = owns
        self._parts = [
            (_value_reader(key.value, raw_values), key.optional, _folding(key)) for key in join_keys
        ]
        self._folds = any(key.fold for key in join_keys)
        self._limit = limit
        self._statistics = statistics
        self.read = self._quickest(raw_values)

    def keys(self, event: StepEvent) -> list[Key]:
        """Return the different keys of an event, in order, and count those that are left out.

        A key field with several values gives a key for each of them, several
        such fields for each combination. A null key gives none, unless it is optional.
        """
        choices = []
        number = 1
        for read, optional, part_of in self._parts:
            values = read(event)
            parts: tuple[KeyPart, ...]
            if len(values) == 1:
                parts = (part_of(values[0]),)
            else:
                parts = tuple(dict.fromkeys(map(part_of, values)))
            if not parts:
                if not optional:
                    return []
                parts = _NULL
            number *= len(parts)
            choices.append(parts)
        if len(choices) == 1:
            keys: list[Key] = list(choices[0][: self._limit])
        else:
            keys = list(itertools.islice(itertools.product(*choices), self._limit))
        self._statistics.keys_left_out += number - len(keys)
        return keys if self._owns is None else list(filter(self._owns, keys))

    def shown(self, key: Key, event: StepEvent) -> tuple[Scalar | None, ...]:
        """Return a key as the values it stands for, its folded texts as an event spells them.

        Where the event spells a text in several ways, the first counts.
        """
        values = key_values(key)
        if not self._folds:
            return values
        shown = []
        for join_key, value in zip(self._join_keys, values, strict=True):
            same = None if value is None else key_part(value)
            part_of = _folding(join_key)
            spellings = values_of(join_key.value, event.document)
            shown.append(next((known for known in spellings if part_of(known) == same), value))
        return tuple(shown)

    def _quickest(self, raw_values: RawValues) -> ReadKey:
        """Return `keys`, or what has the same keys without a list where they are plain."""
        keys = self.keys
        paths = [_path_of_plain_texts(key) for key in self._join_keys]
        known = [path for path in paths if path is not None]
        if not known or len(known) < len(paths):
            return keys
        raw = raw_values(known)
        if len(known) == 1:

            def read_one(event: StepEvent) -> Key | list[Key]:
                value = raw(event)
                return value if type(value) is str else keys(event)

            return read_one

        def read_several(event: StepEvent) -> Key | list[Key]:
            values: Any = raw(event)
            for value in values:
                if type(value) is not str:
                    return keys(event)
            return cast("Key", values)

        return read_several


def key_part(value: Scalar) -> KeyPart:
    """Return a value in the form keys have; equal numbers become the same one."""
    if isinstance(value, bool):
        return Boolean(value)
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


def _folding(key: JoinKey) -> Callable[[Scalar], KeyPart]:
    return _folded_part if key.fold else key_part


def key_of(values: Sequence[Scalar | None]) -> Key:
    """Return the key that `key_values` shows as `values`."""
    parts = tuple([None if value is None else key_part(value) for value in values])
    return parts[0] if len(parts) == 1 else parts


def key_values(key: Key) -> tuple[Scalar | None, ...]:
    """Return a key as the values it stands for."""
    parts = key if isinstance(key, tuple) else (key,)
    return tuple([part.value if isinstance(part, Boolean) else part for part in parts])


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


def _path_of_plain_texts(key: JoinKey) -> str | None:
    """Return the path of a field whose texts are taken as they are, or None."""
    value = key.value
    if key.fold or not isinstance(value, Field) or value.type not in _TYPES_OF_PLAIN_TEXTS:
        return None
    return value.path if is_plain(value.path) else None


def _value_reader(value: Value, raw_values: RawValues) -> Callable[[StepEvent], Sequence[Scalar]]:
    """Return what reads the values of a node, as `values_of` has them."""
    if not isinstance(value, Field) or value.whole or not is_plain(value.path):
        return lambda event: values_of(value, event.document)
    raw = raw_values([value.path])
    return lambda event: scalars(raw(event), value)
