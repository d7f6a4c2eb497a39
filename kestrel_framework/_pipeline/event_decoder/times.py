"""Event time, read quickly where it is written as most events write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kestrel_framework.event import TimestampUnit
from kestrel_framework.timestamps import parse_timestamp

_MOST_SECONDS_KEPT: Final = 4096
_MILLISECOND: Final = 1_000_000
_FRACTIONS: Final = {f".{number:03}Z": number * _MILLISECOND for number in range(1000)}


class _Seconds(dict[str, int]):
    """The nanoseconds of whole seconds: `2020-01-01T00:00:00`."""

    def __missing__(self, text: str) -> int:
        nanoseconds = parse_timestamp(f"{text}Z")
        if len(self) >= _MOST_SECONDS_KEPT:
            self.clear()
        self[text] = nanoseconds
        return nanoseconds


def timestamp_parser(unit: TimestampUnit) -> Callable[[object], int]:
    """Return `parse_timestamp` for a unit, quicker for `2020-01-01T00:00:00.000Z`.

    Raises (what is returned):
        ValueError: as `parse_timestamp`.
    """
    seconds = _Seconds()
    fraction = _FRACTIONS.get

    def parse(value: object) -> int:
        if type(value) is str and len(value) == 24:
            milliseconds = fraction(value[19:])
            if milliseconds is not None:
                return seconds[value[:19]] + milliseconds
        return parse_timestamp(value, unit)

    return parse
