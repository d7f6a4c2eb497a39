"""From predicates to clauses: what a value of each field has to satisfy, together.

A clause holds where all its conditions hold: at most one for each field, and those that
read several fields, its residuals. A target holds where one of its clauses does. Clauses
come from the disjunctive normal form of a predicate, whose size is capped: a disjunction that would
multiply the clauses too often stays whole, as a residual, and so does what reads very many fields.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Final, cast

import attrs

from kestrel_framework._tree_node import Contents
from kestrel_framework.functions import Function
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    AnyElement,
    Call,
    Cidr,
    Comparison,
    Constant,
    ElementCount,
    Field,
    IsNull,
    Lineage,
    Literal,
    Membership,
    Node,
    Not,
    Or,
    Predicate,
    Regex,
    StepField,
    TextTest,
    Truth,
    Wildcard,
    all_of,
    any_of,
    negation,
)
from kestrel_framework.predicate_traversal import contents_of, walk

MOST_CLAUSES: Final = 24
"""How many clauses the conjunctions of a target may multiply to."""
MOST_FIELDS: Final = 256
"""How many fields a target may read that is taken apart: the cost grows with their square."""


@attrs.frozen
class Clause:
    """One way for a target to hold.

    Attributes:
        conditions: What each field must satisfy, by path; each reads that field alone.
        residual: What is left, which reads several fields, or is dear; `ALWAYS` if nothing.
    """

    conditions: dict[str, Predicate]
    residual: Predicate = ALWAYS


def reads_too_much(predicate: Predicate) -> bool:
    """Say whether a predicate reads so many fields that it is tested as a whole."""
    return len(contents_of(predicate).paths) > MOST_FIELDS


def _pushed_inward(predicate: Predicate, *, negated: bool) -> Predicate:
    """Return the negation normal form: `Not` directly above leaves only.

    What has that form already stays the same object, with all that is known of it.
    """
    if _is_plain(predicate):
        return Not(predicate) if negated else predicate
    match predicate:
        case And() | Or():
            terms = [_pushed_inward(term, negated=negated) for term in predicate.terms]
            if not negated and _are_terms_of(predicate, terms):
                return predicate
            return all_of(terms) if isinstance(predicate, And) != negated else any_of(terms)
        case Not():
            if not negated and _is_plain(predicate.term):
                return predicate
            normal = _pushed_inward(predicate.term, negated=not negated)
        case Constant():
            return NEVER if predicate.holds is negated else ALWAYS
        case _:
            normal = negation(predicate) if negated else predicate
            missing = [IsNull(field) for field in _needed_fields(predicate)]
            if missing and negated:
                return any_of([*missing, normal])
            return all_of([*map(negation, missing), normal]) if missing else normal
    return predicate if normal == predicate else normal


def _is_plain(predicate: Predicate) -> bool:
    """Say whether a predicate is a leaf that the normal form leaves alone; most are."""
    kind = type(predicate)
    return (
        kind in _PLAIN
        or (isinstance(predicate, Comparison) and type(predicate.right) is Literal)
        or (isinstance(predicate, TextTest) and type(predicate.part) is Literal)
    )


def _are_terms_of(predicate: And | Or, terms: Sequence[Predicate]) -> bool:
    """Say whether these are the terms of a predicate as they are, and need not be put together."""
    kind = type(predicate)
    return len(terms) > 1 and all(
        new is old and type(new) is not kind and type(new) is not Constant
        for new, old in zip(terms, predicate.terms, strict=True)
    )


def _needed_fields(leaf: Predicate) -> list[Field]:
    """Return the fields without which a dear leaf cannot hold, which the index can tell."""
    match leaf:
        case AnyElement(Field() as array):
            fields = [array]
        case Comparison(_, Field() as left, Field() as right):
            fields = [left, right]
        case TextTest(_, Field() as value, Field() as part):
            fields = [value, part]
        case _:
            return []
    return [attrs.evolve(field, whole=False) for field in fields]


OTHER_EVENTS: Final[frozenset[type]] = frozenset({Lineage, StepField})
"""Kinds of nodes that other events decide: a predicate with one has no clauses."""


def clauses_kept_with(predicate: Predicate) -> tuple[Clause, ...] | None:
    """Return the clauses of a predicate where all fields are indexed, if somebody kept them."""
    return cast("tuple[Clause, ...] | None", getattr(predicate, "_clauses", None))


def keep_clauses_with(predicate: Predicate, clauses: tuple[Clause, ...]) -> None:
    """Keep what a `ClauseBuilder` makes of a predicate where all fields are indexed."""
    object.__setattr__(predicate, "_clauses", clauses)  # nothing that is compared or shown changes


class IndexedFields:
    """Says which one indexed field decides a predicate, if that is all it needs.

    Args:
        is_indexed: Whether conditions on a path may be separate.
    """

    def __init__(self, is_indexed: Callable[[str], bool]) -> None:
        self._is_indexed = is_indexed
        self._paths: dict[Contents, str | None] = {}

    def has_all(self, paths: Iterable[str]) -> bool:
        """Say whether conditions on each of these paths may be separate."""
        return all(map(self._is_indexed, paths))

    def path_of(self, predicate: Predicate) -> str | None:
        """Return the path of that field."""
        contents = contents_of(predicate.term if type(predicate) is Not else predicate)
        try:
            path = self._paths[contents]
        except KeyError:
            path = self._paths[contents] = self._only_path(contents)
        if path is not None and Call in contents.kinds and any(map(_is_dear, walk(predicate))):
            return None
        return path

    def _only_path(self, contents: Contents) -> str | None:
        if len(contents.paths) != 1 or not _DEAR.isdisjoint(contents.kinds):
            return None
        (path,) = contents.paths
        return path if self._is_indexed(path) else None


class ClauseBuilder:
    """Makes clauses of predicates.

    Args:
        fields: The fields on which conditions are separate.
    """

    def __init__(self, fields: IndexedFields) -> None:
        self._fields = fields
        self._path_of = fields.path_of

    def clauses_of(self, predicate: Predicate) -> Sequence[Clause]:
        """Return the clauses of a predicate, which holds exactly where one of them does.

        Args:
            predicate: Without nodes that other events decide.
        """
        kept = clauses_kept_with(predicate)
        if kept is not None and self._fields.has_all(contents_of(predicate).paths):
            return kept
        if reads_too_much(predicate):
            return [Clause({}, predicate)]
        return self._clauses(_pushed_inward(predicate, negated=False))

    def _clauses(self, predicate: Predicate) -> list[Clause]:
        """Return the clauses of a normal form."""
        path = self._path_of(predicate)
        if path is not None:
            return [Clause({path: predicate})]
        match predicate:
            case And():
                by_path, others = self._grouped(predicate.terms, all_of)
                return self._product(Clause(by_path), others)
            case Or():
                by_path, others = self._grouped(predicate.terms, any_of)
                found = [Clause({path: condition}) for path, condition in by_path.items()]
                found += itertools.chain.from_iterable(map(self._clauses, others))
                return found
            case Constant():
                return [Clause({})] if predicate.holds else []
            case _:
                return [Clause({}, predicate)]

    def _product(self, clause: Clause, terms: Sequence[Predicate]) -> list[Clause]:
        """Return the clauses of a conjunction; small disjunctions are multiplied first."""
        parts = [(self._clauses(term), term) for term in terms]
        parts.sort(key=lambda part: len(part[0]))
        found = [clause]
        for alternatives, term in parts:
            multiplies = len(alternatives) > 1
            if multiplies and (
                len(found) * len(alternatives) > MOST_CLAUSES
                or not all(map(_rules_out, alternatives))
            ):
                found = [_joined(clause, Clause({}, term)) for clause in found]
            else:
                found = [
                    _joined(clause, other)
                    for clause, other in itertools.product(found, alternatives)
                ]
        return found

    def _grouped(
        self,
        terms: Sequence[Predicate],
        combine: Callable[[Sequence[Predicate]], Predicate],
    ) -> tuple[dict[str, Predicate], list[Predicate]]:
        """Return the terms on one field as one, by path, and the other terms."""
        by_path: dict[str, list[Predicate]] = {}
        others = []
        for term in terms:
            path = self._path_of(term)
            if path is None:
                others.append(term)
            else:
                by_path.setdefault(path, []).append(term)
        return {
            path: same[0] if len(same) == 1 else combine(same) for path, same in by_path.items()
        }, others


def path_of(predicate: Predicate, is_indexed: Callable[[str], bool]) -> str | None:
    """Return the one indexed field that decides a predicate, if that is all it needs."""
    return IndexedFields(is_indexed).path_of(predicate)


_PLAIN: Final = frozenset({Membership, Wildcard, Regex, Cidr, IsNull})
"""Kinds of leaves that the normal form leaves alone."""
_DEAR: Final = frozenset({AnyElement, ElementCount, Truth})
"""Kinds of nodes that are not worth deciding for every value that a field has."""


def _is_dear(node: Node) -> bool:
    """Say whether a node is a call that is not worth deciding for every value either."""
    # Of a whole field only the document tells a missing list from an empty one.
    return (
        isinstance(node, Call)
        and node.function is Function.LENGTH
        and any(isinstance(argument, Field) and argument.whole for argument in node.arguments)
    )


def _rules_out(clause: Clause) -> bool:
    """Say whether some condition of a clause fails for most values."""
    return any(not isinstance(condition, Not) for condition in clause.conditions.values())


def _joined(first: Clause, second: Clause) -> Clause:
    conditions = dict(first.conditions)
    for path, condition in second.conditions.items():
        known = conditions.get(path)
        conditions[path] = condition if known is None else all_of((known, condition))
    residual = first.residual
    if second.residual is not ALWAYS:
        residual = all_of((residual, second.residual))
    return Clause(conditions, residual)
