"""The quick parser of event times says what `parse_timestamp` says, in any order of values."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.event_decoder.times import TimestampParser
from kestrel_framework.event import TimestampUnit
from kestrel_framework.timestamps import parse_timestamp

UNITS: tuple[TimestampUnit, ...] = get_args(TimestampUnit)
TEXTS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["2020-01-01T00:00:00", "2020-02-30T00:00:00", "0000000001600000000", "1"]),
    st.sampled_from(["", ".", ",", ".5", ".123", ".1_0", ".٣", ".123456789", ".1234567891"]),
    st.sampled_from(["Z", "z", "", "+01:00"]),
)
NUMBERS = st.sampled_from([0, 1, True, False, 1.0, -1, 2**63, 10**30, 1.5, float("nan")])


@settings(max_examples=500)
@given(st.sampled_from(UNITS), st.lists(TEXTS | NUMBERS, max_size=12))
def test_each_value_is_read_as_by_itself(unit: TimestampUnit, values: list[object]) -> None:
    parser = TimestampParser(unit)
    for value in values:
        try:
            expected = parse_timestamp(value, unit)
        except ValueError:
            with pytest.raises(ValueError, match=r"."):
                parser[value]
        else:
            assert parser[value] == expected
