"""The functions a predicate tree can call, each defined once for every runtime.

A function is applied to one combination of scalars; the tree takes care of fields
with several values, and of missing ones: a function with a null argument is never
applied. `None` as a result is null. An argument of a kind that a function does not
take gives null.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from kestrel_framework.values import Scalar, fold_case, number_of, scalar, text_of


class Function(enum.Enum):
    """What can stand in a `Call`. Rule languages map their own names to these."""

    BETWEEN = "between"
    BETWEEN_OR_NULL = "between_or_null"
    CONCAT = "concat"
    INDEX_OF = "index_of"
    LENGTH = "length"
    NUMBER = "number"
    STRING = "string"
    SUBSTRING = "substring"


_Implementation: TypeAlias = Callable[[Sequence[Scalar], bool], Scalar | None]

_LONGEST_DIGITS: Final = 128
_WHITE_SPACE: Final = " \t\n\r\f\v"
_END: Final = 2**63 - 1
_DIGITS: Final = re.compile(r"([+-]?)(0[xX])?([0-9A-Za-z]+)")


@attrs.frozen
class FunctionDefinition:
    """What a function takes and does.

    Attributes:
        least: The fewest arguments.
        most: The most arguments; `None` is unlimited.
        folds: Whether `Call.fold` means something to it.
        apply: (arguments, fold) to the result. The number of arguments is right.
    """

    least: int
    most: int | None
    folds: bool
    apply: _Implementation

    def takes(self, arguments: int) -> bool:
        """Say whether the function can have that number of arguments."""
        return self.least <= arguments and (self.most is None or arguments <= self.most)


def apply(function: Function, arguments: Sequence[Scalar], *, fold: bool = False) -> Scalar | None:
    """Return the result of a function for one combination of arguments, or None for null.

    A wrong number of arguments, which compilers refuse, gives null.
    """
    definition = FUNCTIONS[function]
    if not definition.takes(len(arguments)):
        return None
    return scalar(definition.apply(arguments, fold))


def calculate(operator: str, left: Scalar, right: Scalar) -> Scalar | None:
    """Return `left operator right` for `+ - * / %`, or None for null.

    Of two integers the result is an integer: division cuts toward zero, and a
    remainder has the sign of what is divided, so that `a / b * b + a % b` is `a`. An
    integer beyond 64 bits is a float. By zero, of other than numbers, or
    where a float has no result: null.

    `floor /` of two integers goes down instead, and `floor %` has the sign of what divides.
    """
    if not _is_number(left) or not _is_number(right):
        return None
    assert not isinstance(left, str)
    assert not isinstance(right, str)
    if operator == "+":
        return scalar(left + right)
    if operator == "-":
        return scalar(left - right)
    if operator == "*":
        return scalar(left * right)
    if right == 0:
        return None
    if operator == "floor %":
        return scalar(left % right)
    if isinstance(left, int) and isinstance(right, int) and operator == "floor /":
        return scalar(left // right)
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return scalar(quotient if operator == "/" else left - quotient * right)
    if operator in ("/", "floor /"):
        return scalar(left / right)
    return None if math.isinf(left) else scalar(math.fmod(left, right))


def _is_number(value: Scalar) -> bool:
    return not isinstance(value, (str, bool))


def _between(arguments: Sequence[Scalar], fold: bool) -> Scalar | None:
    """between(text, left, right[, greedy]): what stands after `left`, up to the next `right`.

    The first `left` counts; with greedy, the last `right`. "" where either is not found.
    """
    return _found_between(arguments, fold, otherwise="")


def _between_or_null(arguments: Sequence[Scalar], fold: bool) -> Scalar | None:
    """between_or_null(text, left, right[, greedy]): as between, but null where it finds nothing."""
    return _found_between(arguments, fold, otherwise=None)


def _found_between(arguments: Sequence[Scalar], fold: bool, otherwise: str | None) -> Scalar | None:
    text, left, right, *rest = arguments
    if not isinstance(text, str) or not isinstance(left, str) or not isinstance(right, str):
        return None
    greedy = rest[0] if rest else False
    if not isinstance(greedy, bool):
        return None
    searched = text
    if fold:
        searched, left, right = fold_case(text), fold_case(left), fold_case(right)
    start = searched.find(left)
    if start < 0:
        return otherwise
    start += len(left)
    end = searched.rfind(right, start) if greedy else searched.find(right, start)
    return text[start:end] if end >= 0 else otherwise


def _concat(arguments: Sequence[Scalar], _: bool) -> Scalar:
    """concat(value, ...): the texts of all values, one after the other."""
    return "".join(text_of(argument) for argument in arguments)


def _index_of(arguments: Sequence[Scalar], fold: bool) -> Scalar | None:
    """index_of(text, part[, start]): where `part` first stands, at or after `start`.

    Counts from 0; null if it stands nowhere.
    """
    text, part, *rest = arguments
    start = rest[0] if rest else 0
    if not isinstance(text, str) or not isinstance(part, str):
        return None
    if isinstance(start, bool) or not isinstance(start, int):
        return None
    if fold:
        text, part = fold_case(text), fold_case(part)
    found = text.find(part, max(start, 0))
    return None if found < 0 else found


def _length(arguments: Sequence[Scalar], _: bool) -> Scalar | None:
    """length(text): the number of its characters (code points)."""
    (text,) = arguments
    return len(text) if isinstance(text, str) else None


def _number(arguments: Sequence[Scalar], _: bool) -> Scalar | None:
    """number(text[, base]): the number that a text writes; null if it writes none.

    Without a base, a text that begins with 0x is in base 16 and any other decimal; a
    base is 2 to 36. White space around it does not count. A number is itself.
    """
    text, *rest = arguments
    if not isinstance(text, str):
        return None if isinstance(text, bool) or rest else text
    text = text.strip(_WHITE_SPACE)
    digits = _DIGITS.fullmatch(text) if len(text) <= _LONGEST_DIGITS else None
    hexadecimal = digits is not None and digits[2] is not None
    base = rest[0] if rest else 16 if hexadecimal else 10
    if isinstance(base, bool) or not isinstance(base, int) or not 2 <= base <= 36:
        return None
    if base == 10:
        return number_of(text)
    if digits is None:
        return None
    prefix = digits[2] if digits[2] and base != 16 else ""
    try:
        return int(f"{digits[1]}{prefix}{digits[3]}", base)
    except ValueError:
        return None


def _string(arguments: Sequence[Scalar], _: bool) -> Scalar:
    """string(value): its canonical text."""
    return text_of(arguments[0])


def _substring(arguments: Sequence[Scalar], _: bool) -> Scalar | None:
    """substring(text, start[, end]): the characters from `start` up to, without, `end`.

    A negative position counts from the end of the text; "" where the part is empty.
    """
    text, start, *rest = arguments
    end = rest[0] if rest else _END
    if not isinstance(text, str) or isinstance(start, bool) or isinstance(end, bool):
        return None
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    return text[start:end]


FUNCTIONS: Final[Mapping[Function, FunctionDefinition]] = {
    Function.BETWEEN: FunctionDefinition(3, 4, folds=True, apply=_between),
    Function.BETWEEN_OR_NULL: FunctionDefinition(3, 4, folds=True, apply=_between_or_null),
    Function.CONCAT: FunctionDefinition(1, None, folds=False, apply=_concat),
    Function.INDEX_OF: FunctionDefinition(2, 3, folds=True, apply=_index_of),
    Function.LENGTH: FunctionDefinition(1, 1, folds=False, apply=_length),
    Function.NUMBER: FunctionDefinition(1, 2, folds=False, apply=_number),
    Function.STRING: FunctionDefinition(1, 1, folds=False, apply=_string),
    Function.SUBSTRING: FunctionDefinition(2, 3, folds=False, apply=_substring),
}
"""Every function, by name."""
