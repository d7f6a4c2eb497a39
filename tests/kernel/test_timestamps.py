"""Points in time."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.event import TimestampUnit
from kestrel_framework.timestamps import (
    FIRST_TIMESTAMP,
    LAST_TIMESTAMP,
    compile_format,
    format_timestamp,
    parse_date,
    parse_timestamp,
)

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("value", "unit", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", "iso", 0),
        ("1970-01-01T00:00:00.000000001Z", "iso", 1),
        ("1970-01-01T00:00:00.0000000019Z", "iso", 1),
        ("1970-01-01T00:00:00,5Z", "iso", SECOND // 2),
        ("1970-01-01T02:00:01+02:00", "iso", SECOND),
        ("1969-12-31T22:30:01-0130", "iso", SECOND),
        ("1970-01-01t00:00:01z", "iso", SECOND),
        ("1970-01-01 00:00:01", "iso", SECOND),
        ("1970-01-01T00:01", "iso", 60 * SECOND),
        ("1970-01-02", "iso", 86_400 * SECOND),
        ("1970-02", "iso", 31 * 86_400 * SECOND),
        ("1970-01-01T00:00:60Z", "iso", 60 * SECOND),
        (1500, "iso", 1_500_000_000),
        ("1500", "iso", 1_500_000_000),
        (1.5, "iso", 1_500_000),
        (-1, "iso", -1_000_000),
        (1600000000.123456, "s", 1_600_000_000_123_456_000),
        ("1600000000.123456789", "s", 1_600_000_000_123_456_789),
        (1, "us", 1000),
        (1, "ns", 1),
        ("1970-01-01T00:00:01.000Z", "ms", SECOND),
        ("1970-01-02", "filetime", 86_400 * SECOND),
        (116444736000000000, "filetime", 0),
        ("116444736000000001", "filetime", 100),
    ],
)
def test_reads_a_timestamp(value: object, unit: TimestampUnit, nanoseconds: int) -> None:
    assert parse_timestamp(value, unit) == nanoseconds


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (None, "iso"),
        (True, "iso"),
        ([], "iso"),
        ("", "iso"),
        ("soon", "iso"),
        ("2020-13-01", "iso"),
        ("2020-02-30", "iso"),
        ("2020-01-01T25:00:00Z", "iso"),
        ("0000-01-01", "iso"),
        ("2020-01-01T00:00:00Zjunk", "iso"),
        ("9999-01-01", "iso"),
        (10**400, "iso"),
        (float("inf"), "iso"),
        (float("nan"), "s"),
        ("2020-13-01", "s"),
        ("1" * 100_000, "iso"),
        ("٣", "iso"),
        (9_223_372_036_854_775_807, "filetime"),
    ],
)
def test_refuses_what_is_no_time(value: object, unit: TimestampUnit) -> None:
    with pytest.raises(ValueError, match=r"time|month|day|year"):
        parse_timestamp(value, unit)


@given(st.integers(FIRST_TIMESTAMP, LAST_TIMESTAMP))
def test_what_is_written_reads_back(nanoseconds: int) -> None:
    text = format_timestamp(nanoseconds)
    assert parse_timestamp(text) == nanoseconds
    assert len(text) in (24, 27, 30)


@given(st.datetimes(datetime.datetime(1678, 1, 1), datetime.datetime(2262, 1, 1)))
def test_agrees_with_the_standard_library(moment: datetime.datetime) -> None:
    since = moment - datetime.datetime(1970, 1, 1)
    assert parse_timestamp(moment.isoformat()) == since // datetime.timedelta(microseconds=1) * 1000


@given(st.text() | st.integers() | st.floats() | st.none())
def test_any_value_is_a_time_or_a_value_error(value: object) -> None:
    for unit in ("iso", "s", "ms", "us", "ns", "filetime"):
        try:
            assert isinstance(parse_timestamp(value, unit), int)
        except ValueError:
            continue


def test_formats_are_tried_in_order() -> None:
    assert parse_date("03-02-1970", ("yyyy", "dd-MM-yyyy")) == 33 * 86_400 * SECOND
    assert parse_date("19700102 01:02:03.004", ("yyyyMMdd HH:mm:ss.SSS",)) == (
        (86_400 + 3723) * SECOND + 4_000_000
    )
    assert parse_date("T1970", ("'T'yyyy",)) == 0


@pytest.mark.parametrize("pattern", ["dd-QQ-yyyy", "yyyy-yyyy", "EEE"])
def test_a_bad_format_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="date format"):
        compile_format(pattern)


def test_names_of_formats_match_nothing_of_their_own() -> None:
    assert parse_date("1970-01-02", ("strict_date_optional_time", "epoch_millis")) == (
        86_400 * SECOND
    )


def test_a_time_beyond_the_calendar_has_no_text() -> None:
    with pytest.raises(ValueError, match="outside the years"):
        format_timestamp(10**30)
