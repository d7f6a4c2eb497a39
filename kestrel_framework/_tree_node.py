"""What every node of a predicate tree has room for: what the tree under it consists of."""

from __future__ import annotations

from typing import NamedTuple


class Contents(NamedTuple):
    """What a tree consists of.

    Attributes:
        kinds: The types of those nodes that ask for more than the values of fields: elements of
            lists, earlier steps, lineage, functions, truth.
        paths: The paths of the fields of the event at hand that it reads.
        structures: Those of `paths` where it asks about objects or lists as such.
    """

    kinds: frozenset[type]
    paths: frozenset[str]
    structures: frozenset[str]


class TreeNode:
    """A node of a predicate tree.

    Nodes never change, and every stage asks the same of them; so the answer of
    `predicate_traversal.contents_of` stays with the node, as its hash does. So do its clauses,
    where they were kept with the rule: see `kestrel_framework._clauses`.
    """

    __slots__ = ("_clauses", "_contents")

    _contents: Contents
    _clauses: object
