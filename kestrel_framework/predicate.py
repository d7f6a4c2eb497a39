"""The predicate tree that all rule languages compile to.

Meaning, in short (`docs/explanation/predicates.md` has it in full):

- A **value** node reads zero or more scalars from an event; none is null. A
  field yields all its values, with lists flattened; functions and arithmetic
  apply to every combination of their arguments' values.
- A **predicate** node holds or does not hold. A leaf holds if some value (or
  some combination of its operands' values) satisfies it: a leaf over a missing
  field does not hold, and `Not` of it does. There is no `!=`.
- Values of different kinds never satisfy a leaf: the number 1, the text "1" and
  true are three things. A field with a type brings its values to that type
  first (`kestrel_framework.values.typed_value`), and the constructors
  `comparison` and `membership` do the same to the literals beside it.
- `fold` compares without regard to case, by `kestrel_framework.values.fold_case`.

`kestrel_framework.interpreter` is the reference for what each node means.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import attrs

from kestrel_framework.functions import Function
from kestrel_framework.schema import FieldType
from kestrel_framework.values import Scalar, literal_for

MAX_DEPTH: Final = 200
"""How deep a tree may nest; compilers refuse a rule that goes deeper."""


class ComparisonOperator(enum.Enum):
    EQUAL = "=="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


class ArithmeticOperator(enum.Enum):
    """Integers stay integers: division truncates toward zero. By zero: null."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    MODULO = "%"


class TextPart(enum.Enum):
    PREFIX = "prefix"
    SUFFIX = "suffix"
    SUBSTRING = "substring"


# --- values ----------------------------------------------------------------


def _typed(value: Scalar | None) -> tuple[type, Scalar | None]:
    return type(value), value


@attrs.frozen
class Literal:
    """A constant; `None` is null. `1`, `1.0` and `True` are unequal literals."""

    value: Scalar | None = attrs.field(eq=_typed)


@attrs.frozen
class Field:
    """The values of a field of the event.

    `type` is what the schema says; `None` keeps the values' own types. `whole`
    reads a list as one value (a tuple) that only `Comparison` and `IsNull`
    look at, instead of its elements.
    """

    path: str
    type: FieldType | None = None
    whole: bool = False


@attrs.frozen
class StepField:
    """The values of a field of the event that an earlier step of the sequence matched."""

    step: int
    path: str
    type: FieldType | None = None


@attrs.frozen
class Element:
    """The values at `path` of the element that an `AnyElement` around it has bound.

    An empty path is the element itself.
    """

    variable: str
    path: str = ""
    type: FieldType | None = None


@attrs.frozen
class Arithmetic:
    operator: ArithmeticOperator
    left: Value
    right: Value


@attrs.frozen
class Call:
    """A function of `kestrel_framework.functions`; null if an argument is null."""

    function: Function
    arguments: tuple[Value, ...]
    fold: bool = False


@attrs.frozen
class Truth:
    """A predicate as a value: true where `holds` does, false where `fails` does, else null.

    The pair is how a three-valued language keeps its third value.
    """

    holds: Predicate
    fails: Predicate


Value: TypeAlias = Literal | Field | StepField | Element | Arithmetic | Call | Truth


# --- predicates ------------------------------------------------------------


@attrs.frozen
class Constant:
    """Always, or never."""

    holds: bool


@attrs.frozen
class Comparison:
    """Some value of `left` stands in that relation to some value of `right`.

    Texts compare by code point, numbers as numbers, versions as versions;
    booleans only for equality. Made by `comparison`.
    """

    operator: ComparisonOperator
    left: Value
    right: Value
    fold: bool = False


@attrs.frozen
class Membership:
    """Some value is one of `choices`, which are not empty. Made by `membership`."""

    value: Value
    choices: tuple[Literal, ...]
    fold: bool = False


@attrs.frozen
class Wildcard:
    """Some value as text matches one of the patterns from end to end.

    `*` is any text, `?` any one character, line ends included; nothing else is
    special, and nothing escapes. Numbers and booleans match as their text.
    """

    value: Value
    patterns: tuple[str, ...]
    fold: bool = True


@attrs.frozen
class Regex:
    """Some value as text matches one of the patterns from end to end.

    Patterns are in the syntax of `kestrel_framework.values.compile_regex`.
    """

    value: Value
    patterns: tuple[str, ...]
    fold: bool = False


@attrs.frozen
class Cidr:
    """Some value is an address in one of the networks (canonical texts)."""

    value: Value
    networks: tuple[str, ...] = attrs.field()

    @networks.validator
    def _canonical(self, _: object, networks: tuple[str, ...]) -> None:
        for network in networks:
            ipaddress.ip_network(network)


@attrs.frozen
class TextTest:
    """Some value of `value` starts with, ends with or contains some value of `part`."""

    kind: TextPart
    value: Value
    part: Value
    fold: bool = False


@attrs.frozen
class IsNull:
    """The value has no value."""

    value: Value


@attrs.frozen
class AnyElement:
    """`predicate` holds for some element of an array of objects.

    What is no list is a list of one. Inside, `Element(variable, ...)` reads it.
    """

    array: Field | Element
    variable: str
    predicate: Predicate


@attrs.frozen
class And:
    terms: tuple[Predicate, ...]


@attrs.frozen
class Or:
    terms: tuple[Predicate, ...]


@attrs.frozen
class Not:
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
    | And
    | Or
    | Not
)

Node: TypeAlias = Value | Predicate

ALWAYS: Final = Constant(holds=True)
NEVER: Final = Constant(holds=False)


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
        flat.update(dict.fromkeys(term.terms if isinstance(term, And) else (term,)))
    flat.pop(ALWAYS, None)
    if NEVER in flat:
        return NEVER
    return And(tuple(flat)) if len(flat) > 1 else next(iter(flat), ALWAYS)


def any_of(terms: Iterable[Predicate]) -> Predicate:
    """Return the disjunction: flat, without `NEVER`, `ALWAYS` if a term is."""
    flat: dict[Predicate, None] = {}
    for term in terms:
        flat.update(dict.fromkeys(term.terms if isinstance(term, Or) else (term,)))
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
    return Literal(literal_for(literal.value, value.type))


# --- looking at a tree -------------------------------------------------------


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly under `node`, in order."""
    match node:
        case Comparison() | Arithmetic():
            return (node.left, node.right)
        case Membership() | Wildcard() | Regex() | Cidr() | IsNull():
            return (node.value,)
        case TextTest():
            return (node.value, node.part)
        case AnyElement():
            return (node.array, node.predicate)
        case And() | Or():
            return node.terms
        case Not():
            return (node.term,)
        case Call():
            return node.arguments
        case Truth():
            return (node.holds, node.fails)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and every node under it, parents first, without recursion."""
    waiting: list[Node] = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(children(current)))


def depth(node: Node) -> int:
    """Return how deep the tree nests; a leaf without operands is 1."""
    deepest = 0
    level: Sequence[Node] = (node,)
    while level:
        deepest += 1
        level = [child for parent in level for child in children(parent)]
    return deepest


def fields_of(node: Node) -> frozenset[str]:
    """Return the paths of the fields of the event at hand that the tree reads."""
    return frozenset(part.path for part in walk(node) if isinstance(part, Field))


def steps_of(node: Node) -> frozenset[int]:
    """Return the earlier steps whose events the tree reads."""
    return frozenset(part.step for part in walk(node) if isinstance(part, StepField))


def to_data(node: Node) -> dict[str, object]:
    """Return the tree as plain data: canonical, ready for JSON, one key `node` per node."""
    data: dict[str, object] = {"node": type(node).__name__}
    for attribute in attrs.fields(type(node)):
        data[attribute.name] = _plain(getattr(node, attribute.name))
    return data


def _plain(value: object) -> object:
    if attrs.has(type(value)):
        return to_data(value)  # type: ignore[arg-type]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return {"float": repr(value)}
    return value
