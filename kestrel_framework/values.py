"""What scalar values are: their types, texts, order, and folding of case.

Every runtime calls these functions or is tested against them.

A value is a text, a number or a boolean, and values of different kinds are never
equal. Integers are exact within 64 bits (signed); an integer beyond is the nearest
float, in events, literals and results alike. There is no NaN: it is no value.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from kestrel_framework.addresses import (
    canonical_address,
    compile_networks,
    parse_address,
)
from kestrel_framework.patterns import compile_regex, compile_wildcard, regex_size
from kestrel_framework.schema import FieldType
from kestrel_framework.timestamps import format_timestamp, parse_date, parse_timestamp

__all__ = [
    "LARGEST_INTEGER",
    "SMALLEST_INTEGER",
    "Kind",
    "Scalar",
    "canonical_address",
    "compare",
    "compile_networks",
    "compile_regex",
    "compile_wildcard",
    "equality_key",
    "fold_case",
    "format_timestamp",
    "kind_of",
    "literal_for",
    "number_of",
    "order_key",
    "parse_address",
    "parse_timestamp",
    "regex_size",
    "scalar",
    "text_of",
    "typed_value",
    "version_key",
]

Scalar: TypeAlias = str | int | float | bool
"""A value that a leaf looks at."""

Kind: TypeAlias = Literal["text", "number", "boolean"]

SMALLEST_INTEGER: Final = -(2**63)
LARGEST_INTEGER: Final = 2**63 - 1
_LONGEST_NUMBER: Final = 400

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


# --- kinds and texts -----------------------------------------------------------------


def scalar(value: object) -> Scalar | None:
    """Return a JSON value as a scalar, or None where it is none (null, list, object, NaN)."""
    if isinstance(value, str) or value is True or value is False:
        return value
    if isinstance(value, int):
        return value if SMALLEST_INTEGER <= value <= LARGEST_INTEGER else _nearest_float(value)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return None


def kind_of(value: Scalar) -> Kind:
    """Return which of the three kinds a value is; only equal kinds compare."""
    if isinstance(value, str):
        return "text"
    return "boolean" if isinstance(value, bool) else "number"


def text_of(value: Scalar) -> str:
    """Return the canonical text of a value: `445`, `4.5`, `true`, `inf`.

    A float is the shortest text that reads back as it, as Python writes it (`1.0`, `1e+16`).
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 1024:
        value = _nearest_float(value)
    return repr(value)


def number_of(text: str) -> int | float | None:
    """Return the number a decimal text writes, or None: `445`, `-3`, `4.5`, `1e3`.

    Nothing else is a number: no spaces, underscores, other digits, or names.
    """
    if len(text) > _LONGEST_NUMBER:
        return None
    if _INTEGER.fullmatch(text):
        number = scalar(int(text))
    elif _DECIMAL.fullmatch(text):
        number = float(text)
    else:
        return None
    assert isinstance(number, (int, float))
    return number


def _nearest_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


# --- folding of case -------------------------------------------------------------------


class _SimpleFolding(dict[int, str | int]):
    """Maps code points for `str.translate`; keeps only those that change, some 1,400."""

    def __missing__(self, code: int) -> str | int:
        character = chr(code)
        for folded in (character.casefold(), character.lower()):
            if len(folded) == 1:
                if folded != character:
                    self[code] = folded
                return folded
        return code


_FOLDING: Final = _SimpleFolding()


def fold_case(text: str) -> str:
    """Return `text` without regard to case: Unicode simple case folding.

    Each character is replaced by one character and without a look at its
    neighbours, so that the length stays and a part of a text folds to a part of
    the folded text. `ẞ` becomes `ß`, a final sigma `σ`, the Kelvin sign `k`, `ſ`
    becomes `s`; `İ` and `ß`, whose full folding is longer, stay what they are.
    """
    if text.isascii():
        return text.lower()
    return text.translate(_FOLDING)


# --- bringing values to the type of a field -----------------------------------------------


def typed_value(
    value: object, field_type: FieldType | None, formats: Sequence[str] = ()
) -> Scalar | None:
    """Return a JSON value brought to a field's type, or None where that is not without doubt.

    - no type, `object`: texts, numbers and booleans as they are;
    - `keyword`: numbers and booleans as their text;
    - `long`: numbers and decimal texts, cut to an integer toward zero;
    - `double`: numbers and decimal texts, as a float;
    - `boolean`: also the texts `true` and `false`;
    - `date`: texts and numbers as nanoseconds since 1970 (`timestamps.parse_date`);
    - `ip`: the canonical text of an address; an IPv4 address inside IPv6
      (`::ffff:10.0.0.1`) is that IPv4 address, and a zone (`%eth0`) is left out;
    - `version`: a text (or a number's), compared by `version_key`.

    Args:
        value: What a document has at a path; lists are the caller's to flatten.
        field_type: The type of the field.
        formats: For a date: patterns such as `dd-MM-yyyy` that are tried first.
    """
    match field_type:
        case None | FieldType.OBJECT:
            return scalar(value)
        case FieldType.KEYWORD | FieldType.VERSION:
            return _keyword(value)
        case FieldType.LONG:
            return _long(value)
        case FieldType.DOUBLE:
            return _double(value)
        case FieldType.BOOLEAN:
            return _boolean(value)
        case FieldType.DATE:
            return _date(value, formats)
        case FieldType.IP:
            return canonical_address(value) if isinstance(value, str) else None


def literal_for(value: Scalar, field_type: FieldType | None, formats: Sequence[str] = ()) -> Scalar:
    """Return a literal brought to a field's type.

    As `typed_value`, except that a number beside a number field is not cut:
    `4.5` stays between 4 and 5.

    Raises:
        ValueError: it cannot be a value of that type.
    """
    if field_type in (FieldType.LONG, FieldType.DOUBLE) and not isinstance(value, bool):
        typed = number_of(value) if isinstance(value, str) else scalar(value)
    else:
        typed = typed_value(value, field_type, formats)
    if typed is None:
        name = field_type.value if field_type else "scalar"
        article = "an" if name == "ip" else "a"
        wanted = "address" if name == "ip" else "value" if name != "date" else ""
        shown = f'"{value}"' if isinstance(value, str) else text_of(value)
        raise ValueError(f"{shown} is not {article} {f'{name} {wanted}'.strip()}")
    return typed


def _keyword(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int)):
        return text_of(value)
    known = scalar(value)
    return None if known is None else text_of(known)


def _number(value: object) -> int | float | None:
    if isinstance(value, str):
        return number_of(value)
    known = scalar(value)
    return None if isinstance(known, (bool, str)) else known


def _long(value: object) -> int | float | None:
    number = _number(value)
    if isinstance(number, float) and math.isfinite(number):
        whole = scalar(math.trunc(number))
        assert isinstance(whole, (int, float))
        return whole
    return number


def _double(value: object) -> float | None:
    number = _number(value)
    return None if number is None else float(number)


def _boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def _date(value: object, formats: Sequence[str]) -> Scalar | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return scalar(parse_date(value, formats))
    except ValueError:
        return None


# --- order -------------------------------------------------------------------------------------


_VERSION: Final = re.compile(
    r"([0-9]+(?:\.[0-9]+)*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
)

_VersionParts: TypeAlias = tuple[tuple[int, int, str], ...]
VersionKey: TypeAlias = tuple[int, _VersionParts, int, _VersionParts, str]


def version_key(text: str) -> VersionKey:
    """Return what sorts versions: 1.2.4-SNAPSHOT < 1.2.4 < 1.5.0 < 1.11.3 < what is no version.

    Numbers sort as numbers, before words, as semantic versions do; texts that
    are no versions sort among themselves by code point. Different texts have
    different keys.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        return (1, (), 0, (), text)
    numbers = tuple(_version_part(part) for part in match[1].split("."))
    if match[2] is None:
        return (0, numbers, 1, (), text)
    return (
        0,
        numbers,
        0,
        tuple(_version_part(part) for part in match[2].split(".")),
        text,
    )


def _version_part(part: str) -> tuple[int, int, str]:
    if not part.isdigit():
        return (1, 0, part)
    digits = part.lstrip("0")
    return (0, len(digits), digits)


def order_key(value: Scalar, field_type: FieldType | None) -> tuple[Kind, object] | None:
    """Return (kind, key): values of one kind are in the order of their keys.

    Texts order by code point, numbers as numbers; beside a field of type `version`
    or `ip`, texts order as versions or addresses. None for what has no order:
    booleans, and what is no address beside one.
    """
    kind = kind_of(value)
    if kind == "boolean":
        return None
    if isinstance(value, str):
        if field_type is FieldType.VERSION:
            return kind, version_key(value)
        if field_type is FieldType.IP:
            address = parse_address(value)
            return None if address is None else (kind, address)
    return kind, value


def equality_key(value: Scalar, *, fold: bool = False) -> tuple[Kind, Scalar]:
    """Return what is equal for equal values only: 1 and 1.0 are equal, 1 and true are not."""
    return kind_of(value), fold_case(value) if fold and isinstance(value, str) else value


def compare(
    relation: str,
    left: Scalar,
    right: Scalar,
    *,
    fold: bool = False,
    field_type: FieldType | None = None,
) -> bool:
    """Say whether two values stand in a relation: `==`, `<`, `<=`, `>` or `>=`.

    Values of different kinds stand in none; booleans only in equality.

    Args:
        relation: The operator's text.
        left: The left value.
        right: The right value.
        fold: Whether case makes no difference to texts.
        field_type: The type of the field that is compared; see `order_key`.
    """
    if fold and isinstance(left, str) and isinstance(right, str):
        left, right = fold_case(left), fold_case(right)
    if relation == "==":
        return equality_key(left) == equality_key(right)
    left_key, right_key = order_key(left, field_type), order_key(right, field_type)
    if left_key is None or right_key is None or left_key[0] != right_key[0]:
        return False
    return _ORDER[relation](left_key[1], right_key[1])
