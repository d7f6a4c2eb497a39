"""The evaluator `native`: the reference interpreter over rows of declared fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from kestrel_framework.errors import ResourceLimitError, RuleError
from kestrel_framework.interfaces import (
    MISSING,
    Failure,
    FieldValue,
    Limits,
    LoadedPredicate,
    Outcome,
)
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    MAX_DEPTH,
    Field,
    Predicate,
)
from kestrel_framework.predicate_traversal import (
    depth,
    fields_of,
    lineages_of,
    steps_of,
    with_fields,
)
from kestrel_framework.rule import Condition, Program
from kestrel_framework.schema import FieldType


@attrs.frozen
class NativeEvaluator:
    """Evaluates the kernel's own predicates; it runs no programs.

    Limits of time, memory and instructions do not concern it: what an expression
    costs is bounded by its tree and the event.
    """

    def load(
        self, condition: Condition, fields: Mapping[str, FieldType | None], limits: Limits
    ) -> LoadedPredicate:
        """Return `condition` ready to be asked about rows of `fields`.

        Raises:
            RuleError: it is a program, reads a field that is not declared or earlier steps, or
                asks for lineage.
            ResourceLimitError: it nests deeper than `MAX_DEPTH`.
        """
        del limits
        if isinstance(condition, Program):
            raise RuleError(
                f'the runtime "native" runs expressions, not programs of "{condition.runtime}"'
            )
        if depth(condition) > MAX_DEPTH:
            raise ResourceLimitError(f"the condition nests deeper than {MAX_DEPTH} levels")
        if steps_of(condition):
            raise RuleError("a condition on earlier steps cannot be evaluated for one event")
        if lineages_of(condition):
            raise RuleError("a condition that asks for lineage cannot be evaluated for one event")
        undeclared = sorted(fields_of(condition) - fields.keys())
        if undeclared:
            raise RuleError(f"the condition reads `{undeclared[0]}`, which is not declared")
        keys = {path: str(number) for number, path in enumerate(fields)}
        return _LoadedExpression(
            with_fields(condition, lambda field: _column(field, keys)), tuple(keys.values())
        )


@attrs.frozen
class _LoadedExpression:
    """An expression whose fields are the columns of a row: "0", "1", ..."""

    expression: Predicate
    columns: tuple[str, ...]

    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        return [self._matches(row) for row in rows]

    def _matches(self, row: Sequence[FieldValue]) -> Outcome:
        if len(row) != len(self.columns):
            return Failure(f"a row of {len(row)} values for {len(self.columns)} fields")
        named = zip(self.columns, row, strict=True)
        document = {column: value for column, value in named if value is not MISSING}
        try:
            return holds(self.expression, document)
        except RecursionError:
            return Failure("the condition nests too deeply for the interpreter's stack")


def _column(field: Field, keys: Mapping[str, str]) -> Field:
    """Return the field as it reads a column, whose values are of its type already.

    A date is a number by now, which must not be read as a date once more.
    """
    field_type = None if field.type is FieldType.DATE else field.type
    return Field(keys[field.path], field_type, field.whole)
