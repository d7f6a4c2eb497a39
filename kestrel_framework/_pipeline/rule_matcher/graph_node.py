"""What the decision graph is made of: clauses, nodes, and the verdicts that ways end with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import attrs

from kestrel_framework._pipeline.event_decoder import RawReader
from kestrel_framework._pipeline.rule_matcher.field_engine import FieldMemo, FieldState
from kestrel_framework._pipeline.rule_matcher.group_reader import GroupReader
from kestrel_framework._pipeline.rule_matcher.residuals import EventTest, Residual


class Pending(NamedTuple):
    """What is left of a clause whose conditions hold.

    Attributes:
        target: The number of the target that holds where the clause does.
        needs: The disjunctions that no field has satisfied yet; a mask.
        residual: What remains to be decided besides; `HELD` if nothing.
    """

    target: int
    needs: int
    residual: Residual


@attrs.frozen
class IndexedClause:
    """A clause as the graph knows it.

    Attributes:
        fields: Which fields it has conditions on, by their numbers; a mask.
        pending: What is left of it when all these hold.
    """

    fields: int
    pending: Pending


@attrs.frozen
class Verdict:
    """What a path through the graph ends with.

    Attributes:
        targets: The targets that hold; ascending.
        residuals: Other targets, with what decides; a target may have several.
    """

    targets: tuple[int, ...] = ()
    residuals: tuple[tuple[int, EventTest], ...] = ()


NOTHING_HOLDS: Final = Verdict()


class Node(dict[object, "Node"]):
    """A set of live clauses; where all their conditions hold, what is left of them.

    Its items are the nodes that events go to: by the state of the field it looks at, by the
    states of several, or by what is read of a group. What is not known is found out.

    Attributes:
        read: Reads the fields to look at from a view; None at the end of a path.
        read_values: The same, without states.
        memo: The states of the one field's values; None where items are by what is read.
        group: What reads a group of fields.
        by_states: The nodes that events go to by the states of the fields of a group.
        present: The objects that were there, whose fields a group therefore reads one by one.
        follow: Finds out where to go on.
        verdict: At the end of a path: what holds.
        live: The clauses that are possible.
        wanted: The fields that conditions of these clauses still ask for; a mask.
        examined: The fields that were looked at for what is left of clauses; a mask.
        sure: Where all conditions hold: the targets that hold; ascending.
        pending: Where all conditions hold: what is left of clauses; else None.
        fields: The numbers of the fields to look at.
        step: What a scanner keeps here.
    """

    __slots__ = (
        "by_states",
        "examined",
        "fields",
        "follow",
        "group",
        "live",
        "memo",
        "pending",
        "present",
        "read",
        "read_values",
        "step",
        "sure",
        "verdict",
        "wanted",
    )

    def __init__(self, live: int, *, wanted: int = 0, examined: int = 0) -> None:
        self.live = live
        self.wanted = wanted
        self.examined = examined
        self.fields: tuple[int, ...] = ()
        self.read: RawReader | None = None
        self.read_values: RawReader
        self.memo: FieldMemo | None = None
        self.group: GroupReader
        self.by_states: dict[tuple[FieldState, ...], Node] = {}
        self.present: set[str] = set()
        self.follow: Callable[[Node, object], Node]
        self.sure: tuple[int, ...] = ()
        self.pending: tuple[Pending, ...] | None = None
        self.verdict = NOTHING_HOLDS
        self.step: object = None

    def __missing__(self, key: object) -> Node:
        return self.follow(self, key)

    def forget(self) -> tuple[dict[object, Node], dict[tuple[FieldState, ...], Node]]:
        """Forget, and return, which nodes follow."""
        forgotten = dict(self), self.by_states
        self.clear()
        self.by_states = {}
        return forgotten
