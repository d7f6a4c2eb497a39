"""How the parts of rules, and their attributes, are written as plain data and read again.

Made from the types that the classes of `kestrel_framework.predicate` and `kestrel_framework.rule`
state for their attributes, so that none can be forgotten.
"""

from __future__ import annotations

import enum
import operator
import types
from collections.abc import Callable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Final,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs
import msgspec
from msgspec.msgpack import Ext

from kestrel_framework import predicate as tree
from kestrel_framework import rule as rules
from kestrel_framework.functions import FUNCTIONS

_BIG_INTEGER: Final = 1
_LEAST_INTEGER: Final = -(2**63)
_GREATEST_INTEGER: Final = 2**64 - 1

_NODES: Final[tuple[type, ...]] = (*get_args(tree.Value), *get_args(tree.Predicate))
_PARTS: Final[tuple[type, ...]] = (
    *_NODES, rules.Program, rules.JoinKey, rules.Step, *get_args(rules.RuleBody), rules.Pipe,
)  # fmt: skip

_Raw: TypeAlias = object
"""What MessagePack has: None, booleans, numbers, texts, bytes, lists and mappings."""


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class WrongError(ValueError):
    """Something cannot be so, in a rule to write or in what is read."""


PartNumbers: TypeAlias = Mapping[int, int]
"""The numbers of the parts that are written, by the `id` of each."""

_Write: TypeAlias = Callable[[Any, PartNumbers], _Raw]
_Refer: TypeAlias = Callable[[Any, Sequence[object], list[int]], object]
"""Returns what stands for a value that was read, given the parts before it; adds the numbers of
those it refers to to the list. Raises `LookupError` where there is none, `WrongError` where it
cannot stand there."""


@attrs.frozen
class _Codec:
    """How one attribute is written and read; both refuse what the attribute cannot be.

    Attributes:
        write: Returns what is written for a value.
        raw: The type of what is written.
        refer: What is still to do to a value of that type, if anything is.
        has_parts: Whether values are parts, or have some in them.
    """

    write: _Write
    raw: Any
    refer: _Refer | None = None
    has_parts: bool = False


@attrs.frozen
class Shape:
    """How the parts of one class are written and read, attribute by attribute.

    Attributes:
        kind: The class.
        is_node: Whether it is a value or predicate.
        names: Its attributes.
        values: Returns those of a part.
        parts: The numbers of those that are parts, or have some in them.
        defaults: The defaults of the attributes.
        least: How many have none.
        writers: What writes the attributes.
        record: The class of what is written, with the same attributes.
        references: For the attributes of a record that are not ready as they are: their
            numbers, and what makes them ready.
        check: Says of a part whether it can be so.
    """

    kind: type
    is_node: bool
    names: tuple[str, ...]
    values: Callable[[Any], tuple[object, ...]]
    parts: tuple[int, ...]
    defaults: tuple[object, ...]
    least: int
    writers: tuple[_Write, ...]
    record: type[msgspec.Struct]
    references: tuple[tuple[int, _Refer], ...]
    check: Callable[[Any], bool] | None

    def is_default(self, index: int, value: object) -> bool:
        default = self.defaults[index]
        return value is default or (isinstance(default, (str, tuple)) and value == default)


def _plain(kind: type) -> _Codec:
    """Return the codec of texts, booleans, bytes, or integers of 64 bits."""

    def same(value: object, _: PartNumbers) -> _Raw:
        if type(value) is not kind:
            raise WrongError(f"{_short(value)} is not of the type {kind.__name__}")
        return value

    return _Codec(same, kind)


def _scalar() -> _Codec:
    """Return the codec of constants: null, texts, booleans and numbers of any size."""
    kinds = (str, int, float, bool, types.NoneType)

    def write(value: object, _: PartNumbers) -> _Raw:
        if type(value) is int and not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
            size = value.bit_length() // 8 + 1
            return Ext(_BIG_INTEGER, value.to_bytes(size, signed=True))
        if type(value) not in kinds:
            raise WrongError(f"{_short(value)} is no constant")
        return value

    def refer(raw: _Raw, _: Sequence[object], __: list[int]) -> object:
        if type(raw) in kinds:
            return raw
        if isinstance(raw, Ext) and raw.code == _BIG_INTEGER:
            return int.from_bytes(raw.data, signed=True)
        raise WrongError(f"{_short(raw)} is no constant")

    return _Codec(write, Any, refer)


def _enumerated(kind: type[enum.Enum]) -> _Codec:
    def write(value: object, _: PartNumbers) -> _Raw:
        if not isinstance(value, kind):
            raise WrongError(f"{_short(value)} is no {kind.__name__}")
        return value.value

    return _Codec(write, kind)


def _part(kinds: frozenset[type]) -> _Codec:
    def write(value: object, numbers: PartNumbers) -> _Raw:
        if type(value) not in kinds:
            raise WrongError(f"{_short(value)} cannot stand there")
        return numbers[id(value)]

    def refer(number: int, parts: Sequence[object], used: list[int]) -> object:
        part = parts[number]
        if type(part) not in kinds:
            raise WrongError(f"a {type(part).__name__} cannot stand there")
        used.append(number)
        return part

    return _Codec(write, Count, refer, has_parts=True)


def _parts(kinds: frozenset[type]) -> _Codec:
    """Return the codec of tuples of parts."""
    each = _tuple(_part(kinds))

    def refer(numbers: tuple[int, ...], parts: Sequence[object], used: list[int]) -> object:
        found = tuple([parts[number] for number in numbers])
        if not kinds.issuperset(map(type, found)):
            wrong = next(part for part in found if type(part) not in kinds)
            raise WrongError(f"a {type(wrong).__name__} cannot stand there")
        used += numbers
        return found

    return attrs.evolve(each, refer=refer)


def _part_or_integer(kinds: frozenset[type]) -> _Codec:
    """Return the codec of what is a part, or an integer: that one stands in a list of one."""
    part, integer = _part(kinds), _plain(int)
    refer_part = part.refer
    assert refer_part is not None

    def write(value: object, numbers: PartNumbers) -> _Raw:
        return [integer.write(value, numbers)] if type(value) is int else part.write(value, numbers)

    def refer(raw: int | tuple[int, ...], parts: Sequence[object], used: list[int]) -> object:
        if isinstance(raw, int):
            return refer_part(raw, parts, used)
        if len(raw) != 1:
            raise WrongError("an integer is not alone in its list")
        return raw[0]

    # With a `tuple[int]` of a fixed length there, msgspec 0.22 crashes.
    return _Codec(write, Count | tuple[int, ...], refer, has_parts=True)


def _optional(codec: _Codec) -> _Codec:
    inner = codec.refer
    return _Codec(
        lambda value, numbers: None if value is None else codec.write(value, numbers),
        codec.raw | None,
        inner and (lambda raw, parts, used: None if raw is None else inner(raw, parts, used)),
        codec.has_parts,
    )


def _tuple(item: _Codec) -> _Codec:
    def write(value: object, numbers: PartNumbers) -> _Raw:
        if not isinstance(value, tuple):
            raise WrongError(f"{_short(value)} is no tuple")
        return [item.write(each, numbers) for each in value]

    inner = item.refer
    return _Codec(
        write,
        tuple[item.raw, ...],  # type: ignore[name-defined]
        inner and (lambda raws, parts, used: tuple([inner(each, parts, used) for each in raws])),
        item.has_parts,
    )


def _set(item: _Codec) -> _Codec:
    """Return the codec of sets of what is ready as it is written."""
    several = _tuple(item)

    def write(value: object, numbers: PartNumbers) -> _Raw:
        if not isinstance(value, frozenset):
            raise WrongError(f"{_short(value)} is no set")
        return several.write(tuple(sorted(value)), numbers)

    return _Codec(write, frozenset[item.raw])  # type: ignore[name-defined]


def _mapping(item: _Codec) -> _Codec:
    """Return the codec of mappings from texts to what is ready as it is written."""
    text = _plain(str)

    def write(value: object, numbers: PartNumbers) -> _Raw:
        if not isinstance(value, Mapping):
            raise WrongError(f"{_short(value)} is no mapping")
        return {text.write(key, numbers): item.write(value[key], numbers) for key in sorted(value)}

    return _Codec(write, dict[str, item.raw])  # type: ignore[name-defined]


def _codec(hint: Any) -> _Codec:
    """Return the codec for an attribute of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        kinds = frozenset(get_args(arguments[0]) or (arguments[0],))
        return _parts(kinds) if kinds.issubset(_PARTS) else _tuple(_codec(arguments[0]))
    if origin is frozenset:
        return _set(_codec(arguments[0]))
    if origin is Mapping:
        return _mapping(_codec(arguments[1]))
    return _codec_of_one(frozenset(arguments or (hint,)))


def _codec_of_one(kinds: frozenset[type]) -> _Codec:
    """Return the codec for an attribute that is of one of several types."""
    if float in kinds:
        return _scalar()
    if types.NoneType in kinds:
        return _optional(_codec_of_one(kinds - {types.NoneType}))
    parts = kinds.intersection(_PARTS)
    if parts:
        return _part_or_integer(parts) if int in kinds else _part(parts)
    (kind,) = kinds
    return _enumerated(kind) if issubclass(kind, enum.Enum) else _plain(kind)


_CHECKS: Final[Mapping[type, Callable[[Any], bool]]] = {
    tree.Call: lambda call: FUNCTIONS[call.function].takes(len(call.arguments)),
    tree.Membership: lambda membership: (
        bool(membership.choices) and all(each.value is not None for each in membership.choices)
    ),
    tree.StepField: lambda field: field.step >= 0,
    rules.SequenceRule: lambda body: bool(body.steps),
    rules.SampleRule: lambda body: bool(body.filters),
    rules.JoinRule: lambda body: bool(body.filters),
}


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[object, ...]]:
    get = operator.attrgetter(*names)
    return get if len(names) > 1 else lambda part: (get(part),)


def _shape_from(kind: type) -> Shape:
    hints = get_type_hints(kind)
    attributes = attrs.fields(kind)
    names = tuple(attribute.name for attribute in attributes)
    codecs = [_codec(hints[attribute.name]) for attribute in attributes]
    fields = [
        (attribute.name, codec.raw, attribute.default)
        if attribute.default is not attrs.NOTHING
        else (attribute.name, codec.raw)
        for attribute, codec in zip(attributes, codecs, strict=True)
    ]
    return Shape(
        kind,
        kind in _NODES,
        names,
        _getter(names),
        tuple(number for number, codec in enumerate(codecs) if codec.has_parts),
        tuple(attribute.default for attribute in attributes),
        sum(attribute.default is attrs.NOTHING for attribute in attributes),
        tuple(codec.write for codec in codecs),
        msgspec.defstruct(
            f"{kind.__name__}Record",
            fields,
            tag=kind.__name__,
            tag_field="kind_of_record",
            array_like=True,
            forbid_unknown_fields=True,
            frozen=True,
            gc=False,
        ),
        tuple((n, codec.refer) for n, codec in enumerate(codecs) if codec.refer is not None),
        _CHECKS.get(kind),
    )


SHAPES: Final[Mapping[str, Shape]] = {kind.__name__: _shape_from(kind) for kind in _PARTS}
SHAPES_OF_RECORDS: Final[Mapping[type, Shape]] = {shape.record: shape for shape in SHAPES.values()}
RECORDS: Final = msgspec.msgpack.Decoder(list[Union[tuple(SHAPES_OF_RECORDS)]])  # type: ignore[misc]  # noqa: UP007 - made here
"""Reads the records of a document, each of the type that its class has."""


def shape_of(part: object) -> Shape:
    """Return how a part is written.

    Raises:
        WrongError: it is no part of a rule.
    """
    shape = SHAPES.get(type(part).__name__)
    if shape is None or shape.kind is not type(part):
        raise WrongError(f"{_short(part)} cannot be encoded")
    return shape


def parts_in(shape: Shape, values: Sequence[object]) -> list[object]:
    """Return the parts directly inside a part that has these values of its attributes."""
    found: list[object] = []
    for number in shape.parts:
        value = values[number]
        if type(value) is tuple:
            found += [each for each in value if type(each) is not int]
        elif value is not None:
            found.append(value)
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
