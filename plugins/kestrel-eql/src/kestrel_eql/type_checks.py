"""Refuses what the types of fields and functions make impossible.

A test that no event could pass is an error; one that some event might, but that its author
cannot have meant, is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kestrel_eql import syntax
from kestrel_eql.kinds import in_words, kinds_of
from kestrel_eql.names import Names
from kestrel_eql.problems import Problems
from kestrel_framework import predicate as tree
from kestrel_framework.predicate import ComparisonOperator, Value
from kestrel_framework.schema import FieldType
from kestrel_framework.values import (
    Kind,
    canonical_address,
    compile_wildcard,
    fold_case,
    number_of,
    text_of,
    version_key,
)

_CONVERSIONS: Final[dict[Kind, str]] = {"text": "string", "number": "number"}
_NUMBER_PATTERN: Final = re.compile(r"[0-9.eE+*?-]*")
_ADDRESS_PATTERN: Final = re.compile(r"[0-9a-fA-F.:*?]*")
_DATE_MATH: Final = re.compile(r"now.*|.*\|\|.*")
_FIELDS: Final = (tree.Field, tree.StepField, tree.Element)


class TypeChecks:
    """Looks at the lowered parts of one rule; what is wrong goes to `problems`."""

    def __init__(self, names: Names, problems: Problems) -> None:
        self._names = names
        self._problems = problems

    # --- comparisons ---

    def comparison(
        self,
        found: tree.Comparison,
        sides: tuple[syntax.Expression, syntax.Expression],
        node: syntax.Expression,
    ) -> None:
        """Check a comparison whose literals have the types of the fields beside them.

        Raises:
            Refused: it can never hold.
        """
        left, right = kinds_of(found.left), kinds_of(found.right)
        if left and right and not left & right:
            told = f"{_described(sides[0], found.left)} and {_described(sides[1], found.right)}"
            hint = _conversion(sides, (found.left, found.right))
            raise self._names.refuse(f"this comparison can never hold: {told}{hint}", node)
        if _one_is_date(found):
            problem = "this compares a date with a number: compare it with another date"
            raise self._names.refuse(problem, node)
        if found.operator is not ComparisonOperator.EQUAL:
            self._order(found, left & right, sides, node)

    def _order(
        self,
        found: tree.Comparison,
        kinds: frozenset[Kind],
        sides: tuple[syntax.Expression, syntax.Expression],
        node: syntax.Expression,
    ) -> None:
        if kinds == {"boolean"}:
            raise self._names.refuse("true and false have no order: compare with `==`", node)
        for value, other, side in (
            (found.left, found.right, sides[1]),
            (found.right, found.left, sides[0]),
        ):
            if not isinstance(value, _FIELDS) or not isinstance(other, tree.Literal):
                continue
            if value.type is FieldType.KEYWORD and _is_number_written(side):
                problem = (
                    f'`{value.path}` is a text, so this compares texts, and "10" is less than '
                    f'"9"; write `number({value.path})`'
                )
                self._problems.warn(problem, node.position)
            elif value.type is FieldType.VERSION and version_key(str(other.value))[0]:
                problem = f"`{other.value}` is no version, and every version is less than it"
                self._problems.warn(problem, side.position)

    # --- patterns ---

    def wildcards(self, value: Value, patterns: Sequence[str], node: syntax.Match) -> None:
        """Check what a field is compared with by `:` or `like`.

        Raises:
            Refused: none of the patterns can match.
        """
        if not isinstance(value, _FIELDS):
            return
        match value.type:
            case FieldType.DATE:
                problem = f"`{value.path}` is a date, which no pattern matches; write `>=` and `<`"
                raise self._names.refuse(problem, node)
            case FieldType.BOOLEAN:
                tests = [compile_wildcard(fold_case(pattern)) for pattern in patterns]
                possible = any(test(text) for test in tests for text in ("true", "false"))
                remedy = "write `== true`"
            case FieldType.LONG | FieldType.DOUBLE:
                possible = any(_NUMBER_PATTERN.fullmatch(pattern) for pattern in patterns)
                remedy = "compare it with a number"
            case FieldType.IP:
                possible = any(_may_be_address(pattern) for pattern in patterns)
                remedy = "write `cidrMatch`"
                self._addresses(value.path, patterns, node)
            case _:
                return
        if not possible:
            told = f"`{value.path}` is of type `{value.type.value}`, and no pattern here matches"
            raise self._names.refuse(f"{told} such a value; {remedy}", node)

    def expressions(self, value: Value, node: syntax.Match) -> None:
        """Check what a field is compared with by `regex`.

        Raises:
            Refused: no regular expression matches values of that type.
        """
        if isinstance(value, _FIELDS) and value.type is FieldType.DATE:
            problem = f"`{value.path}` is a date, which no pattern matches; write `>=` and `<`"
            raise self._names.refuse(problem, node)

    def _addresses(self, path: str, patterns: Sequence[str], node: syntax.Match) -> None:
        for pattern in patterns:
            if "*" in pattern or "?" in pattern:
                if pattern.strip("*"):
                    problem = (
                        f"`{node.operator}` looks at the text of an address; "
                        f"write `cidrMatch({path}, ...)` for a network"
                    )
                    self._problems.warn(problem, node.position)
            elif (canonical := canonical_address(pattern)) not in (None, fold_case(pattern)):
                problem = (
                    f"`{pattern}` is never how an address is written here; write `{canonical}`"
                )
                self._problems.warn(problem, node.position)

    # --- arguments and operands ---

    def text(self, value: Value, node: syntax.Expression, function: str) -> None:
        """Check an argument that must be a text.

        Raises:
            Refused: it cannot be one.
        """
        self._argument(value, node, function, "text")

    def position(self, value: Value, node: syntax.Expression, function: str) -> None:
        """Check an argument that must be a whole number.

        Raises:
            Refused: it cannot be one.
        """
        self._argument(value, node, function, "number")
        if isinstance(value, tree.Literal) and isinstance(value.value, float):
            problem = f"`{function}` wants a whole number here, not {text_of(value.value)}"
            raise self._names.refuse(problem, node)

    def boolean(self, value: Value, node: syntax.Expression, function: str) -> None:
        """Check an argument that must be true or false.

        Raises:
            Refused: it cannot be either.
        """
        self._argument(value, node, function, "boolean")

    def text_or_number(self, value: Value, node: syntax.Expression, function: str) -> None:
        """Check an argument that must be a text or a number.

        Raises:
            Refused: it can be neither.
        """
        if "number" not in kinds_of(value):
            self._argument(value, node, function, "text")

    def operand(self, value: Value, node: syntax.Expression) -> None:
        """Check what is calculated with.

        Raises:
            Refused: it cannot be a number.
        """
        if isinstance(value, _FIELDS) and value.type is FieldType.DATE:
            problem = (
                f"`{value.path}` is a date, which nothing can be added to; compare it with a date"
            )
            raise self._names.refuse(problem, node)
        self._argument(value, node, "arithmetic", "number")

    def address(self, value: Value, node: syntax.Expression) -> None:
        """Check what `cidrMatch` looks at.

        Raises:
            Refused: it cannot be an address.
        """
        kinds = kinds_of(value)
        if kinds and "text" not in kinds:
            problem = f"{_described(node, value)}, and `cidrMatch` wants an address"
            raise self._names.refuse(problem, node)

    def condition(self, value: Value, node: syntax.Expression) -> None:
        """Check a field that stands as a condition.

        Raises:
            Refused: it cannot be true.
        """
        if not isinstance(value, _FIELDS) or value.type in (None, FieldType.BOOLEAN):
            return
        if value.type is FieldType.KEYWORD:
            problem = (
                f"`{value.path}` is a text, and holds only where it is `true`; "
                "compare it with something"
            )
            self._problems.warn(problem, node.position)
            return
        problem = f"a field of type `{value.type.value}` is no condition: compare it with something"
        raise self._names.refuse(problem, node)

    def _argument(self, value: Value, node: syntax.Expression, function: str, wanted: Kind) -> None:
        kinds = kinds_of(value)
        if not kinds or wanted in kinds:
            return
        named = function if function == "arithmetic" else f"`{function}`"
        problem = f"{_described(node, value)}, and {named} wants {in_words([wanted])} here"
        conversion = _CONVERSIONS.get(wanted)
        if conversion and isinstance(node, syntax.Field) and kinds != {"boolean"}:
            problem += f"; write `{conversion}({node.path})`"
        raise self._names.refuse(problem, node)


def literal_hint(value: Value, other: Value) -> str:
    """Return what to add to the complaint about a literal that is no value of a field."""
    if not isinstance(value, _FIELDS) or not isinstance(other, tree.Literal):
        return ""
    text = other.value
    if not isinstance(text, str):
        return ""
    if value.type is FieldType.IP and "/" in text:
        return "; a network is asked for by `cidrMatch`"
    if value.type is not FieldType.DATE:
        return ""
    if _DATE_MATH.fullmatch(text):
        return "; there are no calculated dates such as `now-1d`, write it out in ISO 8601"
    return '; write it in ISO 8601, as in `"2020-01-31T12:00:00Z"`'


def _described(node: syntax.Expression, value: Value) -> str:
    words = in_words(kinds_of(value))
    match node:
        case syntax.Literal(value=str() as text):
            return f'"{text}" is {words}'
        case syntax.Literal(value=int() | float() as known):
            return f"{text_of(known)} is {words}"
        case syntax.Call():
            return f"`{node.name}` gives {words}"
        case syntax.Field() | syntax.Variable() if isinstance(value, _FIELDS) and value.type:
            return f"`{_path(node)}` is of type `{value.type.value}`"
    return f"this is {words}"


def _path(node: syntax.Field | syntax.Variable) -> str:
    if isinstance(node, syntax.Field):
        return node.path
    return syntax.dotted((f"${node.name}", *node.parts))


def _conversion(
    sides: tuple[syntax.Expression, syntax.Expression], values: tuple[Value, Value]
) -> str:
    """Return how to make two values comparable, if there is a way."""
    for side, other in ((sides[0], values[1]), (sides[1], values[0])):
        wanted = next(iter(kinds_of(other)))
        if isinstance(side, syntax.Literal) and not isinstance(side.value, bool):
            if wanted == "text":
                return f'; write "{text_of(side.value or 0)}"'
            if wanted == "number" and number_of(str(side.value)) is not None:
                return "; write the number without quotes"
    for side, other in ((sides[0], values[1]), (sides[1], values[0])):
        if isinstance(side, syntax.Field) and kinds_of(other) == {"text"}:
            return f"; write `string({side.path})`"
    return ""


def _one_is_date(found: tree.Comparison) -> bool:
    """Say whether a date meets something that is neither a date nor a literal."""
    dates = [
        isinstance(value, _FIELDS) and value.type is FieldType.DATE
        for value in (found.left, found.right)
    ]
    if dates[0] == dates[1]:
        return False
    other = found.right if dates[0] else found.left
    return kinds_of(other) == {"number"} and not isinstance(other, tree.Literal)


def _is_number_written(node: syntax.Expression) -> bool:
    match node:
        case syntax.Literal(value=int() | float() as known):
            return not isinstance(known, bool)
    return False


def _may_be_address(pattern: str) -> bool:
    if "*" in pattern or "?" in pattern:
        return _ADDRESS_PATTERN.fullmatch(pattern) is not None
    return canonical_address(pattern) is not None
