"""The stage: follows all events, and decides what conditions ask of lineage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from kestrel_framework._pipeline.flow import Candidate, Problem, Target
from kestrel_framework._pipeline.over_approximation import (
    decided_by_lineage,
    expression_of,
    where_no_lineage_holds,
)
from kestrel_framework._pipeline.process_lineage.decision import (
    Asked,
    Decision,
    Plan,
    Processes,
    Relation,
    plan_of,
    relation_of,
)
from kestrel_framework._pipeline.process_lineage.encoding import LineageState, TreeState
from kestrel_framework._pipeline.process_lineage.limits import LineageLimits
from kestrel_framework._pipeline.process_lineage.process_ids import process_id_reader, texts_are_ids
from kestrel_framework._pipeline.process_lineage.process_tree import Process, ProcessTree
from kestrel_framework._pipeline.process_lineage.queries import (
    QueryTable,
    TreeFields,
    outer_lineages,
    tree_name,
)
from kestrel_framework._pipeline.process_lineage.statistics import LineageStatistics
from kestrel_framework.predicate import Lineage
from kestrel_framework.rule import RuleSet

_MOST_PLANS: Final = 4096


class ProcessLineage:
    """Decides the `Lineage` nodes of a rule set, from the events that came before.

    It has conditions of its own for the matcher, whose numbers come after those of the rules:
    first every different query inside such a node, then what conditions mean where no
    lineage holds. Where no rule asks for lineage there are none, and nothing costs anything.
    Events are given in their order; however they are cut into calls, the answers are
    the same.

    Args:
        rules: The rule set.
        targets: Its conditions, as `targets_of` numbers them.
        limits: How much to remember.
        report: Told of each event that has no process where one is needed, and of odd ids.

    Raises:
        RuleError: a rule asks for lineage where it cannot be known.
    """

    def __init__(
        self,
        rules: RuleSet,
        targets: Sequence[Target],
        limits: LineageLimits | None = None,
        report: Callable[[Problem], None] | None = None,
    ) -> None:
        self.statistics = LineageStatistics()
        self._limits = limits or LineageLimits()
        self._report = report or (lambda problem: None)
        self._place: Callable[[int], str] = str
        self._table = QueryTable(rules, targets)
        self._trees = [self._tree(fields) for fields in self._table.trees]
        self._tree_names = [tree_name(fields) for fields in self._table.trees]
        self._rule_numbers = range(len(targets))
        queries = [query.target for query in self._table.queries]
        self._query_numbers = range(len(targets), len(targets) + len(queries))
        self._targets = queries
        self._asked: dict[int, Asked] = {}
        for number, target in enumerate((*targets, *queries)):
            nodes = outer_lineages(expression_of(target.condition))
            if nodes:
                relations = tuple(self._relation(node) for node in nodes)
                remaining = decided_by_lineage(target.condition)
                self._asked[number] = Asked(relations, remaining, self._otherwise(target))
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._concerned = self._asked.keys() | self._query_numbers

    @property
    def targets(self) -> tuple[Target, ...]:
        """The conditions that the matcher has to test beside those of the rules."""
        return tuple(self._targets)

    @property
    def asked(self) -> frozenset[int]:
        """The targets that ask for lineage."""
        return frozenset(self._asked)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths whose values `decide` needs of every event."""
        return tuple(field.path for fields in self._table.trees for field in fields)

    def decide(
        self,
        events: Sequence[tuple[object, ...]],
        candidates: list[Candidate],
        place: Callable[[int], str] = str,
    ) -> list[Candidate]:
        """Learn from all events, and return the candidates that are left, in order.

        Args:
            events: What each event has at `paths`, in the order of the events.
            candidates: What the matcher says of them; `Candidate.index` counts in `events`.
            place: What to call an event in reports, by its index.

        Returns:
            The candidates with the targets of rules that are left. Conditions that also read
            earlier steps are kept where they may hold.
        """
        if not self._trees:
            return candidates
        left = []
        self._place = place
        seen = 0
        for candidate in candidates:
            if self._concerned.isdisjoint(candidate.targets):
                left.append(candidate)
                continue
            index = candidate.index
            self._see_all(events[seen:index], seen)
            seen = index + 1
            decided = self._decided(candidate, self._see(events[index], index))
            if decided.targets:
                left.append(decided)
        self._see_all(events[seen:], seen)
        return left

    def dump(self) -> LineageState:
        """Return everything remembered."""
        trees = [
            TreeState(name, self._table.of_tree(number), tuple(tree.processes()))
            for number, (name, tree) in enumerate(zip(self._tree_names, self._trees, strict=True))
        ]
        return LineageState(trees, self.statistics)

    def load(self, state: LineageState) -> None:
        """Take over a state, also of another rule set, instead of the present one.

        Trees and queries that this rule set has go on; the rest is left out.
        """
        self._count_on(state.statistics)
        known = {tree.name: tree for tree in state.trees}
        for number, (name, tree) in enumerate(zip(self._tree_names, self._trees, strict=True)):
            before = known.get(name)
            tree.fill([] if before is None else _translated(before, self._table.of_tree(number)))

    def take_over(self, previous: ProcessLineage) -> None:
        """Go on instead of the one of another rule set, which ends with that.

        As `load` does, but where all queries are the same, whatever is remembered costs nothing.
        """
        if self._queries() != previous._queries():
            self.load(previous.dump())
            return
        self._count_on(previous.statistics)
        for tree, before in zip(self._trees, previous._trees, strict=True):
            tree.take_over(before)

    def _queries(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Return the names of the trees, and what is asked about the processes of each."""
        return [(name, self._table.of_tree(n)) for n, name in enumerate(self._tree_names)]

    def _count_on(self, previous: LineageStatistics) -> None:
        counted = self.statistics
        counted.evicted_unmarked = previous.evicted_unmarked
        counted.evicted_marked = previous.evicted_marked
        counted.long_ids = previous.long_ids
        counted.cut_walks = previous.cut_walks

    def _see_all(self, events: Sequence[tuple[object, ...]], first: int) -> None:
        """Learn from events that nothing is asked about."""
        if len(self._trees) == 1:
            self._trees[0].see_all(events, first)
            return
        for index, values in enumerate(events, first):
            self._see(values, index)

    def _see(self, values: tuple[object, ...], index: int) -> Processes:
        """Learn from an event, and return its processes."""
        pairs = zip(self._trees, values[::2], values[1::2], strict=True)
        return [tree.see(own, parent, index) for tree, own, parent in pairs]

    def _decided(self, candidate: Candidate, processes: Processes) -> Candidate:
        """Mark the event's processes, and return the candidate with the targets that may hold."""
        decision = Decision(candidate, self._trees, processes)
        plan = self._plans.get(candidate.targets)
        if plan is None:
            plan = self._planned(candidate.targets)
        targets = decision.decided(plan)
        for tree in sorted(decision.without_process):
            self._report_missing(candidate.index, self._table.trees[tree])
        return Candidate(candidate.row, targets, frozenset(decision.lineage), candidate.index)

    def _planned(self, targets: tuple[int, ...]) -> Plan:
        first = self._query_numbers.start
        plan = plan_of(
            [
                (self._table.queries[number - first], self._asked.get(number))
                for number in targets
                if number in self._query_numbers
            ],
            [
                (number, self._asked.get(number))
                for number in targets
                if number in self._rule_numbers
            ],
            targets,
        )
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[targets] = plan
        return plan

    def _report_missing(self, event: int, fields: TreeFields) -> None:
        problem = f"the event has no `{fields[0].path}`, so that no lineage is known for it"
        self._report_about("no_process_id", problem, event)

    def _report_about(self, cause: str, problem: str, event: int) -> None:
        self._report(Problem(cause, problem, self._place(event), skipped=False))

    def _otherwise(self, target: Target) -> int | None:
        """Have the matcher test a condition where no lineage holds, and return the number."""
        condition = where_no_lineage_holds(target.condition)
        if condition is None:
            return None
        self._targets.append(attrs.evolve(target, condition=condition))
        return len(self._rule_numbers) + len(self._targets) - 1

    def _relation(self, node: Lineage) -> Relation:
        query = self._table.of(node)
        return relation_of(node, query.tree, query.bit)

    def _tree(self, fields: TreeFields) -> ProcessTree:
        process, parent = (
            process_id_reader(field, self._report_about, self.statistics) for field in fields
        )
        return ProcessTree(
            process, parent, self._limits, self.statistics, texts_are_ids=texts_are_ids(fields[0])
        )


def _translated(state: TreeState, queries: Sequence[str]) -> Sequence[Process]:
    """Return the processes with their marks as bits of other queries."""
    if tuple(queries) == state.queries:
        return state.processes
    new_bits = {digest: 1 << number for number, digest in enumerate(queries)}
    bits = [new_bits.get(digest, 0) for digest in state.queries]
    known: dict[int, int] = {}

    def translate(mask: int) -> int:
        if mask not in known:
            known[mask] = sum(bit for number, bit in enumerate(bits) if mask >> number & 1)
        return known[mask]

    return [
        Process(
            process.id,
            process.parent,
            translate(process.own),
            translate(process.of_parent),
            translate(process.inherited),
        )
        for process in state.processes
    ]
