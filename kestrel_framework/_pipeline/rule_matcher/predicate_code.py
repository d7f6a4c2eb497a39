"""From predicate trees to Python source.

Nothing of a rule or an event is ever pasted into the source: every literal, path,
pattern and name is a constant `k0`, `k1`, ... that the code refers to, so that no text
of a rule can become code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from kestrel_framework._pipeline.rule_matcher import leaf_tests, row_cells
from kestrel_framework._pipeline.rule_matcher.read_event import ReadEvent
from kestrel_framework._pipeline.rule_matcher.row_cells import CellForm, Cells, CellTable
from kestrel_framework.interpreter import (
    calculated,
    called,
    entries,
    field_values,
    holds,
    some_pair,
    some_text_pair,
)
from kestrel_framework.patterns import compile_wildcards
from kestrel_framework.predicate import (
    And,
    AnyElement,
    Arithmetic,
    Call,
    Cidr,
    Comparison,
    ComparisonOperator,
    Constant,
    Element,
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
    TextPart,
    TextTest,
    Truth,
    Value,
    Wildcard,
)
from kestrel_framework.predicate_traversal import walk
from kestrel_framework.values import (
    compile_networks,
    compile_regex,
    equality_key,
    fold_case,
    kind_of,
    scalar,
)

RowTest: TypeAlias = Callable[[Cells, ReadEvent], bool]
"""Whether a predicate holds for an event, given its cells."""

_DEEPEST_EXPRESSION: Final = 10
"""Where a tree nests deeper, a function of its own goes on: Python's parser has a limit."""

_RUNTIME: Final[Mapping[str, object]] = {
    "some_text": leaf_tests.some_text,
    "some_key": leaf_tests.some_key,
    "some_number": leaf_tests.some_number,
    "some_prefix": leaf_tests.some_prefix,
    "some_suffix": leaf_tests.some_suffix,
    "some_substring": leaf_tests.some_substring,
    "some_pair": some_pair,
    "some_text_pair": some_text_pair,
    "calculated": calculated,
    "called": called,
    "field_values": field_values,
    "entries": entries,
    "interpret": holds,
    "texts": row_cells.texts,
    "folded": row_cells.folded,
    "folded_texts": row_cells.folded_texts,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "any": any,
}
_ORDER_NAMES: Final = {
    ComparisonOperator.LESS: "lt",
    ComparisonOperator.LESS_OR_EQUAL: "le",
    ComparisonOperator.GREATER: "gt",
    ComparisonOperator.GREATER_OR_EQUAL: "ge",
}
_MIRRORED: Final = {
    ComparisonOperator.EQUAL: ComparisonOperator.EQUAL,
    ComparisonOperator.LESS: ComparisonOperator.GREATER,
    ComparisonOperator.LESS_OR_EQUAL: ComparisonOperator.GREATER_OR_EQUAL,
    ComparisonOperator.GREATER: ComparisonOperator.LESS,
    ComparisonOperator.GREATER_OR_EQUAL: ComparisonOperator.LESS_OR_EQUAL,
}
_TEXT_PART_NAMES: Final = {
    TextPart.PREFIX: "some_prefix",
    TextPart.SUFFIX: "some_suffix",
    TextPart.SUBSTRING: "some_substring",
}
_FORM_NAMES: Final = {
    CellForm.TEXTS: "texts",
    CellForm.FOLDED: "folded",
    CellForm.FOLDED_TEXTS: "folded_texts",
}

_Scope: TypeAlias = tuple[tuple[str, str], ...]
"""The quantified variables around a node, with their names in the code."""


class PredicateCode:
    """Generates the source of many predicates, which share constants and cells.

    Args:
        cells: The cells of a row, shared by all code of a rule set.
    """

    def __init__(self, cells: CellTable) -> None:
        self._cells = cells
        self._functions: list[str] = []
        self._names: dict[Predicate, str] = {}
        self._constants: dict[str, object] = {}
        self._known_constants: dict[object, str] = {}
        self._variables = 0

    def add(self, predicate: Predicate) -> str:
        """Return the name of the function that tests `predicate`, which is new or known."""
        name = self._names.get(predicate)
        if name is None:
            call = self._defined(self._expression(predicate, (), 0), ())
            name = self._names[predicate] = call.partition("(")[0]
        return name

    def source(self) -> str:
        """Return the Python source."""
        return "\n\n".join(self._functions)

    def compiled(self) -> dict[str, RowTest]:
        """Return the functions by name."""
        namespace: dict[str, object] = {"__builtins__": {}, **_RUNTIME, **self._constants}
        for number, reader in enumerate(self._cells.readers):
            namespace[f"r{number}"] = reader
        exec(compile(self.source(), "<kestrel rules>", "exec"), namespace)  # noqa: S102
        return {name: namespace[name] for name in self._names.values()}  # type: ignore[misc]

    # --- predicates -----------------------------------------------------------------

    def _defined(self, body: str, scope: _Scope) -> str:
        """Define a function that returns `body`, and return the call of it."""
        name = f"p{len(self._functions)}"
        call = f"{name}({', '.join(['c', 'd', *(variable for _, variable in scope)])})"
        self._functions.append(f"def {call}:\n    return {body}\n")
        return call

    def _expression(self, predicate: Predicate, scope: _Scope, depth: int) -> str:
        if depth > _DEEPEST_EXPRESSION and isinstance(predicate, (And, Or, Not, AnyElement)):
            return self._defined(self._expression(predicate, scope, 0), scope)
        match predicate:
            case Constant():
                return str(predicate.holds)
            case And() | Or():
                if not predicate.terms:
                    return str(isinstance(predicate, And))
                word = " and " if isinstance(predicate, And) else " or "
                terms = sorted(predicate.terms, key=cost)
                parts = [self._expression(term, scope, depth + 1) for term in terms]
                return f"({word.join(parts)})"
            case Not():
                return f"(not {self._expression(predicate.term, scope, depth + 1)})"
            case AnyElement():
                return self._quantifier(predicate, scope, depth)
            case _:
                return self._leaf(predicate, scope, depth)

    def _quantifier(self, node: AnyElement, scope: _Scope, depth: int) -> str:
        self._variables += 1
        name = f"v{self._variables}"
        root = self._root(node.array, scope)
        inner = (
            *((known, code) for known, code in scope if known != node.variable),
            (node.variable, name),
        )
        body = self._expression(node.predicate, inner, depth + 1)
        array = self._constant(node.array)
        return f"any({body} for {name} in entries({array}, {root}))"

    def _leaf(self, leaf: Predicate, scope: _Scope, depth: int) -> str:
        if any(_needs_interpreter(node) for node in walk(leaf)):
            bound = ", ".join(f"{self._constant(known)}: {code}" for known, code in scope)
            return f"interpret({self._constant(leaf)}, d.read_document(), (), {{{bound}}})"
        match leaf:
            case Comparison():
                return self._comparison(leaf, scope, depth)
            case Membership():
                return self._membership(leaf.value, leaf.choices, leaf.fold, scope, depth)
            case Wildcard():
                patterns = [fold_case(p) if leaf.fold else p for p in leaf.patterns]
                texts = self._values(
                    leaf.value, CellForm.FOLDED_TEXTS if leaf.fold else CellForm.TEXTS, scope, depth
                )
                if not any("*" in pattern or "?" in pattern for pattern in patterns):
                    return f"(not {self._constant(frozenset(patterns))}.isdisjoint({texts}))"
                return f"some_text({self._constant(compile_wildcards(patterns))}, {texts})"
            case Regex():
                tests = [
                    self._constant(compile_regex(pattern, fold=leaf.fold))
                    for pattern in leaf.patterns
                ]
                texts = self._values(leaf.value, CellForm.TEXTS, scope, depth)
                return (
                    f"({' or '.join(f'some_text({test}, {texts})' for test in tests) or 'False'})"
                )
            case Cidr():
                texts = self._values(leaf.value, CellForm.TEXTS, scope, depth)
                test = self._constant(compile_networks(leaf.networks))
                return f"some_text({test}, {texts})"
            case TextTest():
                return self._text_test(leaf, scope, depth)
            case IsNull():
                return self._null_test(leaf, scope, depth)
        raise AssertionError(leaf)

    def _comparison(self, node: Comparison, scope: _Scope, depth: int) -> str:
        left, right, relation = node.left, node.right, node.operator
        if isinstance(left, Literal):
            left, right, relation = right, left, _MIRRORED[relation]
        if isinstance(right, Literal):
            literal = scalar(right.value)
            if literal is None:
                return "False"
            if relation is ComparisonOperator.EQUAL:
                return self._membership(left, (right,), node.fold, scope, depth)
            if kind_of(literal) == "number":
                values = self._values(left, CellForm.VALUES, scope, depth)
                return f"some_number({_ORDER_NAMES[relation]}, {values}, {self._constant(literal)})"
        left_values = self._values(node.left, CellForm.VALUES, scope, depth)
        right_values = self._values(node.right, CellForm.VALUES, scope, depth)
        # The operands are given apart: of the node, only its operator and types count.
        return f"some_pair({self._constant(node)}, {left_values}, {right_values})"

    def _membership(
        self, value: Value, choices: Sequence[Literal], fold: bool, scope: _Scope, depth: int
    ) -> str:
        known = [choice for literal in choices if (choice := scalar(literal.value)) is not None]
        keys = frozenset(equality_key(choice, fold=fold) for choice in known)
        form = CellForm.FOLDED if fold else CellForm.VALUES
        values = self._values(value, form, scope, depth)
        if any(kind != "text" for kind, _ in keys):
            return f"some_key({self._constant(keys)}, {values})"
        texts = frozenset(text for _, text in keys)
        if len(texts) == 1:
            return f"({self._constant(*texts)} in {values})"
        return f"(not {self._constant(texts)}.isdisjoint({values}))"

    def _text_test(self, node: TextTest, scope: _Scope, depth: int) -> str:
        if isinstance(node.part, Literal):
            part = node.part.value
            if not isinstance(part, str):
                return "False"
            form = CellForm.FOLDED if node.fold else CellForm.VALUES
            values = self._values(node.value, form, scope, depth)
            constant = self._constant(fold_case(part) if node.fold else part)
            return f"{_TEXT_PART_NAMES[node.kind]}({values}, {constant})"
        values = self._values(node.value, CellForm.VALUES, scope, depth)
        parts = self._values(node.part, CellForm.VALUES, scope, depth)
        return f"some_text_pair({self._constant(node)}, {values}, {parts})"

    def _null_test(self, node: IsNull, scope: _Scope, depth: int) -> str:
        values = self._values(node.value, CellForm.VALUES, scope, depth)
        if isinstance(node.value, (Field, Element)):
            entries_of = f"entries({self._constant(node.value)}, {self._root(node.value, scope)})"
            return f"(not {values} and not {entries_of})"
        return f"(not {values})"

    # --- values -----------------------------------------------------------------------

    def _values(self, value: Value, form: CellForm, scope: _Scope, depth: int) -> str:
        if isinstance(value, Field):
            number = self._cells.number(value, form)
            return f"(r{number}(c, d) if c[{number}] is None else c[{number}])"
        if depth > _DEEPEST_EXPRESSION and isinstance(value, (Arithmetic, Call, Truth)):
            body = self._computed_values(value, scope, 0)
            values = self._defined(body, scope)
        else:
            values = self._computed_values(value, scope, depth)
        return values if form is CellForm.VALUES else f"{_FORM_NAMES[form]}({values})"

    def _computed_values(self, value: Value, scope: _Scope, depth: int) -> str:
        match value:
            case Literal():
                known = scalar(value.value)
                return self._constant(() if known is None else (known,))
            case Element():
                return f"field_values({self._constant(value)}, {self._root(value, scope)})"
            case Arithmetic():
                operands = (value.left, value.right)
                return self._combined("calculated", value, operands, scope, depth)
            case Call():
                return self._combined("called", value, value.arguments, scope, depth)
            case Truth():
                held = self._expression(value.holds, scope, depth + 1)
                failed = self._expression(value.fails, scope, depth + 1)
                return f"((True,) if {held} else (False,) if {failed} else ())"
            case _:
                raise AssertionError(value)

    def _combined(
        self,
        function: str,
        node: Arithmetic | Call,
        operands: Sequence[Value],
        scope: _Scope,
        depth: int,
    ) -> str:
        parts = ""
        for part in operands:
            parts += f"{self._values(part, CellForm.VALUES, scope, depth + 1)}, "
        return f"{function}({self._constant(node)}, [{parts}])"

    def _root(self, field: Field | StepField | Element, scope: _Scope) -> str:
        if isinstance(field, Element):
            return dict(scope).get(field.variable, "None")
        return "d.read_document()"

    def _constant(self, value: object) -> str:
        key = (
            (type(value), repr(value)) if isinstance(value, (str, int, float, tuple)) else id(value)
        )
        name = self._known_constants.get(key)
        if name is None:
            name = self._known_constants[key] = f"k{len(self._constants)}"
            self._constants[name] = value
        return name


def _needs_interpreter(node: Node) -> bool:
    """Say whether code is not generated for a node: it is rare, and the reference is there."""
    return isinstance(node, ElementCount) or (isinstance(node, Field) and node.whole)


def cost(predicate: Predicate) -> int:
    """Return a rough measure of how dear a predicate is to test, to test cheap ones first."""
    match predicate:
        case Constant():
            return 0
        case And() | Or():
            return 1 + sum(cost(term) for term in predicate.terms)
        case Not():
            return cost(predicate.term)
        case AnyElement():
            return 40 + cost(predicate.predicate)
        case Membership() | IsNull():
            return 2 * _value_cost(predicate.value)
        case Comparison():
            return _value_cost(predicate.left) + _value_cost(predicate.right)
        case TextTest():
            return 2 * _value_cost(predicate.value) + _value_cost(predicate.part)
        case Wildcard():
            return (3 + len(predicate.patterns) // 2) * _value_cost(predicate.value)
        case Cidr():
            return 6 * _value_cost(predicate.value)
        case Regex():
            return 20 * _value_cost(predicate.value)
        case Lineage():
            raise AssertionError(predicate)  # no event alone decides it


def _value_cost(value: Value) -> int:
    match value:
        case Literal():
            return 0
        case Field():
            return 1
        case _:
            return 12
