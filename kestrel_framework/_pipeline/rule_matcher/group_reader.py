"""Reads a group of fields from a view, absent objects as one value.

Most of the objects that some rule asks about are in no event of a kind: `url`, `dns`,
`process.parent.thread`. A view has the same empty one in their place, which stands for all fields
under it. An object that turns out to be there is read field by field from then on.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence

import attrs
import msgspec

from kestrel_framework._pipeline.event_decoder import RawReader


@attrs.frozen
class _Part:
    """One value that is read: of a field, or an object of several.

    Attributes:
        attribute: Where it stands in a view.
        fields: The places in the group of the fields it stands for.
        readers: What reads these fields from the object; empty for a field.
    """

    attribute: str
    fields: tuple[int, ...]
    readers: tuple[Callable[[object], object], ...] = ()


class GroupReader:
    """The way to read one group.

    Args:
        attributes: Where the fields stand in a view.
        present: The objects that are read field by field.
        is_empty: Says of an object of a view whether it stands for an absent one.

    Attributes:
        read: Reads the group from a view; the result can be a key.
    """

    def __init__(
        self,
        attributes: Sequence[str],
        present: Collection[str],
        is_empty: Callable[[object], bool],
    ) -> None:
        objects: dict[str, list[int]] = {}
        for place, attribute in enumerate(attributes):
            objects.setdefault(_absent_object(attribute, present), []).append(place)
        self._parts = [
            _Part(name, tuple(places), _readers(name, [attributes[place] for place in places]))
            for name, places in objects.items()
        ]
        self._count = len(attributes)
        self._is_empty = is_empty
        self.read: RawReader = operator.attrgetter(*objects)

    def values(self, key: object) -> tuple[list[object], list[str]]:
        """Return the values of the fields, given what was read, and the objects that are there."""
        read = (key,) if len(self._parts) == 1 else key
        assert isinstance(read, tuple)
        values: list[object] = [msgspec.UNSET] * self._count
        present = []
        for part, value in zip(self._parts, read, strict=True):
            if not part.readers:
                values[part.fields[0]] = value
            elif not self._is_empty(value):
                present.append(part.attribute)
                for place, read_field in zip(part.fields, part.readers, strict=True):
                    values[place] = read_field(value)
        return values, present


def _absent_object(attribute: str, present: Collection[str]) -> str:
    """Return the outermost object around a field that is not known to be there, or the field."""
    end = attribute.find(".")
    while end >= 0:
        if attribute[:end] not in present:
            return attribute[:end]
        end = attribute.find(".", end + 1)
    return attribute


def _readers(name: str, attributes: Sequence[str]) -> tuple[Callable[[object], object], ...]:
    if attributes == [name]:
        return ()
    return tuple(operator.attrgetter(attribute[len(name) + 1 :]) for attribute in attributes)
