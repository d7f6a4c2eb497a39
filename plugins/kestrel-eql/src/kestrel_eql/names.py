"""What the names in a rule stand for: fields, earlier steps' fields, elements of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import attrs

from kestrel_eql import syntax
from kestrel_eql.dialect import Settings
from kestrel_eql.problems import Problems
from kestrel_framework import predicate as tree
from kestrel_framework.schema import SchemaRegistry

_CONSTANTS: Final = ("null", "true", "false")
_MAX_SUGGESTIONS: Final = 20
"""For how many unknown fields of a rule the nearest known one is searched, which is slow."""


class Refused(Exception):  # noqa: N818 - not an error for anybody: the problem is already told
    """A part of a rule has no meaning; why is among the problems."""


@attrs.frozen
class _Binding:
    """A variable of an array search: how the tree calls it, and the full path of the array."""

    variable: str
    array: str


class Names:
    """Resolves names against the schema, the named steps before, and the variables around.

    Unknown fields are warnings, and errors under a strict schema; a schema without
    fields knows nothing, and says nothing.
    """

    def __init__(self, schema: SchemaRegistry, settings: Settings, problems: Problems) -> None:
        self._schema = schema
        self._settings = settings
        self._problems = problems
        self._steps: dict[str, int] = {}
        self._bindings: dict[str, _Binding] = {}
        self._extra: frozenset[str] = frozenset()
        self._results = 0
        self._suggestions = 0

    def name_step(self, name: str, step: int) -> None:
        """Make `name.field` the field of the event that a step matched."""
        self._steps[name] = step

    def begin_pipes(self, results: int) -> None:
        """From now on expressions look at results: `events[n].field`, `count`, `percent`."""
        self._results = results
        self._extra = frozenset({"count", "percent"})

    def refuse(self, problem: str, node: syntax.Expression | syntax.Term | syntax.Pipe) -> Refused:
        """Tell of an error; raise what is returned."""
        self._problems.error(problem, node.position)
        return Refused(problem)

    # --- names as values ---

    def value(self, node: syntax.Field) -> tree.Value:
        """Return what a dotted name reads."""
        first, *rest = node.parts
        if isinstance(first, str) and first in self._bindings:
            return self._element(self._bindings[first], rest, node)
        if isinstance(first, str) and first in self._steps and rest:
            path = self._path(rest, node)
            self._check(path, node)
            return tree.step_field(self._steps[first], path, self._schema)
        if self._results and first == "events" and rest and isinstance(rest[0], int):
            return self._result_field(rest[0], rest[1:], node)
        return self.field(node)

    def field(self, node: syntax.Field, *, elements: bool = False) -> tree.Field:
        """Return the field of the event at hand.

        With `elements`, each element of a list counts, whatever the dialect.
        """
        path = self._path(node.parts, node)
        self._check(path, node)
        whole = self._settings.endgame and not elements
        return tree.field(path, self._schema, whole=whole)

    def variable(self, node: syntax.Variable) -> tree.Element:
        """Return what `$name.path` reads."""
        binding = self._bindings.get(node.name)
        if binding is None:
            raise self.refuse(f"`${node.name}` is not bound by an array search around it", node)
        return self._element(binding, node.parts, node)

    def array(self, node: syntax.Expression) -> tree.Field | tree.Element:
        """Return what an array search can search."""
        if isinstance(node, syntax.Variable):
            return self.variable(node)
        if isinstance(node, syntax.Field):
            if node.parts[0] in self._bindings:
                value = self.value(node)
                assert isinstance(value, tree.Element)
                return value
            return self.field(node, elements=True)
        raise self.refuse("only a field can be searched as an array", node)

    @contextmanager
    def bound(self, node: syntax.Expression, array: tree.Field | tree.Element) -> Iterator[str]:
        """Bind the variable of an array search, and yield how the tree calls it."""
        if isinstance(node, syntax.Variable) and not node.parts:
            name = node.name
        elif isinstance(node, syntax.Field) and self._settings.endgame and len(node.parts) == 1:
            name = str(node.parts[0])
        else:
            form = "a name" if self._settings.endgame else "a variable such as `$entry`"
            raise self.refuse(f"the second argument must be {form}", node)
        before = self._bindings.get(name)
        self._bindings[name] = _Binding(name, self._full_path(array))
        try:
            yield name
        finally:
            if before is None:
                del self._bindings[name]
            else:
                self._bindings[name] = before

    # --- paths ---

    def _full_path(self, array: tree.Field | tree.Element) -> str:
        if isinstance(array, tree.Field):
            return array.path
        outer = self._bindings[array.variable].array
        return f"{outer}.{array.path}" if array.path else outer

    def _element(
        self, binding: _Binding, parts: Sequence[str | int], node: syntax.Expression
    ) -> tree.Element:
        path = self._path(parts, node) if parts else ""
        return tree.element(binding.variable, path, binding.array, self._schema)

    def _result_field(
        self, index: int, parts: Sequence[str | int], node: syntax.Field
    ) -> tree.StepField:
        if index >= self._results:
            raise self.refuse(f"a result has {self._results} events, counted from 0", node)
        if not parts:
            raise self.refuse("an event is no value: name one of its fields", node)
        return tree.step_field(index, self._path(parts, node), self._schema)

    def _path(self, parts: Sequence[str | int], node: syntax.Expression) -> str:
        if any(isinstance(part, int) for part in parts):
            raise self.refuse("reading one position of a list is not supported yet", node)
        return syntax.dotted(parts)

    def _check(self, path: str, node: syntax.Field) -> None:
        schema = self._schema
        if path in schema.fields or node.optional or path in self._extra:
            return
        near = path.lower() if path.lower() in _CONSTANTS else None
        if not schema.fields:
            if near is not None:
                problem = f"`{path}` is read as a field; did you mean `{near}`?"
                self._problems.warn(problem, node.position)
            return
        if near is None and self._suggestions < _MAX_SUGGESTIONS:
            self._suggestions += 1
            near = schema.nearest_field(path)
        problem = f"unknown field `{path}`" + (f"; did you mean `{near}`?" if near else "")
        if schema.strict:
            self._problems.error(problem, node.position)
        else:
            self._problems.warn(problem, node.position)
