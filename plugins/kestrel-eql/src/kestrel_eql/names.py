"""What the names in a rule stand for: fields, earlier steps' fields, elements of arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

import attrs

from kestrel_eql import syntax
from kestrel_eql.dialect import Dialect, Settings
from kestrel_eql.problems import Problems
from kestrel_framework import predicate as tree
from kestrel_framework.rule import ANY_EVENT
from kestrel_framework.schema import FieldType, SchemaRegistry

_CONSTANTS: Final = {
    "false": "false",
    "nil": "null",
    "none": "null",
    "null": "null",
    "true": "true",
}
_ADDED_BY_PIPES: Final = frozenset({"count", "hosts", "key", "percent", "total_hosts"})
_MAX_SUGGESTIONS: Final = 20
"""For how many unknown fields of a rule the nearest known one is searched, which is slow."""
MAX_NESTED_SEARCHES: Final = 4
"""How deep array searches nest: each level looks at every element of its array."""
_LINEAGE_FIELDS: Final = {
    Dialect.ELASTIC: ("process.entity_id", "process.parent.entity_id"),
    Dialect.ENDGAME: ("unique_pid", "unique_ppid"),
}
_USUAL_STEP: Final = re.compile(r"event[0-9]+")
_POSITION: Final = re.compile(r"\[[0-9]+\]")


_FieldT = TypeVar("_FieldT", tree.Field, tree.StepField, tree.Element)


class Refused(Exception):  # noqa: N818 - not an error for anybody: the problem is already told
    """A part of a rule has no meaning; why is among the problems."""


@attrs.frozen
class _Binding:
    """A variable of an array search: how the tree calls it, and the path of the array.

    The path is full, and without positions: a schema knows no positions.
    """

    variable: str
    array: str


@attrs.define
class _Scope:
    """What is visible at one place of a rule, besides the fields of the event.

    Attributes:
        steps: The named steps before.
        bindings: The variables of the array searches around.
        searches: How many array searches are around.
        results: In a pipe, how many events a result has; else 0.
        hidden: What is visible outside of the brackets around the place, and not inside.
        brackets: How those brackets begin, such as `child of [...]`, or "".
    """

    steps: dict[str, int] = attrs.field(factory=dict)
    bindings: dict[str, _Binding] = attrs.field(factory=dict)
    searches: int = 0
    results: int = 0
    hidden: frozenset[str] = frozenset()
    brackets: str = ""

    @property
    def names(self) -> frozenset[str]:
        return frozenset({*self.steps, *self.bindings}) | self.hidden


class Names:
    """Resolves names against the schema, the named steps before, and the variables around.

    Unknown fields are warnings, and errors under a strict schema; a schema without
    fields knows nothing, and says nothing.
    """

    def __init__(self, schema: SchemaRegistry, settings: Settings, problems: Problems) -> None:
        self._schema = schema
        self._settings = settings
        self._problems = problems
        self._scope = _Scope()
        self._extra: frozenset[str] = frozenset()
        self._suggestions = 0
        self._known: dict[tuple[tuple[str | int, ...], bool], tree.Field] = {}

    @property
    def in_pipes(self) -> bool:
        """Whether expressions look at results now."""
        return self._scope.results > 0

    def name_step(self, name: str, step: int, node: syntax.Term) -> None:
        """Make `name.field` the field of the event that a step matched."""
        if node.missing:
            problem = f"`{name}` cannot name an event that is missing: leave `as` out"
            self._problems.error(problem, node.position)
        if name in self._scope.steps:
            self._problems.error(
                f"two steps have the name `{name}`; give each a name of its own", node.position
            )
        if name in self._schema.fields or self._has_fields_under(name):
            problem = (
                f"`{name}` names a step here, which hides the fields `{name}` and `{name}.*` "
                "from later steps; choose a name such as `event0`"
            )
            self._problems.warn(problem, node.position)
        self._scope.steps[name] = step

    def begin_pipes(self, results: int) -> None:
        """From now on expressions look at results: `events[n].field`, and what pipes add."""
        self._scope = _Scope(results=results)
        self._extra = _ADDED_BY_PIPES

    @contextmanager
    def alone(self, brackets: str) -> Iterator[None]:
        """Hide steps and variables inside the brackets that ask about another event."""
        outer = self._scope
        self._scope = _Scope(hidden=outer.names, brackets=brackets)
        try:
            yield
        finally:
            self._scope = outer

    def refuse(self, problem: str, node: syntax.Expression | syntax.Term | syntax.Pipe) -> Refused:
        """Tell of an error; raise what is returned."""
        self._problems.error(problem, node.position)
        return Refused(problem)

    def event_types(self, query: syntax.EventQuery) -> frozenset[str]:
        """Return the event types that a category stands for."""
        category = query.category
        if category == "any":
            return ANY_EVENT
        if self._schema.event_types and category not in self._schema.event_types:
            near = self._schema.nearest_event_type(category)
            hint = f"; did you mean `{near}`?" if near else ""
            self._problems.warn(f"unknown event category `{category}`{hint}", query.position)
        return frozenset((category,))

    # --- names as values ---

    def value(self, node: syntax.Field) -> tree.Value:
        """Return what a dotted name reads."""
        first, *rest = node.parts
        scope = self._scope
        if isinstance(first, str) and first in scope.bindings:
            return self._element(scope.bindings[first], rest, node)
        if isinstance(first, str) and first in scope.steps and rest:
            path = _without_positions(rest)
            self._check(rest, path, node)
            plain = tree.step_field(scope.steps[first], path, self._schema)
            return self._placed(plain, rest, path, node)
        if scope.results and first == "events" and rest and isinstance(rest[0], int):
            return self._result_field(rest[0], rest[1:], node)
        if first in scope.hidden and not self._is_known(node.parts):
            raise self._not_visible(f"`{first}`", node)
        return self.field(node)

    def field(self, node: syntax.Field, *, elements: bool = False) -> tree.Field:
        """Return the field of the event at hand.

        With `elements`, each element of a list counts, whatever the dialect.
        """
        found = self._known.get((node.parts, elements))
        if found is None:
            path = _without_positions(node.parts)
            self._check(node.parts, path, node)
            whole = self._settings.endgame and not elements
            plain = tree.field(path, self._schema, whole=whole)
            found = self._placed(plain, node.parts, path, node)
            if path in self._schema.fields:  # else each place is told of
                self._known[node.parts, elements] = found
        return found

    def never_exists(self, node: syntax.Field) -> bool:
        """Say whether a field is optional and no event can have it, since the schema is strict."""
        return node.optional and self._schema.strict and not self._is_known(node.parts)

    def lineage(
        self, relation: tree.LineageRelation, event_types: frozenset[str], predicate: tree.Predicate
    ) -> tree.Lineage:
        """Return what asks for an earlier event, with the fields that tell processes apart.

        In the endgame dialect, process number 0, which is none, is nobody's ancestor.
        """
        if self._settings.endgame:
            pid = tree.field("pid", self._schema)
            idle = tree.Comparison(tree.ComparisonOperator.EQUAL, pid, tree.Literal(0))
            predicate = tree.all_of((predicate, tree.negation(idle)))
        process, parent = _LINEAGE_FIELDS[self._settings.dialect]
        fields = tree.field(process, self._schema), tree.field(parent, self._schema)
        return tree.Lineage(relation, event_types, predicate, *fields)

    def text_choice(self, node: syntax.Expression) -> tuple[tree.Value, str] | None:
        """Return what `subtype.create` asks for: the value `subtype`, and the text "create".

        None where the schema knows the whole name, or where it cannot be one.
        """
        if not isinstance(node, syntax.Field) or self._is_known(node.parts):
            return None
        *above, last = node.parts
        if isinstance(last, int) or not above:
            return None
        if len(above) == 1 and above[0] in {*self._scope.steps, "events"}:
            return None
        shorter = syntax.Field(tuple(above), optional=True, position=node.position)
        known = self._schema.field(_without_positions(above))
        if known is not None and known.type not in (None, FieldType.KEYWORD):
            return None
        return self.value(shorter), last

    def join_key(self, node: syntax.Field) -> tree.Field:
        """Return the field of the event at hand that a step is joined by."""
        if node.parts[0] in self._scope.steps and len(node.parts) > 1:
            problem = f"`{node.path}` belongs to an earlier step: join by a field of this step"
            raise self.refuse(problem, node)
        return self.field(node, elements=True)

    def variable(self, node: syntax.Variable) -> tree.Element:
        """Return what `$name.path` reads."""
        binding = self._scope.bindings.get(node.name)
        if binding is not None:
            return self._element(binding, node.parts, node)
        if node.name in self._scope.hidden:
            raise self._not_visible(f"`${node.name}`", node)
        raise self.refuse(f"`${node.name}` is not bound by an array search around it", node)

    def array(self, node: syntax.Expression) -> tree.Field | tree.Element:
        """Return what an array search can search."""
        if isinstance(node, syntax.Variable):
            return self.variable(node)
        if isinstance(node, syntax.Field):
            if node.parts[0] in self._scope.bindings:
                value = self.value(node)
                assert isinstance(value, tree.Element)
                return value
            if node.parts[0] in self._scope.steps and len(node.parts) > 1:
                raise self.refuse("the lists of an earlier step cannot be searched", node)
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
        outer = self._scope
        if outer.searches >= MAX_NESTED_SEARCHES:
            problem = f"array searches nest deeper than {MAX_NESTED_SEARCHES} levels"
            raise self.refuse(problem, node)
        binding = _Binding(name, self._full_path(array))
        bindings = {**outer.bindings, name: binding}
        self._scope = attrs.evolve(outer, bindings=bindings, searches=outer.searches + 1)
        try:
            yield name
        finally:
            self._scope = outer

    # --- paths ---

    def _full_path(self, array: tree.Field | tree.Element) -> str:
        path = _POSITION.sub("", array.path)
        if isinstance(array, tree.Field):
            return path
        outer = self._scope.bindings[array.variable].array
        return f"{outer}.{path}" if path else outer

    def _element(
        self, binding: _Binding, parts: Sequence[str | int], node: syntax.Expression
    ) -> tree.Element:
        path = _without_positions(parts)
        plain = tree.element(binding.variable, path, binding.array, self._schema)
        return self._placed(plain, parts, path, node)

    def _result_field(
        self, index: int, parts: Sequence[str | int], node: syntax.Field
    ) -> tree.StepField:
        if index >= self._scope.results:
            raise self.refuse(f"a result has {self._scope.results} events, counted from 0", node)
        if not parts:
            raise self.refuse("an event is no value: name one of its fields", node)
        path = _without_positions(parts)
        plain = tree.step_field(index, path, self._schema)
        return self._placed(plain, parts, path, node)

    def _placed(
        self, plain: _FieldT, parts: Sequence[str | int], path: str, node: syntax.Expression
    ) -> _FieldT:
        """Return a field with the positions that `parts` have, and `path` and `plain` do not."""
        if "[" in path:
            for part in parts:
                if isinstance(part, str) and _POSITION.search(part):
                    raise self.refuse(f"a name with `[0]` in it cannot be read: `{part}`", node)
        if all(isinstance(part, str) for part in parts):
            return plain
        if plain.path == path:
            return attrs.evolve(plain, path=syntax.dotted(parts))
        names = sum(isinstance(part, str) for part in parts)
        if any(isinstance(part, str) for part in parts[names:]):
            problem = f"`{path}` is another name for `{plain.path}`: write that one"
            raise self.refuse(f"{problem} to read a position inside it", node)
        return attrs.evolve(plain, path=plain.path + syntax.dotted(parts[names:]))

    # --- what is known ---

    def _is_known(self, parts: Sequence[str | int]) -> bool:
        return _without_positions(parts) in self._schema.fields

    def _has_fields_under(self, name: str) -> bool:
        return any(path.startswith(f"{name}.") for path in self._schema.fields)

    def _not_visible(self, name: str, node: syntax.Expression) -> Refused:
        problem = (
            f"{name} is not visible inside `{self._scope.brackets}`, which asks about another "
            "event: move the condition out of the brackets"
        )
        return self.refuse(problem, node)

    def _check(self, parts: Sequence[str | int], path: str, node: syntax.Field) -> None:
        schema = self._schema
        if path in schema.fields or node.optional or path in self._extra:
            return
        above = schema.field(_without_positions(parts[:-1]))
        if self._settings.endgame and above is not None and above.type is FieldType.KEYWORD:
            return  # `subtype.create`, which `text_choice` is about
        near = _CONSTANTS.get(path.lower())
        if not schema.fields:
            if near is not None:
                problem = f"`{path}` is read as a field; did you mean `{near}`?"
                self._problems.warn(problem, node.position)
            return
        if near is None and self._suggestions < _MAX_SUGGESTIONS:
            self._suggestions += 1
            near = schema.nearest_field(path)
        problem = f"unknown field `{path}`" + (f"; did you mean `{near}`?" if near else "")
        if near is None and path.isidentifier() and not self._settings.endgame:
            problem += f'; a text stands in quotes: `"{path}"`'
        if len(parts) > 1 and _USUAL_STEP.fullmatch(str(parts[0])):
            problem = f"no step before is called `{parts[0]}`; add `as {parts[0]}` to one"
        if schema.strict:
            self._problems.error(problem, node.position)
        else:
            self._problems.warn(problem, node.position)


def _without_positions(parts: Sequence[str | int]) -> str:
    return syntax.dotted([part for part in parts if isinstance(part, str)])
