"""Asks runtimes about the candidates whose conditions are theirs to decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from kestrel_framework._pipeline.flow import Candidate, Problem, Row, Target
from kestrel_framework.errors import RuleError
from kestrel_framework.interfaces import (
    MISSING,
    Failure,
    FieldValue,
    Limits,
    LoadedPredicate,
    Outcome,
    PredicateEvaluator,
)
from kestrel_framework.interpreter import entries, has_list
from kestrel_framework.predicate import Field, field
from kestrel_framework.predicate_traversal import lineages_of, steps_of, walk
from kestrel_framework.rule import Condition, Program
from kestrel_framework.schema import SchemaRegistry

NATIVE = "native"
"""The runtime whose verdict about expressions is the matcher's own."""


@attrs.frozen
class _Asked:
    """A target that a runtime decides, and the fields it sees."""

    target: Target
    loaded: LoadedPredicate
    fields: tuple[Field, ...]


class PredicateRunner:
    """Confirms candidates.

    Programs are always asked, and under another runtime than native every condition that
    one event decides: what also reads earlier steps is left to the tracker, and where a
    condition asks for lineage, the kernel's own verdict counts.

    An evaluation that fails is reported and never counts as "does not hold": it takes
    its candidate out, but where the target prevents alerts (an `until`, a missing
    step), it counts as held, so that no alert is invented.

    Args:
        targets: The conditions, as the matcher numbers them.
        evaluators: The runtimes by name.
        runtime: The runtime that decides about expressions.
        schema: What the declared fields of programs mean.
        limits: What one evaluation may use.
        on_failure: Called with the number of the rule, and the problem, of each
            evaluation that failed.

    Raises:
        RuleError: a condition's runtime is not known, or cannot load it.
        ResourceLimitError: a condition is larger than a limit allows.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        evaluators: Mapping[str, PredicateEvaluator],
        runtime: str,
        schema: SchemaRegistry,
        limits: Limits,
        on_failure: Callable[[int, Problem], None],
    ) -> None:
        self._on_failure = on_failure
        self._asked: dict[int, _Asked] = {}
        for number, target in enumerate(targets):
            name = _deciding_runtime(target.condition, runtime)
            if name is None:
                continue
            evaluator = evaluators.get(name)
            if evaluator is None:
                known = ", ".join(sorted(evaluators))
                raise RuleError(f'there is no runtime "{name}"; there are: {known}')
            fields = _fields_seen(target.condition, schema)
            types = {path: field.type for path, field in fields.items()}
            loaded = evaluator.load(target.condition, types, limits)
            self._asked[number] = _Asked(target, loaded, tuple(fields.values()))

    @property
    def asked(self) -> frozenset[int]:
        """The targets that a runtime decides."""
        return frozenset(self._asked)

    def confirm(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the candidates with the targets that are confirmed, in order.

        Each condition is asked once, about all candidates. A candidate with no target
        left is left out.
        """
        if not self._asked or not candidates:
            return candidates
        refused: dict[int, set[int]] = {}
        for number, asked in self._asked.items():
            places = [
                place for place, candidate in enumerate(candidates) if number in candidate.targets
            ]
            rows = [candidates[place].row for place in places]
            for place, held in zip(places, self._verdicts(asked, rows), strict=True):
                if not held:
                    refused.setdefault(place, set()).add(number)
        confirmed = []
        for place, candidate in enumerate(candidates):
            missing = refused.get(place, ())
            targets = tuple([number for number in candidate.targets if number not in missing])
            if targets:
                confirmed.append(Candidate(candidate.row, targets, candidate.lineage))
        return confirmed

    def _verdicts(self, asked: _Asked, rows: Sequence[Row]) -> list[bool]:
        if not rows:
            return []
        outcomes = _outcomes(
            asked.loaded,
            [[field_value(field, row.document) for field in asked.fields] for row in rows],
        )
        return [
            self._verdict(asked, row, outcome) for row, outcome in zip(rows, outcomes, strict=True)
        ]

    def _verdict(self, asked: _Asked, row: Row, outcome: Outcome) -> bool:
        if isinstance(outcome, bool):
            return outcome
        failed = isinstance(outcome, Failure)
        problem = outcome.problem if failed else f"{outcome!r:.80} is no outcome"
        message = f"the condition could not be evaluated: {problem}"
        self._on_failure(
            asked.target.rule,
            Problem("predicate_failed", message, f"{row.stream}#{row.offset}", skipped=False),
        )
        return asked.target.prevents


def field_value(field: Field, document: Mapping[str, object]) -> FieldValue:
    """Return what a predicate sees of a field of an event."""
    found = tuple(entries(field, document))
    if not found:
        return MISSING
    return found if has_list(document, field.path) else found[0]


def _outcomes(loaded: LoadedPredicate, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
    try:
        outcomes = loaded.matches_many(rows)
    except Exception as error:  # noqa: BLE001 - a runtime's code, and its fault is reported
        return [Failure(f"{type(error).__name__}: {error}")] * len(rows)
    if len(outcomes) != len(rows):
        return [Failure(f"{len(outcomes)} outcomes for {len(rows)} events")] * len(rows)
    return outcomes


def _deciding_runtime(condition: Condition, runtime: str) -> str | None:
    """Return the runtime to ask, or None where the verdict of another stage counts."""
    if isinstance(condition, Program):
        return condition.runtime
    if runtime == NATIVE or steps_of(condition) or lineages_of(condition):
        return None
    return runtime


def _fields_seen(condition: Condition, schema: SchemaRegistry) -> dict[str, Field]:
    """Return the fields a condition sees, by the names it has for them.

    A program's fields are of the types it declares, read as the schema says.
    """
    if isinstance(condition, Program):
        return {
            path: attrs.evolve(field(path, schema), type=kind)
            for path, kind in condition.fields.items()
        }
    found: dict[str, Field] = {}
    for node in walk(condition):
        if isinstance(node, Field):
            found.setdefault(node.path, attrs.evolve(node, whole=False))
    return found
