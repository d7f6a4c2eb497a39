"""The state of the trees as bytes.

An envelope says what it is: a name, a version, a checksum, and the content as bytes. Trees and
queries are named by digests of what they mean, so that another rule set finds its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import attrs
import msgspec

from kestrel_framework._pipeline.process_lineage.process_ids import ProcessId
from kestrel_framework._pipeline.process_lineage.process_tree import Process
from kestrel_framework._pipeline.process_lineage.statistics import LineageStatistics
from kestrel_framework.errors import StateError

_NAME: Final = "kestrel-lineage"
_VERSION: Final = 1


@attrs.frozen
class TreeState:
    """One tree, taken apart from its rules.

    Attributes:
        name: The digest of its two fields.
        queries: The digest of each query, by its bit.
        processes: In the order in which they would be evicted.
    """

    name: str
    queries: tuple[str, ...]
    processes: Sequence[Process]


@attrs.frozen
class LineageState:
    """All trees, and what was counted of them."""

    trees: Sequence[TreeState] = ()
    statistics: LineageStatistics = attrs.field(factory=LineageStatistics)


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    name: str
    version: int
    checksum: int
    content: bytes


class _Tree(msgspec.Struct, array_like=True, frozen=True):
    """The columns of the processes; marks count in `masks`, which has each mask once."""

    name: str
    queries: list[str]
    masks: list[bytes]
    ids: list[str | int | float]
    parents: list[str | int | float | None]
    own: list[int]
    of_parent: list[int]
    inherited: list[int]


class _Content(msgspec.Struct, array_like=True, frozen=True):
    trees: list[_Tree]
    evicted_unmarked: int
    evicted_marked: int
    long_ids: int
    cut_walks: int


def encode(state: LineageState) -> bytes:
    """Return `state` as bytes."""
    counted = state.statistics
    content = msgspec.msgpack.encode(
        _Content(
            [_tree(tree) for tree in state.trees],
            counted.evicted_unmarked,
            counted.evicted_marked,
            counted.long_ids,
            counted.cut_walks,
        )
    )
    return msgspec.msgpack.encode(_Envelope(_NAME, _VERSION, zlib.crc32(content), content))


def decode(snapshot: bytes) -> LineageState:
    """Return what `encode` was given.

    Raises:
        StateError: the bytes are damaged, or of another version.
    """
    try:
        envelope = msgspec.msgpack.decode(snapshot, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateError(f"the snapshot of the processes is damaged: {error}") from error
    if envelope.name != _NAME:
        raise StateError("this is no snapshot of processes")
    if envelope.version != _VERSION:
        raise StateError(
            f"the snapshot of the processes has version {envelope.version}; "
            f"this kernel reads version {_VERSION}"
        )
    if zlib.crc32(envelope.content) != envelope.checksum:
        raise StateError("the snapshot of the processes is damaged: its checksum is wrong")
    try:
        content = msgspec.msgpack.decode(envelope.content, type=_Content)
        trees = [_decoded(tree) for tree in content.trees]
    except (msgspec.MsgspecError, ValueError) as error:
        raise StateError(f"the snapshot of the processes is damaged: {error}") from error
    return LineageState(
        trees,
        LineageStatistics(
            0,
            content.evicted_unmarked,
            content.evicted_marked,
            content.long_ids,
            content.cut_walks,
        ),
    )


def _tree(tree: TreeState) -> _Tree:
    numbers: dict[int, int] = {}
    ids: list[ProcessId] = []
    parents: list[ProcessId | None] = []
    columns: tuple[list[int], list[int], list[int]] = ([], [], [])
    for process in tree.processes:
        ids.append(process.id)
        parents.append(process.parent)
        for column, mask in zip(
            columns, (process.own, process.of_parent, process.inherited), strict=True
        ):
            column.append(numbers.setdefault(mask, len(numbers)))
    size = (len(tree.queries) + 7) // 8
    masks = [mask.to_bytes(size, "little") for mask in numbers]
    return _Tree(tree.name, list(tree.queries), masks, ids, parents, *columns)


def _decoded(tree: _Tree) -> TreeState:
    masks = [int.from_bytes(mask, "little") for mask in tree.masks]
    if any(mask >> len(tree.queries) for mask in masks):
        raise ValueError("a mark is of no query")
    for column in (tree.own, tree.of_parent, tree.inherited):
        if any(not 0 <= number < len(masks) for number in column):
            raise ValueError("a mark has no mask")
    if len(set(tree.ids)) != len(tree.ids):
        raise ValueError("a process is there twice")
    processes = [
        Process(process_id, parent, masks[own], masks[of_parent], masks[inherited])
        for process_id, parent, own, of_parent, inherited in zip(
            tree.ids, tree.parents, tree.own, tree.of_parent, tree.inherited, strict=True
        )
    ]
    return TreeState(tree.name, tuple(tree.queries), processes)
