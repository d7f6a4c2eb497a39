"""The queries inside the lineage that rules ask for, numbered, with the tree of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from kestrel_framework._pipeline.flow import QUERY, Target
from kestrel_framework._pipeline.over_approximation import expression_of
from kestrel_framework.errors import RuleError
from kestrel_framework.predicate import Field, Lineage, Node, Predicate
from kestrel_framework.predicate_traversal import (
    children,
    contents_of,
    lineages_of,
    steps_of,
    to_data,
)
from kestrel_framework.rule import Rule, RuleSet

TreeFields: TypeAlias = tuple[Field, Field]
"""What tells the processes of a tree apart, and names their parents."""


@attrs.frozen
class Query:
    """What an event must satisfy to mark its process.

    Attributes:
        target: The query as a condition for the matcher.
        tree: Which tree, counted in `QueryTable.trees`.
        bit: Its mark in the masks of that tree.
        digest: What it means.
    """

    target: Target
    tree: int
    bit: int
    digest: str


class QueryTable:
    """Every different query of a rule set. A query comes after those inside it.

    Args:
        rules: The rule set.
        targets: Its conditions, as `targets_of` numbers them.

    Raises:
        RuleError: a query refers to earlier steps, or a join key asks for lineage.
    """

    def __init__(self, rules: RuleSet, targets: Sequence[Target]) -> None:
        self.trees: list[TreeFields] = []
        self.queries: list[Query] = []
        self._numbers: dict[tuple[TreeFields, frozenset[str], Predicate], int] = {}
        for rule in rules:
            _refuse_in_join_keys(rule)
        for target in targets:
            for node in lineages_of(expression_of(target.condition)):
                if steps_of(node):
                    rule = rules.rules[target.rule]
                    problem = f"what stands in `{node.relation.value} of` has no earlier steps"
                    raise RuleError(problem, rule.location, rule_id=rule.rule_id)
                self._add(node, target.rule)

    def of(self, node: Lineage) -> Query:
        """Return the query that a node of one of the conditions has inside."""
        fields = (node.process, node.parent)
        return self.queries[self._numbers[fields, node.event_types, node.predicate]]

    def of_tree(self, tree: int) -> tuple[str, ...]:
        """Return the digests of a tree's queries, by their bits."""
        return tuple(query.digest for query in self.queries if query.tree == tree)

    def _add(self, node: Lineage, rule: int) -> None:
        fields = (node.process, node.parent)
        name = (fields, node.event_types, node.predicate)
        if name in self._numbers:
            return
        if fields not in self.trees:
            self.trees.append(fields)
        tree = self.trees.index(fields)
        self._numbers[name] = len(self.queries)
        self.queries.append(
            Query(
                Target(rule, QUERY, node.event_types, node.predicate),
                tree,
                1 << len(self.of_tree(tree)),
                _digest([sorted(node.event_types), to_data(node.predicate)]),
            )
        )


def tree_name(fields: TreeFields) -> str:
    """Return the digest of what a tree's fields mean."""
    return _digest([to_data(field) for field in fields])


def outer_lineages(predicate: Predicate) -> tuple[Lineage, ...]:
    """Return the different `Lineage` nodes that stand in no other."""
    found: dict[Lineage, None] = {}
    waiting: list[Node] = [predicate]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Lineage):
            found[node] = None
        elif Lineage in contents_of(node).kinds:
            waiting.extend(children(node))
    return tuple(found)


def _refuse_in_join_keys(rule: Rule) -> None:
    for step in (*rule.steps, *((rule.until,) if rule.until else ())):
        if any(lineages_of(key.value) for key in step.keys):
            problem = "a join key is a value of the event; it cannot ask for lineage"
            raise RuleError(problem, rule.location, rule_id=rule.rule_id)


def _digest(data: object) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
