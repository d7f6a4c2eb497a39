"""From the syntax tree of a rule to what the kernel runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from kestrel_eql import syntax
from kestrel_eql.dialect import Settings
from kestrel_eql.expressions import ExpressionLowering
from kestrel_eql.kinds import in_words, kinds_of
from kestrel_eql.names import Names, Refused
from kestrel_eql.problems import Problems
from kestrel_framework import predicate as tree
from kestrel_framework.predicate_traversal import depth, size
from kestrel_framework.rule import (
    EventRule,
    JoinKey,
    JoinRule,
    Pipe,
    RuleBody,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import SchemaRegistry

MAX_STEPS: Final = 500
"""How many steps a sequence may have, with runs written out."""
MAX_NODES: Final = 30_000
"""How many conditions and values a rule may have, those of a step once for each of its runs."""

_PIPES: Final = {
    "head": "a whole number",
    "tail": "a whole number",
    "count": "values",
    "filter": "one condition",
    "sort": "values",
    "unique": "values",
    "unique_count": "values",
}
_ELASTIC_PIPES: Final = ("head", "tail")


@attrs.frozen
class LoweredQuery:
    """What a rule looks for, and what results pass in a search."""

    body: RuleBody
    pipes: tuple[Pipe, ...]


def lower(
    query: syntax.Query, settings: Settings, schema: SchemaRegistry, problems: Problems
) -> LoweredQuery | None:
    """Return the meaning of a rule; `None` where something in it has none.

    Everything that is wrong, or worth a warning, is added to `problems`.
    """
    lowering = _QueryLowering(settings, schema, problems)
    body = lowering.body(query.body)
    pipes = lowering.pipes(query)
    lowering.check_size(query)
    return LoweredQuery(body, pipes) if body is not None and not problems else None


class _QueryLowering:
    def __init__(self, settings: Settings, schema: SchemaRegistry, problems: Problems) -> None:
        self._settings = settings
        self._schema = schema
        self._problems = problems
        self._names = Names(schema, settings, problems)
        self._expressions = ExpressionLowering(self._names, settings, problems)
        self._nodes = 0

    def body(self, body: syntax.Body) -> RuleBody | None:
        match body:
            case syntax.EventQuery():
                return self._event(body)
            case syntax.SequenceQuery():
                return self._sequence(body)
            case syntax.SampleQuery():
                return self._sample(body)
            case syntax.JoinQuery():
                return self._join(body)

    # --- bodies ---

    def check_size(self, query: syntax.Query) -> None:
        """Tell of a rule that would take too long to load."""
        if self._nodes > MAX_NODES:
            problem = (
                f"the rule is too large: {MAX_NODES:,} conditions and values are the limit, those "
                "of a step once for each of its runs; a list such as `a in (...)` takes the least"
            )
            self._problems.error(problem, query.body.position)

    def _event(self, query: syntax.EventQuery) -> EventRule | None:
        types = self._names.event_types(query)
        predicate = self._predicate(query.condition)
        if predicate is None:
            return None
        self._nodes += size(predicate)
        return EventRule(types, predicate)

    def _sequence(self, query: syntax.SequenceQuery) -> SequenceRule | None:
        if sum(term.runs for term in query.terms) > MAX_STEPS:
            problem = f"a sequence has at most {MAX_STEPS} steps, runs included"
            self._problems.error(problem, query.position)
            return None
        steps = self._steps(query.terms, query.keys)
        if sum(term.runs for term in query.terms) == 1:
            self._problems.error("a sequence has two steps or more", query.position)
        self._check_missing(query)
        self._check_forks(query)
        until = None
        if query.until is not None:
            until = self._until(query.until, query, steps)
        elif query.maxspan is None:
            self._problems.warn(
                "without `maxspan`, a sequence waits for its next step without end", query.position
            )
        return (
            SequenceRule(tuple(steps), query.maxspan, until, until_first=self._settings.endgame)
            if steps
            else None
        )

    def _sample(self, query: syntax.SampleQuery) -> SampleRule | None:
        self._check_unordered(query, "a sample")
        filters = self._steps(query.terms, query.keys)
        if not query.keys and not any(term.keys for term in query.terms):
            self._problems.error("a sample needs `by`", query.position)
        return SampleRule(tuple(filters)) if filters else None

    def _join(self, query: syntax.JoinQuery) -> JoinRule | None:
        if not self._settings.endgame:
            problem = (
                "`join` exists in the endgame dialect only; write `sample by ...`, "
                "or `sequence` where the order matters"
            )
            self._problems.error(problem, query.position)
        self._check_unordered(query, "a join")
        filters = self._steps(query.terms, query.keys)
        until = None if query.until is None else self._until(query.until, query, filters)
        if len(query.terms) == 1:
            self._problems.error("a join has two events or more", query.position)
        return JoinRule(tuple(filters), until) if filters else None

    def _check_unordered(self, query: syntax.SampleQuery | syntax.JoinQuery, what: str) -> None:
        for term in query.terms:
            for present, problem in (
                (term.missing, f"{what} cannot look for a missing event `![...]`"),
                (term.runs != 1, f"{what} has no `runs`: write the event out as often"),
                (term.name, f"{what} has no `as`: its events have no order"),
                (term.fork, f"{what} has no `fork`: only a sequence has"),
            ):
                if present:
                    self._problems.error(problem, term.position)

    def _check_missing(self, query: syntax.SequenceQuery) -> None:
        missing = [term for term in query.terms if term.missing]
        if not missing:
            return
        position = missing[0].position
        if self._settings.endgame:
            self._problems.error("`![...]` does not exist in the endgame dialect", position)
        if query.maxspan is None:
            self._problems.error(
                "a sequence with a missing event `![...]` needs `maxspan`", position
            )
        if len(missing) == len(query.terms):
            self._problems.error("a sequence cannot be of missing events alone", position)

    # --- steps ---

    def _steps(
        self, terms: Sequence[syntax.Term], keys: tuple[syntax.Expression, ...]
    ) -> list[Step]:
        steps: list[Step] = []
        width = len(keys) + len(terms[0].keys)
        for term in terms:
            step = self._step(term, keys, width)
            if step is not None:
                if steps:
                    self._check_keys(steps[0], step, term)
                runs = [attrs.evolve(step, name="")] * (term.runs - 1)
                steps.extend([*runs, step])
            if term.name:
                self._names.name_step(term.name, max(len(steps) - 1, 0), term)
        return steps

    def _check_forks(self, query: syntax.SequenceQuery) -> None:
        for number, term in enumerate(query.terms):
            if not term.fork:
                continue
            if not self._settings.endgame:
                problem = "`fork` exists in the endgame dialect only; leave it out"
            elif number == 0:
                problem = "the first step has no `fork`: there is nothing yet that could go on"
            elif term.runs != 1:
                problem = "`fork` and `runs` do not go together: write the step out as often"
            else:
                continue
            self._problems.error(problem, term.position)

    def _until(
        self,
        term: syntax.Term,
        query: syntax.SequenceQuery | syntax.JoinQuery,
        steps: Sequence[Step],
    ) -> Step | None:
        for present, what in (
            (term.missing, "`!`"),
            (term.runs != 1, "`runs`"),
            (term.name, "`as`"),
            (term.fork, "`fork`"),
        ):
            if present:
                self._problems.error(f"`until` has no {what}", term.position)
        step = self._step(term, query.keys, len(query.keys) + len(query.terms[0].keys))
        if step is not None and steps:
            self._check_keys(steps[0], step, term)
        return step

    def _check_keys(self, first: Step, step: Step, term: syntax.Term) -> None:
        """Tell of the keys of a step that can never be what those of the first step are."""
        places = [*(term.position for _ in step.keys), *(key.position for key in term.keys)]
        pairs = zip(first.keys, step.keys, places[-len(step.keys) :], strict=False)
        for known, key, place in pairs:
            kinds, others = kinds_of(known.value), kinds_of(key.value)
            if kinds and others and not kinds & others:
                problem = (
                    f"this join key is {in_words(others)}, and that of the first step "
                    f"{in_words(kinds)}: they are never equal; join by fields of one type"
                )
                self._problems.error(problem, place)

    def _step(
        self, term: syntax.Term, keys: tuple[syntax.Expression, ...], width: int
    ) -> Step | None:
        all_keys = (*keys, *term.keys)
        if len(all_keys) != width:
            self._problems.error(
                f"this step has {len(all_keys)} join keys, and the first step has {width}",
                term.position,
            )
        types = self._names.event_types(term.query)
        predicate = self._predicate(term.query.condition)
        join_keys = self._join_keys(all_keys)
        if predicate is None or join_keys is None:
            return None
        self._nodes += term.runs * sum(map(size, (predicate, *(key.value for key in join_keys))))
        return Step(types, predicate, join_keys, term.missing, term.name, term.fork)

    def _join_keys(self, keys: Iterable[syntax.Expression]) -> tuple[JoinKey, ...] | None:
        def join_key(node: syntax.Expression) -> JoinKey:
            endgame = self._settings.endgame  # where a null key equals itself
            fold = self._settings.fold
            if isinstance(node, syntax.Field):
                field = self._names.join_key(node)
                return JoinKey(field, node.optional or endgame, fold)
            if isinstance(node, syntax.Literal) or not endgame:
                raise self._names.refuse("a join key must be a field", node)
            return JoinKey(self._expressions.value(node), optional=True, fold=fold)

        try:
            return tuple(self._expressions.each(tuple(keys), join_key))
        except Refused:
            return None

    def _predicate(self, condition: syntax.Expression) -> tree.Predicate | None:
        try:
            predicate = self._expressions.condition(condition)
        except Refused:
            return None
        if predicate == tree.NEVER and isinstance(condition, syntax.Literal):
            self._problems.warn("this never holds; write a condition", condition.position)
        if depth(predicate) > tree.MAX_DEPTH:
            problem = f"the condition nests deeper than {tree.MAX_DEPTH} levels"
            self._problems.error(problem, condition.position)
            return None
        return predicate

    # --- pipes ---

    def pipes(self, query: syntax.Query) -> tuple[Pipe, ...]:
        body = query.body
        if query.pipes and isinstance(body, syntax.SampleQuery):
            self._problems.error("a sample has no pipes", query.pipes[0].position)
        results = 1
        if not isinstance(body, syntax.EventQuery):
            results = sum(term.runs for term in body.terms)
        self._names.begin_pipes(results)
        pipes: list[Pipe] = []
        for pipe in query.pipes:
            try:
                pipes.append(self._pipe(pipe))
            except Refused:
                continue
        return tuple(pipes)

    def _pipe(self, pipe: syntax.Pipe) -> Pipe:
        wanted = _PIPES.get(pipe.name)
        if wanted is None:
            known = ", ".join(_PIPES if self._settings.endgame else _ELASTIC_PIPES)
            raise self._names.refuse(f"unknown pipe `{pipe.name}`; there is {known}", pipe)
        if not self._settings.endgame and pipe.name not in _ELASTIC_PIPES:
            problem = f"the pipe `{pipe.name}` exists in the endgame dialect only"
            raise self._names.refuse(problem, pipe)
        if pipe.name in _ELASTIC_PIPES:
            match pipe.arguments:
                case (syntax.Literal(value=int() as number),) if (
                    not isinstance(number, bool) and number >= 0
                ):
                    return Pipe(pipe.name, (number,))
            raise self._names.refuse(f"`{pipe.name}` takes {wanted}", pipe)
        if pipe.name == "filter":
            if len(pipe.arguments) != 1:
                raise self._names.refuse(f"`filter` takes {wanted}", pipe)
            condition = self._predicate(pipe.arguments[0])
            if condition is None:
                raise Refused("told where the condition was lowered")
            self._nodes += size(condition)
            return Pipe("filter", (condition,))
        if not pipe.arguments and pipe.name != "count":
            raise self._names.refuse(f"`{pipe.name}` takes {wanted}", pipe)
        values = self._expressions.each(pipe.arguments, self._expressions.value)
        self._nodes += sum(map(size, values))
        return Pipe(pipe.name, tuple(values), self._settings.fold)
