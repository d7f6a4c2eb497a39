"""Compiled rules as bytes: to keep them in a cache or a store, or to hand them to another process.

The bytes say everything that a body, its pipes or a predicate mean, and nothing else: equal
meaning gives equal bytes. Reading them runs no code and trusts nothing: whatever the bytes are,
the outcome is a well-formed tree or a `ValueError`. Well-formed: only known nodes with attributes
of their types, functions with as many arguments as they take, right regular expressions and
networks, no deeper than `kestrel_framework.predicate.MAX_DEPTH`.

The format is MessagePack: `["kestrel rule", version, records, root]`. A record is a list of the
name of a class and its attributes in order; those at the end that have their default are left out.
Where an attribute is itself such an object, the number of its record stands there, which is always
an earlier one; an integer that could stand there instead is in a list of one. Equal parts of a tree
are one record. `root` is the number of the body's or predicate's record, or a list of several.
Integers beyond 64 bits are extensions of type 1, in two's complement. A version does not
read the bytes of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast, get_args

import msgspec
from msgspec.structs import astuple

from kestrel_framework import predicate as tree
from kestrel_framework._rule_codecs import (
    RECORDS,
    SHAPES_OF_RECORDS,
    Count,
    Shape,
    WrongError,
    parts_in,
    shape_of,
)  # fmt: skip
from kestrel_framework.predicate import MAX_DEPTH, Predicate
from kestrel_framework.rule import Pipe, RuleBody

__all__ = [
    "MAX_NODES",
    "VERSION",
    "decode_body",
    "decode_parts",
    "decode_pipes",
    "decode_predicate",
    "encode_body",
    "encode_parts",
    "encode_pipes",
    "encode_predicate",
]

VERSION: Final = 1
"""The version of the format: another one for every change that this code would not understand."""

MAX_NODES: Final = 1_000_000
"""How many nodes a predicate may have; one that stands in several places counts in each."""

_NAME: Final = "kestrel rule"


def encode_body(body: RuleBody) -> bytes:
    """Return the bytes of the body of a rule, which `decode_body` reads.

    Raises:
        ValueError: a text in it is not Unicode, or it is too deep or too large.
    """
    return _Writer().document(body)


def decode_body(data: bytes) -> RuleBody:
    """Return the body that `encode_body` made `data` of.

    Raises:
        ValueError: the bytes are not those of a body.
    """
    return cast(RuleBody, _Reader(data).root(get_args(RuleBody)))


def encode_predicate(predicate: Predicate) -> bytes:
    """Return the bytes of a predicate, which `decode_predicate` reads.

    Raises:
        ValueError: a text in it is not Unicode, or it is too deep or too large.
    """
    return _Writer().document(predicate)


def decode_predicate(data: bytes) -> Predicate:
    """Return the predicate that `encode_predicate` made `data` of.

    Raises:
        ValueError: the bytes are not those of a predicate.
    """
    return cast(Predicate, _Reader(data).root(get_args(tree.Predicate)))


def encode_pipes(pipes: Sequence[Pipe]) -> bytes:
    """Return the bytes of the pipes of a rule, which `decode_pipes` reads.

    Raises:
        ValueError: a text in them is not Unicode, or one is too deep or too large.
    """
    return _Writer().document(pipes)


def decode_pipes(data: bytes) -> tuple[Pipe, ...]:
    """Return the pipes that `encode_pipes` made `data` of.

    Raises:
        ValueError: the bytes are not those of pipes.
    """
    return cast(tuple[Pipe, ...], _Reader(data).roots((Pipe,)))


def encode_parts(parts: Sequence[RuleBody | Pipe | Predicate]) -> bytes:
    """Return the bytes of bodies, pipes and predicates of several rules, for `decode_parts`.

    What is equal in several of them is written once.

    Raises:
        ValueError: a text in them is not Unicode, or one is too deep or too large.
    """
    return _Writer().document(parts)


def decode_parts(data: bytes) -> tuple[RuleBody | Pipe | Predicate, ...]:
    """Return the parts that `encode_parts` made `data` of; equal nodes in them are one object.

    Raises:
        ValueError: the bytes are not those of bodies, pipes and predicates.
    """
    kinds = (*get_args(RuleBody), Pipe, *get_args(tree.Predicate))
    return cast("tuple[RuleBody | Pipe | Predicate, ...]", _Reader(data).roots(kinds))


# --- whole documents -------------------------------------------------------------------


class _Sizes:
    """How large the parts of one document are: their levels, and how many parts are in them."""

    def __init__(self) -> None:
        self._depths: list[int] = []
        self._nodes: list[int] = []

    def add(self, shape: Shape, inner: Sequence[int]) -> None:
        """Add the next part, which has the parts of these numbers inside.

        Raises:
            WrongError: it is too large.
        """
        depths, sizes = self._depths, self._nodes
        if not inner:
            depths.append(1)
            sizes.append(1)
            return
        if len(inner) == 1:
            depth, nodes = 1 + depths[inner[0]], 1 + sizes[inner[0]]
        else:
            depth = 1 + max(map(depths.__getitem__, inner))
            nodes = 1 + sum(map(sizes.__getitem__, inner))
        if shape.is_node and (depth > MAX_DEPTH or nodes > MAX_NODES):
            if depth > MAX_DEPTH:
                raise WrongError(f"it nests deeper than {MAX_DEPTH} levels")
            raise WrongError(f"it has more than {MAX_NODES:,} nodes")
        depths.append(depth)
        sizes.append(nodes)


_MOST_LEVELS: Final = MAX_DEPTH + 8
"""How deep is looked: nodes as deep as they may nest, in the parts of a body."""
_RECORD: Final = msgspec.msgpack.Encoder()


class _Writer:
    """Numbers the parts of one document, each after those inside it."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._records: dict[bytes, int] = {}
        self._sizes = _Sizes()

    def document(self, root: object) -> bytes:
        try:
            if isinstance(root, Sequence):
                number: object = [self._number(part) for part in root]
            else:
                number = self._number(root)
        except UnicodeEncodeError as error:
            raise ValueError(f"a text cannot be encoded: {error}") from error
        records = [msgspec.Raw(record) for record in self._records]
        return msgspec.msgpack.encode([_NAME, VERSION, records, number])

    def _number(self, part: object, level: int = 1) -> int:
        number = self._numbers.get(id(part))
        if number is None:
            if level > _MOST_LEVELS:
                raise WrongError(f"it nests deeper than {MAX_DEPTH} levels")
            shape = shape_of(part)
            values = shape.values(part)
            inner = []
            for each in reversed(parts_in(shape, values)):
                inner.append(self._number(each, level + 1))  # noqa: PERF401 - one frame a level
            number = self._numbers[id(part)] = self._add(shape, values, inner)
        return number

    def _add(self, shape: Shape, values: Sequence[object], inner: Sequence[int]) -> int:
        written = len(values)
        while written > shape.least and shape.is_default(written - 1, values[written - 1]):
            written -= 1
        numbers = self._numbers
        pairs = zip(shape.writers, values[:written], strict=False)
        raws = [write(value, numbers) for write, value in pairs]
        record = _RECORD.encode([shape.kind.__name__, *raws])
        number = self._records.get(record)
        if number is None:
            number = self._records[record] = len(self._records)
            self._sizes.add(shape, inner)
        return number


class _Reader:
    """The parts of one document."""

    def __init__(self, data: bytes) -> None:
        try:
            name, version, records, self._root = _DOCUMENT.decode(data)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"this is no encoded rule: {error}") from error
        if name != _NAME:
            raise ValueError("this is no encoded rule: it does not say that it is one")
        if version != VERSION:
            raise ValueError(f"the rule is encoded in version {version}, not {VERSION}")
        self._parts: list[object] = []
        self._sizes = _Sizes()
        try:
            self._add(RECORDS.decode(records))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(f"the encoded rule is damaged: {error}") from error
        except (ValueError, LookupError) as error:
            why = "it refers to a part that was not there before"
            why = why if isinstance(error, LookupError) else str(error)
            number = len(self._parts)
            raise ValueError(f"the encoded rule is damaged: part {number}: {why}") from error

    def root(self, kinds: tuple[type, ...]) -> object:
        """Return the only part that the document is about, which is of one of `kinds`."""
        if not isinstance(self._root, int):
            raise ValueError("the encoded rule is damaged: it is a list")  # noqa: TRY004 - data
        return self._of_kind(self._root, kinds)

    def roots(self, kinds: tuple[type, ...]) -> tuple[object, ...]:
        """Return the parts that the document is about."""
        if not isinstance(self._root, list):
            raise ValueError("the encoded rule is damaged: it has no list")  # noqa: TRY004 - data
        return tuple([self._of_kind(number, kinds) for number in self._root])

    def _of_kind(self, number: int, kinds: tuple[type, ...]) -> object:
        if number >= len(self._parts):
            raise ValueError(
                "the encoded rule is damaged: it refers to a part that was not there before"
            )
        part = self._parts[number]
        if type(part) not in kinds:
            name = type(part).__name__
            raise ValueError(f"the encoded rule is damaged: a {name} cannot stand there")
        return part

    def _add(self, records: list[msgspec.Struct]) -> None:
        parts, add_size, shapes = self._parts, self._sizes.add, SHAPES_OF_RECORDS
        for record in records:
            shape = shapes[type(record)]
            values = list(astuple(record))
            used: list[int] = []
            for number, refer in shape.references:
                values[number] = refer(values[number], parts, used)
            add_size(shape, used)
            part = shape.kind(*values)
            check = shape.check
            if check is not None and not check(part):
                raise WrongError(f"a {shape.kind.__name__} cannot be so")
            parts.append(part)


_DOCUMENT: Final = msgspec.msgpack.Decoder(tuple[str, int, msgspec.Raw, Count | list[Count]])
