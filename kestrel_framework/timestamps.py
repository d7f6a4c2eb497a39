"""Points in time: nanoseconds since 1970, read from events and written for people.

A time without an offset is UTC.
"""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from kestrel_framework.event import TimestampUnit

NANOSECONDS: Final = 1_000_000_000
FIRST_TIMESTAMP: Final = -(2**63)
LAST_TIMESTAMP: Final = 2**63 - 1

_DAY: Final = 86_400
_EPOCH_DAY: Final = datetime.date(1970, 1, 1).toordinal()
_FILETIME_EPOCH: Final = -11_644_473_600 * NANOSECONDS
_NANOSECONDS_PER: Final[Mapping[str, int]] = {
    "iso": 1_000_000,
    "s": NANOSECONDS,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
    "filetime": 100,
}
_LONGEST_TEXT: Final = 64
_EXACT: Final = decimal.Context(prec=60, traps=[])

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_ISO: Final = re.compile(
    r"""
    ([0-9]{4})-([0-9]{2})(?:-([0-9]{2})
    (?:[Tt\ ]([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]{1,30}))?)?)?
    (?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?)?
    """,
    re.VERBOSE,
)
_FORMAT_PARTS: Final[Mapping[str, str]] = {
    "yyyy": r"(?P<year>[0-9]{4})",
    "uuuu": r"(?P<year>[0-9]{4})",
    "MM": r"(?P<month>[0-9]{2})",
    "dd": r"(?P<day>[0-9]{2})",
    "HH": r"(?P<hour>[0-9]{2})",
    "mm": r"(?P<minute>[0-9]{2})",
    "ss": r"(?P<second>[0-9]{2})",
    "SSSSSSSSS": r"(?P<fraction>[0-9]{9})",
    "SSSSSS": r"(?P<fraction>[0-9]{6})",
    "SSS": r"(?P<fraction>[0-9]{3})",
}
_FORMAT_TOKEN: Final = re.compile(r"'([^']*)'|([A-Za-z])\2*|.", re.DOTALL)


def parse_timestamp(value: object, unit: TimestampUnit = "iso") -> int:
    """Return the event time that a timestamp field's value says, in nanoseconds since 1970.

    The unit says what numbers and texts of digits count; `iso`, that they are milliseconds.
    Every unit also takes ISO 8601 with any offset and any number of digits after the second
    (the tenth and later are cut off).

    Raises:
        ValueError: it says no time, or one outside the years 1677 to 2262, whose
            nanoseconds do not fit in 64 bits.
    """
    if type(value) is int and unit != "filetime":
        nanoseconds = value * _NANOSECONDS_PER[unit]
    else:
        nanoseconds = _nanoseconds(value, unit)
    if not FIRST_TIMESTAMP <= nanoseconds <= LAST_TIMESTAMP:
        raise ValueError("the time is outside the years 1677 to 2262")
    return nanoseconds


def parse_date(value: object, formats: Sequence[str] = ()) -> int:
    """Return the time that a date field's value says, in nanoseconds since 1970.

    `formats` (`dd-MM-yyyy`) are tried first, then what `parse_timestamp` takes as
    `iso`; the years are 1 to 9999.

    Raises:
        ValueError: it says no time.
    """
    if isinstance(value, str):
        for pattern in formats:
            found = compile_format(pattern).fullmatch(value)
            if found is not None:
                return _from_parts(found.groupdict())
    return _nanoseconds(value, "iso")


@lru_cache(maxsize=256)
def compile_format(pattern: str) -> re.Pattern[str]:
    """Return a date pattern as a regular expression with a group for each part.

    Known are `yyyy uuuu MM dd HH mm ss SSS SSSSSS SSSSSSSSS`, text in single quotes, and
    signs between them. `epoch_millis` and names of ISO formats match nothing here: what
    they mean is always taken.

    Raises:
        ValueError: another letter, or a part that stands twice.
    """
    if re.fullmatch(r"(?:strict_)?[a-z]+(?:_[a-z]+)+|iso8601", pattern):
        return re.compile(r"(?!)")
    expression = ""
    for token in _FORMAT_TOKEN.finditer(pattern):
        text = token[0]
        if token[1] is not None:
            expression += re.escape(token[1])
        elif text in _FORMAT_PARTS:
            expression += _FORMAT_PARTS[text]
        elif text.isalpha():
            raise ValueError(f'the date format "{pattern}" has the unknown part "{text}"')
        else:
            expression += re.escape(text)
    try:
        return re.compile(expression)
    except re.error as error:
        raise ValueError(f'the date format "{pattern}" says a part twice') from error


def format_timestamp(nanoseconds: int) -> str:
    """Return ISO 8601 with `Z` and 3, 6 or 9 digits after the second, as many as are needed.

    Raises:
        ValueError: the time is outside the years 1 to 9999.
    """
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    day, second = divmod(seconds, _DAY)
    try:
        date = datetime.date.fromordinal(day + _EPOCH_DAY)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{nanoseconds} ns is outside the years 1 to 9999") from error
    digits = f"{fraction:09d}"
    if fraction % 1_000_000 == 0:
        digits = digits[:3]
    elif fraction % 1_000 == 0:
        digits = digits[:6]
    hour, minute = second // 3600, second // 60 % 60
    return f"{date.isoformat()}T{hour:02d}:{minute:02d}:{second % 60:02d}.{digits}Z"


def _nanoseconds(value: object, unit: TimestampUnit) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{_shown(value)} is no time")  # noqa: TRY004 - a wrong value, whatever its type
    if isinstance(value, str):
        if found := _ISO.fullmatch(value[:_LONGEST_TEXT]):
            return _from_iso(found)
        if not _NUMBER.fullmatch(value):
            raise ValueError(f"{_shown(value)} is no time")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{_shown(value)} is no time")
    return _from_number(value, unit)


def _from_number(value: str | float, unit: TimestampUnit) -> int:
    if isinstance(value, int):
        nanoseconds = value * _NANOSECONDS_PER[unit]
    else:
        exact = decimal.Decimal(value if isinstance(value, str) else repr(value))
        nanoseconds = int(_EXACT.multiply(exact, _NANOSECONDS_PER[unit]))
    return nanoseconds + _FILETIME_EPOCH if unit == "filetime" else nanoseconds


def _from_iso(found: re.Match[str]) -> int:
    year, month, day, hour, minute, second, fraction, _, sign, off_hour, off_minute = found.groups()
    nanoseconds = _days(int(year), int(month), int(day or 1)) * _DAY
    nanoseconds = (nanoseconds + _time(hour, minute, second)) * NANOSECONDS
    if fraction:
        nanoseconds += int(fraction[:9].ljust(9, "0"))
    if sign:
        offset = _time(off_hour, off_minute, None) * NANOSECONDS
        nanoseconds += offset if sign == "-" else -offset
    return nanoseconds


def _from_parts(parts: Mapping[str, str | None]) -> int:
    year, month, day = (int(parts.get(name) or default) for name, default in _DATE_DEFAULTS)
    seconds = _days(year, month, day) * _DAY
    seconds += _time(parts.get("hour"), parts.get("minute"), parts.get("second"))
    return seconds * NANOSECONDS + int((parts.get("fraction") or "").ljust(9, "0"))


_DATE_DEFAULTS: Final = (("year", 1970), ("month", 1), ("day", 1))


@lru_cache(maxsize=1024)
def _days(year: int, month: int, day: int) -> int:
    return datetime.date(year, month, day).toordinal() - _EPOCH_DAY


def _time(hour: str | None, minute: str | None, second: str | None) -> int:
    """Return seconds of the day; second 60, a leap second, is the next second."""
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        raise ValueError(f"{hours:02d}:{minutes:02d}:{seconds:02d} is no time of day")
    return hours * 3600 + minutes * 60 + seconds


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value[:40]}"'
    return repr(value) if isinstance(value, float) else f"a value of type {type(value).__name__}"
