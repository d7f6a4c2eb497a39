"""The functions of EQL, by their names in lower case: rules write them in any case."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from kestrel_eql import syntax
from kestrel_eql.dialect import Dialect
from kestrel_eql.foreign_words import hint_of_function
from kestrel_eql.kinds import kind_test
from kestrel_eql.patterns import endgame_match, matching_where_a_text_begins
from kestrel_eql.truths import NOTHING, Truths, null_test
from kestrel_framework import predicate as tree
from kestrel_framework.functions import FUNCTIONS as KERNEL_FUNCTIONS
from kestrel_framework.functions import Function
from kestrel_framework.predicate import TextPart, Value

if TYPE_CHECKING:
    from kestrel_eql.expressions import ExpressionLowering

Meaning: TypeAlias = Value | Truths


@attrs.frozen
class EqlFunction:
    """One function of the language.

    Attributes:
        name: As the documentation of EQL spells it.
        least: The fewest arguments.
        most: The most arguments; `None` is unlimited.
        lower: Makes a value, or a condition, of a call whose number of arguments is right.
        condition: Whether it gives a condition.
        folds: Whether `name~` disregards case.
        dialects: Where the function exists.
    """

    name: str
    least: int
    most: int | None
    lower: Callable[[ExpressionLowering, syntax.Call], Meaning]
    condition: bool = False
    folds: bool = False
    dialects: frozenset[Dialect] = frozenset(Dialect)


def find_function(lowering: ExpressionLowering, node: syntax.Call) -> EqlFunction:
    """Return the function that a call names.

    Raises:
        Refused: there is none in this dialect, or it does not take these arguments.
    """
    function = FUNCTIONS.get(node.name.lower())
    dialect = lowering.settings.dialect
    if function is None:
        known = [known.name for known in FUNCTIONS.values() if dialect in known.dialects]
        problem = f"unknown function `{node.name}`{hint_of_function(node.name, known)}"
        raise lowering.names.refuse(problem, node)
    if dialect not in function.dialects:
        instead = _INSTEAD.get(function.name, "")
        problem = f"`{function.name}` is not a function of the {dialect.value} dialect{instead}"
        raise lowering.names.refuse(problem, node)
    if node.fold and not function.folds:
        raise lowering.names.refuse(f"`{function.name}` has no form with `~`", node)
    count = len(node.arguments)
    if count < function.least or (function.most is not None and count > function.most):
        problem = f"`{function.name}` takes {_number_of_arguments(function)}, not {count}"
        raise lowering.names.refuse(problem, node)
    return function


def gives_condition(node: syntax.Call) -> bool:
    """Say whether a call stands for a condition rather than a value."""
    function = FUNCTIONS.get(node.name.lower())
    return function is not None and function.condition


def is_condition(node: syntax.Expression) -> bool:
    """Say whether an expression is true or false rather than a value."""
    match node:
        case syntax.Call():
            return gives_condition(node)
        case (
            syntax.Comparison()
            | syntax.Membership()
            | syntax.Match()
            | syntax.Lineage()
            | syntax.Not()
            | syntax.And()
            | syntax.Or()
        ):
            return True
        case _:
            return False


def _number_of_arguments(function: EqlFunction) -> str:
    least, most = function.least, function.most
    if least == most:
        return f"{least} argument{'s' if least != 1 else ''}"
    if most is None:
        return f"{least} or more arguments"
    return f"{least} {'or' if most == least + 1 else 'to'} {most} arguments"


# --- how calls are lowered ------------------------------------------------------------

_NULL_IS_DEFAULT: Final = (Function.NUMBER, Function.SUBSTRING)
"""Functions for which a last argument written `null` is as good as left out; in the endgame
dialect, that is so for all."""


_ARGUMENTS: Final[Mapping[Function, tuple[str, ...]]] = {
    Function.BETWEEN: ("text", "text", "text", "boolean"),
    Function.INDEX_OF: ("text", "text", "position"),
    Function.LENGTH: ("text",),
    Function.NUMBER: ("text or number", "position"),
    Function.SUBSTRING: ("text", "position", "position"),
}
"""What the arguments of a function must be; the others take anything."""

_OF_ENDGAME: Final = {Function.BETWEEN: Function.BETWEEN_OR_NULL}
"""Functions that mean something else in the endgame dialect."""


def _kernel_call(function: Function) -> Callable[[ExpressionLowering, syntax.Call], Meaning]:
    definition = KERNEL_FUNCTIONS[function]

    def lower(lowering: ExpressionLowering, node: syntax.Call) -> Meaning:
        arguments = lowering.each(node.arguments, lowering.value)
        endgame = lowering.settings.endgame
        _check_arguments(lowering, node, function, arguments)
        if definition.most is not None and (endgame or function in _NULL_IS_DEFAULT):
            while len(arguments) > definition.least and arguments[-1] == tree.Literal(None):
                arguments.pop()
        if endgame and function is Function.SUBSTRING and arguments[1] == tree.Literal(None):
            arguments[1] = tree.Literal(0)
        fold = definition.folds and (node.fold or lowering.settings.fold)
        meant = _OF_ENDGAME.get(function, function) if endgame else function
        return tree.Call(meant, tuple(arguments), fold)

    return lower


def _check_arguments(
    lowering: ExpressionLowering, node: syntax.Call, function: Function, values: Sequence[Value]
) -> None:
    types = lowering.types
    checks = {
        "text": types.text,
        "position": types.position,
        "boolean": types.boolean,
        "text or number": types.text_or_number,
    }

    def check(argument: tuple[str, Value, syntax.Expression]) -> None:
        wanted, value, written = argument
        lists_count = function is Function.LENGTH and isinstance(value, tree.Field) and value.whole
        if not lists_count:
            checks[wanted](value, written, node.name)

    wanted = _ARGUMENTS.get(function, ())
    lowering.each(list(zip(wanted, values, node.arguments, strict=False)), check)


def _text_test(kind: TextPart) -> Callable[[ExpressionLowering, syntax.Call], Meaning]:
    def lower(lowering: ExpressionLowering, node: syntax.Call) -> Meaning:
        value, part = lowering.each(node.arguments, lambda a: _text_value(lowering, a, node))
        fold = node.fold or lowering.settings.fold
        holds: tree.Predicate = tree.TextTest(kind, value, part, fold)
        if lowering.settings.endgame:
            if kind is TextPart.SUBSTRING:
                return Truths.certain(holds)
            return Truths.among(
                holds, tree.all_of((kind_test(value, "text"), kind_test(part, "text")))
            )
        if kind is TextPart.SUBSTRING:
            holds = tree.all_of((holds, _some_text(part)))
        return Truths.leaf(holds, (value, part))

    return lower


def _text_value(
    lowering: ExpressionLowering, argument: syntax.Expression, node: syntax.Call
) -> Value:
    value = lowering.value(argument)
    lowering.types.text(value, argument, node.name)
    return value


def _some_text(part: Value) -> tree.Predicate:
    """Return whether a text has characters: no text contains the empty one, in Elasticsearch."""
    if isinstance(part, tree.Literal):
        return tree.NEVER if part.value == "" else tree.ALWAYS
    length = tree.Call(Function.LENGTH, (part,))
    return tree.Comparison(tree.ComparisonOperator.GREATER, length, tree.Literal(0))


def _arithmetic(operator: str) -> Callable[[ExpressionLowering, syntax.Call], Meaning]:
    return lambda lowering, node: lowering.arithmetic(operator, node.arguments)


def _cidr_match(lowering: ExpressionLowering, node: syntax.Call) -> Meaning:
    def network(argument: syntax.Expression) -> str | None:
        if isinstance(argument, syntax.Literal) and argument.value is None:
            return None
        if not isinstance(argument, syntax.Literal) or not isinstance(argument.value, str):
            raise lowering.names.refuse("a network must be a text such as `10.0.0.0/8`", argument)
        try:
            return str(ipaddress.ip_network(argument.value, strict=False))
        except ValueError:
            problem = f"`{argument.value}` is no network such as `10.0.0.0/8`"
            raise lowering.names.refuse(problem, argument) from None

    address, *blocks = node.arguments
    value = lowering.value(address)
    lowering.types.address(value, address)
    networks = dict.fromkeys(lowering.each(blocks, network))
    known = tuple(text for text in networks if text is not None)
    if len(known) < len(networks):
        return NOTHING
    found = tree.Cidr(value, known)
    if lowering.settings.endgame:
        return Truths.certain(found)
    return Truths.leaf(found, (value,))


def _array_search(lowering: ExpressionLowering, node: syntax.Call) -> Meaning:
    searched, variable, condition = node.arguments
    array = lowering.names.array(searched)
    with lowering.names.bound(variable, array) as name:
        holds = lowering.condition(condition)
    if lowering.settings.endgame:
        return Truths.certain(_some(tree.ElementCount(array, name, holds)))
    return Truths.leaf(tree.AnyElement(array, name, holds), (array,))


def _some(count: tree.ElementCount) -> tree.Predicate:
    """Return whether there are such elements: in a list, that is, and not in a single value."""
    return tree.Comparison(tree.ComparisonOperator.GREATER, count, tree.Literal(0))


def _array_contains(lowering: ExpressionLowering, node: syntax.Call) -> Meaning:
    searched, *choices = node.arguments
    array = lowering.names.array(searched)
    fold = lowering.settings.fold
    terms = [
        tree.comparison(tree.ComparisonOperator.EQUAL, array, choice, fold=fold)
        for choice in lowering.each(choices, lowering.value)
    ]
    in_list = _some(tree.ElementCount(array, "", tree.ALWAYS))
    return Truths.leaf(tree.all_of((in_list, tree.any_of(terms))), (array,))


def _array_count(lowering: ExpressionLowering, node: syntax.Call) -> tree.ElementCount:
    searched, variable, condition = node.arguments
    array = lowering.names.array(searched)
    with lowering.names.bound(variable, array) as name:
        return tree.ElementCount(array, name, lowering.condition(condition))


def _wildcard(lowering: ExpressionLowering, node: syntax.Call) -> Meaning:
    value = _text_value(lowering, node.arguments[0], node)
    texts = lowering.each(node.arguments[1:], lambda argument: _text(lowering, argument))
    return lowering.endgame_wildcard(value, texts, node)


def _match(lowering: ExpressionLowering, node: syntax.Call) -> Meaning:
    def pattern(argument: syntax.Expression) -> str:
        text = _text(lowering, argument)
        fold = lowering.settings.fold
        lowering.regex(text, argument, fold=fold)
        return lowering.regex(matching_where_a_text_begins(text), argument, fold=fold)

    value, *patterns = _field_first(node.arguments)
    found = _text_value(lowering, value, node)
    expressions = lowering.each(patterns, pattern)
    return endgame_match(found, expressions, fold=lowering.settings.fold)


def _field_first(arguments: Sequence[syntax.Expression]) -> Sequence[syntax.Expression]:
    """Return the arguments of `match`, which old rules write the other way round."""
    match arguments:
        case [syntax.Literal(value=str()) as pattern, value] if not isinstance(
            value, syntax.Literal
        ):
            return (value, pattern)
    return arguments


def _text(lowering: ExpressionLowering, argument: syntax.Expression) -> str:
    if not isinstance(argument, syntax.Literal) or not isinstance(argument.value, str):
        raise lowering.names.refuse("a pattern must be a text in quotes", argument)
    return argument.value


def _safe(lowering: ExpressionLowering, node: syntax.Call) -> Meaning:
    """Nothing fails here: what cannot be computed is null anyway."""
    value = lowering.value(node.arguments[0])
    if isinstance(value, tree.Truth):
        return Truths.of(value.holds, value.fails, null_test(value))
    return value


# --- the table -------------------------------------------------------------------------


_ELASTIC: Final = frozenset({Dialect.ELASTIC})
_ENDGAME: Final = frozenset({Dialect.ENDGAME})

_INSTEAD: Final = {
    "wildcard": "; write `field : pattern`",
    "match": "; write `field regex~ pattern`",
    "matchLite": "; write `field regex~ pattern`",
    "arraySearch": "; write `_arraysearch(array, $entry, condition)`",
    "arrayContains": "; write `array == value`, which looks at every value",
    "_arraysearch": "; write `arraySearch(array, entry, condition)`",
}


def _test(
    name: str,
    least: int,
    most: int | None,
    lower: Callable[[ExpressionLowering, syntax.Call], Meaning],
    *,
    folds: bool = False,
    dialects: frozenset[Dialect] = frozenset(Dialect),
) -> EqlFunction:
    return EqlFunction(name, least, most, lower, condition=True, folds=folds, dialects=dialects)


def _kernel_function(name: str, function: Function) -> EqlFunction:
    definition = KERNEL_FUNCTIONS[function]
    return EqlFunction(
        name, definition.least, definition.most, _kernel_call(function), folds=definition.folds
    )


_ALL: Final = (
    EqlFunction("add", 2, 2, _arithmetic("+")),
    EqlFunction("subtract", 2, 2, _arithmetic("-")),
    EqlFunction("multiply", 2, 2, _arithmetic("*")),
    EqlFunction("divide", 2, 2, _arithmetic("/")),
    EqlFunction("modulo", 2, 2, _arithmetic("%")),
    _kernel_function("between", Function.BETWEEN),
    _kernel_function("concat", Function.CONCAT),
    _kernel_function("indexOf", Function.INDEX_OF),
    _kernel_function("length", Function.LENGTH),
    _kernel_function("number", Function.NUMBER),
    _kernel_function("string", Function.STRING),
    _kernel_function("substring", Function.SUBSTRING),
    _test("startsWith", 2, 2, _text_test(TextPart.PREFIX), folds=True),
    _test("endsWith", 2, 2, _text_test(TextPart.SUFFIX), folds=True),
    _test("stringContains", 2, 2, _text_test(TextPart.SUBSTRING), folds=True),
    _test("cidrMatch", 2, None, _cidr_match),
    _test("_arraysearch", 3, 3, _array_search, dialects=_ELASTIC),
    _test("arraySearch", 3, 3, _array_search, dialects=_ENDGAME),
    _test("arrayContains", 2, None, _array_contains, dialects=_ENDGAME),
    EqlFunction("arrayCount", 3, 3, _array_count, dialects=_ENDGAME),
    _test("wildcard", 2, None, _wildcard, dialects=_ENDGAME),
    _test("match", 2, None, _match, dialects=_ENDGAME),
    _test("matchLite", 2, None, _match, dialects=_ENDGAME),
    EqlFunction("safe", 1, 1, _safe, dialects=_ENDGAME),
)

FUNCTIONS: Final[Mapping[str, EqlFunction]] = {function.name.lower(): function for function in _ALL}
"""Every function, by its name in lower case."""
