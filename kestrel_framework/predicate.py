"""The predicate tree that all rule languages compile to.

Meaning, in short (`docs/explanation/predicates.md` has it in full):

- A **value** node reads zero or more scalars from an event; none is null. A
  field yields all its values, with lists flattened; functions and arithmetic
  apply to every combination of their arguments' values. Where two or more operands
  have several values each, only the first `MAX_COMBINATIONS` count, the last operand
  changing fastest: an event must not make a rule arbitrarily expensive.
- A **predicate** node holds or does not hold. A leaf holds if some value (or
  some combination of its operands' values) satisfies it: a leaf over a missing
  field does not hold, and `Not` of it does. There is no `!=`.
- Values of different kinds never satisfy a leaf: the number 1, the text "1" and
  true are three things. A field with a type brings its values to that type
  first (`kestrel_framework.values.typed_value`), and the constructors
  `comparison` and `membership` do the same to the literals beside it.
- `fold` compares without regard to case, by `kestrel_framework.values.fold_case`.
- A path is keys joined by dots. `[n]` after a key is the value at one position of the list there,
  counted from 0: `process.args[0]`. Positions are looked for in lists alone.

`kestrel_framework.interpreter` is the reference for what each node means.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable
from typing import Final, TypeAlias

import attrs

from kestrel_framework._tree_node import TreeNode
from kestrel_framework.functions import Function
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry
from kestrel_framework.values import Scalar, compile_regex, literal_for

MAX_COMBINATIONS: Final = 10_000
"""How many combinations of several many-valued operands are looked at."""

MAX_DEPTH: Final = 200
"""How deep a tree may nest; compilers refuse a rule that goes deeper."""


class ComparisonOperator(enum.Enum):
    """The relations of values; their texts are those of `values.compare`."""

    EQUAL = "=="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


class ArithmeticOperator(enum.Enum):
    """Integers stay integers: division truncates toward zero. By zero: null.

    `FLOOR_DIVIDE` goes down to the next integer instead, where both are integers;
    `FLOOR_MODULO` has the sign of what divides.
    """

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    MODULO = "%"
    FLOOR_DIVIDE = "floor /"
    FLOOR_MODULO = "floor %"


class TextPart(enum.Enum):
    """Where in a text a `TextTest` looks."""

    PREFIX = "prefix"
    SUFFIX = "suffix"
    SUBSTRING = "substring"


class LineageRelation(enum.Enum):
    """Whose earlier event a `Lineage` looks for, seen from the event at hand."""

    EVENT = "event"
    """The same process's; the event at hand counts too."""
    CHILD = "child"
    """The process's parent's."""
    DESCENDANT = "descendant"
    """That of any process above it."""


# --- values ----------------------------------------------------------------


def _typed(value: Scalar | None) -> tuple[type, Scalar | None]:
    return type(value), value


@attrs.frozen
class Literal(TreeNode):
    """A constant; `None` is null. `1`, `1.0` and `True` are unequal literals."""

    value: Scalar | None = attrs.field(eq=_typed)


@attrs.frozen(cache_hash=True)
class Field(TreeNode):
    """The values of a field of the event.

    Made by `field`, which asks the schema. A value that cannot be brought to the
    type of the field takes no part; an object at the path is there for `IsNull` and
    `AnyElement`, where the field has no type or the type `object`, and takes no
    other part.

    Attributes:
        path: The dotted path. Each part is one key of an object, or a position.
        type: What the schema says; `None` keeps the values' own types.
        whole: Reads a list, or what a list of objects has at the path, as one
            value: the tuple of all its values. Only `Comparison` for equality (tuple
            with tuple, element by element), `IsNull`, and `Function.LENGTH` (the number of
            elements) look at it; nowhere else does it take part. What is no list
            is the value that it is, and an empty list is missing.
        formats: For a date: the patterns of its texts.
        null_value: What an explicit null stands for, if not for absence.
    """

    path: str
    type: FieldType | None = None
    whole: bool = False
    formats: tuple[str, ...] = ()
    null_value: Scalar | None = attrs.field(default=None, eq=_typed)


@attrs.frozen
class StepField(TreeNode):
    """The values of a field of the event that an earlier step of the sequence matched.

    A step that has no event has no values. Made by `step_field`.
    """

    step: int
    path: str
    type: FieldType | None = None
    formats: tuple[str, ...] = ()
    null_value: Scalar | None = attrs.field(default=None, eq=_typed)


@attrs.frozen
class Element(TreeNode):
    """The values at `path` of the element that an `AnyElement` around it has bound.

    An empty path is the element itself. The innermost quantifier of that variable
    counts; where none binds it, there are no values. Made by `element`.
    """

    variable: str
    path: str = ""
    type: FieldType | None = None
    formats: tuple[str, ...] = ()
    null_value: Scalar | None = attrs.field(default=None, eq=_typed)


@attrs.frozen(cache_hash=True)
class Arithmetic(TreeNode):
    """`functions.calculate` of every combination of the operands' values."""

    operator: ArithmeticOperator
    left: Value
    right: Value


@attrs.frozen(cache_hash=True)
class Call(TreeNode):
    """A function of `kestrel_framework.functions`; null if an argument is null."""

    function: Function
    arguments: tuple[Value, ...]
    fold: bool = False


@attrs.frozen(cache_hash=True)
class Truth(TreeNode):
    """A predicate as a value: true where `holds` does, false where `fails` does, else null.

    The pair is how a three-valued language keeps its third value.
    """

    holds: Predicate
    fails: Predicate


@attrs.frozen(cache_hash=True)
class ElementCount(TreeNode):
    """How many elements of a list satisfy `predicate`, as for `AnyElement`.

    Always a number: 0 where there is no list.
    """

    array: Field | Element
    variable: str
    predicate: Predicate


FieldLike: TypeAlias = Field | StepField | Element
Value: TypeAlias = Literal | Field | StepField | Element | Arithmetic | Call | Truth | ElementCount


# --- predicates ------------------------------------------------------------


@attrs.frozen(cache_hash=True)
class Constant(TreeNode):
    """Always, or never."""

    holds: bool


@attrs.frozen(cache_hash=True)
class Comparison(TreeNode):
    """Some value of `left` stands in that relation to some value of `right`.

    Texts compare by code point, numbers as numbers; booleans only for equality.
    Where an operand is a field of type `version` or `ip` (the left one counts
    first), texts are in the order of versions or addresses. Made by `comparison`.
    """

    operator: ComparisonOperator
    left: Value
    right: Value
    fold: bool = False


@attrs.frozen(cache_hash=True)
class Membership(TreeNode):
    """Some value is one of `choices`, which are not empty. Made by `membership`."""

    value: Value
    choices: tuple[Literal, ...]
    fold: bool = False


@attrs.frozen(cache_hash=True)
class Wildcard(TreeNode):
    """Some value as text matches one of the patterns from end to end.

    `*` is any text, `?` any one character, line ends included; nothing else is
    special, and nothing escapes. Numbers and booleans match as their text.
    """

    value: Value
    patterns: tuple[str, ...]
    fold: bool = True


@attrs.frozen(cache_hash=True)
class Regex(TreeNode):
    """Some value as text matches one of the patterns from end to end.

    Patterns are in the syntax of `kestrel_framework.values.compile_regex`; numbers and
    booleans match as their text.

    Raises:
        ValueError: a pattern is wrong.
    """

    value: Value
    patterns: tuple[str, ...] = attrs.field()
    fold: bool = False

    @patterns.validator
    def _compile(self, _: object, patterns: tuple[str, ...]) -> None:
        for pattern in patterns:
            compile_regex(pattern, fold=self.fold)


@attrs.frozen(cache_hash=True)
class Cidr(TreeNode):
    """Some value is the text of an address in one of the networks (canonical texts)."""

    value: Value
    networks: tuple[str, ...] = attrs.field()

    @networks.validator
    def _canonical(self, _: object, networks: tuple[str, ...]) -> None:
        for network in networks:
            ipaddress.ip_network(network)


@attrs.frozen(cache_hash=True)
class TextTest(TreeNode):
    """Some value of `value` starts with, ends with or contains some value of `part`.

    Both are texts; numbers and booleans take no part.
    """

    kind: TextPart
    value: Value
    part: Value
    fold: bool = False


@attrs.frozen(cache_hash=True)
class IsNull(TreeNode):
    """The value has no value (and, for a field, no object that may be there)."""

    value: Value


@attrs.frozen(cache_hash=True)
class AnyElement(TreeNode):
    """`predicate` holds for some element of an array of objects.

    The elements are the objects and values of the field, as any other field is read
    (what is no list is a list of one); `whole` means nothing here. Inside,
    `Element(variable, ...)` reads the element.
    """

    array: Field | Element
    variable: str
    predicate: Predicate


@attrs.frozen(cache_hash=True)
class Lineage(TreeNode):
    """A related process had an event of one of `event_types` that satisfied `predicate`.

    The only predicate that an event alone cannot decide: who is whose parent, and what
    processes did before, is known from the events that came before it. An event
    without a process has no relations.

    Attributes:
        relation: Which process is meant.
        event_types: As in `kestrel_framework.rule.EventRule`; empty is every event.
        predicate: Of that other event; it cannot refer to earlier steps, nor to
            variables bound around it.
        process: What tells processes apart, in any event of theirs.
        parent: The same of the process's parent; it need not be in every event.
    """

    relation: LineageRelation
    event_types: frozenset[str]
    predicate: Predicate
    process: Field
    parent: Field


@attrs.frozen(cache_hash=True)
class And(TreeNode):
    """All terms hold."""

    terms: tuple[Predicate, ...]


@attrs.frozen(cache_hash=True)
class Or(TreeNode):
    """Some term holds."""

    terms: tuple[Predicate, ...]


@attrs.frozen(cache_hash=True)
class Not(TreeNode):
    """The term does not hold."""

    term: Predicate


Predicate: TypeAlias = (
    Constant
    | Comparison
    | Membership
    | Wildcard
    | Regex
    | Cidr
    | TextTest
    | IsNull
    | AnyElement
    | Lineage
    | And
    | Or
    | Not
)

Node: TypeAlias = Value | Predicate

ALWAYS: Final = Constant(holds=True)
NEVER: Final = Constant(holds=False)


# --- fields as a schema knows them -------------------------------------------


def field(path: str, schema: SchemaRegistry, *, whole: bool = False) -> Field:
    """Return the field of the event with what the schema says; aliases are followed.

    A path that the schema does not know has no type.
    """
    known = schema.field(path) or FieldDefinition(path)
    return Field(known.path, known.type, whole, known.formats, known.null_value)


def step_field(step: int, path: str, schema: SchemaRegistry) -> StepField:
    """Return the field of an earlier step's event, as `field` does."""
    known = schema.field(path) or FieldDefinition(path)
    return StepField(step, known.path, known.type, known.formats, known.null_value)


def element(variable: str, path: str, array: str, schema: SchemaRegistry) -> Element:
    """Return what an element has at `path`, typed as the schema types `array.path`.

    Args:
        variable: The name that the quantifier binds.
        path: The path inside the element; "" is the element itself.
        array: The full path of the array.
        schema: What knows the types. Aliases are not followed inside an element.
    """
    full = f"{array}.{path}" if path else array
    known = schema.field(full)
    if known is None or known.path != full:
        return Element(variable, path)
    return Element(variable, path, known.type, known.formats, known.null_value)


# --- constructors that keep trees small and literals right -------------------


def comparison(
    operator: ComparisonOperator, left: Value, right: Value, *, fold: bool = False
) -> Comparison:
    """Return the comparison, with a literal brought to the type of the field beside it.

    Raises:
        ValueError: the literal cannot be a value of the field's type.
    """
    if isinstance(right, Literal):
        right = _literal_beside(left, right)
    elif isinstance(left, Literal):
        left = _literal_beside(right, left)
    return Comparison(operator, left, right, fold)


def membership(value: Value, choices: Iterable[Literal], *, fold: bool = False) -> Predicate:
    """Return the membership test, with literals brought to the type of the field.

    Null choices never equal anything and are left out.

    Raises:
        ValueError: a literal cannot be a value of the field's type.
    """
    typed = dict.fromkeys(
        _literal_beside(value, choice) for choice in choices if choice.value is not None
    )
    return Membership(value, tuple(typed), fold) if typed else NEVER


def all_of(terms: Iterable[Predicate]) -> Predicate:
    """Return the conjunction: flat, without `ALWAYS`, `NEVER` if a term is."""
    flat: dict[Predicate, None] = {}
    for term in terms:
        if isinstance(term, And):
            flat.update(dict.fromkeys(term.terms))
        else:
            flat[term] = None
    flat.pop(ALWAYS, None)
    if NEVER in flat:
        return NEVER
    return And(tuple(flat)) if len(flat) > 1 else next(iter(flat), ALWAYS)


def any_of(terms: Iterable[Predicate]) -> Predicate:
    """Return the disjunction: flat, without `NEVER`, `ALWAYS` if a term is."""
    flat: dict[Predicate, None] = {}
    for term in terms:
        if isinstance(term, Or):
            flat.update(dict.fromkeys(term.terms))
        else:
            flat[term] = None
    flat.pop(NEVER, None)
    if ALWAYS in flat:
        return ALWAYS
    return Or(tuple(flat)) if len(flat) > 1 else next(iter(flat), NEVER)


def negation(term: Predicate) -> Predicate:
    """Return the negation, without a double `Not`."""
    if isinstance(term, Constant):
        return NEVER if term.holds else ALWAYS
    return term.term if isinstance(term, Not) else Not(term)


def _literal_beside(value: Value, literal: Literal) -> Literal:
    if not isinstance(value, (Field, StepField, Element)) or literal.value is None:
        return literal
    return Literal(literal_for(literal.value, value.type, value.formats))
