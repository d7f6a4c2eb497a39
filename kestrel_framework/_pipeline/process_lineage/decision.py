"""Decides, for one event, what the conditions proposed for it ask of lineage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

from kestrel_framework._pipeline.flow import Candidate
from kestrel_framework._pipeline.process_lineage.process_tree import Process, ProcessTree
from kestrel_framework._pipeline.process_lineage.queries import Query
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import Lineage, LineageRelation, Predicate

Processes: TypeAlias = Sequence[Process | None]
"""The process of an event in each tree."""

_RELATIONS: Final = tuple(LineageRelation)


@attrs.frozen
class Relation:
    """A `Lineage` node, and where its answer stands.

    Attributes:
        node: As the condition has it.
        tree: Which tree.
        question: What it asks of an event's process there; the same number for the same question.
        bit: The query that it asks for, in the answer.
    """

    node: Lineage
    tree: int
    question: int
    bit: int


def relation_of(node: Lineage, tree: int, bit: int) -> Relation:
    """Return a node with its question."""
    return Relation(node, tree, tree * len(_RELATIONS) + _RELATIONS.index(node.relation), bit)


@attrs.frozen
class Asked:
    """A condition that asks for lineage.

    Attributes:
        relations: What it asks for.
        remaining: What is left to decide then, where the matcher proposes the condition.
        otherwise: The number of the target that holds if the condition does without any of
            the relations; the matcher is quicker than asking `remaining`.
    """

    relations: tuple[Relation, ...]
    remaining: Predicate
    otherwise: int | None


@attrs.frozen
class Plan:
    """What to decide about an event that the matcher proposes some targets for.

    Attributes:
        queries: Those of them that are queries, and what each asks for in turn, if anything.
        rules: Those of them that are conditions of rules, and what each asks for.
        questions: A relation for each question that `rules` ask, and all bits they ask for.
        unrelated: The conditions of rules that hold if no relation does; None if that is not
            known beforehand.
    """

    queries: Sequence[tuple[Query, Asked | None]]
    rules: Sequence[tuple[int, Asked | None]]
    questions: Sequence[tuple[Relation, int]]
    unrelated: tuple[int, ...] | None


def plan_of(
    queries: Sequence[tuple[Query, Asked | None]],
    rules: Sequence[tuple[int, Asked | None]],
    targets: tuple[int, ...],
) -> Plan:
    """Return the plan for targets, given what they are; no query comes before one inside it."""
    questions: dict[int, tuple[Relation, int]] = {}
    asking = [asked for _, asked in rules if asked is not None]
    for asked in asking:
        for relation in asked.relations:
            first, bits = questions.get(relation.question, (relation, 0))
            questions[relation.question] = first, bits | relation.bit
    unrelated = None
    if all(asked.otherwise is not None for asked in asking):
        unrelated = tuple(
            [number for number, asked in rules if asked is None or asked.otherwise in targets]
        )
    return Plan(queries, rules, tuple(questions.values()), unrelated)


class Decision:
    """What is decided about one event.

    Attributes:
        lineage: The nodes that are known to hold.
        without_process: The trees in which the event has no process, of those it was needed in.
    """

    def __init__(
        self, candidate: Candidate, trees: Sequence[ProcessTree], processes: Processes
    ) -> None:
        self.lineage: set[Lineage] = set()
        self.without_process: set[int] = set()
        self._candidate = candidate
        self._trees = trees
        self._processes = processes
        self._answers: dict[int, int] = {}

    def decided(self, plan: Plan) -> tuple[int, ...]:
        """Mark the event's processes, and return the conditions of rules that may hold."""
        for query, asked in plan.queries:
            if asked is None or self._holds(asked):
                self._mark(query)
        if plan.unrelated is not None and not self._some_hold(plan.questions):
            return plan.unrelated
        return tuple(
            [number for number, asked in plan.rules if asked is None or self._holds(asked)]
        )

    def _mark(self, query: Query) -> None:
        """Note that the event satisfies a query."""
        process = self._processes[query.tree]
        if process is None:
            self.without_process.add(query.tree)
        else:
            self._trees[query.tree].mark(process, query.bit)
            self._answers.clear()

    def _some_hold(self, questions: Sequence[tuple[Relation, int]]) -> bool:
        """Say whether one of the queries asked for is in the answer; asks every question."""
        some_hold = False
        for relation, bits in questions:
            if self._answer(relation) & bits:
                some_hold = True
        return some_hold

    def _holds(self, asked: Asked) -> bool:
        """Say whether a condition may hold, which the matcher proposes."""
        some_hold = False
        for relation in asked.relations:
            if self._answer(relation) & relation.bit:
                self.lineage.add(relation.node)
                some_hold = True
        if asked.otherwise is not None and not some_hold:
            return asked.otherwise in self._candidate.targets
        return holds(asked.remaining, self._candidate.row.document, lineage=self.lineage)

    def _answer(self, relation: Relation) -> int:
        """Return the queries that events of the related processes satisfied, as a mask."""
        answer = self._answers.get(relation.question)
        if answer is None:
            process = self._processes[relation.tree]
            if process is None:
                self.without_process.add(relation.tree)
                answer = 0
            else:
                answer = _queries_of(relation.node.relation, process, self._trees[relation.tree])
            self._answers[relation.question] = answer
        return answer


def _queries_of(relation: LineageRelation, process: Process, tree: ProcessTree) -> int:
    """Return the queries that events of what is related to a process satisfied, as a mask."""
    match relation:
        case LineageRelation.EVENT:
            return process.own
        case LineageRelation.CHILD:
            return tree.of_parent(process)
        case LineageRelation.DESCENDANT:
            return tree.of_ancestors(process)
