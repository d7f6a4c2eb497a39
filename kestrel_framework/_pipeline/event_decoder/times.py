"""Event time, read quickly where it is written as most events write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kestrel_framework.event import TimestampUnit
from kestrel_framework.timestamps import parse_timestamp

_MOST_KEPT: Final = 256
_SECOND: Final = len("2020-01-01T00:00:00")
_SCALE: Final[Mapping[int, int]] = {digits: 10 ** (9 - digits) for digits in range(1, 10)}


class TimestampParser(dict[object, int]):
    """Event times by what timestamp fields say: `parser[value]` is `parse_timestamp` of it.

    Remembers the latest texts, and the seconds of texts such as `2020-01-01T00:00:00.000Z`.

    Raises:
        ValueError: by `[]`, as `parse_timestamp`.
        TypeError: by `[]`, where the value is a list or an object.

    Args:
        unit: What numbers count.
    """

    def __init__(self, unit: TimestampUnit) -> None:
        self._unit = unit
        self._seconds: dict[str, int] = {}

    def __missing__(self, value: object) -> int:
        if type(value) is not str:
            return parse_timestamp(value, self._unit)  # 1 is as good a key as true: not kept
        # In one piece: every other event has a time of its own.
        fraction = value[_SECOND + 1 : -1]
        scale = _SCALE.get(len(fraction))
        if (
            scale is not None
            and value[_SECOND] == "."
            and value[-1] == "Z"
            and fraction.isdecimal()
            and fraction.isascii()
        ):
            second = value[:_SECOND]
            begin = self._seconds.get(second)
            nanoseconds = (self._begin_of(second) if begin is None else begin) + int(
                fraction
            ) * scale
        else:
            nanoseconds = parse_timestamp(value, self._unit)
        if len(self) >= _MOST_KEPT:
            self.clear()
        self[value] = nanoseconds
        return nanoseconds

    def _begin_of(self, second: str) -> int:
        nanoseconds = parse_timestamp(f"{second}Z", self._unit)
        if len(self._seconds) >= _MOST_KEPT:
            self._seconds.clear()
        self._seconds[second] = nanoseconds
        return nanoseconds
