"""Looking at a predicate tree: its parts, what it reads, and its canonical form."""

from __future__ import annotations

import enum
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from kestrel_framework._tree_node import Contents
from kestrel_framework.predicate import (
    And,
    AnyElement,
    Arithmetic,
    Call,
    Cidr,
    Comparison,
    ElementCount,
    Field,
    IsNull,
    Lineage,
    Literal,
    Membership,
    Node,
    Not,
    Or,
    Regex,
    StepField,
    TextTest,
    Truth,
    Wildcard,
)
from kestrel_framework.schema import FieldType

NodeT = TypeVar("NodeT", bound=Node)


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly under `node`, in order."""
    read = _CHILDREN.get(type(node))
    return () if read is None else read(node)


def _membership(node: Membership) -> tuple[Node, ...]:
    return (node.value, *node.choices)


def _one(name: str) -> Callable[[Any], tuple[Node, ...]]:
    read = operator.attrgetter(name)
    return lambda node: (read(node),)


# A table, since rule sets have hundreds of thousands of nodes.
_CHILDREN: Final[Mapping[type, Callable[[Any], tuple[Node, ...]]]] = {
    Comparison: operator.attrgetter("left", "right"),
    Arithmetic: operator.attrgetter("left", "right"),
    Membership: _membership,
    Wildcard: _one("value"),
    Regex: _one("value"),
    Cidr: _one("value"),
    IsNull: _one("value"),
    TextTest: operator.attrgetter("value", "part"),
    AnyElement: operator.attrgetter("array", "predicate"),
    ElementCount: operator.attrgetter("array", "predicate"),
    Lineage: operator.attrgetter("predicate", "process", "parent"),
    And: operator.attrgetter("terms"),
    Or: operator.attrgetter("terms"),
    Not: _one("term"),
    Call: operator.attrgetter("arguments"),
    Truth: operator.attrgetter("holds", "fails"),
}


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and every node under it, parents first, without recursion."""
    waiting: list[Node] = [node]
    readers = _CHILDREN
    while waiting:
        current = waiting.pop()
        yield current
        read = readers.get(type(current))
        if read is not None:
            waiting.extend(read(current)[::-1])


def contents_of(node: Node) -> Contents:
    """Return what the tree consists of. Cost: linear the first time, then nothing."""
    known: Contents | None = getattr(node, "_contents", None)
    if known is not None:
        return known
    found: list[tuple[Node, tuple[Node, ...]]] = []
    waiting = [node]
    keep = object.__setattr__  # as attrs keeps hashes: nothing that is compared or shown changes
    only_parts, readers, own_contents = _ONLY_PARTS, _READERS, _OWN_CONTENTS
    while waiting:
        current = waiting.pop()
        if getattr(current, "_contents", None) is not None:
            continue
        kind = type(current)
        if kind in only_parts:
            inside = getattr(only_parts[kind](current), "_contents", None)
            if inside is not None:
                keep(current, "_contents", inside)
                continue
        read = readers.get(kind)
        parts: tuple[Node, ...] = () if read is None else read(current)
        found.append((current, parts))
        waiting += parts
    for current, parts in reversed(found):
        contents = parts[0]._contents if len(parts) == 1 else _joined(parts)
        own = own_contents.get(type(current))
        if own is not None:
            contents = own(current, contents)
        keep(current, "_contents", contents)
    return node._contents


def _joined(nodes: Sequence[Node]) -> Contents:
    different = {node._contents for node in nodes}
    if len(different) == 1:
        return different.pop()
    if not different:
        return _NO_CONTENTS
    kinds, paths, structures = zip(*different, strict=True)
    return Contents(_NOTHING.union(*kinds), _NOTHING.union(*paths), _NOTHING.union(*structures))


def _of_field(node: Field, _: Contents) -> Contents:
    paths = frozenset((node.path,))
    return Contents(frozenset(), paths, paths if node.whole else frozenset())


def _of_kind(node: Node, inside: Contents) -> Contents:
    return inside._replace(kinds=inside.kinds | {type(node)})


def _of_null_test(node: IsNull, inside: Contents) -> Contents:
    return _with_structure(node.value, inside)


def _of_quantifier(node: AnyElement | ElementCount, inside: Contents) -> Contents:
    return _with_structure(node.array, _of_kind(node, inside))


def _with_structure(value: Node, inside: Contents) -> Contents:
    if isinstance(value, Field) and value.type in (None, FieldType.OBJECT):
        return inside._replace(structures=inside.structures | {value.path})
    return inside


_NOTHING: Final[frozenset[Any]] = frozenset()
_NO_CONTENTS: Final = Contents(_NOTHING, _NOTHING, _NOTHING)
_OWN_CONTENTS: Final[Mapping[type, Callable[[Any, Contents], Contents]]] = {
    Field: _of_field,
    StepField: _of_kind,
    Call: _of_kind,
    Truth: _of_kind,
    Lineage: _of_kind,
    ElementCount: _of_quantifier,
    AnyElement: _of_quantifier,
    IsNull: _of_null_test,
}
"""What nodes add to what is inside; most add nothing, and share it."""


def _but_literals(read: Callable[[Any], tuple[Node, ...]]) -> Callable[[Any], tuple[Node, ...]]:
    def parts(node: Node) -> tuple[Node, ...]:
        found = read(node)
        if Literal in map(type, found):
            return tuple([part for part in found if type(part) is not Literal])
        return found

    return parts


_ONLY_PARTS: Final[Mapping[type, Callable[[Any], Node]]] = {
    **dict.fromkeys((Membership, Wildcard, Regex, Cidr), operator.attrgetter("value")),
    Not: operator.attrgetter("term"),
}
"""Nodes that have the contents of one part, and add nothing."""

_READERS: Final[Mapping[type, Callable[[Any], tuple[Node, ...]]]] = {
    **_CHILDREN,
    Membership: _but_literals(_CHILDREN[Wildcard]),
    Comparison: _but_literals(_CHILDREN[Comparison]),
    TextTest: _but_literals(_CHILDREN[TextTest]),
}
"""The parts of a node that may read anything; the choices of a membership are many, and do not."""


def size(node: Node) -> int:
    """Return how many nodes the tree has."""
    return sum(map(len, _levels(node)))


def depth(node: Node) -> int:
    """Return how deep the tree nests; a leaf without operands is 1."""
    return sum(1 for _ in _levels(node))


def _levels(node: Node) -> Iterator[Sequence[Node]]:
    """Yield the node, then all nodes directly under it, then those under them, and so on."""
    readers = _CHILDREN
    level: Sequence[Node] = (node,)
    while level:
        yield level
        level = [
            child
            for parent in level
            if (read := readers.get(type(parent))) is not None
            for child in read(parent)
        ]


def fields_of(node: Node) -> frozenset[str]:
    """Return the paths of the fields of the event at hand that the tree reads."""
    return contents_of(node).paths


def steps_of(node: Node) -> frozenset[int]:
    """Return the earlier steps whose events the tree reads."""
    if StepField not in contents_of(node).kinds:
        return frozenset()
    return frozenset(part.step for part in walk(node) if isinstance(part, StepField))


def lineages_of(node: Node) -> tuple[Lineage, ...]:
    """Return the different `Lineage` nodes in the tree, each after those inside it."""
    if Lineage not in contents_of(node).kinds:
        return ()
    found = [part for part in walk(node) if isinstance(part, Lineage)]
    return tuple(dict.fromkeys(reversed(found)))


def with_fields(node: NodeT, change: Callable[[Field], Field]) -> NodeT:
    """Return the tree with every `Field` (of the event at hand) replaced by `change` of it."""
    if isinstance(node, Field):
        return change(node)  # type: ignore[return-value]
    changes: dict[str, object] = {}
    for attribute in attrs.fields(type(node)):
        value = getattr(node, attribute.name)
        if attrs.has(type(value)):
            changes[attribute.name] = with_fields(value, change)
        elif isinstance(value, tuple) and value and attrs.has(type(value[0])):
            changes[attribute.name] = tuple([with_fields(inner, change) for inner in value])
    if not changes:
        return node
    kept = {a.name: getattr(node, a.name) for a in attrs.fields(type(node))}
    return type(node)(**{**kept, **changes})


def to_data(node: Node) -> dict[str, object]:
    """Return the tree as plain data: canonical, ready for JSON, one key `node` per node."""
    data: dict[str, object] = {"node": type(node).__name__}
    for attribute in attrs.fields(type(node)):
        data[attribute.name] = _plain(getattr(node, attribute.name))
    return data


def _plain(value: object) -> object:
    if attrs.has(type(value)):
        return to_data(value)  # type: ignore[arg-type]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, float):
        return {"float": repr(value)}
    return value
